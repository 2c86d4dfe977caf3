use std::time::Duration;

use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::{LATER, PASSWORD, Plant, at_once};

fn registration(name: &str) -> serde_json::Value {
    json!({
        "first_name": "Ann", "last_name": "Example", "email": format!("{name}@example.com"),
        "credentials": {"username": name, "secret": PASSWORD}, "role": "admin", "status": "disabled",
    })
}

both_databases! {
    async fn only_administrators_register_users_unless_anyone_may(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.nobody().post("/users", registration("eve")).await.refused(401);
        let ann = plant.user("ann").await;
        ann.post("/users", registration("eve")).await.refused(403);
        ann.with_token("x.y.z").post("/users", registration("eve")).await.refused(401);

        let answer = plant.admin.post("/users", registration("eve")).await;
        assert!(answer.header("location").starts_with("/users/"));
        let eve = answer.expect(201);
        assert_eq!((&eve["role"], &eve["status"]), (&json!("admin"), &json!("disabled")));
        assert!(!eve.to_string().contains("argon2"));
    }

    async fn whoever_registers_itself_cannot_choose_its_rights(db: TestDb) {
        let plant = Plant::with_rules(db, true).await;
        let eve = plant.nobody().post("/users", registration("eve")).await.expect(201);
        assert_eq!((&eve["role"], &eve["status"]), (&json!("user"), &json!("enabled")));
        let eve = plant.nobody().logged_in("eve").await;
        eve.get("/users").await.refused(403);
    }

    async fn a_user_name_and_an_address_are_taken_once(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let mut again = registration("ann");
        again["email"] = json!("other@example.com");
        assert_eq!(plant.admin.post("/users", again.clone()).await.refused(409), "username not available");
        again["credentials"]["username"] = json!("ann2");
        again["email"] = json!("ANN@example.com");
        assert_eq!(plant.admin.post("/users", again).await.refused(409), "email id already registered");
    }

    async fn the_checks_of_a_registration_come_in_the_order_of_the_contract(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut body = json!({});
        for (field, value, message) in [
            ("first_name", json!("Ann"), "missing first name"),
            ("last_name", json!("Example"), "missing last name"),
            ("credentials", json!({"username": "a b"}), "missing username"),
            ("credentials", json!({"username": "ann"}), "invalid username"),
            ("email", json!("nowhere"), "missing email"),
            ("email", json!("ann@example.com"), "invalid email"),
            ("credentials", json!({"username": "ann", "secret": "short"}), "missing password"),
            ("credentials", json!({"username": "ann", "secret": PASSWORD}), "password does not meet the requirements"),
        ] {
            assert_eq!(plant.admin.post("/users", body.clone()).await.refused(400), message);
            body[field] = value;
        }
        plant.admin.post("/users", body).await.expect(201);
    }

    async fn a_login_does_not_tell_whether_the_account_exists(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let nobody = plant.nobody();
        let login = async |name: &str, password: &str| {
            nobody.post("/users/tokens/issue", json!({"username": name, "password": password})).await
        };
        login("ANN@example.com", PASSWORD).await.expect(201);
        let wrong = login("ann", "wrong password").await.refused(401);
        assert_eq!(wrong, "invalid credentials");
        assert_eq!(login("nobody", "wrong password").await.refused(401), wrong);
        assert_eq!(login("", "x").await.refused(400), "missing username / email");
        assert_eq!(login("ann", "").await.refused(400), "missing password");
        nobody.post("/users/tokens/issue", json!({"identity": "ann", "secret": PASSWORD})).await.expect(201);

        plant.admin.post(&format!("/users/{}/disable", ann.id), json!({})).await.expect(200);
        assert_eq!(login("ann", PASSWORD).await.refused(401), wrong);
    }

    async fn too_many_failed_logins_of_an_account_are_held_up_for_a_minute(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let nobody = plant.nobody();
        let login = async |name: &str, password: &str| {
            nobody.post("/users/tokens/issue", json!({"username": name, "password": password})).await
        };
        for _ in 0..10 {
            login("ann", "wrong password").await.refused(401);
        }
        let answer = login("ann", PASSWORD).await;
        assert!(!answer.header("retry-after").is_empty());
        assert!(answer.refused(429).contains("try again in 60 seconds"));
        login("admin", PASSWORD).await.expect(201);
        plant.clock.advance(LATER);
        login("ann", PASSWORD).await.expect(201);
    }

    async fn the_failed_logins_of_a_user_count_together_however_it_is_called(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let login = async |name: &str, password: &str| {
            let body = json!({"username": name, "password": password});
            plant.nobody().post("/users/tokens/issue", body).await
        };
        for name in ["ann", "ann@example.com", "ANN@example.com", "Ann", "ann@EXAMPLE.com"] {
            login(name, "wrong password").await.refused(401);
            login(name, "wrong password").await.refused(401);
            // Nobody is called like this, so it is no failure of hers.
            login("anna", "wrong password").await.refused(401);
        }
        login("ann", PASSWORD).await.refused(429);
        login("ann@example.com", PASSWORD).await.refused(429);
    }

    async fn right_logins_at_once_get_in(db: TestDb) {
        let plant = Plant::new(db).await;
        let caller = plant.nobody();
        let answers = at_once(25, |_| {
            let caller = caller.clone();
            let login = json!({"username": "admin", "password": PASSWORD});
            async move { caller.post("/users/tokens/issue", login).await }
        })
        .await;
        for answer in answers {
            answer.expect(201);
        }
    }

    async fn a_stranger_registers_a_few_users_a_minute_and_administrators_any_number(db: TestDb) {
        let plant = Plant::with_rules(db, true).await;
        for n in 0..10 {
            plant.nobody().post("/users", registration(&format!("eve{n}"))).await.expect(201);
        }
        plant.nobody().post("/users", registration("eve")).await.refused(429);
        plant.nobody().logged_in("eve0").await.post("/users", registration("eve")).await.refused(429);
        plant.admin.post("/users", registration("ann")).await.expect(201);
        plant.clock.advance(LATER);
        plant.nobody().post("/users", registration("eve")).await.expect(201);
    }

    async fn a_user_of_a_provider_has_no_password_here(db: TestDb) {
        let plant = Plant::new(db).await;
        let mut user = registration("ann");
        user["auth_provider"] = json!("google");
        user["status"] = json!("enabled");
        plant.admin.post("/users", user).await.expect(201);
        assert_eq!(plant.count("users WHERE auth_provider = 'google' AND password_hash IS NULL").await, 1);
        let login = json!({"username": "ann", "password": PASSWORD});
        assert_eq!(plant.nobody().post("/users/tokens/issue", login).await.refused(401), "invalid credentials");
    }

    async fn a_session_that_is_not_there_has_ended(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;
        ann.post("/users/tokens/revoke", json!({"token_id": "nothing"})).await.expect(204);
        assert!(plant.events().await.is_empty());
    }

    async fn an_administrator_is_made_only_where_there_is_none(db: TestDb) {
        let plant = Plant::new(db).await;
        let first = || users::FirstAdmin {
            username: "admin".parse().unwrap(),
            email: "admin@example.com".parse().unwrap(),
            first_name: "super".parse().unwrap(),
            last_name: "admin".parse().unwrap(),
            password: None,
        };
        let users = &plant.registry.users;
        plant.sql("UPDATE users SET username = 'boss', username_key = 'boss', email = 'b@example.com', email_key = 'b@example.com',
                             recovery_email = 'b@example.com', recovery_key = 'b@example.com'",
        ).await;
        assert!(users.ensure_admin(first()).await.unwrap().is_none());
        assert_eq!(plant.count("users").await, 1, "whatever it is called now");
        plant.sql("UPDATE users SET role = 0").await;
        assert!(users.ensure_admin(first()).await.unwrap().is_some());
        assert_eq!(plant.count("users WHERE role = 1 AND username = 'admin'").await, 1);
        plant.sql("UPDATE users SET role = 0").await;
        assert!(users.ensure_admin(first()).await.unwrap().is_none(), "the name is another's");
        assert_eq!(plant.count("users").await, 2);
    }

    async fn each_token_is_good_for_its_one_purpose_until_it_expires(db: TestDb) {
        let plant = Plant::new(db).await;
        let pair = plant
            .nobody()
            .post("/users/tokens/issue", json!({"username": "admin", "password": PASSWORD, "description": "laptop"}))
            .await
            .expect(201);
        let (access, refresh) = (pair["access_token"].as_str().unwrap(), pair["refresh_token"].as_str().unwrap());
        let nobody = plant.nobody();
        nobody.with_token(refresh).get("/users/profile").await.refused(401);
        nobody.with_token(access).post("/users/tokens/refresh", json!({})).await.refused(401);
        let mut forged = access.to_owned();
        forged.replace_range(access.len() - 4.., "AAAA");
        nobody.with_token(&forged).get("/users/profile").await.refused(401);

        plant.clock.advance(Duration::from_secs(3601));
        nobody.with_token(access).get("/users/profile").await.refused(401);
        let next = nobody.with_token(refresh).post("/users/tokens/refresh", json!({})).await.expect(201);
        nobody.with_token(next["access_token"].as_str().unwrap()).get("/users/profile").await.expect(200);

        let listed = nobody.with_token(next["access_token"].as_str().unwrap()).get("/users/tokens/refresh-tokens").await;
        assert!(listed.expect(200)["refresh_tokens"].as_array().unwrap().iter().any(|s| s["description"] == "laptop"));
        plant.clock.advance(Duration::from_secs(24 * 3600));
        let last = next["refresh_token"].as_str().unwrap();
        nobody.with_token(last).post("/users/tokens/refresh", json!({})).await.refused(401);
    }

    async fn a_refresh_token_that_was_exchanged_may_be_repeated_at_once_and_ends_the_session_later(db: TestDb) {
        let plant = Plant::new(db).await;
        let nobody = plant.nobody();
        let login = json!({"username": "admin", "password": PASSWORD});
        let first = nobody.post("/users/tokens/issue", login).await.expect(201);
        let first = nobody.with_token(first["refresh_token"].as_str().unwrap());
        let second = first.post("/users/tokens/refresh", json!({})).await.expect(201);
        first.post("/users/tokens/refresh", json!({})).await.expect(201);
        plant.clock.advance(Duration::from_secs(31));
        assert_eq!(first.post("/users/tokens/refresh", json!({})).await.refused(401), "token is revoked");
        let second = nobody.with_token(second["refresh_token"].as_str().unwrap());
        second.post("/users/tokens/refresh", json!({})).await.refused(401);
    }

    async fn disabling_a_user_or_changing_the_password_ends_all_sessions(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let change = json!({"old_secret": "not it", "new_secret": "another horse"});
        assert_eq!(ann.patch("/users/secret", change).await.refused(401), "invalid credentials");
        let change = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        ann.patch("/users/secret", change).await.expect(200);
        ann.get("/users/profile").await.refused(401);
        assert_eq!(plant.count(&format!("sessions WHERE user_id = '{}'", ann.id)).await, 0);

        let bob = plant.user("bob").await;
        plant.events().await;
        plant.admin.post(&format!("/users/{}/disable", bob.id), json!({})).await.expect(200);
        bob.get("/users/profile").await.refused(401);
        assert_eq!(
            plant.admin.post(&format!("/users/{}/disable", bob.id), json!({})).await.refused(409),
            "status already assigned"
        );
        plant.admin.post(&format!("/users/{}/enable", bob.id), json!({})).await.expect(200);
        bob.get("/users/profile").await.refused(401);
        plant.nobody().logged_in("bob").await;
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.disable", "user.enable", "user.issue_token"]);
    }

    async fn others_see_the_name_of_a_user_and_nothing_else(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let path = format!("/users/{}", ann.id);
        assert_eq!(ann.get(&path).await.expect(200)["email"], "ann@example.com");
        assert_eq!(plant.admin.get(&path).await.expect(200)["email"], "ann@example.com");
        let seen = bob.get(&path).await.expect(200);
        assert_eq!(seen["credentials"]["username"], "ann");
        for hidden in ["email", "status", "role", "tags", "private_metadata"] {
            assert_eq!(seen[hidden], json!(null), "{hidden}");
        }
        assert_eq!(seen["created_at"], "0001-01-01T00:00:00Z");
        bob.get("/users/00000000-0000-4000-8000-000000000000").await.refused(404);
        assert_eq!(bob.get("/users/xyz").await.refused(400), "invalid id format provided");
    }

    async fn no_secret_reaches_an_event_or_a_list(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let id = plant.admin.domain("one").await;
        let body = json!({"name": "x", "credentials": {"secret": "tell-nobody"}});
        plant.admin.post(&format!("/{id}/clients"), body).await.expect(201);
        let told = format!("{:?}", plant.events().await);
        for secret in [PASSWORD, "argon2", "tell-nobody", "eyJ"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
        for list in ["/users", &format!("/{id}/clients")] {
            let shown = plant.admin.get(list).await.expect(200).to_string();
            assert!(!shown.contains("tell-nobody") && !shown.contains("argon2"), "{shown}");
        }
    }

    async fn a_stolen_refresh_token_ends_the_session_however_often_the_thief_used_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let nobody = plant.nobody();
        let login = json!({"username": "admin", "password": PASSWORD});
        let stolen = nobody.post("/users/tokens/issue", login).await.expect(201);
        let stolen = stolen["refresh_token"].as_str().unwrap().to_owned();
        let mut thief = stolen.clone();
        for _ in 0..3 {
            let next = nobody.with_token(&thief).post("/users/tokens/refresh", json!({})).await.expect(201);
            thief = next["refresh_token"].as_str().unwrap().to_owned();
        }
        nobody.with_token(&stolen).post("/users/tokens/refresh", json!({})).await.refused(401);
        nobody.with_token(&thief).post("/users/tokens/refresh", json!({})).await.refused(401);
    }

    async fn a_refresh_that_is_sent_many_times_at_once_gives_working_tokens_each_time(db: TestDb) {
        let plant = Plant::new(db).await;
        let nobody = plant.nobody();
        let login = json!({"username": "admin", "password": PASSWORD});
        let pair = nobody.post("/users/tokens/issue", login).await.expect(201);
        let caller = nobody.with_token(pair["refresh_token"].as_str().unwrap());
        let answers = at_once(8, |_| {
            let caller = caller.clone();
            async move { caller.post("/users/tokens/refresh", json!({})).await }
        })
        .await;
        for answer in answers {
            let pair = answer.expect(201);
            let next = nobody.with_token(pair["refresh_token"].as_str().unwrap());
            next.post("/users/tokens/refresh", json!({})).await.expect(201);
        }
    }

    async fn the_limit_of_failed_logins_holds_against_many_at_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let caller = plant.nobody();
        let answers = at_once(30, |_| {
            let caller = caller.clone();
            let login = json!({"username": "admin", "password": "wrong password"});
            async move { caller.post("/users/tokens/issue", login).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 10);
        assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 20);
    }

    async fn right_logins_at_once_get_in_by_the_one_place_that_is_left(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let login = |password: &str| {
            let (nobody, body) = (plant.nobody(), json!({"username": "ann", "password": password}));
            async move { nobody.post("/users/tokens/issue", body).await }
        };
        for _ in 0..9 {
            login("wrong password").await.refused(401);
        }
        for answer in at_once(12, |_| login(PASSWORD)).await {
            answer.expect(201);
        }
    }

    async fn a_login_that_nobody_could_decide_is_no_failed_one(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.user("ann").await;
        let login = |_| {
            let (nobody, body) = (plant.nobody(), json!({"username": "ann", "password": PASSWORD}));
            async move { nobody.post("/users/tokens/issue", body).await }
        };
        plant.sql("UPDATE users SET first_name = password_hash WHERE username = 'ann'").await;
        plant.sql("UPDATE users SET password_hash = 'not readable' WHERE username = 'ann'").await;
        for answer in at_once(25, login).await {
            answer.refused(500);
        }
        plant.sql("UPDATE users SET password_hash = first_name WHERE username = 'ann'").await;
        login(0).await.expect(201);
    }

    async fn no_login_with_the_old_password_survives_its_change(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let nobody = plant.nobody();
        let logins = tokio::spawn(at_once(12, move |_| {
            let nobody = nobody.clone();
            let login = json!({"username": "ann", "password": PASSWORD});
            async move { nobody.post("/users/tokens/issue", login).await }
        }));
        let change = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        ann.patch("/users/secret", change).await.expect(200);
        for answer in logins.await.unwrap() {
            if answer.status == 201 {
                let pair = answer.expect(201);
                let caller = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
                caller.get("/users/profile").await.refused(401);
            }
        }
    }

    async fn the_platform_keeps_an_administrator(db: TestDb) {
        let plant = Plant::new(db).await;
        let path = format!("/users/{}/disable", plant.admin.id);
        let message = plant.admin.post(&path, json!({})).await.refused(409);
        assert_eq!(message, "the platform must keep an enabled administrator");
        let mut second = registration("second");
        second["status"] = json!("enabled");
        plant.admin.post("/users", second).await.expect(201);
        plant.admin.post(&path, json!({})).await.expect(200);
    }

    async fn a_user_has_a_hundred_sessions_at_the_most(db: TestDb) {
        let plant = Plant::new(db).await;
        for n in 0..105 {
            let login = json!({"username": "admin", "password": PASSWORD, "description": n.to_string()});
            plant.nobody().post("/users/tokens/issue", login).await.expect(201);
            plant.clock.advance(Duration::from_secs(1));
        }
        let sessions = plant.admin.get("/users/tokens/refresh-tokens").await.expect(200);
        let sessions = sessions["refresh_tokens"].as_array().unwrap();
        assert_eq!(sessions.len(), 100);
        assert_eq!(sessions[99]["description"], "104");
    }
}
