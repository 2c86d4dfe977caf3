//! OpenBao in place of the built-in authority, by a stand-in that answers as reference 04 §4.5 describes: what it signs,
//! what is told to it, and that nothing is lost while it is away.

use std::{fs, path::Path, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use certs::{OpenBaoOptions, SecretId};
use db::{both_databases, testing::TestDb};
use kernel::Secret;
use serde_json::{Value, json};
use testkit::openbao::{APP_ROLE, MOUNT, OpenBao, ROLE};

use crate::plant::{Caller, Plant, START};

/// A platform, an OpenBao that signs for it, and an owner with a domain and a client.
struct Scene {
    bao: OpenBao,
    plant: Plant,
    owner: Caller,
    domain: String,
    client: String,
}

fn options(bao: &OpenBao, secret_id: &str) -> OpenBaoOptions {
    OpenBaoOptions {
        host: bao.url(),
        namespace: Some("plants".to_owned()),
        mount: MOUNT.to_owned(),
        role: ROLE.to_owned(),
        role_id: Secret::new(APP_ROLE.0.to_owned()),
        secret_id: SecretId::Given(Secret::new(secret_id.to_owned())),
        authorities: None,
    }
}

impl Scene {
    async fn new(db: TestDb) -> Self {
        Self::with(db, APP_ROLE.1).await
    }

    async fn with(db: TestDb, secret_id: &str) -> Self {
        let bao = OpenBao::start(START.seconds());
        let outside = certs::OpenBao::new(options(&bao, secret_id)).unwrap();
        let plant = Plant::signed_outside(db, outside).await;
        let owner = plant.user("owner").await;
        let domain = owner.domain("home").await;
        let client = owner.client(&domain, "boiler").await;
        plant.events().await;
        Self { bao, plant, owner, domain, client }
    }

    /// What the platform does by itself from time to time.
    async fn look(&self) -> kernel::Result<()> {
        self.plant.registry.certs.look_outside().await
    }

    fn at(&self) -> String {
        format!("/{}/certs", self.domain)
    }

    async fn issued(&self, kind: &str) -> Value {
        let body = json!({"client_id": self.client, "ttl": "720h", "key_type": kind});
        self.owner.post(&self.at(), body).await.expect(201)
    }

    async fn revoke(&self, made: &Value) {
        let path = format!("{}/{}/revoke", self.at(), text(&made["serial_number"]));
        self.owner.patch(&path, json!({})).await.expect(204);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[track_caller]
fn openssl(directory: &Path, arguments: &str) -> (bool, String) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
    (run.status.success(), String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned())
}

both_databases! {
    async fn openbao_signs_what_the_platform_keeps_and_shows(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.look().await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        fs::write(here.join("root.pem"), scene.bao.root()).unwrap();
        for kind in ["ecdsa-p256", "ed25519", "rsa-2048"] {
            let made = scene.issued(kind).await;
            assert_eq!(made["expiry_time"], json!("2026-02-01T03:04:05Z"), "as long as asked");
            let chain = made["ca_chain"].as_array().unwrap();
            fs::write(here.join("leaf.pem"), text(&made["certificate"])).unwrap();
            fs::write(here.join("intermediate.pem"), text(&chain[0])).unwrap();
            fs::write(here.join("leaf.key"), text(&made["key"])).unwrap();
            let (good, said) = openssl(
                here,
                "verify -attime 1767323045 -CAfile root.pem -untrusted intermediate.pem -purpose sslclient leaf.pem",
            );
            assert!(good, "{kind}: {said}");
            let of_key = openssl(here, "pkey -in leaf.key -pubout").1;
            assert_eq!(of_key, openssl(here, "x509 -in leaf.pem -noout -pubkey").1, "{kind}");
            let names = openssl(here, "x509 -in leaf.pem -noout -ext subjectAltName").1;
            assert!(names.contains(&format!("urn:uuid:{}", scene.client)), "{names}");
        }
        let page = scene.owner.get(&scene.at()).await.expect(200);
        assert_eq!(page["total"], 3);
        let shown = scene.plant.nobody().get("/certs/view-ca").await.expect(200);
        assert!(text(&shown["certificate"]).ends_with(scene.bao.root()), "{shown}");
        assert!(scene.plant.registry.certs.authority().trusted().borrow().contains(scene.bao.root().trim()));
        assert_eq!(scene.bao.logins(), 1, "one login for all");
        assert!(scene.bao.namespaces().iter().all(|namespace| namespace == "plants"));
        assert!(!scene.bao.namespaces().is_empty());
        let events = scene.plant.events().await;
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|(operation, _)| operation == "certificate.issue"), "{events:?}");
        assert_eq!(scene.plant.count("certificates WHERE issuer_id = 'openbao' AND key_sealed IS NOT NULL").await, 3);
    }

    async fn a_revocation_counts_at_once_and_is_told_when_openbao_is_back(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.look().await.unwrap();
        let (first, second) = (scene.issued("").await, scene.issued("").await);
        scene.revoke(&first).await;
        scene.look().await.unwrap();
        let serial = |made: &Value| text(&made["serial_number"]).to_owned();
        assert_eq!(scene.bao.serials().1, [serial(&first)]);
        let list = scene.plant.nobody().get("/certs/crl").await.expect(200);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("list.der"), BASE64_STANDARD.decode(text(&list["crl"])).unwrap()).unwrap();
        let (_, said) = openssl(directory.path(), "crl -inform DER -in list.der -noout -text");
        assert!(said.to_lowercase().contains(&serial(&first).replace(':', "")), "{said}");
        // The stand-in's answer to every question.
        let question = json!({"serial_number": serial(&first)}).to_string().into_bytes();
        let answer = scene.plant.nobody().post_bytes("/certs/ocsp", "application/json", question).await;
        assert_eq!(answer, [0x30, 3, 0x0a, 1, 3]);

        scene.bao.go_away(true);
        scene.revoke(&second).await;
        assert!(scene.plant.registry.certs.revoked().contains(&serial(&second).replace(':', "")));
        scene.look().await.unwrap_err();
        scene.bao.go_away(false);
        scene.look().await.unwrap();
        scene.look().await.unwrap();
        assert_eq!(scene.bao.serials().1, [serial(&first), serial(&second)], "once each");
    }

    async fn what_openbao_cannot_do_is_said_and_leaves_nothing_behind(db: TestDb) {
        let scene = Scene::new(db).await;
        let refused = scene.plant.nobody().get("/certs/view-ca").await.refused(503);
        assert!(refused.contains("has not been reached yet"), "{refused}");
        let wish = json!({"client_id": scene.client, "ttl": "720h"});
        let at = scene.at();
        let ask = async || scene.owner.post(&at, wish.clone()).await;
        scene.bao.go_away(true);
        let refused = ask().await.refused(503);
        assert!(refused.contains("sealed or not ready"), "{refused}");
        scene.bao.go_away(false);
        ask().await.expect(201);
        scene.bao.end_tokens();
        ask().await.expect(201);
        assert_eq!(scene.bao.logins(), 2, "a token that was taken back is replaced");

        scene.bao.cap(3600);
        let refused = ask().await.refused(422);
        assert!(refused.contains("before it was asked to") && refused.contains("`max_ttl`"), "{refused}");
        let (signed, revoked) = scene.bao.serials();
        assert_eq!((signed.len(), revoked.len()), (3, 1), "what is not used is taken back");
        assert_eq!(scene.plant.count("certificates").await, 2);
        let wish = json!({"client_id": scene.client, "ttl": "50000h"});
        let refused = scene.owner.post(&scene.at(), wish).await.refused(422);
        assert!(refused.contains("at most 43800h"), "{refused}");
        assert_eq!(scene.bao.serials().0.len(), 3, "it was not asked");
    }

    async fn a_wrong_secret_id_is_for_the_operator_to_mend(db: TestDb) {
        let scene = Scene::with(db, "wrong").await;
        let refused = scene.owner.post(&scene.at(), json!({"client_id": scene.client, "ttl": "1h"})).await.refused(503);
        assert!(refused.contains("`certs.openbao_app_role`") && !refused.contains("wrong"), "{refused}");
    }

    async fn a_request_that_asks_for_more_than_a_clients_name_is_taken_back(db: TestDb) {
        let scene = Scene::new(db).await;
        scene.look().await.unwrap();
        let other = scene.owner.client(&scene.domain, "other").await;
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        let request = |more: &str| {
            let made = openssl(
                here,
                &format!("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out r.pem -subj /CN=b {more}"),
            );
            assert!(made.0, "{}", made.1);
            fs::read_to_string(here.join("r.pem")).unwrap()
        };
        let at = format!("{}/csrs/{}?ttl=1h", scene.at(), scene.client);
        let good = request("-addext subjectAltName=DNS:boiler.local,IP:10.0.0.7");
        let made = scene.owner.post(&at, json!({"csr": good})).await.expect(200);
        fs::write(here.join("c.pem"), text(&made["certificate"])).unwrap();
        assert!(openssl(here, "x509 -in c.pem -noout -ext subjectAltName").1.contains("DNS:boiler.local"));
        for more in [
            format!("-addext subjectAltName=URI:urn:uuid:{other}"),
            "-addext basicConstraints=CA:TRUE -addext keyUsage=keyCertSign".to_owned(),
        ] {
            let refused = scene.owner.post(&at, json!({"csr": request(&more)})).await.refused(422);
            assert!(refused.starts_with("failed to create certificate: "), "{refused}");
        }
        let (signed, revoked) = scene.bao.serials();
        assert_eq!(signed.len() - revoked.len(), 1, "only the good one stands");
        assert_eq!(scene.plant.count("certificates").await, 1);
    }
}
