//! Tokens of a local issuer: which hold, and what happens while it is away.

use serde_json::json;
use testkit::{
    oidc::{Issuer, Key},
    wait_until_async,
};

use super::*;
use crate::SubjectKind;

const START: i64 = 1_800_000_000;

struct World {
    issuer: Issuer,
    clock: Clock,
    issuers: Issuers,
}

impl World {
    fn new(keys: &[&Key], change: impl FnOnce(&mut OidcOptions)) -> Self {
        let issuer = Issuer::start(keys.iter().map(|key| (*key).clone()));
        let clock = Clock::manual(Timestamp::from_micros(START * 1_000_000));
        let mut options = OidcOptions {
            issuers: vec![issuer.url()],
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256],
            ..OidcOptions::default()
        };
        change(&mut options);
        let issuers = Issuers::new(options, clock.clone()).unwrap();
        Self { issuer, clock, issuers }
    }

    fn claims(&self) -> Value {
        self.issuer.claims(START, &json!({"sub": "u-1", "groups": ["/viewers"]}))
    }

    async fn verify(&self, token: &str) -> std::result::Result<Arc<Principal>, Refused> {
        let token = Presented::new(token);
        match self.issuers.known(&token) {
            Some(known) => known,
            None => self.issuers.look_at(&token).await,
        }
    }
}

fn key(kid: &str) -> Key {
    Key::generate(kid, Algorithm::ES256)
}

fn is_invalid(outcome: &std::result::Result<Arc<Principal>, Refused>) -> bool {
    matches!(outcome, Err(Refused::Invalid(_)))
}

#[tokio::test]
async fn tokens_of_every_kind_of_key_hold() {
    let keys = [
        Key::generate("ec", Algorithm::ES256),
        Key::generate("ed", Algorithm::EdDSA),
        Key::generate("rsa", Algorithm::RS256),
        Key::generate("pss", Algorithm::PS256),
    ];
    let world = World::new(&keys.each_ref(), |_| {});
    for key in &keys {
        let found = world.verify(&key.sign(&world.claims())).await.unwrap();
        assert_eq!((found.subject.kind, found.subject.id.as_str()), (SubjectKind::User, "u-1"));
        assert_eq!(found.subject.groups, ["viewers"]);
    }
    // Without the key's id, if only one fits.
    world.verify(&keys[0].clone().unnamed().sign(&world.claims())).await.unwrap();
    assert_eq!(world.issuer.fetches(), 1);
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused() {
    let (own, other) = (key("k"), key("k"));
    let rsa = Key::generate("r", Algorithm::RS256);
    let world =
        World::new(&[&own, &rsa], |options| options.audiences = vec!["mqtt".to_owned(), "x".to_owned()]);
    let claims = |more: Value| {
        let mut claims = world.claims();
        claims["aud"] = json!("mqtt");
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    };
    for good in [
        json!({}),
        json!({"aud": ["a", "x"]}),
        json!({"exp": START - 29}),
        json!({"exp": 1_799_999_971.5}),
        json!({"exp": 1e300}),
        json!({"exp": i64::MAX}),
        json!({"exp": u64::MAX}),
        json!({"nbf": START + 30}),
        json!({"nbf": -1}),
    ] {
        world.verify(&own.sign(&claims(good.clone()))).await.unwrap_or_else(|why| panic!("{good}: {why:?}"));
    }
    for bad in [
        json!({"iss": "http://elsewhere"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": START - 30}),
        json!({"exp": "soon"}),
        json!({"exp": -1}),
        json!({"exp": -0.5}),
        json!({"exp": i64::MIN}),
        json!({"exp": -1e300}),
        json!({"exp": [START + 100]}),
        json!({"nbf": 1e300}),
        json!({"nbf": START + 31}),
        json!({"iat": START + 31}),
        json!({"sub": null}),
        json!({"sub": ""}),
    ] {
        assert!(is_invalid(&world.verify(&own.sign(&claims(bad.clone()))).await), "{bad}");
    }
    let good = own.sign(&claims(json!({})));
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k"}"#);
    let crit = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"k","crit":["b64"],"b64":false}"#);
    let forged = other.sign(&claims(json!({})));
    let public = world.issuers.sources[0].1.known();
    assert!(!public.keys.is_empty());
    let secret = jsonwebtoken::EncodingKey::from_secret(b"public");
    let header_of =
        jsonwebtoken::Header { kid: Some("k".to_owned()), ..jsonwebtoken::Header::new(Algorithm::HS256) };
    let hmac = jsonwebtoken::encode(&header_of, &claims(json!({})), &secret).unwrap();
    for token in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{crit}.{payload}.{signature}"),
        forged,
        hmac,
        // A key for RS256 verifies nothing else, though its kind could.
        rsa.sign_as(Algorithm::PS256, Some("r"), &claims(json!({}))),
        // Another key's id.
        own.sign_as(Algorithm::ES256, Some("r"), &claims(json!({}))),
    ] {
        assert!(is_invalid(&world.verify(&token).await), "{token}");
    }
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_says_and_when_its_key_is_withdrawn() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(&[&old], |_| {});
    let token = old.sign(&world.claims());
    world.verify(&token).await.unwrap();
    world.clock.advance(Duration::from_secs(3629));
    world.verify(&token).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert!(is_invalid(&world.verify(&token).await));

    let mut claims = world.claims();
    claims["exp"] = json!(START + 100_000);
    let long = old.sign(&claims);
    world.verify(&long).await.unwrap();
    world.issuer.publish([new]);
    world.clock.advance(Duration::from_secs(3600));
    wait_until_async("the keys are asked for anew", || async { is_invalid(&world.verify(&long).await) })
        .await;
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_keys_cause_one_fetch_in_thirty_seconds() {
    let (old, new) = (key("old"), key("new"));
    let world = World::new(&[&old], |_| {});
    world.verify(&old.sign(&world.claims())).await.unwrap();
    world.issuer.publish([old.clone(), new.clone()]);
    world.clock.advance(Duration::from_secs(30));
    world.verify(&new.sign(&world.claims())).await.unwrap();
    assert_eq!(world.issuer.fetches(), 2);

    for number in 0..1000 {
        let token = old.sign_as(Algorithm::ES256, Some(&number.to_string()), &world.claims());
        assert!(is_invalid(&world.verify(&token).await));
    }
    assert_eq!(world.issuer.fetches(), 2);
    world.clock.advance(Duration::from_secs(30));
    let token = old.sign_as(Algorithm::ES256, Some("unknown"), &world.claims());
    assert!(is_invalid(&world.verify(&token).await));
    assert_eq!(world.issuer.fetches(), 3);
}

#[tokio::test]
async fn while_the_issuer_is_away_known_keys_go_on_and_nobody_can_say_of_others() {
    let (own, other) = (key("own"), key("other"));
    let world = World::new(&[&own], |_| {});
    world.issuer.go_away(true);
    assert_eq!(world.verify(&own.sign(&world.claims())).await.unwrap_err(), Refused::Unavailable);
    assert!(!world.issuers.is_ready());

    world.issuer.go_away(false);
    world.clock.advance(Duration::from_secs(30));
    world.verify(&own.sign(&world.claims())).await.unwrap();
    assert!(world.issuers.is_ready());

    world.issuer.go_away(true);
    let mut claims = world.claims();
    claims["exp"] = json!(START + 100_000);
    for _ in 0..4 {
        world.clock.advance(Duration::from_secs(1800));
        assert_eq!(world.verify(&other.sign(&claims)).await.unwrap_err(), Refused::Unavailable);
        world.verify(&own.sign(&claims)).await.unwrap();
    }
}

#[tokio::test]
async fn an_issuer_is_asked_where_its_keys_are() {
    let own = key("k");
    // Without a discovery document they are where Keycloak has them.
    let world = World::new(&[&own], |_| {});
    world.issuer.have_discovery(false);
    world.verify(&own.sign(&world.claims())).await.unwrap();

    // The document of another issuer is not taken.
    let world = World::new(&[&own], |_| {});
    world.issuer.call_itself("http://other");
    assert_eq!(world.verify(&own.sign(&world.claims())).await.unwrap_err(), Refused::Unavailable);

    // Two names of one issuer share an address that is given.
    let jwks = Issuer::start([own.clone()]);
    let world = World::new(&[], |options| {
        options.issuers = vec!["https://public".to_owned(), "http://internal".to_owned()];
        options.jwks_uri = Some(jwks.jwks_uri());
    });
    for name in ["https://public", "http://internal"] {
        let mut claims = world.claims();
        claims["iss"] = json!(name);
        world.verify(&own.sign(&claims)).await.unwrap();
    }
    assert_eq!(jwks.fetches(), 1);
}

#[tokio::test]
async fn each_of_several_issuers_signs_with_its_own_keys_alone() {
    let (own, others) = (key("k"), key("k"));
    let second = Issuer::start([others.clone()]);
    let world = World::new(&[&own], |options| options.issuers.push(second.url()));
    let of_second = second.claims(START, &json!({"sub": "u-2"}));
    assert_eq!(world.verify(&own.sign(&world.claims())).await.unwrap().subject.id, "u-1");
    assert_eq!(world.verify(&others.sign(&of_second)).await.unwrap().subject.id, "u-2");
    assert!(is_invalid(&world.verify(&own.sign(&of_second)).await));
    assert!(is_invalid(&world.verify(&others.sign(&world.claims())).await));
}

#[test]
fn secrets_are_no_public_keys() {
    let clock = Clock::manual(Timestamp::from_micros(0));
    let options = OidcOptions { algorithms: vec![Algorithm::HS256], ..OidcOptions::default() };
    assert!(Issuers::new(options, clock).is_err());

    let keys = json!({"keys": [
        {"kty": "oct", "kid": "s", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "e", "use": "enc", "n": "AQAB", "e": "AQAB"},
        {"kty": "what"}, 7,
    ]});
    let keys = KeySet::read(keys.to_string().as_bytes()).unwrap();
    assert!(keys.is_empty());
}

#[test]
fn a_token_is_known_by_its_form() {
    let header = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = header(r#"{"alg":"none"}"#);
    for token in [format!("{signed}.b.c"), format!("{signed}._-.y")] {
        assert!(looks_like_token(&token));
    }
    let unsigned = format!("{}.b.c", header(r#"{"typ":"JWT"}"#));
    let long = format!("{}.b.c", header(&format!(r#"{{"alg":"{}"}}"#, "x".repeat(5000))));
    for text in
        [&format!("{signed}.b"), &format!("{signed}.b."), &format!("{signed}.b.c.d"), &unsigned, &long]
    {
        assert!(!looks_like_token(text), "{text}");
    }
    for name in
        ["", "a", "a.b", ".b.c", "a b.c.d", "192.168.0.1/x", "a.b.c", "plant.line.sensor", "anna.maria.rossi"]
    {
        assert!(!looks_like_token(name), "{name}");
    }
}

/// An issuer that answers each connection with this, and goes on as `then` says.
fn odd_issuer(answer: &'static str, then: fn(&mut std::net::TcpStream)) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
                then(&mut stream);
            });
        }
    });
    url
}

#[tokio::test]
async fn an_issuer_whose_answer_does_not_end_or_does_not_come_is_one_that_is_away() {
    use std::io::{Read, Write};
    let endless =
        odd_issuer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"keys\":[", |stream| {
            while stream.write_all(&[b' '; 65_536]).is_ok() {}
        });
    let silent = odd_issuer("", |stream| {
        let _ = stream.read(&mut [0; 1]);
    });
    let moved = odd_issuer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", |_| {});
    for url in [endless, silent, moved] {
        let own = key("k");
        let world = World::new(&[], |options| options.jwks_uri = Some(format!("{url}/jwks")));
        let outcome = world.verify(&own.sign(&world.claims())).await;
        assert_eq!(outcome.unwrap_err(), Refused::Unavailable, "{url}");
        assert!(!world.issuers.is_ready());
    }
}

#[test]
fn of_thousands_of_keys_some_count_and_the_rest_cost_nothing() {
    let named = |kid: String| {
        let mut own = key("own");
        own.public_mut()["kid"] = json!(kid);
        own.public_mut().clone()
    };
    let one = named("k".to_owned());
    let mut keys: Vec<Value> = vec![one; 5_000];
    keys.insert(3, named("own".to_owned()));
    keys.push(named("last".to_owned()));
    let read = KeySet::read(json!({"keys": keys}).to_string().as_bytes()).unwrap();
    assert!(read.find(Some("own"), Algorithm::ES256).is_some());
    assert!(read.find(Some("last"), Algorithm::ES256).is_none());
}
