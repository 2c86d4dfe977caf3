//! Observations: what observers get, and how they end.

use std::sync::atomic::Ordering::Relaxed;

use coap_lite::{CoapOption, MessageType, RequestType};

use crate::device::{code, request, sequence};
use crate::{PATIENCE, Scene, soon};

#[tokio::test]
async fn an_observer_that_has_shown_itself_gets_messages_in_order() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let answer = device.observe(&scene.path("/#"), "auth=secret", b"tok").await;
    assert_eq!((code(&answer).as_str(), sequence(&answer)), ("2.05", Some(0)));
    scene.publish("/a", b"waits until somebody is there").await;
    device.pong().await;
    scene.publish("", b"second").await;
    for (number, payload) in [(1, "waits until somebody is there"), (2, "second")] {
        let message = device.receive().await;
        assert_eq!((code(&message).as_str(), sequence(&message)), ("2.05", Some(number)));
        assert_eq!(message.get_token(), b"tok");
        assert_eq!(message.payload, payload.as_bytes());
        assert_eq!(message.get_first_option(CoapOption::ContentFormat), Some(&vec![]), "text, format 0");
        assert_eq!(message.header.get_type(), MessageType::NonConfirmable);
    }
    assert_eq!(scene.stats.notified.load(Relaxed), 2);
}

#[tokio::test]
async fn an_observer_chooses_the_format_that_it_is_told() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let mut get = request(RequestType::Get, &scene.path("/a"), "auth=secret");
    get.set_observe_value(0);
    get.add_option(CoapOption::Accept, vec![50]);
    device.ask(get).await;
    device.pong().await;
    scene.publish("/a", b"{}").await;
    assert_eq!(device.receive().await.get_first_option(CoapOption::ContentFormat), Some(&vec![50]));
}

#[tokio::test]
async fn an_address_that_never_answers_gets_one_small_question_and_no_message() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    device.observe(&scene.path(""), "auth=secret", b"t").await;
    for _ in 0..100 {
        scene.publish("", &[0; 1_000]).await;
    }
    let ping = device.receive().await;
    assert_eq!(code(&ping), "0.00");
    // Nothing else comes before the question is repeated.
    let health = device.ask(request(RequestType::Get, "health", "")).await;
    assert_eq!(health.payload, b"healthy");
}

#[tokio::test]
async fn observing_ends_with_a_reset_or_a_request() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    device.observe(&scene.path(""), "auth=secret", b"a").await;
    device.pong().await;
    scene.publish("", b"one").await;
    let message = device.receive().await;
    device.answer(&message, MessageType::Reset).await;
    let ended = async {
        while scene.stats.observations.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end", ended).await;

    device.observe(&scene.path(""), "auth=secret", b"b").await;
    let mut get = request(RequestType::Get, &scene.path(""), "");
    get.set_observe_value(1);
    get.set_token(b"b".to_vec());
    let answer = device.ask(get).await;
    assert_eq!((code(&answer).as_str(), sequence(&answer)), ("2.05", None));
    assert_eq!(scene.stats.observations.load(Relaxed), 0);
}

#[tokio::test]
async fn an_observation_that_is_renewed_goes_on_counting_and_stays_one() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    device.observe(&scene.path(""), "auth=secret", b"t").await;
    device.pong().await;
    scene.publish("", b"one").await;
    assert_eq!(sequence(&device.receive().await), Some(1));
    assert_eq!(sequence(&device.observe(&scene.path(""), "auth=secret", b"t").await), Some(2));
    scene.publish("", b"two").await;
    let message = device.receive().await;
    assert_eq!((sequence(&message), message.payload.as_slice()), (Some(3), b"two".as_slice()));
    assert_eq!(scene.stats.observations.load(Relaxed), 1);
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_an_observation_within_a_second_and_says_so() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    device.observe(&scene.path("/#"), "auth=secret", b"t").await;
    device.pong().await;
    scene.publish("", b"before").await;
    assert_eq!(device.receive().await.payload, b"before");
    scene.gate.deny();
    let before = tokio::time::Instant::now();
    scene.engine.revoke(messaging::Revocation::Channel(scene.gate.channel));
    let farewell = device.receive().await;
    assert_eq!((code(&farewell).as_str(), farewell.get_token()), ("4.03", b"t".as_slice()));
    assert_eq!(sequence(&farewell), None);
    assert!(before.elapsed() < PATIENCE);
    device.answer(&farewell, MessageType::Acknowledgement).await;
    assert_eq!(scene.stats.observations.load(Relaxed), 0);
    assert_eq!(code(&device.observe(&scene.path("/#"), "auth=secret", b"t").await), "4.03");
}

#[tokio::test]
async fn who_may_not_observe_is_told_why() {
    let scene = Scene::with(|limits| limits.observations_per_peer = 1).await;
    let mut device = scene.device().await;
    for (path, query, expected) in [
        (scene.path("/#"), "", "4.00"),
        (scene.path("/#"), "auth=wrong", "4.01"),
        (scene.path("/a#"), "auth=secret", "4.00"),
        ("m/plant/c/denied".to_owned(), "auth=secret", "4.03"),
        (scene.path("/#"), "auth=secret", "2.05"),
    ] {
        let answer = device.observe(&path, query, b"t").await;
        assert_eq!(code(&answer), expected, "{path}?{query}");
    }
    device.pong().await;
    assert_eq!(code(&device.observe(&scene.path(""), "auth=secret", b"u").await), "5.03");
}
