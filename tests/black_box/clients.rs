//! Client libraries of other people work: Eclipse Paho and mqtt.js, with MQTT 3.1.1 and 5.

use testkit::Storage;
use testkit::mosquitto::Version;

use crate::platform::{Device, Platform};
use crate::probe::{Library, Probe};

/// One platform, one channel, and each library in each version.
fn each(test: impl Fn(&Platform, &str, Library, Version)) {
    let platform = Platform::start(Storage::Sqlite);
    for library in Library::ALL {
        for version in Version::ALL {
            let channel = platform.channel(&format!("{library:?}-{version:?}"));
            test(&platform, &channel, library, version);
        }
    }
}

fn connect(
    platform: &Platform,
    device: &Device,
    library: Library,
    version: Version,
    options: &[&str],
) -> Probe {
    Probe::connect(library, &platform.login(device, version), options)
}

#[test]
fn messages_of_each_quality_of_service_arrive_and_are_acknowledged() {
    each(|platform, channel, library, version| {
        let device = platform.connected_device("device", channel);
        let topic = platform.topic(channel, "/room");
        let mut probe = connect(platform, &device, library, version, &[]);
        assert_eq!(probe.subscribe(2, &platform.topic(channel, "/#")), "2");
        for qos in 0..=2 {
            probe.publish(qos, &topic, &format!("with qos {qos}"));
            assert_eq!(probe.message(&format!("with qos {qos}")), format!("{qos} 0 {topic} with qos {qos}"));
        }
        assert_eq!(probe.event("ack"), "0");
        probe.end();
    });
}

#[test]
fn a_retained_message_waits_for_later_subscribers_until_it_is_cleared() {
    each(|platform, channel, library, version| {
        let device = platform.connected_device("device", channel);
        let topic = platform.topic(channel, "/state");
        let mut probe = connect(platform, &device, library, version, &[]);
        probe.retain(1, &topic, "on");
        probe.event("ack");

        let mut late = connect(platform, &device, library, version, &[]);
        late.subscribe(1, &topic);
        assert_eq!(late.message("on"), format!("1 1 {topic} on"));

        probe.retain(1, &topic, "");
        late.message(" ");
        let mut latest = connect(platform, &device, library, version, &[]);
        latest.subscribe(1, &topic);
        probe.publish(1, &topic, "marker");
        assert_eq!(latest.message("marker"), format!("1 0 {topic} marker"));
        assert_eq!(latest.messages().len(), 1);
    });
}

#[test]
fn a_will_is_published_when_the_connection_breaks_and_not_after_a_good_bye() {
    each(|platform, channel, library, version| {
        let device = platform.connected_device("device", channel);
        let topic = platform.topic(channel, "/will");
        let mut witness = connect(platform, &device, library, version, &[]);
        witness.subscribe(1, &topic);

        connect(platform, &device, library, version, &[&format!("will={topic},polite")]).end();
        connect(platform, &device, library, version, &[&format!("will={topic},broken")]).die();
        witness.message("broken");
        assert_eq!(witness.messages(), [format!("1 0 {topic} broken")]);
    });
}

#[test]
fn a_session_that_is_kept_gets_what_came_while_it_was_away() {
    each(|platform, channel, library, version| {
        let device = platform.connected_device("device", channel);
        let topic = platform.topic(channel, "/queue");
        let options = [&format!("id=kept-{channel}"), "clean=false"];
        let mut away = connect(platform, &device, library, version, &options);
        assert_eq!(away.subscribe(1, &topic), "1");
        away.end();

        let mut publisher = connect(platform, &device, library, version, &[]);
        publisher.publish(1, &topic, "missed");
        publisher.event("ack");

        let back = Probe::start(library, &platform.login(&device, version), &options);
        assert_eq!(back.event("connack"), "0 present");
        assert_eq!(back.message("missed"), format!("1 0 {topic} missed"));
    });
}

#[test]
fn a_second_connection_with_the_same_client_identifier_takes_over() {
    each(|platform, channel, library, version| {
        let device = platform.connected_device("device", channel);
        let id = format!("id=same-{channel}");
        let first = connect(platform, &device, library, version, &[&id]);
        let mut second = connect(platform, &device, library, version, &[&id]);
        first.event("closed");
        let topic = platform.topic(channel, "/x");
        second.subscribe(1, &topic);
        second.publish(1, &topic, "alive");
        second.message("alive");
    });
}

#[test]
fn a_client_identifier_is_not_shared_between_clients_of_the_platform() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let (own, other) =
        (platform.connected_device("own", &channel), platform.connected_device("other", &channel));
    let topic = platform.topic(&channel, "/x");
    let mut own = connect(&platform, &own, Library::Paho, Version::V5, &["id=same"]);
    own.subscribe(1, &topic);
    // Whether the stranger is refused or gets a session of its own: the first one must not notice.
    let _stranger = Probe::start(Library::Paho, &platform.login(&other, Version::V5), &["id=same"]);
    own.publish(1, &topic, "alive");
    own.message("alive");
    assert_eq!(own.count("closed"), 0);
}
