//! Disabling a user, removing one, and a new password end what was made before: over HTTP, over gRPC, for new connections
//! of MQTT and for open ones.

use std::net::{IpAddr, Ipv4Addr};

use access::{RequestInfo, identity::Role};
use db::testing::TestDb;
use grpc::pb::{auth::v1::AuthNReq, token::v1::RefreshReq};
use kernel::{ChannelId, DomainId};
use messaging::{Action, Credentials, Gate, Identity};
use serde_json::{Value, json};
use trunkline::{config::CommonName, plane::RegistryGate};

use super::Grpc;
use crate::plant::{Caller, PASSWORD, Plant};

/// What a user may show, except for what is exchanged.
const SHOWN: [&str; 3] = ["access token", "API key", "personal access token"];

/// A user with a domain and a channel, and what was made with the password of then.
struct Ann {
    caller: Caller,
    domain: DomainId,
    channel: ChannelId,
    refresh: String,
    /// As [`SHOWN`] has them.
    tokens: [String; 3],
    /// The open connection of each.
    connections: Vec<Identity>,
}

/// A platform, by all its doors.
struct Doors {
    plant: Plant,
    grpc: Grpc,
    gate: RegistryGate,
}

impl Doors {
    async fn connect(&self, token: &str) -> kernel::Result<Identity> {
        let shown = Credentials::Password { user_name: "", password: token.as_bytes() };
        self.gate.authenticate(shown, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }

    async fn user(&self, name: &str) -> Ann {
        let caller = self.plant.user(name).await;
        let domain = caller.domain(name).await;
        let channel = caller.channel(&domain, "boiler").await;
        let login = json!({"username": name, "password": PASSWORD});
        let pair = self.plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let key = caller.post("/keys", json!({"type": 3})).await.expect(201);
        let pat = caller.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        let scopes = json!({"scopes": [
            {"domain_id": "*", "entity_type": "domains", "entity_id": "*", "operation": "list"},
            {"domain_id": domain, "entity_type": "messages", "entity_id": "*", "operation": "publish"},
        ]});
        caller.patch(&format!("/pats/{}/scope/add", text(&pat["id"])), scopes).await.expect(200);
        let tokens = [text(&pair["access_token"]), text(&key["value"]), text(&pat["secret"])];
        let mut connections = Vec::new();
        for token in &tokens {
            connections.push(self.connect(token).await.unwrap());
        }
        let (domain, channel) = (domain.parse().unwrap(), channel.parse().unwrap());
        let ann = Ann { caller, domain, channel, refresh: text(&pair["refresh_token"]), tokens, connections };
        self.takes(&ann, [true; 3]).await;
        ann
    }

    /// Which of what Ann may show is good now, at every door.
    async fn takes(&self, ann: &Ann, good: [bool; 3]) {
        for (n, token) in ann.tokens.iter().enumerate() {
            let (good, what) = (good[n], SHOWN[n]);
            let answer = self.plant.nobody().with_token(token).get("/domains").await;
            assert_eq!(answer.status.as_u16(), if good { 200 } else { 401 }, "HTTP, {what}");
            let known = self.grpc.auth().authenticate(AuthNReq { token: token.clone() }).await;
            assert_eq!(known.is_ok(), good, "gRPC, {what}");
            assert_eq!(self.connect(token).await.is_ok(), good, "MQTT, {what}");
            let open = &ann.connections[n];
            let may = self.gate.authorize(open, ann.domain, ann.channel, Action::Publish).await;
            assert_eq!(may.unwrap(), good, "an open connection, {what}");
        }
    }

    /// Nothing of the session goes on.
    async fn session_has_ended(&self, ann: &Ann) {
        let holder = self.plant.nobody().with_token(&ann.refresh);
        holder.post("/users/tokens/refresh", json!({})).await.refused(401);
        let ask = RefreshReq { refresh_token: ann.refresh.clone(), verified: true };
        assert!(self.grpc.tokens().refresh(ask).await.is_err());
        assert_eq!(self.plant.count(&format!("sessions WHERE user_id = '{}'", ann.caller.id)).await, 0);
    }

    async fn by_admin(&self, ann: &Ann, verb: &str) {
        let path = format!("/users/{}", ann.caller.id);
        match verb {
            "delete" => drop(self.plant.admin.delete(&path).await.expect(204)),
            verb => drop(self.plant.admin.post(&format!("{path}/{verb}"), json!({})).await.expect(200)),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn doors(db: TestDb) -> Doors {
    let plant = Plant::new(db).await;
    let (grpc, gate) = (Grpc::of(&plant).await, RegistryGate::new(plant.registry.clone(), CommonName::Id));
    Doors { plant, grpc, gate }
}

db::both_databases! {
    async fn a_user_who_is_disabled_or_removed_has_no_session_and_tokens_and_keys_rest(db: TestDb) {
        let doors = doors(db).await;
        for (name, way) in [("ann", "disable"), ("bob", "delete")] {
            let user = doors.user(name).await;
            doors.by_admin(&user, way).await;
            doors.takes(&user, [false; 3]).await;
            doors.session_has_ended(&user).await;
            doors.by_admin(&user, "enable").await;
            // Sessions do not come back.
            doors.takes(&user, [false, true, true]).await;
            doors.session_has_ended(&user).await;
        }
    }

    async fn a_new_password_voids_everything_that_was_made_with_the_old_one(db: TestDb) {
        let doors = doors(db).await;
        let another = "another horse";
        for name in ["by-oneself", "by-mail"] {
            let user = doors.user(name).await;
            match name {
                "by-oneself" => {
                    let secrets = json!({"old_secret": PASSWORD, "new_secret": another});
                    user.caller.patch("/users/secret", secrets).await.expect(200);
                }
                _ => {
                    let (at, peer) = (doors.plant.clock.now(), IpAddr::V4(Ipv4Addr::LOCALHOST));
                    let request = RequestInfo { id: "test".into(), at, peer };
                    let id = user.caller.id.parse().unwrap();
                    let token = doors.plant.registry.users.issue_recovery(&request, id, Role::User).await.unwrap();
                    let passwords = json!({"password": another, "confirm_password": another});
                    doors.plant.nobody().with_token(token.expose()).put("/password/reset", passwords).await.expect(201);
                }
            }
            doors.takes(&user, [false; 3]).await;
            doors.session_has_ended(&user).await;
            // Nor does any of it come back with the user.
            doors.by_admin(&user, "disable").await;
            doors.by_admin(&user, "enable").await;
            doors.takes(&user, [false; 3]).await;
        }
    }

    async fn while_the_database_is_away_nobody_is_let_in_and_nobody_is_refused(db: TestDb) {
        let doors = doors(db).await;
        let (ann, bob) = (doors.user("ann").await, doors.plant.user("bob").await);
        let device = ann.caller.client(&ann.domain.to_string(), "pump").await;
        doors.plant.lose_database().await;
        let message = "the service is not available right now, try again in a moment";
        // Whether what is known of the caller is remembered or not.
        for caller in [&ann.caller, &bob, &doors.plant.admin] {
            for path in ["/domains".to_owned(), format!("/{}/clients", ann.domain), format!("/{}/channels/{}", ann.domain, ann.channel)] {
                let answer = caller.get(&path).await;
                assert!(!answer.header("retry-after").is_empty(), "{path}");
                assert_eq!(answer.refused(503), message, "{path}");
            }
            caller.post("/domains", json!({"name": "x", "route": "x"})).await.refused(503);
        }
        for password in [PASSWORD, "a wrong one"] {
            let login = json!({"username": "ann", "password": password});
            assert_eq!(doors.plant.nobody().post("/users/tokens/issue", login).await.refused(503), message);
        }
        let refresh = doors.plant.nobody().with_token(&ann.refresh);
        refresh.post("/users/tokens/refresh", json!({})).await.refused(503);
        let shown = Credentials::Password { user_name: &device, password: b"a guess" };
        let unknown = doors.gate.authenticate(shown, IpAddr::V4(Ipv4Addr::LOCALHOST)).await.unwrap_err();
        assert_eq!(unknown.kind(), kernel::Kind::Unavailable);
        for open in &ann.connections {
            let may = doors.gate.authorize(open, ann.domain, ann.channel, Action::Publish).await;
            assert_eq!(may.unwrap_err().kind(), kernel::Kind::Unavailable);
        }
        let ask = RefreshReq { refresh_token: ann.refresh.clone(), verified: true };
        assert_eq!(super::code(doors.grpc.tokens().refresh(ask).await), tonic::Code::Unavailable);
    }
}
