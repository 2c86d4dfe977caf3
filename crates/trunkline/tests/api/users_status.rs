use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::{PASSWORD, Plant, at_once};

const IS_ADMIN: &str =
    "relations WHERE object_kind = 'platform' AND relation = 'administrator' AND subject_id = ";

both_databases! {
    async fn a_deleted_user_is_marked_and_locked_out_and_can_be_brought_back(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        plant.events().await;
        let path = format!("/users/{}", ann.id);
        bob.delete(&path).await.refused(403);
        assert!(ann.delete(&path).await.expect(204).is_null());
        ann.get("/users/profile").await.refused(401);
        let login = json!({"username": "ann", "password": PASSWORD});
        assert_eq!(plant.nobody().post("/users/tokens/issue", login).await.refused(401), "invalid credentials");
        assert_eq!(plant.admin.delete(&path).await.refused(409), "status already assigned");
        assert_eq!(plant.count(&format!("sessions WHERE user_id = '{}'", ann.id)).await, 0);
        let gone = plant.admin.get("/users?status=deleted").await.expect(200);
        assert_eq!((&gone["total"], &gone["users"][0]["status"]), (&json!(1), &json!("deleted")));
        plant.admin.patch(&path, json!({"first_name": "x"})).await.refused(404);
        bob.post(&format!("{path}/enable"), json!({})).await.refused(403);
        plant.admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        plant.nobody().logged_in("ann").await;
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.delete", "user.enable", "user.issue_token"]);
    }

    async fn older_clients_enable_and_disable_with_one_request(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let path = format!("/users/{}/enable", ann.id);
        ann.patch(&path, json!({})).await.refused(400);
        assert_eq!(ann.patch(&path, json!({"enabled": false})).await.expect(200)["status"], "disabled");
        ann.get("/users/profile").await.refused(401);
        assert_eq!(plant.admin.patch(&path, json!({"enabled": true})).await.expect(200)["status"], "enabled");
        assert_eq!(plant.admin.patch(&path, json!({"enabled": true})).await.refused(409), "status already assigned");
    }

    async fn a_promotion_counts_from_the_next_token_and_a_demotion_at_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let path = format!("/users/{}/role", ann.id);
        assert_eq!(ann.patch(&path, json!({"role": "admin"})).await.refused(403), "not authorized to perform admin action");
        for role in ["all", "root"] {
            assert_eq!(plant.admin.patch(&path, json!({"role": role})).await.refused(400), "invalid client role");
        }
        plant.events().await;
        assert_eq!(plant.admin.patch(&path, json!({"role": "admin"})).await.expect(200)["role"], "admin");
        assert_eq!(plant.count(&format!("{IS_ADMIN}'{}'", ann.id)).await, 1);
        let events = plant.events().await;
        assert_eq!((events[0].0.as_str(), &events[0].1["role"]), ("user.update_role", &json!("admin")));

        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let admin = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
        admin.get("/users").await.expect(200);
        plant.admin.patch(&path, json!({"role": ""})).await.expect(200);
        admin.get("/users").await.refused(403);
        admin.get("/users/profile").await.expect(200);
        assert_eq!(plant.count(&format!("{IS_ADMIN}'{}'", ann.id)).await, 0);
        let refresh = plant.nobody().with_token(pair["refresh_token"].as_str().unwrap());
        let next = refresh.post("/users/tokens/refresh", json!({})).await.expect(201);
        let next = plant.nobody().with_token(next["access_token"].as_str().unwrap());
        next.get("/users").await.refused(403);
        next.post(&format!("/users/{}/disable", plant.admin.id), json!({})).await.refused(403);
    }

    async fn the_last_enabled_administrator_stays_whatever_is_tried(db: TestDb) {
        let plant = Plant::new(db).await;
        let kept = "the platform must keep an enabled administrator";
        let path = format!("/users/{}", plant.admin.id);
        assert_eq!(plant.admin.patch(&format!("{path}/role"), json!({"role": "user"})).await.refused(409), kept);
        assert_eq!(plant.admin.delete(&path).await.refused(409), kept);
        assert_eq!(plant.admin.patch(&format!("{path}/enable"), json!({"enabled": false})).await.refused(409), kept);
        // A disabled administrator is none.
        let ann = plant.user("ann").await;
        plant.admin.patch(&format!("/users/{}/role", ann.id), json!({"role": "admin"})).await.expect(200);
        plant.admin.post(&format!("/users/{}/disable", ann.id), json!({})).await.expect(200);
        assert_eq!(plant.admin.delete(&path).await.refused(409), kept);
    }

    async fn of_administrators_who_remove_each_other_at_once_one_remains(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut admins = vec![plant.admin.clone()];
        for n in 0..3 {
            let user = plant.user(&format!("u{n}")).await;
            plant.admin.patch(&format!("/users/{}/role", user.id), json!({"role": "admin"})).await.expect(200);
            admins.push(plant.nobody().logged_in(&format!("u{n}")).await);
        }
        let answers = at_once(admins.len(), |n| {
            let caller = admins[n].clone();
            async move {
                match n % 3 {
                    0 => caller.delete(&format!("/users/{}", caller.id)).await,
                    1 => caller.post(&format!("/users/{}/disable", caller.id), json!({})).await,
                    _ => caller.patch(&format!("/users/{}/role", caller.id), json!({"role": "user"})).await,
                }
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 409).count(), 1);
        assert_eq!(plant.count("users WHERE role = 1 AND status = 0").await, 1);
    }

    async fn administrators_who_come_and_go_at_once_never_wait_for_each_other_in_a_circle(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut ids = Vec::new();
        for n in 0..6 {
            ids.push(plant.user(&format!("u{n}")).await.id);
        }
        for _ in 0..5 {
            let answers = at_once(36, |n| {
                let (caller, path) = (plant.admin.clone(), format!("/users/{}", ids[(n * 5 + n / 6) % 6]));
                async move {
                    match n % 4 {
                        0 => caller.patch(&format!("{path}/role"), json!({"role": "admin"})).await,
                        1 => caller.patch(&format!("{path}/role"), json!({"role": "user"})).await,
                        2 => caller.post(&format!("{path}/disable"), json!({})).await,
                        _ => caller.post(&format!("{path}/enable"), json!({})).await,
                    }
                }
            })
            .await;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
        }
    }

    async fn who_must_verify_its_address_may_do_what_that_takes_and_nothing_else(db: TestDb) {
        let plant = Plant::with_verified_users_only(db).await;
        plant.admin.get("/users").await.expect(200);
        let login = json!({"username": "ann", "password": PASSWORD});
        plant.register("ann").await;
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let ann = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
        let id = ann.get("/users/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
        ann.get("/users/tokens/refresh-tokens").await.expect(200);
        ann.patch(&format!("/users/{id}/email"), json!({"email": "ann2@example.com"})).await.expect(200);
        for path in [format!("/users/{id}"), "/users/search?username=admin".to_owned(), "/domains".to_owned()] {
            assert_eq!(ann.get(&path).await.refused(401), "email not verified", "{path}");
        }
        assert_eq!(ann.post("/domains", json!({"name": "x", "route": "x"})).await.refused(401), "email not verified");

        // An administrator need not be verified, but one that was demoted must.
        plant.admin.patch(&format!("/users/{id}/role"), json!({"role": "admin"})).await.expect(200);
        let refresh = plant.nobody().with_token(pair["refresh_token"].as_str().unwrap());
        let next = refresh.post("/users/tokens/refresh", json!({})).await.expect(201);
        let ann = plant.nobody().with_token(next["access_token"].as_str().unwrap());
        ann.get("/users").await.expect(200);
        plant.admin.patch(&format!("/users/{id}/role"), json!({"role": "user"})).await.expect(200);
        assert_eq!(ann.get("/users").await.refused(401), "email not verified");
    }

    async fn an_administrator_who_is_locked_out_is_let_in_again_and_nobody_else_is(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        plant.sql(&format!("UPDATE users SET status = 1 WHERE id = '{}'", plant.admin.id)).await;
        plant.sql(&format!("UPDATE accounts SET enabled = 0 WHERE user_id = '{}'", plant.admin.id)).await;
        plant.events().await;
        let users = &plant.registry.users;
        for name in ["ann", "nobody"] {
            let refused = users.rescue_admin(name.parse().unwrap()).await.unwrap_err();
            assert!(refused.to_string().contains(name) && refused.to_string().contains("--username"), "{refused}");
        }
        let password = users.rescue_admin("admin".parse().unwrap()).await.unwrap();
        plant.admin.get("/users").await.refused(401);
        let login = json!({"username": "admin", "password": password.expose()});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let admin = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
        assert_eq!(admin.get("/users").await.expect(200)["total"], 2);
        ann.get("/users/profile").await.expect(200);
        let events = plant.events().await;
        assert_eq!(events[0].0, "user.reset_secret");
        assert!(!format!("{events:?}").contains(password.expose()));
    }
}
