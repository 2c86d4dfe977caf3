//! What a user's open connection may do ends within one second with the right, the role or the credential that it
//! rests on.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Storage;
use testkit::mosquitto::{Login, Version};

use crate::platform::{Device, Platform, text};
use crate::probe::{Library, Probe};

/// The promise: "a revoked right ends within one second, also on open connections".
const GRACE: Duration = Duration::from_secs(1);

const PASSWORD: &str = "a-long-password";

/// A domain of an ordinary user's with a channel, a device that is connected to it, and Bob, who only reads the domain.
struct Scene {
    platform: Platform,
    channel: String,
    witness: Device,
    /// Bob's id.
    bob: String,
    /// The role by which Bob is in the domain.
    reader: String,
}

impl Scene {
    #[track_caller]
    fn new(storage: Storage) -> Self {
        let platform = Platform::start_for_a_user(storage);
        let user = json!({
            "first_name": "Bob", "last_name": "Example", "email": "bob@example.com",
            "credentials": {"username": "bob", "secret": PASSWORD},
        });
        let admin = crate::platform::log_in(&platform.server);
        let made = platform.server.request("POST", "/users").bearer(&admin).json(&user).send();
        assert_eq!(made.status, 201, "{made:?}");
        let bob = text(&made.json(), "id");
        let channel = platform.channel("boiler");
        let witness = platform.connected_device("witness", &channel);
        let mut scene = Self { platform, channel, witness, bob, reader: String::new() };
        scene.reader = scene.grant("/domains/{domain}", "reader", &["read"]);
        scene
    }

    /// Gives Bob a role on the thing at `path`; its id.
    #[track_caller]
    fn grant(&self, path: &str, name: &str, actions: &[&str]) -> String {
        let role = json!({"role_name": name, "optional_actions": actions, "optional_members": [self.bob]});
        text(&self.platform.made(&format!("{path}/roles"), &role), "id")
    }

    /// A request of Bob's.
    #[track_caller]
    fn as_bob(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let path = path.replace("{domain}", &self.platform.domain);
        let answer = self.platform.server.request(method, &path).bearer(token).json(body).send();
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Bob's access token.
    #[track_caller]
    fn token(&self) -> String {
        let login = json!({"username": "bob", "password": PASSWORD});
        let answer = self.platform.server.request("POST", "/users/tokens/issue").json(&login).send();
        assert_eq!(answer.status, 201, "{answer:?}");
        text(&answer.json(), "access_token")
    }

    /// A connection of a user's with this token.
    #[track_caller]
    fn connect(&self, token: &str, version: Version) -> Probe {
        let broker = self.platform.server.mqtt();
        let login = Login { broker, version, username: String::new(), password: token.to_owned() };
        Probe::connect(Library::Paho, &login, &[])
    }

    #[track_caller]
    fn witness(&self) -> Probe {
        let mut witness =
            Probe::connect(Library::Paho, &self.platform.login(&self.witness, Version::V5), &[]);
        witness.subscribe(1, &self.topic());
        witness
    }

    fn topic(&self) -> String {
        self.platform.topic(&self.channel, "/x")
    }
}

/// Bob's connections of both versions lose what they could do before, when `revoke` has happened.
#[track_caller]
fn loses_everything(scene: &Scene, revoke: impl FnOnce()) {
    let token = scene.token();
    let mut witness = scene.witness();
    let mut open = Version::ALL.map(|version| scene.connect(&token, version));
    for (probe, said) in open.iter_mut().zip(["before-3", "before-5"]) {
        assert_eq!(probe.subscribe(1, &scene.topic()), "1");
        probe.publish(1, &scene.topic(), said);
        witness.message(said);
    }
    witness.publish(1, &scene.topic(), "for-both");
    open.iter().for_each(|probe| drop(probe.message("for-both")));

    revoke();
    let_the_grace_pass();

    witness.publish(1, &scene.topic(), "after");
    witness.message("after");
    let [mut v3, mut v5] = open;
    v3.publish(1, &scene.topic(), "refused-3");
    v3.event("closed");
    v5.publish(1, &scene.topic(), "refused-5");
    assert_eq!(v5.acks(2), ["0", "135"], "MQTT 5 has a code for it");
    witness.publish(1, &scene.topic(), "marker");
    witness.message("marker");
    for (probe, word) in [(&v3, "after"), (&v5, "after"), (&witness, "refused-3"), (&witness, "refused-5")] {
        assert!(!heard(probe, word), "{word}: {:?}", probe.messages());
    }
}

#[test]
fn a_role_that_loses_its_actions_ends_what_its_members_do_on_open_connections() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let channel = format!("/{{domain}}/channels/{}", scene.channel);
        let role = scene.grant(&channel, "talker", &["publish", "subscribe"]);
        loses_everything(&scene, || {
            let actions = json!({"actions": ["publish", "subscribe"]});
            let answer = scene.platform.post(&format!("{channel}/roles/{role}/actions/delete"), &actions);
            assert_eq!(answer.status, 204, "{answer:?}");
        });
    }
}

#[test]
fn who_leaves_the_domain_can_do_nothing_more_on_open_connections() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        scene.grant(&format!("/{{domain}}/channels/{}", scene.channel), "talker", &["publish", "subscribe"]);
        loses_everything(&scene, || {
            let members = json!({"members": [scene.bob]});
            let path = format!("/domains/{{domain}}/roles/{}/members/delete", scene.reader);
            let answer = scene.platform.post(&path, &members);
            assert_eq!(answer.status, 204, "{answer:?}");
        });
    }
}

#[test]
fn a_group_that_moves_out_of_reach_takes_its_channels_from_open_connections() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let top = text(&scene.platform.made("/{domain}/groups", &json!({"name": "top"})), "id");
        let inner = json!({"name": "inner", "parent_id": top});
        let inner = text(&scene.platform.made("/{domain}/groups", &inner), "id");
        let parent = json!({"parent_group_id": inner});
        let path = format!("/{{domain}}/channels/{}/parent", scene.channel);
        assert_eq!(scene.platform.post(&path, &parent).status, 200);
        let actions = ["subgroup_channel_publish", "subgroup_channel_subscribe"];
        scene.grant(&format!("/{{domain}}/groups/{top}"), "talker", &actions);
        loses_everything(&scene, || {
            let path = format!("/{{domain}}/groups/{inner}/parent");
            let answer = scene.platform.request("DELETE", &path).send();
            assert_eq!(answer.status, 204, "{answer:?}");
        });
    }
}

#[test]
fn an_administrator_who_is_none_any_more_loses_the_channels_of_others() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let admin = crate::platform::log_in(&scene.platform.server);
        let path = format!("/users/{}/role", scene.bob);
        let become_a = |role: &str| {
            let answer = scene.platform.server.request("PATCH", &path).bearer(&admin);
            let answer = answer.json(&json!({ "role": role })).send();
            assert_eq!(answer.status, 200, "{answer:?}");
        };
        become_a("admin");
        loses_everything(&scene, || become_a("user"));
    }
}

/// Three silent connections: by a personal access token, by an API key, and by a login.
struct Silent {
    token: String,
    pat: (String, Probe),
    key: (String, Probe),
    login: Probe,
}

impl Silent {
    #[track_caller]
    fn new(scene: &Scene) -> Self {
        let token = scene.token();
        scene.grant(&format!("/{{domain}}/channels/{}", scene.channel), "listener", &["subscribe"]);
        let pat = scene.as_bob(&token, "POST", "/pats", &json!({"name": "p", "duration": "1h"}));
        let scope = json!({"scopes": [{
            "domain_id": scene.platform.domain, "entity_type": "messages", "entity_id": "*", "operation": "subscribe",
        }]});
        let pat_id = text(&pat, "id");
        scene.as_bob(&token, "PATCH", &format!("/pats/{pat_id}/scope/add"), &scope);
        let key = scene.as_bob(&token, "POST", "/keys", &json!({"type": 3}));
        let listen = |shown: &str| {
            let mut probe = scene.connect(shown, Version::V5);
            assert_eq!(probe.subscribe(1, &scene.topic()), "1");
            probe
        };
        Self {
            pat: (pat_id, listen(&text(&pat, "secret"))),
            key: (text(&key, "id"), listen(&text(&key, "value"))),
            login: listen(&token),
            token,
        }
    }
}

#[test]
fn a_silent_connection_ends_with_the_token_or_key_that_opened_it_and_others_stay() {
    for storage in Storage::ALL {
        let scene = Scene::new(storage);
        let silent = Silent::new(&scene);
        let closed = |probe: &Probe| probe.count("closed") > 0;

        let (pat, by_pat) = &silent.pat;
        scene.as_bob(&silent.token, "PATCH", &format!("/pats/{pat}/secret/revoke"), &json!({}));
        let_the_grace_pass();
        assert!(closed(by_pat), "{storage:?}: a revoked token's connection is open");
        assert!(!closed(&silent.key.1) && !closed(&silent.login));

        let (key, by_key) = &silent.key;
        scene.as_bob(&silent.token, "DELETE", &format!("/keys/{key}"), &json!({}));
        let_the_grace_pass();
        assert!(closed(by_key), "{storage:?}: a revoked key's connection is open");
        let mut witness = scene.witness();
        witness.publish(1, &scene.topic(), "still");
        silent.login.message("still");
    }
}

/// Silent connections of a user's end when this happens, however they were opened.
#[track_caller]
fn ends_silent_connections(storage: Storage, happens: impl FnOnce(&Scene, &Silent)) {
    let scene = Scene::new(storage);
    let silent = Silent::new(&scene);
    happens(&scene, &silent);
    let_the_grace_pass();
    for probe in [&silent.pat.1, &silent.key.1, &silent.login] {
        assert!(probe.count("closed") > 0, "{storage:?}: {:?}", probe.messages());
    }
}

#[test]
fn a_new_password_ends_silent_connections_however_they_were_opened() {
    for storage in Storage::ALL {
        ends_silent_connections(storage, |scene, silent| {
            let change = json!({"old_secret": PASSWORD, "new_secret": "another-long-password"});
            scene.as_bob(&silent.token, "PATCH", "/users/secret", &change);
        });
    }
}

#[test]
fn a_user_who_is_disabled_or_removed_loses_silent_connections_however_they_were_opened() {
    for storage in Storage::ALL {
        for (method, verb) in [("POST", "/disable"), ("DELETE", "")] {
            ends_silent_connections(storage, |scene, _| {
                let admin = crate::platform::log_in(&scene.platform.server);
                let path = format!("/users/{}{verb}", scene.bob);
                let answer = scene.platform.server.request(method, &path).bearer(&admin).send();
                assert!(matches!(answer.status, 200 | 204), "{answer:?}");
            });
        }
    }
}

#[test]
fn a_silent_connection_ends_when_its_token_expires() {
    let scene = Scene::new(Storage::Sqlite);
    let token = scene.token();
    let pat = scene.as_bob(&token, "POST", "/pats", &json!({"name": "p", "duration": "2s"}));
    let by_pat = scene.connect(&text(&pat, "secret"), Version::V5);
    let key = scene.as_bob(&token, "POST", "/keys", &json!({"type": 3, "duration": 2}));
    let by_key = scene.connect(&text(&key, "value"), Version::V5);
    by_pat.event("closed");
    by_key.event("closed");
}

fn heard(probe: &Probe, payload: &str) -> bool {
    probe.messages().iter().any(|message| message.ends_with(payload))
}

/// The platform may take this long, and no longer. A slow machine only gives it more.
fn let_the_grace_pass() {
    #[expect(clippy::disallowed_methods, reason = "the promise itself is a length of time")]
    std::thread::sleep(GRACE);
}
