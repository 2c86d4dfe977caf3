//! How tokens are signed, as those see it who verify them elsewhere.

use std::time::Duration;

use access::identity::keys::{KeySettings, SigningAlgorithm};
use db::{both_databases, testing::TestDb};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use kernel::Secret;
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ROTATE: &str = "/keys/rotate";

async fn signing(db: TestDb, algorithm: SigningAlgorithm) -> Plant {
    let secret = algorithm.is_symmetric().then(|| Secret::new(SECRET.to_owned()));
    let keys = KeySettings { algorithm, secret, ..KeySettings::default() };
    Plant::with_settings(db, access::Settings { keys, ..access::Settings::default() }, |_| {}).await
}

async fn published(plant: &Plant) -> Value {
    plant.nobody().get("/keys/.well-known/jwks.json").await.expect(200)
}

/// The ids of the public keys, the active one first.
async fn ids(plant: &Plant) -> Vec<String> {
    let keys = published(plant).await["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn claims(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Value {
    let mut rules = Validation::new(algorithm);
    rules.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, key, &rules).unwrap().claims
}

/// Another program takes the token, with nothing but what is published.
async fn others_take(plant: &Plant, algorithm: Algorithm, members: &[&str]) {
    let token = plant.admin.token.clone().unwrap();
    let json = published(plant).await;
    let shown: Vec<&String> = json["keys"][0].as_object().unwrap().keys().collect();
    assert_eq!(shown, members);
    let keys: JwkSet = serde_json::from_value(json).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.alg, algorithm);
    let jwk = keys.find(&header.kid.unwrap()).unwrap();
    let claims = claims(&token, &DecodingKey::from_jwk(jwk).unwrap(), algorithm);
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("magistrala.auth"), &json!(plant.admin.id)));
    plant.admin.get("/domains").await.expect(200);
}

async fn only_the_secret_verifies(plant: &Plant, algorithm: Algorithm) {
    let token = plant.admin.token.clone().unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.alg, header.kid), (algorithm, None));
    assert_eq!(
        claims(&token, &DecodingKey::from_secret(SECRET.as_bytes()), algorithm)["sub"],
        plant.admin.id
    );
    assert_eq!(published(plant).await, json!({"keys": []}));
    plant.admin.get("/domains").await.expect(200);
    let refused = plant.admin.post(ROTATE, json!({})).await.refused(422);
    assert!(refused.contains("auth.secret_key"), "{refused}");
}

async fn key(owner: &Caller) -> Caller {
    let made = owner.post("/keys", json!({"type": 3})).await.expect(201);
    owner.with_token(made["value"].as_str().unwrap())
}

both_databases! {
    async fn others_take_what_ed25519_signs(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::EdDsa).await;
        others_take(&plant, Algorithm::EdDSA, &["alg", "crv", "kid", "kty", "use", "x"]).await;
        let answer = plant.nobody().get("/keys/.well-known/jwks.json").await;
        assert_eq!(answer.header("cache-control"), "public, max-age=900, stale-while-revalidate=60");
    }

    async fn others_take_what_p256_signs(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::Es256).await;
        others_take(&plant, Algorithm::ES256, &["alg", "crv", "kid", "kty", "use", "x", "y"]).await;
    }

    async fn others_take_what_rsa_signs(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::Rs256).await;
        others_take(&plant, Algorithm::RS256, &["alg", "e", "kid", "kty", "n", "use"]).await;
    }

    async fn hs256_is_verified_with_the_secret_alone(db: TestDb) {
        only_the_secret_verifies(&signing(db, SigningAlgorithm::Hs256).await, Algorithm::HS256).await;
    }

    async fn hs384_is_verified_with_the_secret_alone(db: TestDb) {
        only_the_secret_verifies(&signing(db, SigningAlgorithm::Hs384).await, Algorithm::HS384).await;
    }

    async fn hs512_is_verified_with_the_secret_alone(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::Hs512).await;
        only_the_secret_verifies(&plant, Algorithm::HS512).await;
        // The right secret with an algorithm that is not the configured one is refused.
        let token = plant.admin.token.clone().unwrap();
        let secret = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = claims(&token, &secret, Algorithm::HS512);
        let weaker = jsonwebtoken::encode(
            &jsonwebtoken::Header::new(Algorithm::HS256),
            &claims,
            &jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes()),
        );
        plant.admin.with_token(&weaker.unwrap()).get("/domains").await.refused(401);
    }

    async fn another_key_signs_and_the_old_one_verifies_until_nothing_needs_it(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::EdDsa).await;
        let ann = plant.user("ann").await;
        let holder = key(&ann).await;
        let old = ids(&plant).await.remove(0);
        plant.events().await;
        let answer = plant.admin.post(ROTATE, json!({})).await.expect(200);
        assert_eq!(answer, published(&plant).await);
        let both = ids(&plant).await;
        assert_eq!((both.len(), &both[1]), (2, &old));
        let announced = plant.events().await;
        let event = json!({"id": both[0], "user_id": plant.admin.id, "token_type": "access token"});
        assert_eq!(announced, [("key.rotate".to_owned(), event)]);
        assert_eq!(plant.count("signing_keys WHERE active = 1").await, 1);
        ann.get("/domains").await.expect(200);
        let again = plant.nobody().logged_in("ann").await;
        let header = jsonwebtoken::decode_header(again.token.as_ref().unwrap()).unwrap();
        assert_eq!(header.kid.as_ref(), Some(&both[0]));

        // All but the API key has expired.
        plant.clock.advance(Duration::from_secs(168 * 3600));
        let keys = plant.access().tokens().keys().clone();
        keys.tend(plant.clock.now()).await.unwrap();
        assert_eq!(ids(&plant).await, both);
        holder.get("/domains").await.expect(200);
        let ann = plant.nobody().logged_in("ann").await;
        let id = jsonwebtoken::dangerous::insecure_decode::<Value>(holder.token.as_ref().unwrap()).unwrap();
        ann.delete(&format!("/keys/{}", id.claims["jti"].as_str().unwrap())).await.expect(204);
        keys.tend(plant.clock.now()).await.unwrap();
        assert_eq!(ids(&plant).await, both[..1]);
        assert_eq!(plant.count("signing_keys").await, 1);
        holder.get("/domains").await.refused(401);
    }

    async fn only_administrators_of_the_platform_change_the_key(db: TestDb) {
        let plant = signing(db, SigningAlgorithm::EdDsa).await;
        let before = ids(&plant).await;
        plant.nobody().post(ROTATE, json!({})).await.refused(401);
        plant.user("ann").await.post(ROTATE, json!({})).await.refused(403);
        let pat = plant.admin.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        let pat = plant.admin.with_token(pat["secret"].as_str().unwrap());
        assert!(pat.post(ROTATE, json!({})).await.status.is_client_error());
        assert_eq!(ids(&plant).await, before);
    }
}
