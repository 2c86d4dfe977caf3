//! Every acknowledged message arrives, with QoS 2 exactly once: after kill -9 in the middle of a load, and at a subscriber
//! that is slower than its fifty publishers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use testkit::mosquitto::{self, Version};
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
            let times = times(&second);
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

#[test]
fn fifty_publishers_lose_nothing_to_a_subscriber_that_reads_nothing_for_a_while() {
    const CROWD: usize = 50;
    const EACH: usize = 6;
    for storage in Storage::ALL {
        for qos in [1, 2] {
            let platform = Platform::start(storage);
            let channel = platform.channel("boiler");
            let subscriber = platform.connected_device("recorder", &channel);
            let device = platform.connected_device("device", &channel);
            let mut slow = Probe::connect(Library::Paho, &platform.login(&subscriber, Version::V5), &LASTS);
            slow.subscribe(qos, &platform.topic(&channel, "/#"));
            slow.pause();

            let acknowledged = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for number in 0..CROWD {
                    let (platform, device, channel) = (&platform, &device, &channel);
                    let acknowledged = &acknowledged;
                    scope.spawn(move || {
                        let login = platform.login(device, Version::V5);
                        let topic = platform.topic(channel, &format!("/{number}"));
                        for message in 0..EACH {
                            let payload = format!("{number}-{message}");
                            let outcome = mosquitto::publish(&login, &topic, qos, &payload, &[]);
                            assert_eq!(outcome.code, 0, "{}", outcome.log);
                            acknowledged.fetch_add(1, SeqCst);
                        }
                    });
                }
                wait_until("half of them are acknowledged", || acknowledged.load(SeqCst) >= CROWD * EACH / 2);
                slow.go_on();
            });

            for number in 0..CROWD {
                slow.message(&format!(" {number}-{}", EACH - 1));
            }
            let times = times(&slow);
            assert_eq!(times.len(), CROWD * EACH, "{storage:?}, QoS {qos}");
            if qos == 2 {
                assert!(times.values().all(|&times| times == 1), "{storage:?}: {times:?}");
            }
        }
    }
}

/// How often each payload came.
fn times(probe: &Probe) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for message in probe.messages() {
        let payload = message.rsplit(' ').next().unwrap_or_default().to_owned();
        *times.entry(payload).or_default() += 1;
    }
    times
}
