//! Messages that come over HTTP reach MQTT subscribers, and only when everything about them is right.

use axum::body::Body;
use axum::extract::Request;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use http_body_util::BodyExt;
use messaging::Action;
use messaging::wire::{QoS, Version};
use tower::ServiceExt;
use web::{App, AppInfo};

use crate::Broker;
use crate::client::text;

/// A request that is right in everything, to be changed.
struct Post<'a> {
    path: String,
    authorization: &'a str,
    content_type: &'a str,
    user_name: &'a str,
    body: &'a str,
}

impl Broker {
    fn post(&self, below: &str) -> Post<'static> {
        Post {
            path: format!("/{}", self.topic(below)),
            authorization: "Client secret",
            content_type: "application/json; charset=utf-8",
            user_name: "",
            body: "{}",
        }
    }

    /// Status and body of the answer.
    async fn answer(&self, post: Post<'_>) -> (StatusCode, String) {
        let info = AppInfo {
            version: String::new(),
            commit: String::new(),
            build_time: String::new(),
            instance_id: String::new(),
        };
        let app = App::new(vec![messaging::http::routes(self.engine.clone())], info);
        let mut request = Request::post(&post.path);
        for (name, value) in [
            ("authorization", post.authorization),
            ("content-type", post.content_type),
            ("x-fluxmq-username", post.user_name),
        ] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let request = request.body(Body::from(post.body.to_owned())).unwrap();
        let response = app.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A client's answer to a body that names topics.
    pub(crate) async fn publish_as(&self, client: &str, path: &str, body: &str) -> (u16, String) {
        let post = Post {
            path: path.to_owned(),
            authorization: "Bearer secret",
            content_type: "application/json",
            user_name: client,
            body,
        };
        let (status, answer) = self.answer(post).await;
        (status.as_u16(), answer)
    }

    async fn status(&self, post: Post<'_>) -> u16 {
        self.answer(post).await.0.as_u16()
    }
}

#[tokio::test]
async fn every_path_and_form_of_credentials_reaches_a_subscriber() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 1).await;
    subscriber.subscribe("m/plant/c/boiler/#", QoS::AtLeastOnce).await;
    let id = broker.plant.clients[0].to_string();
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:secret")));
    let legacy = format!("/channels/{}/messages", broker.plant.channel);

    for (path, below) in [
        (broker.post("").path, ""),
        (broker.post("/a/b?x=1").path, "/a/b"),
        (format!("/http{}", broker.post("/a").path), "/a"),
        (legacy.clone(), ""),
        (format!("/http{legacy}/a"), "/a"),
    ] {
        for authorization in [
            "Client secret",
            "tHING secret",
            "secret",
            &basic,
            &basic.replace("Basic", "basic"),
            "bEARER secret",
        ] {
            let post = Post { path: path.clone(), authorization, user_name: &id, ..broker.post("") };
            assert_eq!(
                broker.answer(post).await,
                (StatusCode::ACCEPTED, String::new()),
                "{path} {authorization}"
            );
            let delivery = subscriber.take().await;
            assert_eq!(delivery.topic, format!("m/plant/c/boiler{below}").as_str());
            assert_eq!(delivery.properties.content_type(), Some("application/json"));
        }
    }
}

#[tokio::test]
async fn publish_takes_topic_payload_and_qos_as_json() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V311, 1).await;
    subscriber.subscribe("m/plant/c/boiler/#", QoS::ExactlyOnce).await;
    let id = broker.plant.clients[0].to_string();
    let body =
        format!(r#"{{"topic":"{}","payload":"{}","qos":1}}"#, broker.topic("/a"), STANDARD.encode("hello"));
    let post = || Post {
        path: "/publish".to_owned(),
        authorization: "Bearer secret",
        content_type: "",
        user_name: &id,
        body: &body,
    };
    let (status, answer) = broker.answer(post()).await;
    assert_eq!((status, answer.trim()), (StatusCode::OK, r#"{"status":"ok"}"#));
    let delivery = subscriber.take().await;
    assert_eq!((text(&delivery), delivery.qos), ("hello", QoS::AtLeastOnce));

    for (body, message) in [
        ("{", "invalid request body"),
        ("{}", "topic is required"),
        (r#"{"topic":"none"}"#, "failed to publish : malformed topic"),
        (&body.replace(r#""qos":1"#, r#""qos":3"#), "qos must be 0, 1, or 2"),
        (&body.replace("\"payload\":\"", "\"payload\":\"*"), "invalid request body"),
    ] {
        let (status, answer) = broker.answer(Post { body, ..post() }).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.contains(message), "{answer}");
    }
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_before_anything_is_published() {
    let broker = Broker::start().await;
    let mut subscriber = broker.client(Version::V5, 1).await;
    subscriber.subscribe("m/plant/c/boiler/#", QoS::AtLeastOnce).await;
    let good = || broker.post("");
    let cases = [
        (401, Post { authorization: "", ..good() }),
        (401, Post { authorization: "Client wrong", ..good() }),
        (401, Post { authorization: "Basic ***", ..good() }),
        (415, Post { content_type: "text/plain", ..good() }),
        (415, Post { content_type: "", ..good() }),
        (400, Post { body: "", ..good() }),
        (400, Post { path: good().path + "?qos=3", ..good() }),
        (400, Post { path: good().path + "?retain=perhaps", ..good() }),
        (400, broker.post("/a%20b")),
        (400, broker.post("/a%23")),
    ];
    for (number, (status, post)) in cases.into_iter().enumerate() {
        assert_eq!(broker.status(post).await, status, "case {number}");
    }
    broker.gate.deny(0, Action::Publish);
    assert_eq!(broker.status(good()).await, 403);
    subscriber.has_nothing().await;
}

#[tokio::test]
async fn a_message_larger_than_the_bound_is_refused() {
    let broker = Broker::with(|limits| limits.packet_bytes = 1_000).await;
    let body = "x".repeat(1_000);
    assert_eq!(broker.status(Post { body: &body, ..broker.post("") }).await, 413);
}

#[tokio::test]
async fn the_health_path_checks_the_credentials() {
    let broker = Broker::start().await;
    let path = format!("/hc/{}", broker.plant.domain);
    assert_eq!(broker.status(Post { path: path.clone(), ..broker.post("") }).await, 200);
    assert_eq!(broker.status(Post { path: format!("/http{path}"), ..broker.post("") }).await, 200);
    assert_eq!(broker.status(Post { path, authorization: "Client wrong", ..broker.post("") }).await, 401);
}

#[tokio::test]
async fn whoever_is_over_the_rate_gets_429_and_when_to_come_back() {
    let rate = messaging::Rate { messages: std::num::NonZeroU64::new(1), bytes: None };
    let broker = Broker::with(|limits| limits.rate = rate).await;
    for _ in 0..2 {
        assert_eq!(broker.status(broker.post("")).await, 202);
    }
    let (status, body) = broker.answer(broker.post("")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(body.contains("too many messages, send fewer in a second"), "{body}");

    let info = AppInfo {
        version: String::new(),
        commit: String::new(),
        build_time: String::new(),
        instance_id: String::new(),
    };
    let app = App::new(vec![messaging::http::routes(broker.engine.clone())], info);
    let request = Request::post(broker.post("").path)
        .header("authorization", "Client secret")
        .header("content-type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
}
