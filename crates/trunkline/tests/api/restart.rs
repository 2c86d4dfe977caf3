//! What was given out before a stop of the program is good after its next start, for as long as it was meant to be.

use std::time::Duration;

use access::{
    Settings,
    identity::keys::{KeySettings, SigningAlgorithm},
};
use db::{both_databases, testing::TestDb};
use kernel::Secret;
use serde_json::{Value, json};

use crate::plant::{Caller, PASSWORD, Plant};

/// Long enough for everything to expire that does.
const LONG: Duration = Duration::from_secs(168 * 3600);

fn signing(algorithm: SigningAlgorithm) -> Settings {
    let secret = algorithm.is_symmetric().then(|| Secret::new("0123456789abcdef0123456789abcdef".to_owned()));
    Settings { keys: KeySettings { algorithm, secret, ..KeySettings::default() }, ..Settings::default() }
}

/// The ids of the public keys, the active one first.
async fn published(plant: &Plant) -> Vec<String> {
    let json = plant.nobody().get("/keys/.well-known/jwks.json").await.expect(200);
    json["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn kid(holder: &Caller) -> Option<String> {
    jsonwebtoken::decode_header(holder.token.as_ref().unwrap()).unwrap().kid
}

/// What a user has been given.
struct Given {
    access: Caller,
    refresh: Caller,
    key: Caller,
    pat: Caller,
}

impl Given {
    async fn to(plant: &Plant, name: &str) -> Self {
        let login = json!({"username": name, "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let holder = |token: &Value| plant.nobody().with_token(token.as_str().unwrap());
        let access = holder(&pair["access_token"]);
        let key = access.post("/keys", json!({"type": 3})).await.expect(201);
        let pat = access.post("/pats", json!({"name": "ci", "duration": "100d"})).await.expect(201);
        let scope = json!({"scopes": [{"domain_id": "*", "entity_type": "domains", "entity_id": "*", "operation": "list"}]});
        access.patch(&format!("/pats/{}/scope/add", text(&pat["id"])), scope).await.expect(200);
        Self {
            refresh: holder(&pair["refresh_token"]),
            key: holder(&key["value"]),
            pat: holder(&pat["secret"]),
            access,
        }
    }

    /// All of it is good at this platform.
    async fn is_good(&self, plant: &Plant) {
        for holder in [&self.access, &self.key, &self.pat] {
            holder.at(plant).get("/domains").await.expect(200);
        }
        self.refresh.at(plant).post("/users/tokens/refresh", json!({})).await.expect(201);
    }

    /// What expires has expired.
    async fn has_aged(&self, plant: &Plant) {
        self.access.at(plant).get("/domains").await.refused(401);
        self.refresh.at(plant).post("/users/tokens/refresh", json!({})).await.refused(401);
        self.key.at(plant).get("/domains").await.expect(200);
        self.pat.at(plant).get("/domains").await.expect(200);
    }
}

/// Tokens of the key before and of the one that follows it, over two starts.
async fn keys_follow_each_other_over_starts(db: TestDb, algorithm: SigningAlgorithm) {
    let settings = signing(algorithm);
    let plant = Plant::with_settings(db, settings.clone(), |_| {}).await;
    plant.register("ann").await;
    let old = Given::to(&plant, "ann").await;
    plant.admin.post("/keys/rotate", json!({})).await.expect(200);
    let new = Given::to(&plant, "ann").await;
    let keys = published(&plant).await;
    assert_eq!(
        (keys.len(), kid(&new.access), kid(&old.access)),
        (2, Some(keys[0].clone()), Some(keys[1].clone()))
    );

    let plant = plant.restarted(settings.clone()).await;
    assert_eq!(published(&plant).await, keys, "the same keys, the active one first");
    old.is_good(&plant).await;
    new.is_good(&plant).await;
    let ann = plant.nobody().logged_in("ann").await;
    assert_eq!(kid(&ann), Some(keys[0].clone()));

    // The key before signs no more; it stays for the API key that it has signed, and for nothing else.
    plant.clock.advance(LONG);
    let plant = plant.restarted(settings.clone()).await;
    assert_eq!(published(&plant).await, keys);
    old.has_aged(&plant).await;
    new.has_aged(&plant).await;
    let ann = plant.nobody().logged_in("ann").await;
    let claims =
        jsonwebtoken::dangerous::insecure_decode::<Value>(old.key.token.as_ref().unwrap()).unwrap().claims;
    ann.delete(&format!("/keys/{}", text(&claims["jti"]))).await.expect(204);
    let plant = plant.restarted(settings).await;
    assert_eq!(published(&plant).await, keys[..1]);
    old.key.at(&plant).get("/domains").await.refused(401);
    new.key.at(&plant).get("/domains").await.expect(200);
}

both_databases! {
    async fn keys_of_ed25519_follow_each_other_over_starts(db: TestDb) {
        keys_follow_each_other_over_starts(db, SigningAlgorithm::EdDsa).await;
    }

    async fn keys_of_p256_follow_each_other_over_starts(db: TestDb) {
        keys_follow_each_other_over_starts(db, SigningAlgorithm::Es256).await;
    }

    async fn keys_of_rsa_follow_each_other_over_starts(db: TestDb) {
        keys_follow_each_other_over_starts(db, SigningAlgorithm::Rs256).await;
    }

    async fn with_a_secret_all_is_good_after_a_start_and_with_another_only_what_nobody_signed(db: TestDb) {
        let settings = signing(SigningAlgorithm::Hs512);
        let plant = Plant::with_settings(db, settings.clone(), |_| {}).await;
        plant.register("ann").await;
        let given = Given::to(&plant, "ann").await;
        let plant = plant.restarted(settings.clone()).await;
        given.is_good(&plant).await;
        let mut other = settings;
        other.keys.secret = Some(Secret::new("fedcba9876543210fedcba9876543210".to_owned()));
        let plant = plant.restarted(other).await;
        for holder in [&given.access, &given.key] {
            holder.at(&plant).get("/domains").await.refused(401);
        }
        given.refresh.at(&plant).post("/users/tokens/refresh", json!({})).await.refused(401);
        given.pat.at(&plant).get("/domains").await.expect(200);
    }

    async fn another_algorithm_takes_over_at_a_start_and_the_key_before_retires(db: TestDb) {
        let plant = Plant::with_settings(db, signing(SigningAlgorithm::EdDsa), |_| {}).await;
        plant.register("ann").await;
        let old = Given::to(&plant, "ann").await;
        let before = published(&plant).await;
        let plant = plant.restarted(signing(SigningAlgorithm::Es256)).await;
        let keys = published(&plant).await;
        assert_eq!((keys.len(), &keys[1]), (2, &before[0]));
        old.is_good(&plant).await;
        let ann = plant.nobody().logged_in("ann").await;
        assert_eq!(kid(&ann), Some(keys[0].clone()));
    }

    async fn what_was_ended_is_still_ended_after_a_start(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (ended, disabled) = (Given::to(&plant, "ann").await, plant.user("bob").await);
        let of_bob = Given::to(&plant, "bob").await;
        let domain = ann.domain("home").await;
        let (kept, gone) = (ann.client(&domain, "kept").await, ann.client(&domain, "gone").await);
        ann.post(&format!("/{domain}/clients/{gone}/disable"), json!({})).await.expect(200);
        let shown = ann.get(&format!("/{domain}/clients/{kept}")).await.expect(200);
        let secrets = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        ann.patch("/users/secret", secrets).await.expect(200);
        plant.admin.post(&format!("/users/{}/disable", disabled.id), json!({})).await.expect(200);

        let plant = plant.restarted(Settings::default()).await;
        for given in [&ended, &of_bob] {
            for holder in [&given.access, &given.key, &given.pat] {
                holder.at(&plant).get("/domains").await.refused(401);
            }
            given.refresh.at(&plant).post("/users/tokens/refresh", json!({})).await.refused(401);
        }
        plant.admin.post(&format!("/users/{}/enable", disabled.id), json!({})).await.expect(200);
        of_bob.key.at(&plant).get("/domains").await.expect(200);
        of_bob.pat.at(&plant).get("/domains").await.expect(200);
        let again = plant.admin.get(&format!("/{domain}/clients/{kept}")).await.expect(200);
        assert_eq!(again["credentials"], shown["credentials"], "a sealed secret opens again");
        let secret = Secret::new(text(&shown["credentials"]["secret"]));
        let known = plant.registry.clients.authenticate(kept.parse().unwrap(), &secret).await.unwrap();
        assert!(known.is_some());
        assert_eq!(plant.admin.get(&format!("/{domain}/clients/{gone}")).await.expect(200)["status"], "disabled");
    }
}
