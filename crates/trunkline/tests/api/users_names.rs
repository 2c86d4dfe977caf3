//! User names are taken once, whatever the case.

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{PASSWORD, Plant, at_once};

fn called(name: &str, n: usize) -> Value {
    json!({
        "first_name": "Ann", "last_name": "Example", "email": format!("ann{n}@example.com"),
        "credentials": {"username": name, "secret": PASSWORD},
    })
}

async fn logs_in(plant: &Plant, name: &str) -> u16 {
    let login = json!({"username": name, "password": PASSWORD});
    plant.nobody().post("/users/tokens/issue", login).await.status.as_u16()
}

both_databases! {
    async fn a_name_in_other_letters_is_the_same_name(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        for name in ["ANN", "Ann", "ann"] {
            assert_eq!(plant.admin.post("/users", called(name, 0)).await.refused(409), "username not available");
            let rename = bob.patch(&format!("/users/{}/username", bob.id), json!({"username": name})).await;
            assert_eq!(rename.refused(409), "username not available", "{name}");
            assert_eq!(logs_in(&plant, name).await, 201, "{name}");
        }
        ann.patch(&format!("/users/{}/username", ann.id), json!({"username": "Ann"})).await.expect(200);
        assert_eq!(plant.count("users WHERE username = 'Ann' AND username_key = 'ann'").await, 1);
        assert_eq!(logs_in(&plant, "ann").await, 201);
        ann.patch(&format!("/users/{}/username", ann.id), json!({"username": "Anna"})).await.expect(200);
        assert_eq!(logs_in(&plant, "ann").await, 401);
        plant.admin.post("/users", called("ANN", 1)).await.expect(201);
    }

    async fn of_many_who_want_a_name_in_different_letters_one_gets_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let answers = at_once(8, |n| {
            let admin = plant.admin.clone();
            let name: String =
                "abc".chars().enumerate().map(|(at, c)| if n >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect();
            async move { admin.post("/users", called(&name, n)).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 7);
        assert_eq!(plant.count("users WHERE username_key = 'abc'").await, 1);
    }
}
