//! Certificates: what is answered, stored and announced, who may, and what OpenSSL says of them.

use std::{fs, path::Path, process::Command};

use base64::{Engine, prelude::BASE64_STANDARD};
use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

/// Runs OpenSSL in a directory; what it printed, on both outputs.
#[track_caller]
fn openssl(directory: &Path, arguments: &str) -> (bool, String) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(directory).output().unwrap();
    let text = [run.stdout, run.stderr].concat();
    (run.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// An owner with a domain and a client in it.
async fn owner(plant: &Plant) -> (Caller, String, String) {
    let owner = plant.user("owner").await;
    let domain = owner.domain("home").await;
    let client = owner.client(&domain, "boiler").await;
    plant.events().await;
    (owner, domain, client)
}

async fn issued(owner: &Caller, domain: &str, client: &str) -> Value {
    owner.post(&format!("/{domain}/certs"), json!({"client_id": client, "ttl": "8760h"})).await.expect(201)
}

both_databases! {
    async fn the_seeds_form_issues_for_as_long_as_asked_and_the_list_shows_no_key(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let made = issued(&owner, &domain, &client).await;
        assert_eq!(made["client_id"], json!(client));
        assert_eq!(made["expiry_time"], json!("2027-01-02T03:04:05Z"));
        assert!(text(&made["key"]).starts_with("-----BEGIN PRIVATE KEY-----"), "{made}");
        assert_eq!(made["ca_chain"].as_array().unwrap().len(), 2);

        let serial = text(&made["serial_number"]);
        let seen = owner.get(&format!("/{domain}/certs/{serial}")).await.expect(200);
        assert_eq!(seen["certificate"], made["certificate"]);
        assert_eq!(seen["key"], Value::Null);
        let page = owner.get(&format!("/{domain}/certs?entity_id={client}")).await.expect(200);
        assert_eq!((&page["total"], &page["certificates"][0]["serial_number"]), (&json!(1), &json!(serial)));
        assert_eq!(page["certificates"][0]["certificate"], Value::Null);

        let events = plant.events().await;
        assert_eq!(events.len(), 1);
        let (operation, payload) = &events[0];
        assert_eq!(operation, "certificate.issue");
        assert_eq!((&payload["serial_number"], &payload["entity_id"]), (&json!(serial), &json!(client)));
        assert!(!payload.to_string().contains("PRIVATE KEY"));
        assert_eq!(plant.count("certificates WHERE key_sealed IS NOT NULL").await, 1);
    }

    async fn what_is_wrong_with_a_wish_is_said(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let other = owner.client(&domain, "other").await;
        let at = format!("/{domain}/certs");
        for (body, status, message) in [
            (json!({"ttl": "1h"}), 400, "missing entity id"),
            (json!({"client_id": client}), 400, "missing certificate data"),
            (json!({"client_id": client, "ttl": "soon"}), 400, "invalid certificate data"),
            (json!({"client_id": client, "ttl": "50000h"}), 422, "failed to create certificate: a certificate is valid for at most 43800h"),
            (json!({"client_id": client, "ttl": "1h", "key_type": "dsa"}), 400, "`dsa` is no key type"),
        ] {
            let refused = owner.post(&at, body.clone()).await.refused(status);
            assert!(refused.starts_with(message), "{body}: {refused}");
        }
        let at = format!("/{domain}/certs/issue/{client}");
        owner.post(&at, json!({"options": {}})).await.refused(400);
        let theft = owner.post(&at, json!({"options": {"common_name": other}})).await.refused(422);
        assert!(theft.contains("the id of another client"), "{theft}");
        assert_eq!(plant.count("certificates").await, 0);
    }

    async fn nothing_reaches_across_domains(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let made = issued(&owner, &domain, &client).await;
        let serial = text(&made["serial_number"]);
        let thief = plant.user("thief").await;
        let den = thief.domain("den").await;
        for (method, path) in [
            (Method::GET, format!("/{domain}/certs/{serial}")),
            (Method::GET, format!("/{domain}/certs")),
            (Method::GET, format!("/{domain}/serials/{client}")),
            (Method::PATCH, format!("/{domain}/certs/{serial}/renew")),
            (Method::PATCH, format!("/{domain}/certs/{serial}/revoke")),
            (Method::DELETE, format!("/{domain}/certs/{client}/delete")),
            (Method::GET, format!("/{domain}/certs/{serial}/download/token")),
            (Method::GET, format!("/certs/{serial}")),
            (Method::GET, format!("/certs?entity_id={client}")),
            (Method::GET, "/certs".to_owned()),
            (Method::PATCH, format!("/certs/{serial}/revoke")),
        ] {
            assert_eq!(thief.send(method, &path, None).await.status, 403, "{path}");
        }
        for path in [format!("/{den}/certs/{serial}"), format!("/{den}/certs/{serial}/download/token")] {
            assert_eq!(thief.get(&path).await.status, 404, "{path}");
        }
        assert_eq!(thief.get(&format!("/{den}/certs")).await.expect(200)["total"], 0);
        let body = json!({"client_id": client, "ttl": "1h"});
        assert_eq!(thief.post(&format!("/{den}/certs"), body).await.status, 404);
        let revoke = thief.send(Method::DELETE, "/certs/revoke", Some(json!({"client_id": client}))).await;
        assert_eq!(revoke.status, 403);
        assert_eq!(plant.count("certificates WHERE revoked_at IS NOT NULL").await, 0);
    }

    async fn a_member_sees_the_certificates_of_the_clients_it_sees(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let hidden = owner.client(&domain, "hidden").await;
        let member = plant.user("member").await;
        owner.grants(&format!("/domains/{domain}"), "members", &["read"], &member).await;
        owner.grants(&format!("/{domain}/clients/{client}"), "readers", &["read"], &member).await;
        let seen = issued(&owner, &domain, &client).await;
        let unseen = issued(&owner, &domain, &hidden).await;
        let page = member.get(&format!("/{domain}/certs")).await.expect(200);
        assert_eq!((&page["total"], &page["certificates"][0]["entity_id"]), (&json!(1), &json!(client)));
        member.get(&format!("/{domain}/certs/{}", text(&seen["serial_number"]))).await.expect(200);
        member.get(&format!("/{domain}/certs/{}", text(&unseen["serial_number"]))).await.refused(403);
        let revoke = format!("/{domain}/certs/{}/revoke", text(&seen["serial_number"]));
        assert_eq!(member.patch(&revoke, json!({})).await.status, 403, "to see is not to change");
    }

    async fn openssl_accepts_what_is_issued_and_refuses_what_was_revoked(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        let write = |name: &str, text: &str| fs::write(here.join(name), text).unwrap();
        for kind in ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048"] {
            let body = json!({"client_id": client, "ttl": "720h", "key_type": kind});
            let made = owner.post(&format!("/{domain}/certs"), body).await.expect(201);
            let chain = made["ca_chain"].as_array().unwrap();
            write("leaf.pem", text(&made["certificate"]));
            write("intermediate.pem", text(&chain[0]));
            write("root.pem", text(&chain[1]));
            let (good, said) = openssl(
                here,
                "verify -x509_strict -attime 1767323045 -CAfile root.pem -untrusted intermediate.pem -purpose sslclient leaf.pem",
            );
            assert!(good, "{kind}: {said}");
            write("leaf.key", text(&made["key"]));
            let of_key = openssl(here, "pkey -in leaf.key -pubout").1;
            assert_eq!(of_key, openssl(here, "x509 -in leaf.pem -noout -pubkey").1, "{kind}");

            let (_, asked) = openssl(here, "ocsp -issuer intermediate.pem -cert leaf.pem -reqout question.der");
            assert!(here.join("question.der").exists(), "{asked}");
            let question = fs::read(here.join("question.der")).unwrap();
            let ocsp = |plant: &Plant| {
                let (nobody, question) = (plant.nobody(), question.clone());
                async move { nobody.post_bytes("/certs/ocsp", "application/ocsp-request", question).await }
            };
            let verify = "ocsp -no_nonce -reqin question.der -respin answer.der -CAfile root.pem -issuer intermediate.pem \
                          -cert leaf.pem -attime 1767323045 -validity_period 999999999";
            fs::write(here.join("answer.der"), ocsp(&plant).await).unwrap();
            let (_, said) = openssl(here, verify);
            assert!(said.contains("Response verify OK") && said.contains("leaf.pem: good"), "{kind}: {said}");

            let serial = text(&made["serial_number"]);
            owner.patch(&format!("/{domain}/certs/{serial}/revoke"), json!({})).await.expect(204);
            let again = owner.patch(&format!("/{domain}/certs/{serial}/revoke"), json!({})).await;
            assert_eq!(again.refused(409), "the certificate is revoked already");
            fs::write(here.join("answer.der"), ocsp(&plant).await).unwrap();
            let (_, said) = openssl(here, verify);
            assert!(said.contains("Response verify OK") && said.contains("leaf.pem: revoked"), "{kind}: {said}");

            let listed = plant.nobody().get("/certs/crl").await.expect(200);
            fs::write(here.join("list.der"), BASE64_STANDARD.decode(text(&listed["crl"])).unwrap()).unwrap();
            let (good, said) = openssl(here, "crl -inform DER -in list.der -CAfile intermediate.pem -noout -text");
            assert!(good && said.contains("verify OK"), "{said}");
            assert!(said.to_lowercase().contains(&serial.replace(':', "")), "{said}");
            openssl(here, "crl -inform DER -in list.der -out list.pem");
            let (good, said) = openssl(
                here,
                "verify -crl_check -attime 1767323045 -CAfile root.pem -untrusted intermediate.pem -CRLfile list.pem leaf.pem",
            );
            assert!(!good && said.contains("certificate revoked"), "{kind}: {said}");
        }
    }

    async fn the_key_of_a_request_is_certified_under_the_clients_own_name(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let other = owner.client(&domain, "other").await;
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        let request = |name: &str| {
            let made = openssl(
                here,
                &format!("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out r.pem -subj /CN={name} \
                          -addext subjectAltName=DNS:boiler.local,IP:10.0.0.7,URI:urn:uuid:{other} -addext basicConstraints=CA:TRUE"),
            );
            assert!(made.0, "{}", made.1);
            fs::read_to_string(here.join("r.pem")).unwrap()
        };
        let at = format!("/{domain}/certs/csrs/{client}?ttl=48h");
        let wish = json!({"csr": BASE64_STANDARD.encode(request("boiler"))});
        let made = owner.post(&at, wish).await.expect(200);
        assert_eq!((&made["expiry_time"], &made["key"]), (&json!("2026-01-04T03:04:05Z"), &Value::Null));
        fs::write(here.join("c.pem"), text(&made["certificate"])).unwrap();
        let (_, shown) = openssl(here, "x509 -in c.pem -noout -text");
        let names = format!("URI:urn:uuid:{client}, DNS:boiler.local, IP Address:10.0.0.7");
        assert!(shown.contains(&names) && !shown.contains(&other), "{shown}");
        assert!(shown.contains("CA:FALSE") && !shown.contains("CA:TRUE"), "{shown}");

        assert_eq!(owner.post(&at, json!({"csr": request(&other)})).await.status, 422, "a name of another client");
        owner.post(&at, json!({"csr": ""})).await.refused(400);
        let broken = request("boiler").replace("MI", "MJ");
        owner.post(&at, json!({ "csr": broken })).await.refused(400);

        let agents = format!("/certs/csrs/{client}?ttl=48h");
        let wish = json!({"csr": request("boiler")});
        for token in ["wrong", owner.token.as_deref().unwrap()] {
            assert_eq!(plant.nobody().with_token(token).post(&agents, wish.clone()).await.status, 401);
        }
        plant.nobody().with_token("agents-12345678").post(&agents, wish).await.expect(200);
        assert_eq!(plant.count("certificates").await, 2);
    }

    async fn all_certificates_of_a_client_are_revoked_but_the_one_that_is_kept(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let revoke = |body: Value| owner.send(Method::DELETE, "/certs/revoke", Some(body));
        revoke(json!({"client_id": client})).await.refused(404);
        assert_eq!(revoke(json!({})).await.refused(400), "missing entity id");
        let old = issued(&owner, &domain, &client).await;
        plant.clock.advance(crate::plant::LATER);
        let new = issued(&owner, &domain, &client).await;
        let at = revoke(json!({"client_id": client, "keep_latest": true})).await.expect(200);
        assert_eq!(at["revocation_time"], json!("2026-01-02T03:05:05Z"));
        let standing = |made: &Value| {
            let path = format!("/{domain}/certs/{}", text(&made["serial_number"]));
            let owner = owner.clone();
            async move { owner.get(&path).await.expect(200)["revoked"].clone() }
        };
        assert_eq!((standing(&old).await, standing(&new).await), (json!(true), json!(false)));
        let renew = format!("/{domain}/certs/{}/renew", text(&old["serial_number"]));
        let refused = owner.patch(&renew, json!({})).await.refused(422);
        assert_eq!(refused, "certificate has been revoked and cannot be renewed");

        revoke(json!({"client_id": client})).await.expect(200);
        assert_eq!(standing(&new).await, json!(true));
        let again = revoke(json!({"client_id": client})).await.expect(200);
        assert_eq!(again["revocation_time"], json!("0001-01-01T00:00:00Z"));
        owner.delete(&format!("/{domain}/certs/{client}/delete")).await.refused(404);
        let revoked = plant.registry.certs.revoked();
        assert!(revoked.contains(&text(&new["serial_number"]).replace(':', "")), "handshakes know it");
    }

    async fn a_client_that_is_removed_leaves_no_certificate_that_holds(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let made = issued(&owner, &domain, &client).await;
        plant.events().await;
        owner.delete(&format!("/{domain}/clients/{client}")).await.expect(204);
        let told: Vec<_> = plant.events().await.into_iter().map(|(operation, _)| operation).collect();
        assert!(told.contains(&"certificate.revoke".to_owned()), "{told:?}");
        let seen = owner.get(&format!("/{domain}/certs/{}", text(&made["serial_number"]))).await.expect(200);
        assert_eq!(seen["revoked"], json!(true));
    }

    async fn a_renewal_keeps_the_names_and_the_old_certificate(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let body = json!({"ttl": "90m", "options": {
            "common_name": "boiler", "organization": ["Heat"], "country": ["RS"], "dns_names": ["b.local"],
            "ip_addresses": ["10.0.0.7"]}});
        let made = owner.post(&format!("/{domain}/certs/issue/{client}"), body).await.expect(201);
        let renewed =
            owner.patch(&format!("/{domain}/certs/{}/renew", text(&made["serial_number"])), json!({})).await.expect(200);
        let renewed = &renewed["certificate"];
        assert_eq!(renewed["expiry_time"], json!("2026-02-01T03:04:05Z"));
        let directory = tempfile::tempdir().unwrap();
        let shown = |name: &str, pem: Vec<u8>| {
            fs::write(directory.path().join(name), pem).unwrap();
            openssl(directory.path(), &format!("x509 -in {name} -noout -subject -ext subjectAltName")).1
        };
        let old = shown("old.pem", text(&made["certificate"]).into());
        let new = shown("new.pem", BASE64_STANDARD.decode(text(&renewed["certificate"])).unwrap());
        assert_eq!(old, new);
        assert!(old.contains("C = RS, O = Heat, CN = boiler") || old.contains("C=RS, O=Heat, CN=boiler"), "{old}");
        assert_eq!(plant.count("certificates WHERE revoked_at IS NULL").await, 2);
    }

    async fn a_download_takes_a_token_that_lasts_five_minutes(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let made = issued(&owner, &domain, &client).await;
        let serial = text(&made["serial_number"]);
        let token = owner.get(&format!("/certs/{serial}/download/token")).await.expect(200);
        let path = format!("/certs/{serial}/download?token={}", text(&token["token"]));
        let zip = plant.nobody().get(&path).await;
        assert_eq!((zip.status.as_u16(), zip.header("content-type")), (200, "application/zip"));
        for name in ["ca.pem", "cert.pem", "key.pem", text(&made["key"])] {
            assert!(zip.text.contains(name), "{name}");
        }
        let second = issued(&owner, &domain, &client).await;
        let other = format!("/certs/{}/download?token={}", text(&second["serial_number"]), text(&token["token"]));
        plant.nobody().get(&other).await.refused(401);
        plant.nobody().get(&format!("/certs/{serial}/download")).await.refused(401);
        plant.clock.advance(std::time::Duration::from_secs(301));
        plant.nobody().get(&path).await.refused(401);
    }

    async fn a_certificate_that_ends_soon_is_announced_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        issued(&owner, &domain, &client).await;
        let made = owner.post(&format!("/{domain}/certs"), json!({"client_id": client, "ttl": "24h"})).await.expect(201);
        plant.events().await;
        plant.registry.certs.look().await.unwrap();
        plant.registry.certs.look().await.unwrap();
        let events = plant.events().await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].0, "certificate.expiring");
        assert_eq!(events[0].1["serial_number"], made["serial_number"]);
    }

    async fn every_address_that_stands_in_a_certificate_answers(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, domain, client) = owner(&plant).await;
        let made = issued(&owner, &domain, &client).await;
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        fs::write(here.join("leaf.pem"), text(&made["certificate"])).unwrap();
        fs::write(here.join("root.pem"), text(&made["ca_chain"][1])).unwrap();
        let (_, shown) = openssl(here, "x509 -in leaf.pem -noout -text");
        let address = |kind: &str| {
            let at = shown.lines().filter_map(|line| line.split_once("URI:").map(|(_, url)| url.trim()));
            let found = at.filter_map(|url| url.strip_prefix("https://iot.example.com")).find(|path| path.contains(kind));
            assert!(found.is_some(), "no {kind} in {shown}");
            found.unwrap().to_owned()
        };
        let nobody = plant.nobody();
        let bytes = async |path: &str| {
            let (status, bytes) = nobody.get_bytes(path).await;
            assert_eq!(status, 200, "{path}");
            bytes
        };
        let issuer = bytes(&address("/certs/issuers/")).await;
        fs::write(here.join("issuer.der"), issuer).unwrap();
        openssl(here, "x509 -inform DER -in issuer.der -out intermediate.pem");
        let (good, said) = openssl(
            here, "verify -x509_strict -attime 1767323045 -CAfile root.pem -untrusted intermediate.pem leaf.pem",
        );
        assert!(good, "{said}");

        let question = "ocsp -issuer intermediate.pem -cert leaf.pem -no_nonce -reqout question.der";
        let (_, said) = openssl(here, question);
        assert!(here.join("question.der").exists(), "{said}");
        let question = fs::read(here.join("question.der")).unwrap();
        // RFC 6960 appendix A.1: base64, and its characters as they may stand in a path.
        let question = BASE64_STANDARD.encode(question).replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let ocsp = format!("{}/{question}", address("/certs/ocsp"));
        let list = address("/certs/crl/");
        for (revoked, standing) in [(false, "good"), (true, "revoked")] {
            if revoked {
                let revoke = format!("/{domain}/certs/{}/revoke", text(&made["serial_number"]));
                owner.patch(&revoke, json!({})).await.expect(204);
            }
            fs::write(here.join("answer.der"), bytes(&ocsp).await).unwrap();
            let (_, said) = openssl(
                here,
                "ocsp -no_nonce -reqin question.der -respin answer.der -CAfile root.pem -issuer intermediate.pem \
                 -cert leaf.pem -attime 1767323045 -validity_period 999999999",
            );
            assert!(said.contains("Response verify OK") && said.contains(&format!("leaf.pem: {standing}")), "{said}");
            fs::write(here.join("list.der"), bytes(&list).await).unwrap();
            let (good, said) = openssl(here, "crl -inform DER -in list.der -CAfile intermediate.pem -noout -text");
            assert!(good && said.contains("verify OK"), "{said}");
            let serial = text(&made["serial_number"]).replace(':', "");
            assert_eq!(said.to_lowercase().contains(&serial), revoked, "{said}");
        }
    }

    async fn what_is_no_question_gets_an_error_and_an_unknown_serial_is_unknown(db: TestDb) {
        let plant = Plant::new(db).await;
        let nobody = plant.nobody();
        nobody.post("/certs/ocsp", json!({"serial_number": "xyz"})).await.refused(400);
        nobody.post("/certs/ocsp", json!({})).await.refused(400);
        nobody.get("/certs/ocsp/!!").await.refused(400);
        nobody.get("/certs/crl/none").await.refused(404);
        let zip = nobody.get("/certs/download-ca").await;
        assert_eq!((zip.status.as_u16(), zip.header("content-type")), (200, "application/zip"));
        let directory = tempfile::tempdir().unwrap();
        let answer =
            nobody.post_bytes("/certs/ocsp", "application/json", br#"{"serial_number":"20:f4:bd"}"#.to_vec()).await;
        fs::write(directory.path().join("a.der"), answer).unwrap();
        let (_, said) = openssl(directory.path(), "ocsp -respin a.der -noverify -text");
        assert!(said.contains("Cert Status: unknown"), "{said}");
    }
}
