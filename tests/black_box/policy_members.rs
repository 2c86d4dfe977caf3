//! The platform's own clients and users at another broker: what they may do on a channel there is what they may do here, and
//! a right that is taken away ends at once.

use std::net::SocketAddr;

use serde_json::json;
use testkit::curl::Request;
use testkit::process::Stream;
use testkit::{Launch, Storage, wait_until};

use crate::platform::{Device, Platform, text};

/// A platform whose policy service is open, and where.
fn start(storage: Storage) -> (Platform, SocketAddr) {
    let mut platform = Platform::start_as(Launch::on(storage).env("TRUNKLINE_POLICY_ADDRESS", "127.0.0.1:0"));
    let address = address(&mut platform);
    (platform, address)
}

fn address(platform: &mut Platform) -> SocketAddr {
    platform.server.process().wait_for(Stream::Out, "the policy service is open", |line| {
        line.strip_prefix("listening policy ")?.parse().ok()
    })
}

fn ask(policy: SocketAddr, path: &str, form: &[(&str, &str)]) -> u16 {
    let form: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('/', "%2F").replace('+', "%2B")))
        .collect();
    Request::new("POST", &format!("http://{policy}{path}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.join("&"))
        .send()
        .status
}

fn log_in(policy: SocketAddr, device: &Device) -> u16 {
    ask(policy, "/mqtt/user", &[("username", &device.id), ("password", &device.secret), ("clientid", "c")])
}

fn may(policy: SocketAddr, username: &str, topic: &str, acc: &str) -> u16 {
    ask(policy, "/mqtt/acl", &[("username", username), ("clientid", "c"), ("topic", topic), ("acc", acc)])
}

#[test]
fn a_client_may_do_on_another_broker_what_it_is_connected_for() {
    for storage in Storage::ALL {
        let (mut platform, policy) = start(storage);
        let channel = platform.channel("temps");
        let other = platform.channel("other");
        let device = platform.device("sensor");
        platform.connect(&device, &channel, &["publish"]);
        let topic = platform.topic(&channel, "/room");

        assert_eq!(may(policy, &device.id, &topic, "2"), 403, "it has not logged in");
        let wrong = Device { secret: "wrong".to_owned(), ..device.clone() };
        assert_eq!(log_in(policy, &wrong), 403);
        assert_eq!(log_in(policy, &device), 200);
        assert_eq!(may(policy, &device.id, &topic, "2"), 200);
        assert_eq!(may(policy, &device.id, &topic, "1"), 403);
        assert_eq!(may(policy, &device.id, &topic, "4"), 403);
        for denied in [&platform.topic(&other, ""), "celine/x", "#", "m/+/c/+"] {
            assert_eq!(may(policy, &device.id, denied, "2"), 403, "{denied}");
        }
        assert_eq!(ask(policy, "/mqtt/superuser", &[("username", &device.id)]), 403);

        platform.connect(&device, &channel, &["subscribe"]);
        assert_eq!(may(policy, &device.id, &platform.topic(&channel, "/#"), "4"), 200);
        assert_eq!(may(policy, &device.id, "m/+/c/+/#", "4"), 403);
        platform.disconnect(&device, &channel, &["publish"]);
        assert_eq!(may(policy, &device.id, &topic, "2"), 403);

        // The broker does not log its clients in anew because of us.
        platform.restart();
        let policy = address(&mut platform);
        assert_eq!(may(policy, &device.id, &topic, "1"), 200);

        let answer = platform.post(&format!("/{{domain}}/clients/{}/disable", device.id), &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(may(policy, &device.id, &topic, "1"), 403);
        // Enabled again it must log in again.
        let answer = platform.post(&format!("/{{domain}}/clients/{}/enable", device.id), &json!({}));
        assert_eq!(answer.status, 200, "{answer:?}");
        wait_until("its login is forgotten", || may(policy, &device.id, &topic, "1") == 403);
        assert_eq!(log_in(policy, &device), 200);
    }
}

#[test]
fn a_user_shows_a_token_and_may_do_what_its_roles_allow() {
    let (platform, policy) = start(Storage::Sqlite);
    let channel = platform.channel("temps");
    let topic = platform.topic(&channel, "/room");
    let bearer = |token: &str, path: &str, body: serde_json::Value| {
        let request = Request::new("POST", &format!("http://{policy}{path}"));
        request.header("Authorization", &format!("Bearer {token}")).json(&body).send().status
    };
    let acl = json!({"topic": topic, "acc": 2});
    assert_eq!(bearer(&platform.token, "/mqtt/user", json!({})), 200);
    assert_eq!(bearer(&platform.token, "/mqtt/acl", acl.clone()), 200);
    // An administrator of the platform administers the service.
    assert_eq!(bearer(&platform.token, "/reload", json!({})), 200);

    let user = json!({
        "first_name": "Olga", "last_name": "Other", "email": "other@example.com",
        "credentials": {"username": "other", "secret": "a-long-password"},
    });
    assert_eq!(platform.post("/users", &user).status, 201);
    let login = json!({"username": "other", "password": "a-long-password"});
    let token = platform.made("/users/tokens/issue", &login)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bearer(&token, "/mqtt/user", json!({})), 200);
    assert_eq!(bearer(&token, "/mqtt/acl", acl), 403);
    assert_eq!(bearer(&token, "/reload", json!({})), 403);
    assert_eq!(ask(policy, "/mqtt/user", &[("username", "x"), ("password", &token), ("clientid", "c")]), 200);
}

#[test]
fn a_personal_access_token_may_do_on_another_broker_what_it_is_scoped_for() {
    for storage in Storage::ALL {
        let (platform, policy) = start(storage);
        let channel = platform.channel("temps");
        let (topic, filter) = (platform.topic(&channel, "/room"), platform.topic(&channel, "/#"));
        let pat = platform.made("/pats", &json!({"name": "p", "duration": "1h"}));
        let scope = json!({"scopes": [{
            "domain_id": platform.domain, "entity_type": "messages", "entity_id": channel, "operation": "subscribe",
        }]});
        let path = format!("/pats/{}/scope/add", text(&pat, "id"));
        let answer = platform.request("PATCH", &path).json(&scope).send();
        assert!(answer.status < 300, "{answer:?}");

        let secret = text(&pat, "secret");
        // JSON, as the secret has characters that mean something in a form.
        let log_in = || {
            let body = json!({"username": "any", "password": secret, "clientid": "c"});
            Request::new("POST", &format!("http://{policy}/mqtt/user")).json(&body).send().status
        };
        assert_eq!(log_in(), 200);
        assert_eq!(may(policy, "any", &filter, "4"), 200);
        assert_eq!(may(policy, "any", &topic, "1"), 200);
        // Its owner might publish; it was not scoped for that, nor for another channel.
        assert_eq!(may(policy, "any", &topic, "2"), 403);
        let other = platform.topic(&platform.channel("other"), "/room");
        assert_eq!(may(policy, "any", &other, "1"), 403);
        assert_eq!(ask(policy, "/mqtt/superuser", &[("username", "any")]), 403);

        let path = format!("/pats/{}/secret/revoke", text(&pat, "id"));
        let answer = platform.request("PATCH", &path).json(&json!({})).send();
        assert!(answer.status < 300, "{answer:?}");
        assert_eq!(may(policy, "any", &topic, "1"), 403);
        assert_eq!(log_in(), 403);
    }
}
