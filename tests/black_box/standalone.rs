//! Stand-alone mode: one fixed user with a fixed token works over HTTP, MQTT and gRPC, and nobody logs in.

use serde_json::{Value, json};
use testkit::mosquitto::{Login, Version};
use testkit::{ADMIN, Launch, Server, Storage, mosquitto};

use crate::grpc::{self, Remote};
use crate::platform::text;
use crate::probe::{Library, Probe};

const USER: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
const DOMAIN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12";
const TOKEN: &str = "a-token-that-nobody-guesses";

fn launch(storage: Storage) -> Launch {
    grpc::launch(storage).env("SMQ_CLIENTS_STANDALONE_ID", USER).env("SMQ_CLIENTS_STANDALONE_TOKEN", TOKEN)
}

#[track_caller]
fn made(server: &Server, path: &str, body: &Value) -> Value {
    let answer = server.request("POST", path).bearer(TOKEN).json(body).send();
    assert_eq!(answer.status, 201, "POST {path}: {answer:?}");
    if answer.body.trim().is_empty() { Value::Null } else { answer.json() }
}

#[test]
fn the_one_user_works_over_http_mqtt_and_grpc_and_nobody_else_does() {
    for storage in Storage::ALL {
        let server = launch(storage).start();
        let greeting = server.log();
        assert!(greeting.contains(USER), "{greeting}");
        for absent in ["Administrator", "Password", "quickstart", TOKEN] {
            assert!(!greeting.contains(absent), "{absent} in {greeting}");
        }

        let client = made(&server, &format!("/{DOMAIN}/clients"), &json!({"name": "pump"}));
        let (device, secret) = (text(&client, "id"), text(&client["credentials"], "secret"));
        let channel = text(&made(&server, &format!("/{DOMAIN}/channels"), &json!({"name": "boiler"})), "id");
        let connection = json!({"channel_ids": [channel], "client_ids": [device], "types": ["publish"]});
        made(&server, &format!("/{DOMAIN}/channels/connect"), &connection);
        let list = server.request("GET", &format!("/{DOMAIN}/clients"));
        assert_eq!(list.bearer("another-token").send().status, 401);
        let login = json!({"username": ADMIN.0, "password": ADMIN.2});
        // There is no such user, nor any other.
        assert_eq!(server.request("POST", "/users/tokens/issue").json(&login).send().status, 401);

        let topic = format!("m/{DOMAIN}/c/{channel}/x");
        let login = |username: &str, password: &str| Login {
            broker: server.mqtt(),
            version: Version::V5,
            username: username.to_owned(),
            password: password.to_owned(),
        };
        let mut user = Probe::connect(Library::Paho, &login("", TOKEN), &[]);
        assert_eq!(user.subscribe(1, &topic), "1");
        let outcome = mosquitto::publish(&login(&device, &secret), &topic, 1, "from-the-pump", &[]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        user.message("from-the-pump");
        let stranger = Probe::start(Library::Paho, &login("", "another-token"), &[]);
        assert_eq!(stranger.event("connack"), "134");

        let mut remote = Remote::of(server.grpc(), &[]);
        let whose = remote.call("auth.v1.AuthService/Authenticate", &json!({ "token": TOKEN }));
        assert_eq!((&whose["user_id"], &whose["user_role"]), (&json!(USER), &json!(2)));
        let other = r#"auth.v1.AuthService/Authenticate {"token": "another-token"}"#;
        assert_eq!(remote.refused(other), "UNAUTHENTICATED");
        let policy = json!({"policy_req": {
            "subject_type": "user", "subject": format!("{DOMAIN}_{USER}"), "permission": "delete_permission",
            "object_type": "client", "object": device,
        }});
        assert_eq!(remote.call("auth.v1.AuthService/Authorize", &policy)["authorized"], true);
        let publish = json!({
            "domain_id": DOMAIN, "client_id": USER, "client_type": "user", "channel_id": channel, "type": 1,
        });
        assert_eq!(remote.call("channels.v1.ChannelsService/Authorize", &publish)["authorized"], true);
        assert!(!server.log().contains(TOKEN), "the token is in the log");
    }
}
