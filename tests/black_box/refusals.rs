//! Who may not, is told so in the protocol's own words: CONNACK, SUBACK and PUBACK codes, HTTP statuses.

use serde_json::{Value, json};
use testkit::Storage;
use testkit::mosquitto::{Login, Version, try_subscribe};

use crate::platform::{Device, Platform};
use crate::probe::{Library, Probe};

/// CONNACK for a wrong user name or password: MQTT 3.1.1 §3.2.2.3, MQTT 5 §3.2.2.2.
const fn bad_credentials(version: Version) -> &'static str {
    match version {
        Version::V311 => "4",
        Version::V5 => "134",
    }
}

/// CONNACK for someone who is known but may not connect.
const fn not_authorized(version: Version) -> &'static str {
    match version {
        Version::V311 => "5",
        Version::V5 => "135",
    }
}

/// SUBACK for a filter that the client may not have: MQTT 3.1.1 §3.9.3, MQTT 5 §3.9.3.
const fn subscription_refused(version: Version) -> &'static str {
    match version {
        Version::V311 => "128",
        Version::V5 => "135",
    }
}

#[test]
fn a_wrong_secret_an_unknown_client_and_no_password_are_bad_credentials() {
    let platform = Platform::start(Storage::Sqlite);
    let device = platform.device("one");
    for version in Version::ALL {
        let right = platform.login(&device, version);
        let wrong_secret = Login { password: "wrong".into(), ..right.clone() };
        let unknown = Login { username: "00000000-0000-4000-8000-000000000000".into(), ..right.clone() };
        let nobody = Login { username: String::new(), password: String::new(), ..right };
        for login in [wrong_secret, unknown, nobody] {
            let probe = Probe::start(Library::Paho, &login, &[]);
            assert_eq!(probe.event("connack"), bad_credentials(version), "{login:?}");
        }
    }
}

#[test]
fn mosquitto_says_that_the_password_is_wrong() {
    let platform = Platform::start(Storage::Sqlite);
    let device = platform.device("one");
    let login = Login { password: "wrong".into(), ..platform.login(&device, Version::V311) };
    let outcome = try_subscribe(&login, &platform.topic("any", "/#"), &[]).wait();
    assert!(outcome.log.contains("bad user name or password"), "{}", outcome.log);
    assert_ne!(outcome.code, 0);
}

#[test]
fn a_disabled_client_may_not_connect() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let device = platform.device("one");
        let answer = platform.request("POST", &format!("/{{domain}}/clients/{}/disable", device.id)).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        for version in Version::ALL {
            let probe = Probe::start(Library::Paho, &platform.login(&device, version), &[]);
            assert_eq!(probe.event("connack"), not_authorized(version), "{version:?}");
        }
        let answer = platform.publish(&device, &platform.topic("any", ""), "{}");
        assert!(matches!(answer.status, 401 | 403), "{answer:?}");
    }
}

#[test]
fn a_client_that_is_not_connected_may_neither_publish_nor_subscribe() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let stranger = platform.device("stranger");
    subscribing_is_refused(&platform, &stranger, &channel);
    publishing_is_refused(&platform, &stranger, &channel);
}

#[test]
fn the_right_to_subscribe_is_not_the_right_to_publish_and_the_reverse() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let channel = platform.channel("boiler");
        let (publisher, subscriber) = (platform.device("publisher"), platform.device("subscriber"));
        platform.connect(&publisher, &channel, &["publish"]);
        platform.connect(&subscriber, &channel, &["subscribe"]);
        subscribing_is_refused(&platform, &publisher, &channel);
        publishing_is_refused(&platform, &subscriber, &channel);
    }
}

#[test]
fn a_channel_is_reached_through_its_own_domain_only_and_nobody_can_shut_it_from_another() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let other = platform.made("/domains", &json!({"name": "other", "route": "other-domain"}));
        let other = other["id"].as_str().unwrap().to_owned();
        let client = platform.made(&format!("/{other}/clients"), &json!({"name": "intruder"}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let intruder = Device { id: text(&client["id"]), secret: text(&client["credentials"]["secret"]) };
        let channel = platform.channel("boiler");
        for topic in [format!("m/{other}/c/{channel}"), platform.topic(&channel, "")] {
            let answer = platform.publish(&intruder, &topic, "{}");
            assert!([400, 401, 403].contains(&answer.status), "{topic}: {answer:?}");
            for version in Version::ALL {
                let mut probe = Probe::connect(Library::Paho, &platform.login(&intruder, version), &[]);
                let code: u8 = probe.subscribe(1, &topic).parse().unwrap();
                assert!(code >= 128, "{topic} is granted with {code}");
            }
        }
        let owner = platform.connected_device("owner", &channel);
        assert_eq!(platform.publish(&owner, &platform.topic(&channel, ""), "{}").status, 202);
        let answer = platform.publish(&owner, &format!("m/{other}/c/{channel}"), "{}");
        assert!([400, 401, 403].contains(&answer.status), "{answer:?}");
    }
}

#[test]
fn a_topic_outside_of_channels_is_refused() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let device = platform.connected_device("one", &channel);
    for version in Version::ALL {
        let mut probe = Probe::connect(Library::Paho, &platform.login(&device, version), &[]);
        for filter in ["#", "m/#", "m/+/c/+/#", "$SYS/#", "elsewhere", "+/+/+/+"] {
            let mut other = Probe::connect(Library::Paho, &platform.login(&device, version), &[]);
            let code: u8 = other.subscribe(1, filter).parse().unwrap();
            assert!(code >= 128, "{filter} is granted with {code}");
        }
        assert_eq!(probe.subscribe(1, &platform.topic(&channel, "/#")), "1");
    }
}

#[test]
fn another_domain_s_channel_is_as_closed_as_one_that_does_not_exist() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let own = platform.connected_device("own", &channel);
    let other = platform.made("/domains", &serde_json::json!({"name": "other", "route": "other"}));
    let other = crate::platform::text(&other, "id");
    for version in Version::ALL {
        for topic in [format!("m/{other}/c/{channel}"), format!("m/{}/c/{other}", platform.domain)] {
            let mut probe = Probe::connect(Library::Paho, &platform.login(&own, version), &[]);
            assert_eq!(probe.subscribe(1, &topic), subscription_refused(version), "{topic}");
        }
    }
}

#[track_caller]
fn subscribing_is_refused(platform: &Platform, device: &Device, channel: &str) {
    for version in Version::ALL {
        let mut probe = Probe::connect(Library::Paho, &platform.login(device, version), &[]);
        let code = probe.subscribe(1, &platform.topic(channel, "/#"));
        assert_eq!(code, subscription_refused(version), "{version:?}");
    }
}

/// MQTT 5 has a code for it; in MQTT 3.1.1 the only way to refuse a message is to close the connection.
#[track_caller]
fn publishing_is_refused(platform: &Platform, device: &Device, channel: &str) {
    let topic = platform.topic(channel, "/x");
    let witness = platform.connected_device("witness", channel);
    let mut witness = Probe::connect(Library::Paho, &platform.login(&witness, Version::V5), &[]);
    assert_eq!(witness.subscribe(1, &platform.topic(channel, "/#")), "1");

    for qos in [1, 2] {
        // Paho goes on with PUBREL after a PUBREC that refuses; mqtt.js does what MQTT 5, 4.3.3 says.
        let mut probe = Probe::connect(Library::MqttJs, &platform.login(device, Version::V5), &[]);
        probe.publish(qos, &topic, "refused");
        assert_eq!(probe.event("ack"), "135");

        let mut probe = Probe::connect(Library::Paho, &platform.login(device, Version::V311), &[]);
        probe.publish(qos, &topic, "refused");
        probe.event("closed");
        assert_eq!(probe.count("ack"), 0);
    }
    let answer = platform.publish(device, &topic, "\"refused\"");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.json()["message"], "failed to perform authorization over the entity");

    witness.publish(1, &topic, "last");
    witness.message("last");
    assert_eq!(witness.messages().len(), 1, "a refused message was delivered: {:?}", witness.messages());
}
