//! Why somebody may do something, and another key that signs, from the command line.

use serde_json::Value;
use testkit::{ADMIN, Server};

use crate::platform::text;
use crate::shell::{Shell, plant};

#[test]
fn an_explanation_shows_the_path_or_what_is_missing_in_the_domain_that_is_named() {
    let (server, admin) = plant();
    let id = text(&admin.json(&["clients", "create", "boiler"]), "id");
    let channel = text(&admin.json(&["channels", "create", "temperatures"]), "id");
    let names =
        ["users", "create", "olga", "--email", "olga@example.com", "--first-name", "O", "--last-name", "O"];
    let said = admin.run_with(&[&names[..], &["--password-stdin"]].concat(), "a-long-password\n");
    assert_eq!(said.code, 0, "{said:?}");
    let object = format!("client:{id}");

    let yes = admin.ok(&["authz", "explain", ADMIN.0, "clients.view", &object]);
    assert!(yes.starts_with("allowed: every condition holds\n") && yes.contains("yes relation:"), "{yes}");
    let no = admin.json(&["authz", "explain", "olga", "clients.view", &object]);
    assert_eq!((&no["allowed"], &no["steps"][1]["step"]), (&false.into(), &"domain".into()), "{no}");

    admin.ok(&["domains", "create", "Other"]);
    let elsewhere = admin.json(&["authz", "explain", ADMIN.0, "clients.view", &object, "--domain", "other"]);
    assert_eq!(elsewhere["summary"], "refused: the domain has no client with this id", "{elsewhere}");
    let here = admin.json(&["authz", "explain", ADMIN.0, "clients.view", &object, "--domain", "my-plant"]);
    assert_eq!(here["allowed"], true, "{here}");

    let channel = format!("channel:{channel}");
    let both = ["authz", "explain", ADMIN.0, "channels.connect_client", &channel, "--with", &object];
    let both = admin.json(&both);
    assert_eq!((&both["allowed"], both["steps"].as_array().unwrap().len()), (&true.into(), 6), "{both}");
    let half = admin.ok(&["authz", "explain", ADMIN.0, "channels.connect_client", &channel]);
    assert!(half.starts_with("not decided: a client has to agree too"), "{half}");

    let olga = Shell::logged_in(&server, "olga", "a-long-password");
    assert!(olga.fails(1, &["authz", "explain", ADMIN.0, "clients.view", &object]).contains("not allowed"));
}

#[test]
fn another_key_signs_from_now_on_and_what_the_one_before_has_signed_stays_good() {
    let (server, admin) = plant();
    let before = keys(&server);
    let rotated = admin.json(&["keys", "rotate"]);
    let after = keys(&server);
    assert_eq!(rotated["keys"], Value::from(after.clone()), "{rotated}");
    assert_eq!(after.len(), before.len() + 1);
    assert_ne!(after[0]["kid"], before[0]["kid"], "the first one signs");
    assert!(before.iter().all(|key| after.contains(key)), "{before:?} {after:?}");
    admin.ok(&["whoami"]);
    let fresh = Shell::logged_in(&server, ADMIN.0, ADMIN.2);
    fresh.ok(&["whoami"]);
    assert!(admin.ok(&["keys", "rotate"]).contains("ID"));
    fresh.ok(&["whoami"]);
}

/// The public keys that the platform shows.
fn keys(server: &Server) -> Vec<Value> {
    let answer = server.request("GET", "/keys/.well-known/jwks.json").send();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["keys"].as_array().unwrap().clone()
}
