//! Every query, on both databases.

use db::{Db, both_databases, testing::TestDb};
use kernel::{ClientId, DomainId, PageRequest, Rng, Timestamp, UserId};

use super::authorities::{self, Kind, Row};
use super::certificates::{self, Counts};
use crate::model::{Issued, Query, Reason, Revocation, Serial};

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + seconds * 1_000_000)
}

/// A database with a domain, two clients in it, and somebody who has certificates made.
struct Scene {
    db: Db,
    domain: DomainId,
    clients: [ClientId; 2],
    user: UserId,
}

impl Scene {
    async fn new(db: &TestDb) -> Self {
        let rng = Rng::seeded(7);
        let db = db.db();
        db.migrate(&[events::MIGRATIONS, access::MIGRATIONS, crate::MIGRATIONS].concat()).await.unwrap();
        Self {
            db,
            domain: DomainId::from_uuid(rng.uuid()),
            clients: [ClientId::from_uuid(rng.uuid()), ClientId::from_uuid(rng.uuid())],
            user: UserId::from_uuid(rng.uuid()),
        }
    }

    /// Keeps a certificate of a client that ends at `end`, and was made that many seconds after the beginning.
    async fn insert(&self, serial: &str, client: usize, end: Timestamp, made: i64) -> Serial {
        let serial: Serial = serial.parse().unwrap();
        let issued = Issued {
            serial: serial.clone(),
            client: self.clients[client],
            common_name: "boiler".to_owned(),
            fingerprint: "f".repeat(64),
            certificate: "pem".to_owned(),
            chain: String::new(),
            issuing_ca: String::new(),
            private_key: None,
            not_before: NOW,
            not_after: end,
            issuer: "first".to_owned(),
        };
        let (domain, user) = (self.domain, self.user);
        let key = (client == 0).then(|| vec![1, 2, 3]);
        let write = self.db.write(move |tx| {
            Box::pin(async move { certificates::insert(tx, domain, &issued, key, (user, at(made))).await })
        });
        write.await.unwrap();
        serial
    }

    async fn revoke(&self, serial: &Serial, seconds: i64) -> bool {
        let serial = serial.clone();
        let revocation = Revocation { at: at(seconds), reason: Reason::Superseded };
        let write = self
            .db
            .write(move |tx| Box::pin(async move { certificates::revoke(tx, &serial, revocation).await }));
        write.await.unwrap()
    }
}

/// Runs one query.
macro_rules! read {
    ($scene:expr, |$tx:ident| $query:expr) => {
        $scene.db.read(move |$tx| Box::pin(async move { $query.await })).await.unwrap()
    };
}

both_databases! {
    async fn a_certificate_is_kept_and_found_with_everything_but_its_key(db: TestDb) {
        let scene = Scene::new(&db).await;
        let (first, second) = (scene.insert("0a01", 0, at(100), 1).await, scene.insert("0b02", 1, at(100), 1).await);
        let wanted = first.clone();
        let found = read!(scene, |tx| certificates::find(tx, &wanted)).unwrap();
        assert_eq!((found.domain, found.client, found.created_by), (scene.domain, scene.clients[0], scene.user));
        assert_eq!((found.not_before, found.not_after, found.created_at), (NOW, at(100), at(1)));
        assert_eq!((found.common_name.as_str(), found.pem.as_str(), found.revoked), ("boiler", "pem", None));
        let unknown: Serial = "ff".parse().unwrap();
        assert!(read!(scene, |tx| certificates::find(tx, &unknown)).is_none());
        let (with, without) = (first.clone(), second.clone());
        assert_eq!(read!(scene, |tx| certificates::sealed_key(tx, &with)), Some(vec![1, 2, 3]));
        assert_eq!(read!(scene, |tx| certificates::sealed_key(tx, &without)), None);
        assert_eq!(read!(scene, |tx| certificates::issuer_of(tx, &first)), Some("first".to_owned()));
        let unknown: Serial = "ff".parse().unwrap();
        assert_eq!(read!(scene, |tx| certificates::issuer_of(tx, &unknown)), None);
        let again = Issued { serial: second, ..issued_like(&scene) };
        let (domain, user) = (scene.domain, scene.user);
        let twice = scene.db.write(move |tx| {
            Box::pin(async move { certificates::insert(tx, domain, &again, None, (user, NOW)).await })
        });
        twice.await.unwrap_err();
    }

    async fn a_list_is_the_newest_first_of_a_domain_a_client_and_a_state(db: TestDb) {
        let scene = Scene::new(&db).await;
        let old = scene.insert("01", 0, at(100), 1).await;
        let new = scene.insert("02", 0, at(100), 2).await;
        let other = scene.insert("03", 1, at(100), 3).await;
        assert!(scene.revoke(&old, 5).await);
        let (domain, client) = (scene.domain, scene.clients[0]);
        let all = Query { client: None, revoked: None, page: PageRequest::new(None, None, false).unwrap() };
        let list = |domain: Option<DomainId>, query: Query| {
            let db = scene.db.clone();
            async move {
                let page = db
                    .read(move |tx| Box::pin(async move { certificates::list(tx, domain, &query, None).await }))
                    .await
                    .unwrap();
                let serials: Vec<_> = page.items.into_iter().map(|one| one.serial).collect();
                (page.total, serials)
            }
        };
        let of_client = Query { client: Some(client), ..all.clone() };
        for domain in [Some(domain), None] {
            assert_eq!(list(domain, all.clone()).await, (3, vec![other.clone(), new.clone(), old.clone()]));
            assert_eq!(list(domain, of_client.clone()).await, (2, vec![new.clone(), old.clone()]));
            let standing = Query { revoked: Some(false), ..of_client.clone() };
            assert_eq!(list(domain, standing).await, (1, vec![new.clone()]));
            assert_eq!(list(domain, Query { revoked: Some(true), ..all.clone() }).await, (1, vec![old.clone()]));
        }
        let elsewhere = DomainId::from_uuid(Rng::seeded(8).uuid());
        assert_eq!(list(Some(elsewhere), all).await, (0, Vec::new()));
    }

    async fn a_certificate_is_revoked_once_and_counts_where_it_would_still_hold(db: TestDb) {
        let scene = Scene::new(&db).await;
        let long = scene.insert("01", 0, at(100), 1).await;
        let short = scene.insert("02", 0, at(10), 2).await;
        let standing = scene.insert("03", 0, at(100), 3).await;
        for serial in [&long, &short] {
            assert!(scene.revoke(serial, 5).await);
            assert!(!scene.revoke(serial, 6).await, "once");
        }
        let revocation = Revocation { at: at(5), reason: Reason::Superseded };
        assert_eq!(read!(scene, |tx| certificates::revoked_by(tx, "first", at(50))), [(long.clone(), revocation)]);
        assert_eq!(read!(scene, |tx| certificates::revoked_by(tx, "second", at(50))), []);
        assert_eq!(read!(scene, |tx| certificates::all_revoked(tx, at(50))), [(long.clone(), at(100))]);
        let unknown: Serial = "ff".parse().unwrap();
        let asked = vec![long.clone(), standing.clone(), unknown];
        let mut known = read!(scene, |tx| certificates::standings(tx, asked));
        known.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(known, [(long, Some(revocation)), (standing.clone(), None)]);
        let (client, other) = (scene.clients[0], scene.clients[1]);
        let left = scene.db.write(move |tx| Box::pin(async move { certificates::standing_of(tx, client).await }));
        let left: Vec<_> = left.await.unwrap().into_iter().map(|one| one.serial).collect();
        assert_eq!(left, [standing]);
        assert!(read!(scene, |tx| certificates::has_any(tx, client)));
        assert!(!read!(scene, |tx| certificates::has_any(tx, other)));
    }

    async fn an_authority_outside_is_told_once_in_the_order_of_revocation(db: TestDb) {
        let scene = Scene::new(&db).await;
        scene.db.write(|tx| Box::pin(async move {
            tx.execute("UPDATE certificates SET issuer_id = 'first'", &[]).await
        })).await.unwrap();
        let own = scene.insert("01", 0, at(100), 1).await;
        let (late, early) = (scene.insert("02", 0, at(100), 1).await, scene.insert("03", 0, at(100), 1).await);
        scene.insert("04", 0, at(100), 1).await;
        scene.db.write(|tx| Box::pin(async move {
            tx.execute("UPDATE certificates SET issuer_id = 'openbao' WHERE id <> '01'", &[]).await
        })).await.unwrap();
        for (serial, seconds) in [(&own, 1), (&late, 9), (&early, 5)] {
            assert!(scene.revoke(serial, seconds).await);
        }
        assert_eq!(read!(scene, |tx| certificates::untold(tx, 10)), [early.clone(), late.clone()]);
        assert_eq!(read!(scene, |tx| certificates::untold(tx, 1)), std::slice::from_ref(&early));
        let told = scene.db.write(move |tx| Box::pin(async move { certificates::told(tx, &early, at(10)).await }));
        told.await.unwrap();
        assert_eq!(read!(scene, |tx| certificates::untold(tx, 10)), [late]);
    }

    async fn what_ends_is_told_once_in_its_order_and_counted(db: TestDb) {
        let scene = Scene::new(&db).await;
        let later = scene.insert("01", 0, at(20), 1).await;
        let first = scene.insert("02", 1, at(10), 1).await;
        let gone = scene.insert("03", 0, at(10), 1).await;
        scene.insert("04", 0, at(1000), 1).await;
        scene.revoke(&gone, 2).await;
        let (domain, clients) = (scene.domain, scene.clients);
        let ending = [(first.clone(), clients[1], domain, at(10)), (later, clients[0], domain, at(20))];
        assert_eq!(read!(scene, |tx| certificates::ending(tx, at(50), 10)), ending);
        assert_eq!(read!(scene, |tx| certificates::ending(tx, at(50), 1)), ending[..1]);
        for fresh in [true, false] {
            let serial = first.clone();
            let write = scene.db.write(move |tx| {
                Box::pin(async move { certificates::warned(tx, &serial, at(3)).await })
            });
            assert_eq!(write.await.unwrap(), fresh);
        }
        assert_eq!(read!(scene, |tx| certificates::ending(tx, at(50), 10)), ending[1..]);
        let counts = read!(scene, |tx| certificates::counts(tx, at(5), at(15)));
        assert_eq!(counts, Counts { valid: 3, ending: 1, revoked: 1 });
        let none = read!(scene, |tx| certificates::counts(tx, at(5000), at(6000)));
        assert_eq!(none, Counts { valid: 0, ending: 0, revoked: 0 });
    }

    async fn authorities_come_in_their_order_and_a_generation_is_made_once(db: TestDb) {
        let scene = Scene::new(&db).await;
        let row = |id: &str, kind, generation| Row {
            id: id.to_owned(),
            kind,
            generation,
            parent: (kind == Kind::Intermediate).then(|| "root".to_owned()),
            certificate: "pem".to_owned(),
            key: Some(vec![7]),
            not_after: at(100),
            created_at: NOW,
        };
        let add = |rows: Vec<Row>| {
            let db = scene.db.clone();
            async move { db.write(move |tx| Box::pin(async move { authorities::add(tx, rows).await })).await.unwrap() }
        };
        add(vec![row("root", Kind::Root, 1), row("one", Kind::Intermediate, 1)]).await;
        add(vec![row("two", Kind::Intermediate, 2)]).await;
        add(vec![row("late", Kind::Root, 1), row("of the late", Kind::Intermediate, 3)]).await;
        let all = read!(scene, |tx| authorities::all(tx));
        let mut ids: Vec<_> = all.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["one", "root", "two"], "another node was quicker with the root, and nothing hangs in the air");
        assert_eq!(all.last().unwrap().id, "two");
        let one = all.iter().find(|row| row.id == "one").unwrap();
        assert_eq!((one.kind, one.parent.as_deref(), one.imported()), (Kind::Intermediate, Some("root"), false));
        assert_eq!((one.key.as_deref(), one.not_after, one.created_at), (Some(&[7][..]), at(100), NOW));
    }
}

fn issued_like(scene: &Scene) -> Issued {
    Issued {
        serial: "01".parse().unwrap(),
        client: scene.clients[0],
        common_name: String::new(),
        fingerprint: String::new(),
        certificate: String::new(),
        chain: String::new(),
        issuing_ca: String::new(),
        private_key: None,
        not_before: NOW,
        not_after: NOW,
        issuer: String::new(),
    }
}
