//! Values, rows and statements.

use kernel::{ClientId, Kind, Metadata, Result, Rng, Status, Tags, Timestamp};
use serde_json::json;

use crate::{Filter, Migration, Row, Val, both_databases, params, testing::TestDb};

const THINGS: Migration = Migration {
    id: "things/0001",
    sql: "CREATE TABLE things (
            id TEXT NOT NULL PRIMARY KEY, name TEXT, status BIGINT NOT NULL DEFAULT 0, secret BYTEA, open BOOLEAN,
            tags JSONB NOT NULL DEFAULT '[]', metadata JSONB NOT NULL DEFAULT '{}', at BIGINT, size DOUBLE PRECISION
          );",
};

async fn named(db: &TestDb, names: &[&str]) {
    db.migrate(&[THINGS]).await.unwrap();
    let rows: Vec<Vec<Val>> = names.iter().map(|name| vec![Val::from(*name), Val::from(*name)]).collect();
    db.write(|tx| {
        Box::pin(async move { tx.insert_many("INSERT INTO things (id, name) VALUES", rows).await })
    })
    .await
    .unwrap();
}

async fn select(db: &TestDb, sql: String, params: Vec<Val>) -> Result<Vec<Row>> {
    db.scan(|tx| Box::pin(async move { tx.all(&sql, &params).await })).await
}

async fn ids(db: &TestDb, filter: Filter) -> Vec<String> {
    let sql = format!("SELECT id FROM things{} ORDER BY id", filter.sql());
    let rows = select(db, sql, filter.params().to_vec()).await.unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

both_databases! {
    async fn values_come_back_as_they_went(db: TestDb) {
        db.migrate(&[THINGS]).await.unwrap();
        let id = ClientId::generate(&Rng::seeded(1));
        let tags: Tags = ["red", "blau"].into_iter().collect();
        let metadata = Metadata::from_json(r#"{"a": {"b": [1, "ü", null, 1.5]}}"#).unwrap();
        let (sent_tags, sent_metadata) = (tags.clone(), metadata.clone());

        db.write(move |tx| Box::pin(async move {
            tx.execute(
                "INSERT INTO things (id, name, status, secret, open, tags, metadata, at, size)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                params![
                    id, None::<&str>, Status::Disabled, vec![0_u8, 255], true, sent_tags, &sent_metadata,
                    Timestamp::from_micros(-5), 0.25
                ],
            ).await
        })).await.unwrap();

        let row = db.read(move |tx| Box::pin(async move {
            tx.one("SELECT * FROM things WHERE id = $1", params![id]).await
        })).await.unwrap();
        assert_eq!(row.get::<ClientId>("id").unwrap(), id);
        assert_eq!(row.get::<Option<String>>("name").unwrap(), None);
        assert_eq!(row.get::<Status>("status").unwrap(), Status::Disabled);
        assert_eq!(row.get::<Vec<u8>>("secret").unwrap(), [0, 255]);
        assert!(row.get::<bool>("open").unwrap());
        assert_eq!(row.get::<Tags>("tags").unwrap(), tags);
        assert_eq!(row.get::<Metadata>("metadata").unwrap(), metadata);
        assert_eq!(row.get::<Option<Timestamp>>("at").unwrap(), Some(Timestamp::from_micros(-5)));
        assert!((row.get::<f64>("size").unwrap() - 0.25).abs() < f64::EPSILON);
        assert_eq!(row.get::<ClientId>(0).unwrap(), id);
    }

    async fn a_row_that_does_not_fit_is_our_fault_and_names_its_column(db: TestDb) {
        named(&db, &["not an id"]).await;
        let rows = select(&db, "SELECT id, name FROM things".to_owned(), vec![]).await.unwrap();
        for error in [
            rows[0].get::<ClientId>("id").unwrap_err(),
            rows[0].get::<i64>("id").unwrap_err(),
            rows[0].get::<String>("ident").unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Internal);
            assert!(error.chain().contains("`id"), "{error:?}");
        }
        assert!(rows[0].get::<String>(2).is_err());
    }

    async fn values_that_do_not_fit_their_statement_are_our_fault(db: TestDb) {
        db.migrate(&[THINGS]).await.unwrap();
        for params in [vec![], vec![Val::from("a"), Val::from("b")]] {
            let outcome = select(&db, "SELECT id FROM things WHERE id = $1".to_owned(), params).await;
            assert_eq!(outcome.unwrap_err().kind(), Kind::Internal);
        }
    }

    async fn one_row_is_one_row(db: TestDb) {
        named(&db, &["a", "b"]).await;
        let (none, one, missing, many) = db.read(|tx| Box::pin(async move {
            Ok((
                tx.one_or_none("SELECT id FROM things WHERE id = $1", params!["c"]).await?.is_none(),
                tx.one("SELECT id FROM things WHERE id = $1", params!["b"]).await?.get::<String>(0)?,
                tx.one("SELECT id FROM things WHERE id = $1", params!["c"]).await.err().map(|e| e.kind()),
                tx.one_or_none("SELECT id FROM things", params![]).await.err().map(|e| e.kind()),
            ))
        })).await.unwrap();
        assert!(none);
        assert_eq!(one, "b");
        assert_eq!(missing, Some(Kind::Internal));
        assert_eq!(many, Some(Kind::Internal));
    }

    async fn more_rows_than_one_statement_can_bind_are_inserted(db: TestDb) {
        db.migrate(&[THINGS]).await.unwrap();
        const ROWS: usize = 40_000;
        let rows: Vec<Vec<Val>> = (0..ROWS).map(|n| vec![Val::from(n.to_string()), Val::from("x")]).collect();
        let (first, again) = db.write(move |tx| Box::pin(async move {
            let first = tx.insert_many("INSERT INTO things (id, name) VALUES", rows.clone()).await?;
            let again =
                tx.insert_many("INSERT INTO things (id, name) VALUES ON CONFLICT DO NOTHING", rows).await?;
            Ok((first, again))
        })).await.unwrap();
        assert_eq!((first, again), (ROWS as u64, 0));
        let count = select(&db, "SELECT count(*) FROM things".to_owned(), vec![]).await.unwrap();
        assert_eq!(count[0].get::<usize>(0).unwrap(), ROWS);
    }

    async fn text_is_ordered_by_its_bytes(db: TestDb) {
        named(&db, &["b", "A", "é", "a", "Z", "_"]).await;
        assert_eq!(ids(&db, Filter::new()).await, ["A", "Z", "_", "a", "b", "é"]);
    }

    async fn the_null_character_is_refused_before_it_reaches_the_database(db: TestDb) {
        db.migrate(&[THINGS]).await.unwrap();
        for bad in [Val::from("a\0"), Val::from(json!({"a": "\0"}))] {
            let outcome = db.write(move |tx| Box::pin(async move {
                tx.execute("INSERT INTO things (id, metadata) VALUES ('x', $1)", &[bad]).await
            })).await;
            assert_eq!(outcome.unwrap_err().kind(), Kind::Invalid);
        }
    }

    async fn a_filter_asks_for_what_is_given(db: TestDb) {
        named(&db, &["Boiler 1", "Boiler 2", "Pumpe Süd"]).await;
        db.write(|tx| Box::pin(async move {
            tx.execute(
                "UPDATE things SET tags = $1, metadata = $2 WHERE id = 'Boiler 2'",
                params![json!(["hot", "old"]), json!({"site": {"floor": 2}, "n": 1})],
            ).await
        })).await.unwrap();

        let contains = |want| Filter::new().and("json_contains(metadata, ?)", want);
        assert_eq!(ids(&db, contains(json!({"site": {"floor": 2.0}}))).await, ["Boiler 2"]);
        assert_eq!(ids(&db, contains(json!({"site": {"floor": 3}}))).await, Vec::<String>::new());
        assert_eq!(ids(&db, Filter::new().and("tags_any(tags, ?)", json!(["cold", "hot"]))).await, ["Boiler 2"]);
        assert_eq!(ids(&db, Filter::new().and("tags_all(tags, ?)", json!(["cold", "hot"]))).await, Vec::<String>::new());
        assert_eq!(ids(&db, Filter::new().and("name_contains(name, ?)", "SÜD")).await, ["Pumpe Süd"]);
        assert_eq!(ids(&db, Filter::new().and("name_contains(name, ?)", "%")).await, Vec::<String>::new());
        let some = ["Boiler 1", "Boiler 2", "nothing"].map(Val::from);
        assert_eq!(ids(&db, Filter::new().and_in("id", some).and_opt("status = ?", Some(Status::Enabled))).await, ["Boiler 1", "Boiler 2"]);
        assert_eq!(ids(&db, Filter::new().and_in("id", [])).await, Vec::<String>::new());
    }
}
