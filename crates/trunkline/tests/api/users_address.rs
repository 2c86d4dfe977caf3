//! A stolen access token does not lead to an account by way of another e-mail address.

use std::time::Duration;

use access::{RequestInfo, identity::Role};
use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::{
    mailbox::Mailbox,
    plant::{Answer, Caller, LATER, PASSWORD, Plant, at_once},
    users_mail::{ask_for_reset, deliver_all, plant_with_mail, reset},
};

const OLD: &str = "ann@example.com";
const NEW: &str = "new@example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn enters(caller: &Caller, id: &str, email: &str) -> Answer {
    caller.patch(&format!("/users/{id}/email"), json!({ "email": email })).await
}

/// By the link of the mail that goes to the new address.
async fn verifies(plant: &Plant, mailbox: &Mailbox, caller: &Caller, address: &str) {
    caller.post("/users/send-verification", json!({})).await.expect(200);
    deliver_all(plant).await;
    let token = mailbox.mail_to(address).token();
    plant.nobody().get(&format!("/verify-email?token={token}")).await.expect(200);
}

/// The token of the mail that is sent when a new password is asked for; none where none is sent.
async fn reset_mail(plant: &Plant, mailbox: &Mailbox, address: &str) -> Option<String> {
    mailbox.mails();
    ask_for_reset(plant, address).await;
    deliver_all(plant).await;
    let mut mails = mailbox.mails();
    mails.retain(|mail| mail.text.contains("Subject: Password Reset Request"));
    assert!(mails.iter().all(|mail| mail.to == address), "{mails:?}");
    mails.first().map(crate::mailbox::Mail::token)
}

both_databases! {
    async fn with_a_stolen_token_and_an_address_of_ones_own_one_gets_no_password(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let thief = plant.user("ann").await;
        plant.events().await;
        enters(&thief, &thief.id, NEW).await.expect(200);
        deliver_all(&plant).await;
        let notice = mailbox.mail_to(OLD);
        for part in ["Subject: Your e-mail address was changed", "Hello ann", "within seven days"] {
            assert!(notice.text.contains(part), "{part} in {}", notice.text);
        }
        assert!(!notice.text.contains("token=") && !notice.text.contains(NEW), "{}", notice.text);
        assert_eq!(reset_mail(&plant, &mailbox, NEW).await, None, "not verified");
        verifies(&plant, &mailbox, &thief, NEW).await;
        plant.clock.advance(LATER);
        assert_eq!(reset_mail(&plant, &mailbox, NEW).await, None, "verified by whoever has entered it");
        let users = &plant.registry.users;
        let request =
            RequestInfo { id: "test".into(), at: plant.clock.now(), peer: std::net::Ipv4Addr::LOCALHOST.into() };
        let by_grpc = users.issue_recovery(&request, thief.id.parse().unwrap(), Role::User).await;
        assert!(by_grpc.unwrap_err().to_string().contains("changed lately"));

        let token = reset_mail(&plant, &mailbox, OLD).await.unwrap();
        reset(&plant.nobody().with_token(&token), "another horse").await.expect(201);
        thief.get("/users/profile").await.refused(401);
        let login = json!({"username": OLD, "password": "another horse"});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        let ann = plant.nobody().with_token(pair["access_token"].as_str().unwrap());
        let profile = ann.get("/users/profile").await.expect(200);
        assert_eq!(profile["email"], OLD);
        assert_ne!(profile["verified_at"], "0001-01-01T00:00:00Z", "the mail was read there");
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        let end = ["user.send_password_reset", "user.update_email", "user.reset_secret", "user.issue_token"];
        assert_eq!(operations[operations.len() - 4..], end);
        assert_eq!(plant.count(&format!("accounts WHERE user_id = '{}' AND verified = 1", thief.id)).await, 1);
        // The thief's address is free again.
        plant.admin.post("/users", json!({
            "first_name": "Eve", "last_name": "Example", "email": NEW, "credentials": {"username": "eve", "secret": PASSWORD},
        })).await.expect(201);
    }

    async fn a_verified_address_takes_over_after_seven_days(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        enters(&ann, &ann.id, NEW).await.expect(200);
        deliver_all(&plant).await;
        mailbox.mails();
        verifies(&plant, &mailbox, &ann, NEW).await;
        plant.clock.advance(DAY * 7 - Duration::from_secs(1));
        assert_eq!(reset_mail(&plant, &mailbox, NEW).await, None);
        assert!(reset_mail(&plant, &mailbox, OLD).await.is_some());
        plant.clock.advance(LATER);
        assert_eq!(reset_mail(&plant, &mailbox, OLD).await, None);
        let token = reset_mail(&plant, &mailbox, NEW).await.unwrap();
        reset(&plant.nobody().with_token(&token), "another horse").await.expect(201);
        assert_eq!(plant.count("users WHERE email = 'new@example.com' AND recovery_due IS NULL").await, 1);
    }

    async fn an_address_that_is_never_verified_never_takes_over(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        enters(&ann, &ann.id, NEW).await.expect(200);
        plant.clock.advance(DAY * 30);
        deliver_all(&plant).await;
        assert_eq!(reset_mail(&plant, &mailbox, NEW).await, None);
        assert!(reset_mail(&plant, &mailbox, OLD).await.is_some());
        // Verified late, it is due at once.
        let ann = plant.nobody().logged_in("ann").await;
        verifies(&plant, &mailbox, &ann, NEW).await;
        plant.clock.advance(LATER);
        assert!(reset_mail(&plant, &mailbox, NEW).await.is_some());
    }

    async fn with_the_password_a_verified_address_counts_at_once(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        let path = format!("/users/{}/email", ann.id);
        let wrong = json!({"email": NEW, "secret": "a wrong horse"});
        assert_eq!(ann.patch(&path, wrong.clone()).await.refused(401), "invalid credentials");
        ann.patch(&path, json!({"email": NEW, "secret": PASSWORD})).await.expect(200);
        assert_eq!(reset_mail(&plant, &mailbox, NEW).await, None, "not verified");
        verifies(&plant, &mailbox, &ann, NEW).await;
        plant.clock.advance(LATER);
        assert!(reset_mail(&plant, &mailbox, NEW).await.is_some());
        assert_eq!(reset_mail(&plant, &mailbox, OLD).await, None);
        for _ in 0..10 {
            ann.patch(&path, wrong.clone()).await.refused(401);
        }
        ann.patch(&path, json!({"email": OLD, "secret": PASSWORD})).await.refused(429);
    }

    async fn an_administrators_word_counts_at_once_and_the_old_address_is_told(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        enters(&plant.admin, &ann.id, NEW).await.expect(200);
        deliver_all(&plant).await;
        mailbox.mail_to(OLD);
        assert_eq!(reset_mail(&plant, &mailbox, OLD).await, None);
        assert!(reset_mail(&plant, &mailbox, NEW).await.is_some());
        // Even an administrator is a user, where its own address is concerned.
        enters(&plant.admin, &plant.admin.id, "thief@example.com").await.expect(200);
        deliver_all(&plant).await;
        verifies(&plant, &mailbox, &plant.admin, "thief@example.com").await;
        assert_eq!(reset_mail(&plant, &mailbox, "thief@example.com").await, None);
    }

    async fn an_address_that_may_become_its_users_again_is_nobody_elses(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        enters(&ann, &ann.id, NEW).await.expect(200);
        assert_eq!(enters(&bob, &bob.id, "ANN@example.com").await.refused(409), "email id already registered");
        let body = json!({
            "first_name": "Eve", "last_name": "Example", "email": OLD,
            "credentials": {"username": "eve", "secret": PASSWORD},
        });
        assert_eq!(plant.admin.post("/users", body.clone()).await.refused(409), "email id already registered");
        // She herself takes it again, and nothing is left to wait for.
        enters(&ann, &ann.id, OLD).await.expect(200);
        assert_eq!(plant.count("users WHERE recovery_due IS NOT NULL").await, 0);
        enters(&plant.admin, &ann.id, NEW).await.expect(200);
        deliver_all(&plant).await;
        mailbox.mails();
        plant.admin.post("/users", body).await.expect(201);
    }

    async fn of_one_who_leaves_an_address_and_many_who_want_it_none_gets_it(db: TestDb) {
        let (plant, _mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        let mut callers = vec![(ann.clone(), NEW)];
        for n in 0..4 {
            callers.push((plant.user(&format!("u{n}")).await, OLD));
        }
        let answers = at_once(callers.len(), |n| {
            let (caller, email) = callers[n].clone();
            async move { enters(&caller, &caller.id, email).await }
        })
        .await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses, [200, 409, 409, 409, 409]);
    }
}
