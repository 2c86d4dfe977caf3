//! Peers that mean harm.

use std::sync::atomic::Ordering::Relaxed;

use coap_lite::RequestType;
use proptest::prelude::{any, prop};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::device::{Device, code, request};
use crate::{Scene, soon};

#[tokio::test]
async fn nothing_that_comes_in_a_datagram_stops_the_endpoint() {
    let scene = Scene::start().await;
    let good = request(RequestType::Post, &scene.path("/a"), "auth=secret").to_bytes().unwrap();
    let mutation = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8);
    let noise = prop::collection::vec(any::<u8>(), 0..64);
    let mut runner = TestRunner::deterministic();
    let attacker = scene.device().await;
    for _ in 0..2_000 {
        let mut datagram = good.clone();
        for (at, byte) in mutation.new_tree(&mut runner).unwrap().current() {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        attacker.send_bytes(&datagram).await;
        attacker.send_bytes(&noise.new_tree(&mut runner).unwrap().current()).await;
    }
    let mut device = scene.device().await;
    assert_eq!(code(&device.ask(request(RequestType::Get, "health", "")).await), "2.05");
    assert!(scene.stats.malformed.load(Relaxed) > 0);
}

#[tokio::test]
async fn an_address_that_fails_often_must_show_that_it_is_there_before_it_tries_again() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let path = scene.path("");
    for _ in 0..3 {
        assert_eq!(device.post(&path, "auth=wrong", b"x").await, "4.01");
    }
    let mut post = request(RequestType::Post, &path, "auth=wrong");
    post.header.message_id = 100;
    device.send(&post).await;
    let [first, second] = [device.receive().await, device.receive().await];
    let (ping, refusal) = if code(&first) == "0.00" { (first, second) } else { (second, first) };
    assert_eq!(code(&refusal), "4.29");
    device.answer(&ping, coap_lite::MessageType::Reset).await;
    assert_eq!(device.post(&path, "auth=secret", b"x").await, "2.01");
}

#[tokio::test]
async fn strangers_that_keep_the_gate_busy_leave_room_for_those_who_are_known() {
    let scene = Scene::with(|limits| limits.stranger_requests = 2).await;
    let mut known = scene.device().await;
    assert_eq!(known.post(&scene.path(""), "auth=secret", b"x").await, "2.01");
    scene.gate.hold();
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let stranger = Device::of(scene.address).await;
        stranger.send(&request(RequestType::Post, &scene.path(""), "auth=wrong")).await;
        strangers.push(stranger);
    }
    assert_eq!(code(&strangers[2].receive().await), "5.03");
    let waiting = tokio::spawn({
        let path = scene.path("");
        async move { known.post(&path, "auth=secret", b"x").await }
    });
    let gate = &scene.gate;
    soon("the known peer at the gate", async {
        while gate.waiting() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    scene.gate.let_go();
    assert_eq!(waiting.await.unwrap(), "2.01");
}

#[tokio::test]
async fn requests_that_come_again_after_they_were_forgotten_take_no_place_for_good() {
    let scene = Scene::with(|limits| {
        limits.stranger_requests = 4;
        limits.requests = 4;
        limits.exchanges = 4;
    })
    .await;
    let mut device = Device::of(scene.address).await;
    for burst in 0..20_u16 {
        scene.gate.hold();
        for id in [1, 2, 10, 11, 12, 13, 1, 2] {
            let path = if id < 10 { scene.path("") } else { "health".to_owned() };
            let code = if id < 10 { RequestType::Post } else { RequestType::Get };
            let mut packet = request(code, &path, "auth=secret");
            packet.header.message_id = burst * 100 + id;
            device.send(&packet).await;
        }
        let gate = &scene.gate;
        soon("four requests at the gate", async {
            while gate.waiting() < 4 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        scene.gate.let_go();
        for _ in 0..8 {
            device.receive().await;
        }
    }
    let mut stranger = Device::of(scene.address).await;
    for one in [&mut device, &mut stranger] {
        one.last_id = 10_000;
        assert_eq!(one.post(&scene.path(""), "auth=secret", b"x").await, "2.01");
    }
}
