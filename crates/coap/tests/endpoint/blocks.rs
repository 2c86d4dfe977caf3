//! Bodies in blocks, both ways.

use coap_lite::{CoapOption, MessageType, Packet, RequestType};

use crate::device::{code, request};
use crate::{Scene, soon};

/// A part of a body that is sent in blocks of 64 bytes.
fn part(scene: &Scene, query: &str, body: &[u8], number: usize) -> Packet {
    let chunks: Vec<_> = body.chunks(64).collect();
    let more = number + 1 < chunks.len();
    let mut post = request(RequestType::Post, &scene.path("/large"), query);
    post.payload = chunks[number].to_vec();
    let value = u16::try_from(number).unwrap() << 4 | u16::from(more) << 3 | 2;
    let bytes = value.to_be_bytes();
    post.add_option(
        CoapOption::Block1,
        bytes[bytes.iter().take_while(|byte| **byte == 0).count()..].to_vec(),
    );
    post
}

fn body() -> Vec<u8> {
    (0..1_000_u32).flat_map(u32::to_be_bytes).collect()
}

#[tokio::test]
async fn a_body_in_blocks_is_one_message() {
    let scene = Scene::start().await;
    let mut witness = scene.witness().await;
    let mut device = scene.device().await;
    let body = body();
    let last = body.chunks(64).count() - 1;
    for number in 0..=last {
        let answer = device.ask(part(&scene, "auth=secret", &body, number)).await;
        assert_eq!(code(&answer), if number == last { "2.01" } else { "2.31" });
        assert!(answer.get_option(CoapOption::Block1).is_some());
    }
    let message = soon("the message", witness.next()).await.unwrap();
    assert_eq!(message.payload, body);
}

#[tokio::test]
async fn blocks_of_somebody_unknown_are_not_kept_and_missing_ones_noticed() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let body = body();
    assert_eq!(code(&device.ask(part(&scene, "auth=wrong", &body, 0)).await), "4.01");
    assert_eq!(code(&device.ask(part(&scene, "auth=wrong", &body, 1)).await), "4.08");
    assert_eq!(code(&device.ask(part(&scene, "auth=secret", &body, 0)).await), "2.31");
    assert_eq!(code(&device.ask(part(&scene, "auth=secret", &body, 2)).await), "4.08");
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_as_soon_as_it_is_seen() {
    let scene = Scene::with(|limits| limits.message_bytes = 100).await;
    let mut device = scene.device().await;
    let body = body();
    assert_eq!(code(&device.ask(part(&scene, "auth=secret", &body, 0)).await), "2.31");
    let answer = device.ask(part(&scene, "auth=secret", &body, 1)).await;
    assert_eq!(code(&answer), "4.13");
    assert_eq!(answer.get_first_option(CoapOption::Size1), Some(&vec![100]));
    assert_eq!(device.post(&scene.path(""), "auth=secret", &[0; 101]).await, "4.13");
}

#[tokio::test]
async fn an_observer_fetches_a_large_message_and_then_gets_the_next() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    device.observe(&scene.path(""), "auth=secret", b"t").await;
    device.pong().await;
    let body = body();
    scene.publish("", &body).await;
    scene.publish("", b"next").await;
    let first = device.receive().await;
    assert_eq!(first.header.get_type(), MessageType::Confirmable);
    assert_eq!(first.get_first_option(CoapOption::Block2), Some(&vec![0b1110]));
    let tag = first.get_first_option(CoapOption::ETag).unwrap().clone();
    device.answer(&first, MessageType::Acknowledgement).await;
    let mut fetched = first.payload.clone();
    for number in 1..4 {
        let mut get = request(RequestType::Get, &scene.path(""), "auth=secret");
        get.add_option(CoapOption::Block2, vec![number << 4 | 6]);
        let answer = device.ask(get).await;
        assert_eq!(code(&answer), "2.05");
        assert_eq!(answer.get_first_option(CoapOption::ETag), Some(&tag));
        fetched.extend_from_slice(&answer.payload);
    }
    assert_eq!(fetched, body);
    assert_eq!(device.receive().await.payload, b"next");
}
