//! Every kind of token at every place that takes one: each is good for its one purpose and opens nothing else.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use access::{RequestInfo, identity::Role};
use db::testing::TestDb;
use grpc::pb::{auth::v1::AuthNReq, token::v1::RefreshReq};
use http::StatusCode;
use messaging::{Credentials, Gate};
use serde_json::{Value, json};
use trunkline::{config::CommonName, plane::RegistryGate};

use super::Grpc;
use crate::{
    plant::{Answer, Caller, PASSWORD, Plant},
    users_mail::{deliver_all, plant_with_mail},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a token is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Access,
    Refresh,
    ApiKey,
    Pat,
    Invitation,
    Verification,
    Recovery,
}

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Api,
    OwnSessions,
    NewKey,
    NewPat,
    Refresh,
    Verify,
    Reset,
    ResetByBody,
    Grpc,
    GrpcPat,
    GrpcRefresh,
    Mqtt,
    Bearer,
}

const PLACES: [Place; 13] = [
    Place::Api,
    Place::OwnSessions,
    Place::NewKey,
    Place::NewPat,
    Place::Refresh,
    Place::Verify,
    Place::Reset,
    Place::ResetByBody,
    Place::Grpc,
    Place::GrpcPat,
    Place::GrpcRefresh,
    Place::Mqtt,
    Place::Bearer,
];

/// What each kind is good for; what sets a password comes last.
const GOOD_FOR: [(Kind, &[Place]); 7] = [
    (
        Kind::Access,
        &[
            Place::Api,
            Place::OwnSessions,
            Place::NewKey,
            Place::NewPat,
            Place::Grpc,
            Place::Mqtt,
            Place::Bearer,
        ],
    ),
    (Kind::Refresh, &[Place::Refresh, Place::GrpcRefresh]),
    (Kind::ApiKey, &[Place::Api, Place::OwnSessions, Place::Grpc, Place::Mqtt, Place::Bearer]),
    (Kind::Pat, &[Place::Api, Place::Grpc, Place::GrpcPat, Place::Mqtt, Place::Bearer]),
    (Kind::Invitation, &[]),
    (Kind::Verification, &[Place::Verify]),
    (Kind::Recovery, &[Place::Reset, Place::ResetByBody]),
];

/// A platform, by all its doors.
struct Doors {
    plant: Plant,
    grpc: Grpc,
    gate: RegistryGate,
    ann: Caller,
}

impl Doors {
    /// Whether the token opens the place.
    async fn open(&self, place: Place, token: &str) -> bool {
        let nobody = self.plant.nobody();
        let holder = nobody.with_token(token);
        let passwords =
            json!({"token": token, "password": "another horse", "confirm_password": "another horse"});
        let in_query: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
        match place {
            Place::Api => succeeds(&holder.get("/domains").await),
            Place::OwnSessions => succeeds(&holder.get("/users/tokens/refresh-tokens").await),
            Place::NewKey => succeeds(&holder.post("/keys", json!({"type": 3})).await),
            Place::NewPat => succeeds(&holder.post("/pats", json!({"name": "x", "duration": "1d"})).await),
            Place::Refresh => succeeds(&holder.post("/users/tokens/refresh", json!({})).await),
            Place::Verify => succeeds(&nobody.get(&format!("/verify-email?token={in_query}")).await),
            Place::Reset => succeeds(&holder.put("/password/reset", passwords).await),
            Place::ResetByBody => succeeds(&nobody.put("/password/reset", passwords).await),
            Place::Grpc => self.grpc.auth().authenticate(AuthNReq { token: token.to_owned() }).await.is_ok(),
            Place::GrpcPat => {
                self.grpc.auth().authenticate_pat(AuthNReq { token: token.to_owned() }).await.is_ok()
            }
            Place::GrpcRefresh => {
                let ask = RefreshReq { refresh_token: token.to_owned(), verified: true };
                self.grpc.tokens().refresh(ask).await.is_ok()
            }
            Place::Mqtt => {
                let shown = Credentials::Password { user_name: "", password: token.as_bytes() };
                self.gate.authenticate(shown, HERE).await.is_ok()
            }
            Place::Bearer => {
                let shown = Credentials::Bearer { token, user_name: "", domain: "" };
                self.gate.authenticate(shown, HERE).await.is_ok()
            }
        }
    }

    fn request(&self) -> RequestInfo {
        RequestInfo { id: "test".into(), at: self.plant.clock.now(), peer: HERE }
    }

    async fn recovery(&self) -> String {
        let user = self.ann.id.parse().unwrap();
        let token = self.plant.registry.users.issue_recovery(&self.request(), user, Role::User).await;
        token.unwrap().expose().clone()
    }

    async fn invitation(&self) -> String {
        let user = self.ann.id.parse().unwrap();
        let token = self.plant.registry.users.issue_invitation(&self.request(), user, Role::User).await;
        token.unwrap().expose().clone()
    }
}

fn succeeds(answer: &Answer) -> bool {
    assert!(answer.status < StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text);
    answer.status.is_success()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

db::both_databases! {
    async fn each_kind_of_token_opens_what_it_is_for_and_nothing_else(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        let scopes = json!({"scopes": [{"domain_id": "*", "entity_type": "domains", "entity_id": "*", "operation": "list"}]});
        ann.patch(&format!("/pats/{}/scope/add", text(&pat["id"])), scopes).await.expect(200);
        let key = ann.post("/keys", json!({"type": 3})).await.expect(201);
        ann.post("/users/send-verification", json!({})).await.expect(200);
        deliver_all(&plant).await;
        let (grpc, gate) = (Grpc::of(&plant).await, RegistryGate::new(plant.registry.clone(), CommonName::Id));
        let doors = Doors { plant, grpc, gate, ann };
        let mut tokens = BTreeMap::from([
            (Kind::Access, text(&pair["access_token"])),
            (Kind::Refresh, text(&pair["refresh_token"])),
            (Kind::ApiKey, text(&key["value"])),
            (Kind::Pat, text(&pat["secret"])),
            (Kind::Invitation, doors.invitation().await),
            (Kind::Verification, mailbox.mail_to("ann@example.com").token()),
            (Kind::Recovery, doors.recovery().await),
        ]);
        // What is refused changes nothing, so that afterwards each is still good for its own.
        for (kind, good_for) in GOOD_FOR {
            for place in PLACES.iter().filter(|place| !good_for.contains(place)) {
                assert!(!doors.open(*place, &tokens[&kind]).await, "{kind:?} at {place:?}");
            }
        }
        for (kind, good_for) in GOOD_FOR {
            for place in good_for {
                assert!(doors.open(*place, &tokens[&kind]).await, "{kind:?} at {place:?}");
                if kind == Kind::Recovery {
                    assert!(!doors.open(*place, &tokens[&kind]).await, "{place:?} twice");
                    tokens.insert(kind, doors.recovery().await);
                }
            }
        }
    }
}
