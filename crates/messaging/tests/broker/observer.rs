//! What happens is told, in its order, to whoever asked for it.

use std::sync::{Arc, Mutex};

use kernel::Clock;
use messaging::wire::{QoS, ReasonCode, Version};
use messaging::{Engine, Event, Identity, Limits, Observer, Reading};

use crate::gate::{Plant, TestGate};
use crate::{Broker, becomes};

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
            Event::Subscribed { client_id, subtopic, .. } => format!("{client_id} subscribed {subtopic}"),
            Event::Unsubscribed { client_id, subtopic, .. } => format!("{client_id} unsubscribed {subtopic}"),
            Event::Published(message) => {
                let payload = String::from_utf8_lossy(message.payload);
                format!("{} {} {} {payload}", message.client_id, message.protocol, message.subtopic)
            }
        };
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn an_observer_sees_what_happens_in_its_order() {
    let diary = Arc::new(Diary::default());
    let plant = Plant::new();
    let gate = Arc::new(TestGate::new(&plant));
    let observer = Arc::clone(&diary) as Arc<dyn Observer>;
    let asked = Arc::clone(&gate) as Arc<dyn messaging::Gate>;
    let engine = Engine::observed(asked, Clock::system(), Limits::default(), observer);
    let broker = Broker::serve(engine, gate, plant);

    let mut client = broker.client(Version::V5, 0).await;
    client.subscribe(&broker.topic("/#"), QoS::AtMostOnce).await;
    client.publish(&broker.topic("/a/b"), "hello", QoS::AtMostOnce).await;
    client.delivery().await;
    client.unsubscribe(&broker.topic("/#")).await;
    let identity = Identity::Client { client: broker.plant.clients[1], domain: broker.plant.domain };
    let mut reader = broker.engine.attach_reader(broker.engine.epoch(), &identity, "ws").unwrap().unwrap();
    reader.subscribe(&broker.topic(""), Reading::default()).await.unwrap();
    drop(reader);
    client.disconnect(ReasonCode::SUCCESS).await;
    becomes("the disconnect", &broker.engine.stats().connections, 0).await;

    // The name of a reader is random; nothing has connected.
    let mut lines = diary.0.lock().unwrap().clone();
    let of_reader: Vec<String> = lines.extract_if(.., |line| line.starts_with("ws:")).collect();
    assert!(matches!(of_reader.as_slice(), [line] if line.ends_with(" subscribed ")), "{of_reader:?}");

    let expected = [
        "device-0 connected",
        "device-0 subscribed #",
        "device-0 mqtt a/b hello",
        "device-0 unsubscribed #",
        "device-0 disconnected",
    ];
    assert_eq!(lines, expected);
}
