//! What the authority signs, against the profile of RFC 5280, and what it refuses.
//!
//! The profile's rules are checked here by hand with a parser of its own; no external linter is installed.

use std::time::Duration;

use access::{Access, Ground, crypto::MasterKey};
use db::{both_databases, testing::TestDb};
use events::Outbox;
use kernel::{ClientId, Clock, Rng, Secret, Timestamp};
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Authority, Imported, Limits, import, making};
use crate::model::{KeyType, NewCertificate};

const START: Timestamp = Timestamp::from_micros(1_767_323_045_000_000);
const CLIENT: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";

async fn access(db: &TestDb, clock: Clock, master: MasterKey) -> Access {
    let ground = Ground { db: db.db(), outbox: Outbox::new(), master, clock, rng: Rng::seeded(1) };
    ground.db.migrate(&[events::MIGRATIONS, access::MIGRATIONS, crate::MIGRATIONS].concat()).await.unwrap();
    Access::open(ground, access::Settings::default(), &[]).await.unwrap()
}

fn limits() -> Limits {
    Limits { url: Some("https://iot.example.com/".to_owned()), ..Limits::default() }
}

fn client() -> ClientId {
    CLIENT.parse().unwrap()
}

fn asked(ttl: &str) -> NewCertificate {
    NewCertificate::of_client(client(), Some(ttl.parse().unwrap()))
}

/// A root that others have made: its certificate and its key.
fn foreign_root(name: &str, now: Timestamp) -> (String, Secret<String>) {
    let made = making::root(name, now).unwrap();
    (made.certificate, Secret::new(made.key.serialize_pem()))
}

#[track_caller]
fn keeps_to_the_profile(pem: &str, of_authority: bool) {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (rest, certificate) = X509Certificate::from_der(&der).unwrap();
    assert!(rest.is_empty());
    // §4.1.2.1, §4.1.2.2, §4.1.1.2
    assert_eq!(certificate.version().0, 2);
    let serial = certificate.raw_serial();
    assert!(
        (8..=20).contains(&serial.len()) && serial[0] != 0 && serial[0] < 0x80,
        "positive and not padded"
    );
    assert_eq!(certificate.signature_algorithm, certificate.tbs_certificate.signature);
    // §4.1.2.4, §4.1.2.6
    assert!(certificate.issuer().iter().count() > 0 && certificate.subject().iter().count() > 0);
    // §4.1.2.5: until 2049 as UTCTime, to the second.
    let validity = certificate.validity();
    assert!(validity.not_before < validity.not_after);
    for time in [validity.not_before, validity.not_after] {
        assert_eq!(time.is_utctime(), time.to_datetime().year() < 2050);
    }
    // §4.2: no extension twice.
    let mut oids: Vec<_> =
        certificate.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
    oids.sort();
    let all = oids.len();
    oids.dedup();
    assert_eq!(oids.len(), all);
    // §4.2.1.2: every one of ours says which key it is for.
    assert!(oids.contains(&"2.5.29.14".to_owned()), "{oids:?}");
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical, "§4.2.1.3");
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert_eq!(constraints.value.ca, of_authority);
    assert_eq!(usage.value.key_cert_sign(), of_authority);
    assert_eq!(usage.value.crl_sign(), of_authority);
    if of_authority {
        assert!(constraints.critical, "§4.2.1.9");
        return;
    }
    assert_eq!(constraints.value.path_len_constraint, None, "§4.2.1.9");
    assert!(oids.contains(&"2.5.29.35".to_owned()), "§4.2.1.1");
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && purposes.server_auth && !purposes.ocsp_signing && !purposes.any);
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[0], GeneralName::URI(&format!("urn:uuid:{CLIENT}")));
    for access in ["1.3.6.1.5.5.7.1.1", "2.5.29.31"] {
        let found = certificate.extensions().iter().find(|extension| extension.oid.to_id_string() == access);
        assert!(!found.unwrap().critical, "§4.2.1.13, §4.2.2.1");
    }
}

both_databases! {
    async fn everything_that_is_signed_keeps_to_the_profile(db: TestDb) {
        let access = access(&db, Clock::manual(START), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let tree = authority.tree();
        keeps_to_the_profile(&tree.issuers[0].certificate, true);
        keeps_to_the_profile(&tree.roots[0], true);
        for key in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa2048] {
            let mut new = asked("8760h");
            new.key = key;
            new.hosts = vec!["b.local".parse().unwrap(), "::1".parse().unwrap()];
            let issued = authority.issue(new, START).unwrap();
            keeps_to_the_profile(&issued.certificate, false);
            assert_eq!(issued.not_after, START.after(Duration::from_secs(8760 * 3600)), "{key}");
        }
    }

    async fn a_restart_signs_with_the_same_authority(db: TestDb) {
        let directory = tempfile::tempdir().unwrap();
        let master = || MasterKey::load_or_create(&directory.path().join("master.key")).unwrap();
        let first = Authority::open(&access(&db, Clock::manual(START), master()).await, limits()).await.unwrap();
        let again = Authority::open(&access(&db, Clock::manual(START), master()).await, limits()).await.unwrap();
        assert_eq!(first.chain().unwrap(), again.chain().unwrap());
        let stored = db.read(|tx| Box::pin(async move {
            tx.all("SELECT key_sealed FROM certificate_authorities", &[]).await
        })).await.unwrap();
        for row in stored {
            let sealed: Vec<u8> = row.get("key_sealed").unwrap();
            assert!(!String::from_utf8_lossy(&sealed).contains("PRIVATE KEY"));
        }
    }

    async fn an_intermediate_is_replaced_while_the_longest_certificate_still_fits(db: TestDb) {
        let clock = Clock::manual(START);
        let access = access(&db, clock.clone(), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let before = authority.signing().unwrap().id.clone();
        let mut trusted = authority.trusted();
        authority.refresh(&access).await.unwrap();
        assert!(!trusted.has_changed().unwrap(), "nothing was due");
        clock.advance(Duration::from_secs(6 * 365 * 24 * 3600));
        authority.refresh(&access).await.unwrap();
        assert!(trusted.has_changed().unwrap(), "listeners are told");
        let told = trusted.borrow_and_update().clone();
        let tree = authority.tree();
        assert_eq!((tree.issuers.len(), tree.roots.len()), (2, 1));
        assert_eq!(tree.issuers[1].id, before, "it is kept for what it has signed");
        for ca in &tree.issuers {
            assert!(told.contains(ca.certificate.trim()), "both are trusted");
        }
        authority.issue(asked("43800h"), clock.now()).unwrap();
    }

    async fn a_clock_that_is_wrong_and_an_authority_that_has_ended_are_named(db: TestDb) {
        let access = access(&db, Clock::manual(START), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let refused = |at| authority.issue(asked("1h"), at).unwrap_err().to_string();
        let early = refused(START.before(Duration::from_secs(48 * 3600)));
        assert!(early.contains("set the clock"), "{early}");
        let late = refused(START.after(making::INTERMEDIATE_LIFE));
        assert!(late.contains("has expired on") && late.contains("certs import"), "{late}");
        let end = START.after(making::INTERMEDIATE_LIFE).before(Duration::from_secs(1800));
        let near = refused(end);
        assert!(near.contains("ends on"), "{near}");
    }

    async fn the_operators_own_root_signs_from_then_on(db: TestDb) {
        let access = access(&db, Clock::manual(START), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let old = authority.issue(asked("1h"), START).unwrap();
        let (certificate, key) = foreign_root("Example Root", START);
        import(&access, Imported { certificate: certificate.clone(), key }).await.unwrap();
        authority.refresh(&access).await.unwrap();
        let issued = authority.issue(asked("1h"), START).unwrap();
        assert!(issued.chain.contains(certificate.trim()));
        assert!(!old.chain.contains(certificate.trim()));
        assert!(authority.trusted().borrow().contains(old.issuing_ca.trim()), "what was signed before is still trusted");
    }

    async fn the_operators_own_intermediate_signs_devices_itself_and_is_not_replaced(db: TestDb) {
        let clock = Clock::manual(START);
        let access = access(&db, clock.clone(), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let (root, root_key) = foreign_root("Example Root", START);
        let made = making::intermediate(
            "Example Issuing", (&root, KeyPair::from_pem(root_key.expose()).unwrap()), START.after(making::ROOT_LIFE), START,
        );
        let made = made.unwrap();
        let key = Secret::new(made.key.serialize_pem());
        let alone = import(&access, Imported { certificate: made.certificate.clone(), key: key.clone() }).await;
        let refused = alone.unwrap_err().to_string();
        assert!(refused.contains("needs those above it up to its root"), "{refused}");
        let (stranger, _) = foreign_root("Stranger", START);
        let certificate = format!("{}{stranger}", made.certificate);
        let refused = import(&access, Imported { certificate, key: key.clone() }).await.unwrap_err().to_string();
        assert!(refused.contains("not in the order in which they have signed"), "{refused}");

        let certificate = format!("{}{root}", made.certificate);
        import(&access, Imported { certificate, key }).await.unwrap();
        authority.refresh(&access).await.unwrap();
        let issued = authority.issue(asked("1h"), START).unwrap();
        assert_eq!(issued.issuing_ca, made.certificate);
        assert!(issued.chain.ends_with(&root), "{}", issued.chain);
        keeps_to_the_profile(&issued.certificate, false);
        clock.advance(Duration::from_secs(9 * 365 * 24 * 3600));
        authority.refresh(&access).await.unwrap();
        assert_eq!(authority.signing().unwrap().certificate, made.certificate, "only the operator replaces it");
    }

    async fn what_cannot_sign_is_not_imported(db: TestDb) {
        let access = access(&db, Clock::manual(START), MasterKey::ephemeral().unwrap()).await;
        let authority = Authority::open(&access, limits()).await.unwrap();
        let (root, key) = foreign_root("One", START);
        let (_, other) = foreign_root("Two", START);
        let leaf = authority.issue(asked("1h"), START).unwrap();
        let ended = foreign_root("Old", START.before(making::ROOT_LIFE));
        for (certificate, key, why) in [
            (root.clone(), other, "the key is not that of the certificate"),
            (leaf.certificate, leaf.private_key.unwrap(), "none of an authority"),
            (ended.0, ended.1, "has expired on"),
            ("nothing".to_owned(), key.clone(), "not PEM of a certificate"),
            (root, Secret::new("nothing".to_owned()), "not PEM of a private key"),
            (authority.signing().unwrap().certificate.clone(), key, "not that of the certificate"),
        ] {
            let refused = import(&access, Imported { certificate, key }).await.unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    async fn two_nodes_that_start_at_once_make_one_authority(db: TestDb) {
        let directory = tempfile::tempdir().unwrap();
        let master = || MasterKey::load_or_create(&directory.path().join("master.key")).unwrap();
        let (one, two) = (
            access(&db, Clock::manual(START), master()).await,
            access(&db, Clock::manual(START), master()).await,
        );
        let (one, two) = tokio::join!(Authority::open(&one, limits()), Authority::open(&two, limits()));
        assert_eq!(one.unwrap().chain().unwrap(), two.unwrap().chain().unwrap());
    }
}
