//! Wrong secrets are counted by where they come from, and whoever tries too many is told when to come again.

use serde_json::json;
use testkit::curl::Response;
use testkit::{ADMIN, Launch, Server, Storage};

use crate::http_publish::base64;
use crate::platform::{Platform, text};

/// As many wrong ones are let through for one account from one address.
const LET_THROUGH: usize = 10;

/// Seconds of the header, of an answer that must be a 429.
#[track_caller]
fn retry_after(answer: &Response) -> u64 {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(text(&answer.json(), "message").contains("try again in"), "{answer:?}");
    answer.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn wrong_secrets_of_a_device_are_limited_over_http_and_hold_up_no_other() {
    let platform = Platform::start(Storage::Sqlite);
    let channel = platform.channel("boiler");
    let (device, other) =
        (platform.connected_device("device", &channel), platform.connected_device("other", &channel));
    let publish = |id: &str, secret: &str| {
        let path = format!("/{}", platform.topic(&channel, ""));
        let request = platform.server.request("POST", &path).header("Content-Type", "application/json");
        request
            .header("Authorization", &format!("Basic {}", base64(&format!("{id}:{secret}"))))
            .body("1")
            .send()
    };
    for _ in 0..LET_THROUGH {
        assert_eq!(publish(&device.id, "wrong").status, 401);
    }
    for secret in ["wrong", device.secret.as_str()] {
        assert!((1..=60).contains(&retry_after(&publish(&device.id, secret))));
    }
    assert_eq!(publish(&other.id, &other.secret).status, 202);
}

/// A login with a wrong password, passed on by a proxy for this address.
#[track_caller]
fn log_in(server: &Server, from: &str, password: &str) -> Response {
    let body = json!({"username": ADMIN.0, "password": password});
    server.request("POST", "/users/tokens/issue").header("X-Forwarded-For", from).json(&body).send()
}

#[test]
fn behind_a_trusted_proxy_each_address_has_its_own_attempts() {
    let server = Launch::on(Storage::Sqlite).env("TRUNKLINE_WEB_TRUSTED_PROXIES", "127.0.0.0/8").start();
    for _ in 0..LET_THROUGH {
        assert_eq!(log_in(&server, "192.0.2.1", "wrong").status, 401);
    }
    assert!((1..=60).contains(&retry_after(&log_in(&server, "192.0.2.1", ADMIN.2))));
    // What a caller has written before the proxy's own word changes nothing.
    retry_after(&log_in(&server, "198.51.100.7, 192.0.2.1", ADMIN.2));
    assert_eq!(log_in(&server, "192.0.2.2", ADMIN.2).status, 201);
}

#[test]
fn nobody_else_says_where_a_request_is_from() {
    let server = Server::start(Storage::Sqlite);
    for n in 0..LET_THROUGH {
        assert_eq!(log_in(&server, &format!("192.0.2.{n}"), "wrong").status, 401);
    }
    retry_after(&log_in(&server, "192.0.2.200", ADMIN.2));
}
