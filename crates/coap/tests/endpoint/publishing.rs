//! Requests that publish, and what is answered to those that may not.

use coap_lite::{CoapOption, MessageType, RequestType};

use crate::device::{code, request};
use crate::{Scene, soon};

#[tokio::test]
async fn a_post_reaches_subscribers_in_each_form_of_path_and_credentials() {
    let scene = Scene::start().await;
    let mut witness = scene.witness().await;
    let mut device = scene.device().await;
    let client = scene.gate.client;
    let (plain, legacy) = (scene.path("/a"), format!("channels/{}/messages/a", scene.gate.channel));
    let basic = format!("username={client}&password=secret");
    let alias = format!("client_id=x&username={client}&authorization=secret");
    for (number, (path, query)) in [
        (plain.as_str(), "auth=secret"),
        (&legacy, "auth=secret"),
        ("m/plant/c/boiler/a", "auth=secret"),
        (&plain, "auth=pat_token"),
        (&plain, &basic),
        (&plain, &alias),
    ]
    .into_iter()
    .enumerate()
    {
        let payload = format!("message {number}");
        assert_eq!(device.post(path, query, payload.as_bytes()).await, "2.01", "{path}?{query}");
        let message = soon("the message", witness.next()).await.unwrap();
        assert_eq!(message.payload, payload);
        assert_eq!(message.topic.as_str(), scene.path("/a"));
    }
}

#[tokio::test]
async fn a_put_publishes_too_and_the_older_path_answers_ok() {
    let scene = Scene::start().await;
    let mut witness = scene.witness().await;
    let mut device = scene.device().await;
    let answer = device.ask(request(RequestType::Put, &scene.path(""), "auth=secret")).await;
    assert_eq!(code(&answer), "2.04");
    let path = format!("mqtt/publish/{}", scene.path("/b"));
    let mut post = request(RequestType::Post, &path, "auth=secret");
    post.payload = b"x".to_vec();
    post.add_option(CoapOption::ContentFormat, vec![50]);
    let answer = device.ask(post).await;
    assert_eq!((code(&answer).as_str(), answer.payload.as_slice()), ("2.04", b"ok".as_slice()));
    soon("the first", witness.next()).await.unwrap();
    let message = soon("the second", witness.next()).await.unwrap();
    assert_eq!(message.properties.content_type(), Some("application/json"));
}

#[tokio::test]
async fn each_refusal_has_its_code_and_repeats_nothing_of_the_request() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let path = scene.path("/a");
    for (path, query, expected) in [
        (path.as_str(), "", "4.00"),
        (&path, "auth=", "4.00"),
        (&path, "username=x", "4.00"),
        (&path, "auth=wrong", "4.01"),
        (&path, "username=x&password=secret", "4.01"),
        ("m/plant/c/boiler/+", "auth=secret", "4.00"),
        ("m/plant/c/boiler/a//b", "auth=secret", "4.00"),
        ("m/plant/c/denied", "auth=secret", "4.03"),
        ("elsewhere", "auth=secret", "4.00"),
        ("mqtt/other", "auth=secret", "4.00"),
    ] {
        let mut post = request(RequestType::Post, path, query);
        post.payload = b"x".to_vec();
        let answer = device.ask(post).await;
        assert_eq!(code(&answer), expected, "{path}?{query}: {answer:?}");
        assert!(answer.get_option(CoapOption::UriQuery).is_none(), "{answer:?}");
        assert!(answer.get_option(CoapOption::UriPath).is_none(), "{answer:?}");
    }
    for method in [RequestType::Delete, RequestType::Fetch, RequestType::Patch, RequestType::IPatch] {
        assert_eq!(code(&device.ask(request(method, &path, "auth=secret")).await), "4.05");
    }
    let read = device.ask(request(RequestType::Get, &path, "auth=secret")).await;
    assert_eq!(code(&read), "4.02", "without Observe");
    let mut unknown = request(RequestType::Post, &path, "auth=secret");
    unknown.add_option(CoapOption::Unknown(2_051), vec![1]);
    assert_eq!(code(&device.ask(unknown).await), "4.02", "a critical option");
    scene.gate.fail();
    assert_eq!(device.post(&path, "auth=secret", b"x").await, "5.03");
}

#[tokio::test]
async fn health_and_what_is_here_need_no_credentials_and_a_domain_does() {
    let scene = Scene::start().await;
    let mut device = scene.device().await;
    let health = device.ask(request(RequestType::Get, "health", "")).await;
    assert_eq!((code(&health).as_str(), health.payload.as_slice()), ("2.05", b"healthy".as_slice()));
    let core = device.ask(request(RequestType::Get, ".well-known/core", "")).await;
    assert_eq!(core.get_first_option(CoapOption::ContentFormat), Some(&vec![40]));
    assert_eq!(code(&core), "2.05");
    assert!(core.payload.starts_with(b"</health>"), "{core:?}");
    let mut accept = request(RequestType::Get, ".well-known/core", "");
    accept.add_option(CoapOption::Accept, vec![50]);
    assert_eq!(code(&device.ask(accept).await), "4.06");
    assert_eq!(code(&device.ask(request(RequestType::Post, ".well-known/core", "")).await), "4.05");

    assert_eq!(device.post("hc/plant", "auth=secret", b"").await, "2.01");
    assert_eq!(code(&device.ask(request(RequestType::Get, "hc/plant", "auth=secret")).await), "2.05");
    assert_eq!(device.post("hc/plant", "auth=wrong", b"").await, "4.01");
}

#[tokio::test]
async fn a_repeated_post_is_one_message() {
    let scene = Scene::start().await;
    let mut witness = scene.witness().await;
    let mut device = scene.device().await;
    let mut post = request(RequestType::Post, &scene.path(""), "auth=secret");
    post.payload = b"once".to_vec();
    post.header.message_id = 77;
    device.send(&post).await;
    let answer = device.receive().await;
    device.send(&post).await;
    assert_eq!(device.receive().await, answer);
    device.post(&scene.path(""), "auth=secret", b"marker").await;
    let heard = [soon("one", witness.next()).await.unwrap(), soon("marker", witness.next()).await.unwrap()];
    assert_eq!(heard.map(|message| message.payload), ["once", "marker"]);
}

#[tokio::test]
async fn a_request_that_needs_no_acknowledgement_gets_an_answer_that_needs_none() {
    let scene = Scene::start().await;
    let device = scene.device().await;
    let mut post = request(RequestType::Post, &scene.path(""), "auth=secret");
    post.header.set_type(MessageType::NonConfirmable);
    post.set_token(vec![1, 2, 3]);
    device.send(&post).await;
    let answer = device.receive().await;
    assert_eq!(answer.header.get_type(), MessageType::NonConfirmable);
    assert_eq!((code(&answer).as_str(), answer.get_token()), ("2.01", [1, 2, 3].as_slice()));
}

#[tokio::test]
async fn a_gate_that_takes_long_gives_an_acknowledgement_first_and_the_answer_later() {
    let scene = Scene::start().await;
    let device = scene.device().await;
    scene.gate.hold();
    let mut post = request(RequestType::Post, &scene.path(""), "auth=secret");
    post.set_token(vec![9]);
    post.header.message_id = 5;
    device.send(&post).await;
    let first = device.receive().await;
    assert_eq!((code(&first).as_str(), first.header.message_id), ("0.00", 5));
    scene.gate.let_go();
    let answer = device.receive().await;
    assert_eq!(answer.header.get_type(), MessageType::Confirmable);
    assert_eq!((code(&answer).as_str(), answer.get_token()), ("2.01", [9].as_slice()));
    device.answer(&answer, MessageType::Acknowledgement).await;
}

#[tokio::test]
async fn whoever_is_over_the_rate_is_told_when_to_come_back() {
    let rate = messaging::Rate { messages: std::num::NonZeroU64::new(1), bytes: None };
    let of_engine = messaging::Limits { rate, ..messaging::Limits::default() };
    let scene = Scene::of(coap::Limits::default(), of_engine, false).await;
    let mut device = scene.device().await;
    let path = scene.path("/a");
    for _ in 0..2 {
        assert_eq!(device.post(&path, "auth=secret", b"x").await, "2.01");
    }
    let answer = device.ask(request(RequestType::Post, &path, "auth=secret")).await;
    assert_eq!(code(&answer), "4.29");
    assert!(answer.get_first_option(CoapOption::MaxAge).is_some());
}

#[tokio::test]
async fn topics_that_an_operator_has_mapped_are_paths_too() {
    let scene = Scene::start().await;
    let map = "tele/{device}/{what...} m/plant/c/boiler/{device}/{what...}";
    scene.engine.map_topics(messaging::TopicMap::parse("topics.map", map).unwrap());
    let mut witness = scene.witness().await;
    let mut device = scene.device().await;
    assert_eq!(device.post("tele/plug 7/SENSOR", "auth=secret", b"21").await, "2.01");
    let message = soon("the message", witness.next()).await.unwrap();
    assert_eq!(message.topic.as_str(), scene.path("/plug%207/SENSOR"));
    assert_eq!(device.post("elsewhere/plug7", "auth=secret", b"21").await, "4.00");
    assert_eq!(device.post("tele/plug7/SENSOR", "auth=wrong", b"21").await, "4.01");

    let mut observer = scene.device().await;
    assert_eq!(code(&observer.observe("tele/+/SENSOR", "auth=secret", b"t").await), "2.05");
    observer.pong().await;
    scene.publish("/plug8/SENSOR", b"22").await;
    assert_eq!(observer.receive().await.payload, b"22");
}
