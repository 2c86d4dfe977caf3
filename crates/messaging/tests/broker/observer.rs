//! What happens is told, in its order, to whoever asked for it.

use std::sync::{Arc, Mutex};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use kernel::Clock;
use messaging::wire::{Connect, MessageProperties, Publish, QoS, ReasonCode, Text, Version, Will};
use messaging::{Engine, Event, Identity, Limits, Observer, Protocol, Reading};

use crate::gate::{Plant, TestGate};
use crate::{Broker, becomes, soon};

/// Writes every event down in a few words.
#[derive(Default)]
struct Diary(Mutex<Vec<String>>);

impl Observer for Diary {
    fn wants_messages(&self) -> bool {
        true
    }

    fn observe(&self, event: Event<'_>) {
        let line = match event {
            Event::Connected { client_id, .. } => format!("{client_id} connected"),
            Event::Disconnected { client_id, .. } => format!("{client_id} disconnected"),
            Event::Subscribed { client_id, protocol, subtopic, .. } => {
                format!("{client_id} subscribed {subtopic} by {}", protocol.name())
            }
            Event::Unsubscribed { client_id, protocol, subtopic, .. } => {
                format!("{client_id} unsubscribed {subtopic} by {}", protocol.name())
            }
            Event::Published(message) => {
                let payload = String::from_utf8_lossy(message.payload);
                let (from, protocol) = (message.client_id, message.protocol.name());
                format!("{from} {protocol} {} {payload}", message.subtopic)
            }
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Diary {
    /// A broker that writes into a diary.
    fn broker() -> (Arc<Self>, Broker) {
        let diary = Arc::new(Self::default());
        let plant = Plant::new();
        let gate = Arc::new(TestGate::new(&plant));
        let observer = Arc::clone(&diary) as Arc<dyn Observer>;
        let asked = Arc::clone(&gate) as Arc<dyn messaging::Gate>;
        let engine = Engine::observed(asked, Clock::system(), Limits::default(), observer);
        (diary, Broker::serve(engine, gate, plant))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for a line that ends so.
    async fn has(&self, end: &str) {
        soon(end, async {
            while !self.lines().iter().any(|line| line.ends_with(end)) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn an_observer_sees_what_happens_in_its_order() {
    let (diary, broker) = Diary::broker();
    let mut client = broker.client(Version::V5, 0).await;
    client.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    client.publish(&broker.topic("/a/b"), "hello", QoS::AtMostOnce).await;
    client.delivery().await;
    client.unsubscribe(&broker.topic("/#")).await;
    client.disconnect(ReasonCode::SUCCESS).await;
    becomes("the disconnect", &broker.engine.stats().mqtt.connections, 0).await;
    let expected = [
        "device-0 connected",
        "device-0 subscribed # by mqtt",
        "device-0 mqtt a/b hello",
        "device-0 unsubscribed # by mqtt",
        "device-0 disconnected",
    ];
    assert_eq!(diary.lines(), expected);
}

#[tokio::test]
async fn readers_of_other_protocols_announce_what_they_read_and_when_they_end_and_no_connect() {
    let (diary, broker) = Diary::broker();
    let identity = Identity::Client { client: broker.plant.clients[1], domain: broker.plant.domain };
    for protocol in [Protocol::WebSocket, Protocol::Events, Protocol::Coap] {
        let mut reader =
            broker.engine.attach_reader(broker.engine.epoch(), &identity, protocol).unwrap().unwrap();
        reader.subscribe(&broker.topic("/+"), Reading::default()).await.unwrap();
        drop(reader);
    }
    let lines = diary.lines();
    let mut expected = Vec::new();
    for protocol in ["websocket", "sse", "coap"] {
        expected.push(format!("subscribed + by {protocol}"));
        expected.push(format!("unsubscribed + by {protocol}"));
    }
    // Their names are random.
    let said: Vec<&str> = lines.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn an_envelope_says_by_which_protocol_its_message_came() {
    let (diary, broker) = Diary::broker();
    let topic = broker.topic("/a");
    let mut client = broker.client(Version::V311, 0).await;
    client.publish(&topic, "by mqtt", QoS::AtLeastOnce).await;

    let id = broker.plant.clients[0].to_string();
    let body = format!(r#"{{"topic":"{topic}","payload":"{}"}}"#, STANDARD.encode("by http"));
    assert_eq!(broker.publish_as(&id, "/publish", &body).await.0, 200);
    assert_eq!(broker.publish_as(&id, "/publish/batch", &format!("[{body}]")).await.0, 200);

    let identity = Identity::Client { client: broker.plant.clients[1], domain: broker.plant.domain };
    let reader =
        broker.engine.attach_reader(broker.engine.epoch(), &identity, Protocol::WebSocket).unwrap().unwrap();
    let payload = Bytes::from_static(b"by websocket");
    let message = Publish { topic: Text::from(topic.as_str()), payload, ..Publish::default() };
    reader.publisher().publish(&message).await.unwrap();

    let will = Will {
        topic: Text::from(topic.as_str()),
        payload: Bytes::from_static(b"a will"),
        qos: QoS::AtLeastOnce,
        retain: false,
        delay: 0,
        message_expiry: None,
        properties: MessageProperties::default(),
    };
    drop(broker.connect(Connect { will: Some(will), ..broker.plant.connect(Version::V5, 1) }).await);
    diary.has(" a will").await;

    let mut published = diary.lines();
    published.retain(|line| line.contains(" a "));
    let ends = [
        "mqtt a by mqtt",
        " http a by http",
        " http a by http",
        " websocket a by websocket",
        " mqtt a a will",
    ];
    assert_eq!(published.len(), ends.len(), "{published:?}");
    assert!(published.iter().zip(ends).all(|(line, end)| line.ends_with(end)), "{published:?}");
}
