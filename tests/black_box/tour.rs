//! From nothing to a device's first authorized message, with curl and Mosquitto's own clients.

use serde_json::{Value, json};
use testkit::mosquitto::{Version, publish, subscribe};
use testkit::{ADMIN, Server, Storage};

use crate::platform::{Platform, text};

#[test]
fn an_administrator_logs_in_by_name_or_email_and_refreshes() {
    for storage in Storage::ALL {
        let server = Server::start(storage);
        let (username, email, password) = ADMIN;
        for name in [username, email] {
            let body = json!({"username": name, "password": password});
            let answer = server.request("POST", "/users/tokens/issue").json(&body).send();
            assert_eq!(answer.status, 201, "{answer:?}");
            let tokens = answer.json();

            let refresh = text(&tokens, "refresh_token");
            let answer = server.request("POST", "/users/tokens/refresh").bearer(&refresh).send();
            assert_eq!(answer.status, 201, "{answer:?}");

            let access = text(&answer.json(), "access_token");
            let profile = server.request("GET", "/users/profile").bearer(&access).send();
            assert_eq!((profile.status, text(&profile.json(), "email")), (200, email.to_owned()));

            let refused = server.request("POST", "/users/tokens/refresh").bearer(&access).send();
            assert_eq!(refused.status, 401, "an access token is no refresh token: {refused:?}");
        }
    }
}

#[test]
fn domains_clients_and_channels_are_created_viewed_and_listed() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let domain = platform.get("/domains/{domain}");
        assert_eq!(
            (&domain["name"], &domain["route"], &domain["status"]),
            (&json!("plant"), &json!("plant"), &json!("enabled"))
        );
        assert_eq!(ids(&platform.get("/domains"), "domains"), [platform.domain.as_str()]);

        let given = json!({"name": "given", "credentials": {"identity": "probe", "secret": "secret"}, "tags": ["a"],
            "metadata": {"floor": 3}});
        let answer = platform.post("/{domain}/clients", &given);
        let client = answer.json();
        let id = text(&client, "id");
        assert_eq!(
            (answer.status, answer.header("location")),
            (201, Some(format!("/clients/{id}").as_str()))
        );
        assert_eq!(client["credentials"], given["credentials"]);
        let viewed = platform.get(&format!("/{{domain}}/clients/{id}"));
        for member in ["id", "name", "tags", "metadata", "credentials", "domain_id", "created_at", "status"] {
            assert_eq!(viewed[member], client[member], "{member}");
        }

        let generated = platform.device("generated");
        assert!(generated.secret.len() >= 32, "{generated:?}");
        let mut listed = ids(&platform.get("/{domain}/clients?limit=10"), "clients");
        listed.sort_unstable();
        let mut expected = [id, generated.id];
        expected.sort_unstable();
        assert_eq!(listed, expected);

        let channel = platform.made("/{domain}/channels", &json!({"name": "boiler", "route": "boiler"}));
        let viewed = platform.get(&format!("/{{domain}}/channels/{}", text(&channel, "id")));
        assert_eq!((&viewed["route"], &viewed["status"]), (&json!("boiler"), &json!("enabled")));
        assert_eq!(ids(&platform.get("/{domain}/channels"), "channels"), [text(&channel, "id")]);
    }
}

#[test]
fn several_clients_and_channels_are_created_in_one_request() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        for kind in ["clients", "channels"] {
            let answer = platform
                .post(&format!("/{{domain}}/{kind}/bulk"), &json!([{"name": "one"}, {"name": "two"}]));
            assert_eq!((answer.status, &answer.json()["total"]), (200, &json!(2)), "{answer:?}");
            assert_eq!(platform.get(&format!("/{{domain}}/{kind}"))["total"], 2);
        }
    }
}

#[test]
fn connected_clients_exchange_messages_whatever_they_speak() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let channel = platform.channel("boiler");
        let (publisher, subscriber) = (platform.device("publisher"), platform.device("subscriber"));
        platform.connect(&publisher, &channel, &["publish"]);
        platform.connect(&subscriber, &channel, &["subscribe"]);
        let topic = platform.topic(&channel, "/room/temperature");

        let listeners = Version::ALL.map(|version| {
            subscribe(&platform.login(&subscriber, version), &platform.topic(&channel, "/#"), &[])
        });
        for version in Version::ALL {
            for qos in [0, 1, 2] {
                let payload = format!("{version:?}-{qos}");
                let sent = publish(&platform.login(&publisher, version), &topic, qos, &payload, &[]);
                assert_eq!(sent.code, 0, "{}", sent.log);
                for listener in &listeners {
                    assert_eq!(listener.wait_for_message(&payload), format!("{topic} {payload}"));
                }
            }
        }

        let answer = platform.publish(&publisher, &topic, "[{\"n\":\"t\",\"v\":21.5}]");
        assert_eq!((answer.status, answer.body.as_str()), (202, ""));
        for listener in &listeners {
            assert_eq!(listener.wait_for_message("21.5"), format!("{topic} [{{\"n\":\"t\",\"v\":21.5}}]"));
        }
    }
}

#[test]
fn a_channel_is_reached_by_its_route_and_by_its_id() {
    let platform = Platform::start(Storage::Sqlite);
    let channel =
        text(&platform.made("/{domain}/channels", &json!({"name": "boiler", "route": "boiler"})), "id");
    let device = platform.connected_device("both", &channel);
    let login = platform.login(&device, Version::V311);

    let by_route = subscribe(&login, "m/plant/c/boiler/#", &[]);
    let by_id = subscribe(&login, &platform.topic(&channel, "/#"), &[]);
    for topic in ["m/plant/c/boiler/x".to_owned(), platform.topic(&channel, "/x")] {
        let sent = publish(&login, &topic, 1, &format!("to {topic}"), &[]);
        assert_eq!(sent.code, 0, "{}", sent.log);
        for listener in [&by_route, &by_id] {
            listener.wait_for_message(&format!("to {topic}"));
        }
    }
}

#[test]
fn clients_and_channels_are_disabled_enabled_and_deleted() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        for (kind, id) in [("clients", platform.device("one").id), ("channels", platform.channel("one"))] {
            let path = format!("/{{domain}}/{kind}/{id}");
            for (verb, status) in [("disable", "disabled"), ("enable", "enabled"), ("disable", "disabled")] {
                let answer = platform.request("POST", &format!("{path}/{verb}")).send();
                assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(status)), "{verb} {kind}");
                assert_eq!(platform.get(&path)["status"], status);
            }
            assert_eq!(
                platform.get(&format!("/{{domain}}/{kind}"))["total"],
                0,
                "lists show what is enabled"
            );
            assert_eq!(platform.get(&format!("/{{domain}}/{kind}?status=disabled"))["total"], 1);

            let answer = platform.request("DELETE", &path).send();
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
            let answer = platform.request("GET", &path).send();
            assert_eq!((answer.status, &answer.json()["message"]), (404, &json!("entity not found")));
            assert_eq!(platform.get(&format!("/{{domain}}/{kind}?status=all"))["total"], 0);
        }
    }
}

#[test]
fn a_client_is_listed_on_the_channels_it_is_connected_to() {
    for storage in Storage::ALL {
        let platform = Platform::start(storage);
        let channel = platform.channel("boiler");
        let device = platform.connected_device("connected", &channel);
        platform.device("other");
        let page = platform.get(&format!("/{{domain}}/clients?channel={channel}"));
        assert_eq!(ids(&page, "clients"), [device.id.as_str()]);
        for (right, expected) in [("publish", 1), ("subscribe", 1)] {
            let path = format!("/{{domain}}/clients?channel={channel}&connection_type={right}");
            assert_eq!(platform.get(&path)["total"], expected, "{right}");
        }
        let page = platform.get(&format!("/{{domain}}/channels?client={}", device.id));
        assert_eq!(ids(&page, "channels"), [channel.as_str()]);

        platform.disconnect(&device, &channel, &["publish"]);
        assert_eq!(
            platform.get(&format!("/{{domain}}/clients?channel={channel}&connection_type=publish"))["total"],
            0
        );
        assert_eq!(platform.get(&format!("/{{domain}}/clients?channel={channel}"))["total"], 1);
        platform.disconnect(&device, &channel, &["subscribe"]);
        assert_eq!(platform.get(&format!("/{{domain}}/clients?channel={channel}"))["total"], 0);
    }
}

fn ids(page: &Value, kind: &str) -> Vec<String> {
    page[kind].as_array().into_iter().flatten().map(|one| text(one, "id")).collect()
}
