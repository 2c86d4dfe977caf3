use std::path::{Path, PathBuf};

use db::{both_databases, params, testing::TestDb};
use serde_json::{Value, json};

use super::*;
use crate::crypto::MasterKey;

const NOW: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

struct House {
    db: TestDb,
    sealer: Arc<Sealer>,
    rng: Rng,
}

impl House {
    async fn new(db: TestDb) -> Self {
        db.migrate(crate::MIGRATIONS).await.unwrap();
        let sealer = Arc::new(Sealer::new(&MasterKey::ephemeral().unwrap()).unwrap());
        Self { db, sealer, rng: Rng::seeded(1) }
    }

    async fn open(&self, settings: KeySettings, now: Timestamp) -> Result<Keys> {
        Keys::open(&self.db, &self.sealer, &self.rng, settings, HOUR, now).await
    }

    async fn rotate(&self, keys: &Keys, now: Timestamp) {
        let change = keys.rotation(now).await.unwrap();
        self.db.write(move |tx| Box::pin(async move { change.apply(tx, now).await })).await.unwrap();
    }
}

fn with(algorithm: SigningAlgorithm) -> KeySettings {
    KeySettings { algorithm, ..KeySettings::default() }
}

fn claims() -> Value {
    json!({"iss": "us", "sub": "ann"})
}

fn reads(keys: &Keys, token: &str) -> bool {
    keys.ring().verify::<Value>(token, "us").is_ok()
}

fn shown(keys: &Keys) -> Vec<(&'static str, String)> {
    keys.public().keys.into_iter().map(|key| (key.alg, key.kid)).collect()
}

both_databases! {
    async fn another_algorithm_takes_over_and_the_old_key_retires(db: TestDb) {
        let house = House::new(db).await;
        let old = house.open(with(SigningAlgorithm::EdDsa), NOW).await.unwrap();
        let token = old.sign(&claims()).unwrap();
        let (_, old_kid) = shown(&old).remove(0);
        let later = NOW.after(DAY);
        let keys = house.open(with(SigningAlgorithm::Es256), later).await.unwrap();
        let algorithms: Vec<_> = shown(&keys).into_iter().map(|(alg, _)| alg).collect();
        assert_eq!(algorithms, ["ES256", "EdDSA"]);
        assert_eq!(shown(&keys)[1].1, old_kid);
        assert!(reads(&keys, &token) && reads(&keys, &keys.sign(&claims()).unwrap()));
        // It lasts as long as what it has signed, and not a moment longer.
        keys.tend(later.after(HOUR - Duration::from_secs(1))).await.unwrap();
        assert!(reads(&keys, &token));
        keys.tend(later.after(HOUR)).await.unwrap();
        assert!(!reads(&keys, &token));
        assert_eq!(shown(&keys).len(), 1);
        let left = house.open(with(SigningAlgorithm::Es256), later.after(DAY)).await.unwrap();
        assert_eq!(shown(&left), shown(&keys));
    }

    async fn a_secret_or_a_file_takes_over_from_the_database_and_gives_back(db: TestDb) {
        let house = House::new(db).await;
        let first = house.open(with(SigningAlgorithm::EdDsa), NOW).await.unwrap();
        let token = first.sign(&claims()).unwrap();
        let secret = Some(Secret::new("0123456789abcdef0123456789abcdef".to_owned()));
        let hmac = KeySettings { secret, ..with(SigningAlgorithm::Hs512) };
        let keys = house.open(hmac, NOW).await.unwrap();
        let signed = keys.sign(&claims()).unwrap();
        assert!(reads(&keys, &token) && reads(&keys, &signed));
        assert_eq!(shown(&keys), []);
        assert!(keys.rotation(NOW).await.err().unwrap().public().contains("auth.secret_key"));
        let back = house.open(with(SigningAlgorithm::EdDsa), NOW).await.unwrap();
        assert!(reads(&back, &token) && !reads(&back, &signed));
        assert_eq!(shown(&back).len(), 2);
    }

    async fn keys_follow_each_other_as_the_operator_wants(db: TestDb) {
        let house = House::new(db).await;
        let keys = house.open(KeySettings { rotation: DAY, ..KeySettings::default() }, NOW).await.unwrap();
        let first = shown(&keys);
        keys.tend(NOW.after(DAY - HOUR)).await.unwrap();
        assert_eq!(shown(&keys), first);
        keys.tend(NOW.after(DAY)).await.unwrap();
        let second = shown(&keys);
        assert_eq!((second.len(), &second[1]), (2, &first[0]));
        keys.tend(NOW.after(DAY + HOUR)).await.unwrap();
        assert_eq!(shown(&keys), second[..1]);
        let never = house.open(KeySettings::default(), NOW.after(1000 * DAY)).await.unwrap();
        assert_eq!(shown(&never), second[..1]);
    }

    async fn a_key_stays_while_api_keys_need_it(db: TestDb) {
        let house = House::new(db).await;
        let keys = house.open(KeySettings::default(), NOW).await.unwrap();
        let (_, kid) = shown(&keys).remove(0);
        let ends = NOW.after(DAY);
        house
            .db
            .write(move |tx| {
                Box::pin(async move {
                    tx.execute(
                        "INSERT INTO accounts (user_id, enabled, verified, generation, credential_generation)
                         VALUES ('ann', 1, 1, 0, 0)",
                        params![],
                    )
                    .await?;
                    tx.execute(
                        "INSERT INTO api_keys (id, user_id, credential_generation, kid, issued_at, expires_at)
                         VALUES ('k', 'ann', 0, $1, 0, $2)",
                        params![kid, ends],
                    )
                    .await
                })
            })
            .await
            .unwrap();
        house.rotate(&keys, NOW).await;
        keys.tend(NOW.after(2 * HOUR)).await.unwrap();
        assert_eq!(shown(&keys).len(), 2);
        keys.tend(ends).await.unwrap();
        assert_eq!(shown(&keys).len(), 1);
    }

    async fn a_change_that_is_not_committed_changes_nothing(db: TestDb) {
        let house = House::new(db).await;
        let keys = house.open(KeySettings::default(), NOW).await.unwrap();
        let before = shown(&keys);
        let change = keys.rotation(NOW).await.unwrap();
        let failed: Result<()> = house
            .db
            .write(move |tx| {
                Box::pin(async move {
                    change.apply(tx, NOW).await?;
                    Err(Error::conflict("no"))
                })
            })
            .await;
        failed.unwrap_err();
        assert_eq!(shown(&keys), before);
        house.rotate(&keys, NOW).await;
        assert_eq!(shown(&keys).len(), 2);
    }
}

/// A directory with keys.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn put_new(&self, name: &str, algorithm: SigningAlgorithm) -> PathBuf {
        self.put(name, pem(&key::generate(algorithm).unwrap()).as_bytes())
    }
}

fn pem(pkcs8: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(pkcs8))
}

fn files(active: &Path, retiring: Option<&Path>) -> KeySettings {
    KeySettings {
        active_file: Some(active.to_owned()),
        retiring_file: retiring.map(Path::to_owned),
        ..KeySettings::default()
    }
}

async fn house() -> House {
    House::new(TestDb::sqlite().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_files_are_named_after_them_and_come_in_order() {
    let (house, folder) = (house().await, Folder::new());
    let active = folder.put_new("2026.11.key", SigningAlgorithm::EdDsa);
    let retiring = folder.put_new("old", SigningAlgorithm::Rs256);
    let keys = house.open(files(&active, Some(&retiring)), NOW).await.unwrap();
    assert_eq!(shown(&keys), [("EdDSA", "2026.11".to_owned()), ("RS256", "old".to_owned())]);
    assert!(reads(&keys, &keys.sign(&claims()).unwrap()));
    assert!(keys.rotation(NOW).await.err().unwrap().public().contains("auth.active_key_path"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_bytes_of_ed25519_are_a_key() {
    // RFC 8032 §7.1, test 1.
    let text = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\
                d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let raw: Vec<u8> = (0..64).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect();
    let (house, folder) = (house().await, Folder::new());
    let active = folder.put("active.key", &raw);
    let keys = house.open(files(&active, None), NOW).await.unwrap();
    // RFC 8037 §A.2 shows this very key.
    let shown = serde_json::to_value(keys.public()).unwrap();
    assert_eq!(
        shown,
        json!({"keys": [{"kid": "active", "kty": "OKP", "alg": "EdDSA", "use": "sig", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_sign_ends_the_start_and_says_why() {
    let (house, folder) = (house().await, Folder::new());
    let good = folder.put_new("active.key", SigningAlgorithm::EdDsa);
    let curve = folder.put_new("curve.pem", SigningAlgorithm::Es256);
    let same = folder.put_new("active.pem", SigningAlgorithm::EdDsa);
    for (settings, why) in [
        (files(&folder.0.path().join("none.key"), None), "cannot be read"),
        (files(&folder.put("short.key", &[7; 63]), None), "openssl genpkey"),
        (files(&folder.put("odd.key", &[7; 64]), None), "openssl genpkey"),
        (files(&folder.put("text.pem", b"-----BEGIN PRIVATE KEY-----\n"), None), "openssl genpkey"),
        (files(&curve, None), "is for ES256 and `auth.keys_algorithm` is EdDSA"),
        (files(&good, Some(&same)), "have the same id `active`"),
    ] {
        let error = house.open(settings, NOW).await.err().unwrap();
        assert!(error.public().contains(why), "{error}");
    }
    // A retiring one that is missing or broken is no reason not to start.
    for retiring in [folder.0.path().join("none.key"), folder.put("broken.key", b"?")] {
        let keys = house.open(files(&good, Some(&retiring)), NOW).await.unwrap();
        assert_eq!(shown(&keys).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_change_are_taken_over_and_a_renamed_key_still_verifies() {
    let (house, folder) = (house().await, Folder::new());
    let active = folder.put_new("active.key", SigningAlgorithm::EdDsa);
    let retiring = folder.0.path().join("retiring.key");
    let keys = house.open(files(&active, Some(&retiring)), NOW).await.unwrap();
    let token = keys.sign(&claims()).unwrap();
    keys.tend(NOW).await.unwrap();
    std::fs::rename(&active, &retiring).unwrap();
    // Between the two: what is there no more stays in use.
    keys.tend(NOW).await.unwrap();
    assert!(reads(&keys, &token));
    folder.put_new("active.key", SigningAlgorithm::EdDsa);
    let before = keys.ring().serial;
    keys.tend(NOW).await.unwrap();
    assert!(keys.ring().serial > before);
    assert_eq!(shown(&keys).len(), 2);
    assert!(reads(&keys, &token) && reads(&keys, &keys.sign(&claims()).unwrap()));
    std::fs::remove_file(&retiring).unwrap();
    keys.tend(NOW).await.unwrap();
    assert!(!reads(&keys, &token));
}
