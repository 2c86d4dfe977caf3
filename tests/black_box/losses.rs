//! After kill -9 in the middle of a load every acknowledged message arrives; with QoS 2 exactly once.

use std::collections::HashMap;

use testkit::mosquitto::Version;
use testkit::{Storage, wait_until};

use crate::platform::Platform;
use crate::probe::{Library, Probe};

/// Publishers at the same time, and what each sends.
const PUBLISHERS: usize = 4;
const MESSAGES: usize = 200;
/// So many messages are acknowledged before the kill.
const BEFORE_KILL: usize = 150;

/// A session that outlives its connection.
const LASTS: [&str; 2] = ["clean=false", "id=recorder"];

#[test]
fn every_acknowledged_message_survives_kill_9_for_a_subscriber_that_is_away() {
    for storage in Storage::ALL {
        for qos in [1, 2] {
            let mut platform = Platform::start(storage);
            let channel = platform.channel("boiler");
            let subscriber = platform.connected_device("recorder", &channel);
            let device = platform.connected_device("device", &channel);
            let filter = platform.topic(&channel, "/#");
            let mut first = Probe::connect(Library::Paho, &platform.login(&subscriber, Version::V5), &LASTS);
            first.subscribe(qos, &filter);
            first.die();

            let login = platform.login(&device, Version::V5);
            let mut publishers: Vec<Probe> =
                (0..PUBLISHERS).map(|_| Probe::connect(Library::Paho, &login, &[])).collect();
            for message in 0..MESSAGES {
                for (number, publisher) in publishers.iter_mut().enumerate() {
                    let topic = platform.topic(&channel, &format!("/{number}"));
                    publisher.publish(qos, &topic, &format!("{number}-{message}"));
                }
            }
            let acknowledged = || publishers.iter().map(|one| one.count("ack")).sum::<usize>();
            wait_until("enough messages are acknowledged", || acknowledged() >= BEFORE_KILL);
            platform.server.kill9();
            // Acknowledgements keep the order of the messages, so those of the first ones have come.
            let promised: Vec<usize> = publishers.iter().map(|one| one.count("ack")).collect();
            drop(publishers);
            platform.restart();

            let second = Probe::connect(Library::Paho, &platform.login(&subscriber, Version::V5), &LASTS);
            for (number, &count) in promised.iter().enumerate() {
                if let Some(last) = count.checked_sub(1) {
                    second.message(&format!(" {number}-{last}"));
                }
            }
            let mut times: HashMap<String, usize> = HashMap::new();
            for message in second.messages() {
                let payload = message.rsplit(' ').next().unwrap_or_default().to_owned();
                *times.entry(payload).or_default() += 1;
            }
            for (number, &count) in promised.iter().enumerate() {
                for message in 0..count {
                    let payload = format!("{number}-{message}");
                    assert!(times.contains_key(&payload), "{storage:?}, QoS {qos}: {payload} is lost");
                }
            }
            if qos == 2 {
                let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
                assert!(twice.is_empty(), "{storage:?}: came more than once: {twice:?}");
            }
        }
    }
}
