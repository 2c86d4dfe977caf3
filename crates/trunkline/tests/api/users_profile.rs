use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{PASSWORD, Plant, at_once};

both_databases! {
    async fn a_user_and_an_administrator_change_a_profile_and_nobody_else_does(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        plant.events().await;
        let path = format!("/users/{}", ann.id);
        let body = json!({
            "id": "", "first_name": "Anna", "last_name": "", "metadata": {"team": 1}, "private_metadata": {"pin": 2},
            "email": "other@example.com", "role": "admin", "created_at": "0001-01-01T00:00:00Z",
        });
        let changed = ann.patch(&path, body).await.expect(200);
        assert_eq!((&changed["first_name"], &changed["last_name"]), (&json!("Anna"), &json!("Test")));
        assert_eq!((&changed["metadata"], &changed["private_metadata"]), (&json!({"team": 1}), &json!({"pin": 2})));
        assert_eq!((&changed["email"], &changed["role"]), (&json!("ann@example.com"), &json!("user")));
        assert_eq!(changed["updated_by"], ann.id.as_str());
        plant.admin.patch(&path, json!({"metadata": {}})).await.expect(200);
        assert_eq!(ann.get(&path).await.expect(200)["metadata"], Value::Null);
        bob.patch(&path, json!({"first_name": "Eve"})).await.refused(403);
        plant.nobody().patch(&path, json!({"first_name": "Eve"})).await.refused(401);
        let unknown = "/users/00000000-0000-4000-8000-000000000000";
        bob.patch(unknown, json!({"first_name": "Eve"})).await.refused(403);
        plant.admin.patch(unknown, json!({"first_name": "Eve"})).await.refused(404);

        let events = plant.events().await;
        let told: Vec<_> = events.iter().map(|(operation, event)| (operation.as_str(), &event["super_admin"])).collect();
        assert_eq!(told, [("user.update", &json!(false)), ("user.update", &json!(true))]);
        assert_eq!((&events[0].1["first_name"], &events[0].1["updated_by"]), (&json!("Anna"), &json!(ann.id)));
        assert!(events[0].1.get("private_metadata").is_none());
    }

    async fn tags_and_picture_are_replaced_as_a_whole(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;
        let path = format!("/users/{}", ann.id);
        let tagged = ann.patch(&format!("{path}/tags"), json!({"tags": ["a", "b"]})).await.expect(200);
        assert_eq!(tagged["tags"], json!(["a", "b"]));
        ann.patch(&format!("{path}/tags"), json!({"tags": vec!["a"; 129]})).await.refused(400);
        let picture = format!("{path}/picture");
        let shown = ann.patch(&picture, json!({"profile_picture": "https://example.com/a.png"})).await.expect(200);
        assert_eq!(shown["profile_picture"], "https://example.com/a.png");
        let refused = ann.patch(&picture, json!({"profile_picture": "javascript:alert(1)"})).await.refused(400);
        assert!(refused.contains("http or https"), "{refused}");
        let bare = ann.patch(&picture, json!({"profile_picture": ""})).await.expect(200);
        assert_eq!((&bare["profile_picture"], &bare["tags"]), (&Value::Null, &json!(["a", "b"])));
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.update_tags", "user.update_profile_picture", "user.update_profile_picture"]);
    }

    async fn a_new_address_is_checked_and_has_to_be_verified_anew(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let path = format!("/users/{}/email", ann.id);
        for (email, status, message) in [
            ("", 400, "missing email"),
            ("nowhere", 400, "invalid email"),
            ("Ann <ann@example.com>", 400, "invalid email"),
            ("ann@example.com", 400, "new email is similar to the current email"),
            ("BOB@example.com", 409, "email id already registered"),
        ] {
            assert_eq!(ann.patch(&path, json!({"email": email})).await.refused(status), message, "{email}");
        }
        bob.patch(&path, json!({"email": "eve@example.com"})).await.refused(403);
        plant.sql(&format!("UPDATE users SET verified_at = 1 WHERE id = '{}'", ann.id)).await;
        plant.sql(&format!("UPDATE accounts SET verified = 1 WHERE user_id = '{}'", ann.id)).await;
        let changed = ann.patch(&path, json!({"email": "Ann2@example.com"})).await.expect(200);
        assert_eq!((&changed["email"], &changed["verified_at"]), (&json!("Ann2@example.com"), &json!("0001-01-01T00:00:00Z")));
        assert_eq!(plant.count(&format!("accounts WHERE user_id = '{}' AND verified = 1", ann.id)).await, 0);
        let login = json!({"username": "ann2@EXAMPLE.com", "password": PASSWORD});
        plant.nobody().post("/users/tokens/issue", login).await.expect(201);
    }

    async fn a_new_user_name_follows_the_rule_of_registration(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, _bob) = (plant.user("ann").await, plant.user("bob").await);
        let path = format!("/users/{}/username", ann.id);
        for (name, status, message) in [
            ("", 400, "missing username"),
            ("a b", 400, "invalid username"),
            ("ann@example.com", 400, "invalid username"),
            ("bob", 409, "username not available"),
        ] {
            assert_eq!(ann.patch(&path, json!({"username": name})).await.refused(status), message, "{name}");
        }
        plant.events().await;
        assert_eq!(ann.patch(&path, json!({"username": "anna"})).await.expect(200)["credentials"]["username"], "anna");
        let events = plant.events().await;
        assert_eq!((events[0].0.as_str(), &events[0].1["username"]), ("user.update_username", &json!("anna")));
        assert!(events[0].1.get("email").is_none());
        plant.nobody().logged_in("anna").await;
    }

    async fn of_many_who_want_the_same_name_or_address_one_gets_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut callers = Vec::new();
        for n in 0..6 {
            callers.push(plant.user(&format!("u{n}")).await);
        }
        for (field, value) in [("username", "wanted"), ("email", "wanted@example.com")] {
            let answers = at_once(callers.len(), |n| {
                let caller = callers[n].clone();
                async move { caller.patch(&format!("/users/{}/{field}", caller.id), json!({(field): value})).await }
            })
            .await;
            assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{field}");
            assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), callers.len() - 1, "{field}");
        }
    }

    async fn what_a_provider_looks_after_changes_there(db: TestDb) {
        let plant = Plant::new(db).await;
        let body = json!({
            "first_name": "Ann", "last_name": "Example", "email": "ann@example.com", "auth_provider": "google",
            "credentials": {"username": "ann", "secret": PASSWORD},
        });
        assert_eq!(plant.admin.post("/users", body).await.expect(201)["auth_provider"], "google");
        // So that she can log in without the provider: the administrator's password is the same.
        plant.sql("UPDATE users SET password_hash = (SELECT password_hash FROM users WHERE username = 'admin') WHERE username = 'ann'").await;
        let ann = plant.nobody().logged_in("ann").await;
        let path = format!("/users/{}", ann.id);
        for (path, body) in [
            (path.clone(), json!({"first_name": "Eve"})),
            (format!("{path}/picture"), json!({"profile_picture": ""})),
            (format!("{path}/email"), json!({"email": "eve@example.com"})),
            ("/users/secret".to_owned(), json!({"old_secret": PASSWORD, "new_secret": "another horse"})),
        ] {
            let message = ann.patch(&path, body).await.refused(422);
            assert_eq!(message, "account details can only be changed at the provider `google`", "{path}");
        }
        ann.patch(&path, json!({"metadata": {"a": 1}})).await.expect(200);
        ann.patch(&format!("{path}/tags"), json!({"tags": ["a"]})).await.expect(200);
    }
}
