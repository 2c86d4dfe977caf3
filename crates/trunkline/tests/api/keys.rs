use std::time::Duration;

use access::identity::{
    Role,
    tokens::{Grant, Purpose},
};
use db::{both_databases, testing::TestDb};
use kernel::Secret;
use serde_json::{Value, json};

use crate::plant::{Caller, PASSWORD, Plant};

/// An API key of the caller's: its id, and whoever comes with it.
async fn key(owner: &Caller, duration: u64) -> (String, Caller) {
    let made = owner.post("/keys", json!({"type": 3, "duration": duration})).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), owner.with_token(made["value"].as_str().unwrap()))
}

both_databases! {
    async fn an_api_key_does_what_its_owner_may_until_it_expires(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let made = ann.post("/keys", json!({"type": 3, "duration": 7200})).await.expect(201);
        let id = made["id"].as_str().unwrap();
        assert_eq!(
            made,
            json!({
                "id": id, "value": made["value"], "issued_at": "2026-01-02T03:04:05Z",
                "expires_at": "2026-01-02T05:04:05Z",
            })
        );
        let viewed = ann.get(&format!("/keys/{id}")).await.expect(200);
        assert_eq!(
            viewed,
            json!({
                "id": id, "issuer_id": ann.id, "subject": ann.id, "type": 3, "issued_at": "2026-01-02T03:04:05Z",
                "expires_at": "2026-01-02T05:04:05Z",
            })
        );
        let holder = ann.with_token(made["value"].as_str().unwrap());
        holder.domain("home").await;
        plant.clock.advance(Duration::from_secs(7199));
        holder.get("/domains").await.expect(200);
        plant.clock.advance(Duration::from_secs(1));
        holder.get("/domains").await.refused(401);
    }

    async fn a_key_without_an_end_works_until_it_is_revoked(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (id, holder) = key(&ann, 0).await;
        assert!(ann.get(&format!("/keys/{id}")).await.expect(200).get("expires_at").is_none());
        plant.clock.advance(Duration::from_secs(10 * 365 * 86_400));
        holder.get("/domains").await.expect(200);
        let ann = plant.nobody().logged_in("ann").await;
        plant.events().await;
        ann.delete(&format!("/keys/{id}")).await.expect(204);
        holder.get("/domains").await.refused(401);
        let announced = plant.events().await;
        assert_eq!(
            announced,
            [("key.revoke".to_owned(), json!({"id": id, "user_id": ann.id, "token_type": "access token"}))]
        );
        ann.get(&format!("/keys/{id}")).await.refused(404);
        ann.delete(&format!("/keys/{id}")).await.refused(404);
    }

    async fn nobody_sees_or_revokes_anothers_key(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (id, holder) = key(&ann, 0).await;
        for thief in [plant.user("eve").await, plant.admin.clone()] {
            thief.get(&format!("/keys/{id}")).await.refused(404);
            thief.delete(&format!("/keys/{id}")).await.refused(404);
        }
        holder.get("/domains").await.expect(200);
    }

    async fn an_administrators_key_is_an_administrators_while_the_owner_is_one(db: TestDb) {
        let plant = Plant::new(db).await;
        let (_, holder) = key(&plant.admin, 0).await;
        holder.get("/users").await.expect(200);
        let (_, ordinary) = key(&plant.user("ann").await, 0).await;
        ordinary.get("/users").await.refused(403);
    }

    async fn a_key_cannot_take_the_account_that_it_acts_for(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let (_, of_ann) = key(&ann, 0).await;
        let (_, of_admin) = key(&plant.admin, 0).await;
        let no = "an API key cannot do this, log in and use the access token";
        of_ann.get("/users/profile").await.expect(200);
        let secret = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        assert_eq!(of_ann.patch("/users/secret", secret).await.refused(403), no);
        for (holder, user) in [(&of_ann, &ann), (&of_admin, &bob)] {
            let path = format!("/users/{}", user.id);
            for (part, body) in [("email", json!({"email": "x@example.com"})), ("username", json!({"username": "x"}))] {
                assert_eq!(holder.patch(&format!("{path}/{part}"), body).await.refused(403), no, "{part}");
            }
            assert_eq!(holder.post(&format!("{path}/disable"), json!({})).await.refused(403), no);
            assert_eq!(holder.post(&format!("{path}/enable"), json!({})).await.refused(403), no);
            assert_eq!(holder.delete(&path).await.refused(403), no);
        }
        let path = format!("/users/{}/role", bob.id);
        assert_eq!(of_admin.patch(&path, json!({"role": "admin"})).await.refused(403), no);
        let admin = json!({
            "first_name": "x", "last_name": "x", "email": "x@example.com", "role": "admin",
            "credentials": {"username": "x", "secret": PASSWORD},
        });
        assert_eq!(of_admin.post("/users", admin).await.refused(403), no);
        ann.get("/users/profile").await.expect(200);
    }

    async fn a_key_does_what_its_owner_may_now_and_not_when_it_was_made(db: TestDb) {
        let plant = Plant::with_verified_users_only(db).await;
        plant.register("ann").await;
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let early = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
        let id = early.get("/users/profile").await.expect(200)["id"].as_str().unwrap().to_owned();
        plant.admin.patch(&format!("/users/{id}/role"), json!({"role": "admin"})).await.expect(200);
        let ann = plant.nobody().logged_in("ann").await;
        let (_, holder) = key(&ann, 0).await;
        holder.get("/users").await.expect(200);
        plant.admin.patch(&format!("/users/{id}/role"), json!({"role": "user"})).await.expect(200);
        assert_eq!(holder.get("/domains").await.refused(401), "email not verified");
        let user: kernel::UserId = id.parse().unwrap();
        let access = plant.access().clone();
        plant.write(move |tx| Box::pin(async move { access.accounts().set_verified(tx, user, true).await })).await;
        holder.get("/domains").await.expect(200);
        holder.get("/users").await.refused(403);
        plant.admin.patch(&format!("/users/{id}/role"), json!({"role": "admin"})).await.expect(200);
        holder.get("/users").await.expect(200);
    }

    async fn what_acts_for_a_user_makes_no_more_of_its_kind(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (id, holder) = key(&ann, 0).await;
        let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        for caller in [&holder, &ann.with_token(pat["secret"].as_str().unwrap())] {
            for body in [json!({"type": 3}), json!({})] {
                caller.post("/keys", body).await.refused(401);
            }
            caller.get(&format!("/keys/{id}")).await.refused(401);
            caller.delete(&format!("/keys/{id}")).await.refused(401);
        }
        holder.post("/pats", json!({"name": "x", "duration": "1d"})).await.refused(401);
        for bad in [1, 4, 5, 6] {
            let refused = ann.post("/keys", json!({"type": bad})).await.refused(400);
            assert_eq!(refused, "invalid api key type, give 3 (API key) or 0 (further access token)");
        }
        ann.post("/keys", json!({"type": 3, "duration": u64::MAX})).await.refused(400);
    }

    async fn a_key_rests_with_its_owner_and_ends_with_the_password(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (_, holder) = key(&ann, 0).await;
        plant.admin.post(&format!("/users/{}/disable", ann.id), json!({})).await.expect(200);
        holder.get("/domains").await.refused(401);
        plant.admin.post(&format!("/users/{}/enable", ann.id), json!({})).await.expect(200);
        holder.get("/domains").await.expect(200);
        let ann = plant.nobody().logged_in("ann").await;
        let change = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        ann.patch("/users/secret", change).await.expect(200);
        holder.get("/domains").await.refused(401);
    }

    async fn a_further_access_token_ends_with_the_one_it_was_made_with(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        plant.clock.advance(Duration::from_secs(1800));
        let made = ann.post("/keys", json!({})).await.expect(201);
        assert_eq!(made["expires_at"], "2026-01-02T04:04:05Z");
        assert!(made.get("id").is_none());
        let holder = ann.with_token(made["value"].as_str().unwrap());
        holder.get("/users/profile").await.expect(200);
        plant.clock.advance(Duration::from_secs(1800));
        holder.get("/users/profile").await.refused(401);
    }

    async fn a_stolen_access_token_sets_no_password_without_the_old_one(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let refused = ann.post("/keys", json!({"type": 2})).await.refused(400);
        assert_eq!(
            refused,
            "invalid api key type, recovery tokens come by mail: ask for one with `POST /password/reset-request`"
        );
        let (_, key) = key(&ann, 0).await;
        let body = json!({"password": "another horse", "confirm_password": "another horse"});
        let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        // Neither does a recovery token that was not mailed to the address of the account.
        let (access, elsewhere) = (plant.access(), "jti");
        let grant = Grant { user: ann.id.parse().unwrap(), role: Role::User, verified: true, generation: 0, id: None };
        let recovery = |grant| {
            let now = access.clock().now();
            access.tokens().issue(Purpose::Recovery, grant, now, Duration::from_secs(60)).unwrap()
        };
        let unbound = recovery(grant);
        let misbound = recovery(Grant { id: Some(elsewhere), ..grant });
        let pat = pat["secret"].as_str().unwrap();
        for other in
            [&ann, &key, &ann.with_token(pat), &ann.with_token(unbound.expose()), &ann.with_token(misbound.expose())]
        {
            other.put("/password/reset", body.clone()).await.refused(401);
        }
        let change = json!({"old_secret": "a guess", "new_secret": "another horse"});
        ann.patch("/users/secret", change).await.refused(401);
        plant.nobody().logged_in("ann").await;
    }

    async fn each_token_is_good_for_its_one_purpose_only(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let access = plant.access();
        let now = access.clock().now();
        let grant = Grant { user: ann.id.parse().unwrap(), role: Role::User, verified: true, generation: 0, id: None };
        let life = Duration::from_secs(60);
        let issue = |purpose| access.tokens().issue(purpose, grant, now, life).unwrap();
        let (_, key) = key(&ann, 0).await;
        let pat = ann.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        let text = |value: &Value| Secret::new(value.as_str().unwrap().to_owned());
        let tokens = [
            (issue(Purpose::Access), vec![Purpose::Access]),
            (issue(Purpose::Refresh), vec![Purpose::Refresh]),
            (issue(Purpose::Recovery), vec![Purpose::Recovery]),
            (Secret::new(key.token.clone().unwrap()), vec![Purpose::Access, Purpose::ApiKey]),
            (issue(Purpose::Invitation), vec![Purpose::Invitation]),
            (text(&pat["secret"]), vec![Purpose::Access]),
        ];
        let purposes =
            [Purpose::Access, Purpose::Refresh, Purpose::Recovery, Purpose::ApiKey, Purpose::Invitation];
        for (n, (token, good_for)) in tokens.iter().enumerate() {
            for purpose in purposes {
                let verified = access.verify(token, purpose, now).await;
                assert_eq!(verified.is_ok(), good_for.contains(&purpose), "token {n} as {purpose:?}");
            }
            let call = ann.with_token(token.expose()).get("/domains").await.status;
            let expected = if n == 5 { 403 } else if good_for.contains(&Purpose::Access) { 200 } else { 401 };
            assert_eq!(call.as_u16(), expected, "token {n}");
        }
        let kid = access.tokens().signs_with().unwrap();
        // A key that was never stored is none, whoever has signed it.
        let unstored = access.tokens().issue_api_key(Grant { id: Some(&ann.id), ..grant }, kid.as_deref(), now, None).unwrap();
        assert!(access.verify(&unstored, Purpose::Access, now).await.is_err());
    }
}
