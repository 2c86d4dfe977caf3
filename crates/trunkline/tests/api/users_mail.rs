use std::time::Duration;

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::json;
use users::mail::Delivered;

use crate::{
    mailbox::Mailbox,
    plant::{Caller, PASSWORD, Plant, at_once},
};

const NEW: &str = "another horse";

pub(crate) async fn plant_with_mail(db: TestDb) -> (Plant, Mailbox) {
    let mailbox = Mailbox::open().await;
    let post = mailbox.post();
    let plant = Plant::with_settings(db, access::Settings::default(), |rules| rules.mail = Some(post)).await;
    (plant, mailbox)
}

pub(crate) async fn ask_for_reset(plant: &Plant, email: &str) {
    let answer = plant.nobody().post("/password/reset-request", json!({"email": email, "host": "x"})).await;
    assert_eq!(answer.expect(201), json!({"msg": "Email with reset link is sent"}));
}

pub(crate) async fn reset(caller: &Caller, password: &str) -> crate::plant::Answer {
    let body = json!({"token": "ignored", "password": password, "confirm_password": password});
    caller.send(Method::PUT, "/password/reset", Some(body)).await
}

/// Sends whatever is due.
pub(crate) async fn deliver_all(plant: &Plant) {
    while plant.registry.users.deliver().await.unwrap() != Delivered::Nothing {}
}

async fn log_in(plant: &Plant, password: &str) -> u16 {
    let login = json!({"username": "ann", "password": password});
    plant.nobody().post("/users/tokens/issue", login).await.status.as_u16()
}

both_databases! {
    async fn the_link_of_a_reset_mail_sets_a_new_password_once_and_ends_all_sessions(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;
        ask_for_reset(&plant, "ANN@example.com").await;
        assert_eq!(plant.registry.users.deliver().await.unwrap(), Delivered::Sent);
        let mail = mailbox.mails().pop().unwrap();
        assert_eq!(mail.to, "ann@example.com");
        for part in ["Subject: Password Reset Request", "The Platform", "<platform@example.com>", "Hello ann", "text/html", "text/plain"] {
            assert!(mail.text.contains(part), "{part} in {}", mail.text);
        }
        let holder = plant.nobody().with_token(&mail.token());
        holder.get("/users/profile").await.refused(401);
        holder.post("/users/tokens/refresh", json!({})).await.refused(401);
        for (body, message) in [
            (json!({}), "missing password"),
            (json!({"password": NEW}), "missing conf password"),
            (json!({"password": NEW, "confirm_password": "other"}), "invalid reset password"),
            (json!({"password": "short", "confirm_password": "short"}), "password does not meet the requirements"),
        ] {
            assert_eq!(holder.send(Method::PUT, "/password/reset", Some(body)).await.refused(400), message);
        }
        assert_eq!(reset(&holder, NEW).await.expect(201), json!({}));
        ann.get("/users/profile").await.refused(401);
        assert_eq!((log_in(&plant, PASSWORD).await, log_in(&plant, NEW).await), (401, 201));
        reset(&holder, "a third horse").await.refused(401);
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.send_password_reset", "user.reset_secret", "user.issue_token"]);
        assert_eq!(plant.count("mails").await, 0);
    }

    async fn no_other_token_resets_a_password_and_a_recovery_token_ages(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        plant.register("ann").await;
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = plant.nobody().post("/users/tokens/issue", login).await.expect(201);
        for token in ["access_token", "refresh_token"] {
            reset(&plant.nobody().with_token(pair[token].as_str().unwrap()), NEW).await.refused(401);
        }
        reset(&plant.nobody().with_token("x"), NEW).await.refused(401);
        let body = json!({"password": NEW, "confirm_password": NEW});
        plant.nobody().send(Method::PUT, "/password/reset", Some(body)).await.refused(401);

        ask_for_reset(&plant, "ann@example.com").await;
        plant.registry.users.deliver().await.unwrap();
        let late = mailbox.mails().pop().unwrap().token();
        plant.clock.advance(Duration::from_secs(301));
        reset(&plant.nobody().with_token(&late), NEW).await.refused(401);

        // What was mailed to an address that the user has left for good is worth nothing.
        ask_for_reset(&plant, "ann@example.com").await;
        plant.registry.users.deliver().await.unwrap();
        let old = mailbox.mails().pop().unwrap().token();
        let (ann, admin) = (plant.nobody().logged_in("ann").await, &plant.admin);
        admin.patch(&format!("/users/{}/email", ann.id), json!({"email": "ann2@example.com"})).await.expect(200);
        reset(&plant.nobody().with_token(&old), NEW).await.refused(401);

        // Without a bearer token the one in the body counts.
        ask_for_reset(&plant, "ann2@example.com").await;
        deliver_all(&plant).await;
        let token = mailbox.mail_to("ann2@example.com").token();
        let body = json!({"token": token, "password": NEW, "confirm_password": NEW});
        plant.nobody().send(Method::PUT, "/password/reset", Some(body)).await.expect(201);
    }

    async fn of_two_who_show_the_same_link_at_once_one_sets_the_password(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        plant.register("ann").await;
        ask_for_reset(&plant, "ann@example.com").await;
        plant.registry.users.deliver().await.unwrap();
        let holder = plant.nobody().with_token(&mailbox.mails().pop().unwrap().token());
        let answers = at_once(6, |n| {
            let holder = holder.clone();
            async move { reset(&holder, &format!("password {n}")).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    }

    async fn nobody_learns_from_a_reset_request_which_accounts_there_are(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        plant.admin.post(&format!("/users/{}/disable", ann.id), json!({})).await.expect(200);
        for email in ["nobody@example.com", "ann@example.com"] {
            ask_for_reset(&plant, email).await;
            assert_eq!(plant.registry.users.deliver().await.unwrap(), Delivered::Dropped, "{email}");
        }
        assert!(mailbox.mails().is_empty());
        assert_eq!(plant.count("mails").await, 0);
        let nobody = plant.nobody();
        assert_eq!(nobody.post("/password/reset-request", json!({})).await.refused(400), "missing email");
        assert_eq!(nobody.post("/password/reset-request", json!({"email": "x"})).await.refused(400), "invalid email");
        for _ in 0..9 {
            ask_for_reset(&plant, "nobody@example.com").await;
        }
        assert_eq!(plant.count("mails").await, 0, "what is asked for many times is sent once");
        nobody.post("/password/reset-request", json!({"email": "NOBODY@example.com"})).await.refused(429);
    }

    async fn a_mail_server_that_is_away_loses_nothing(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        plant.register("ann").await;
        let users = &plant.registry.users;
        mailbox.refuse();
        ask_for_reset(&plant, "ann@example.com").await;
        assert_eq!(users.deliver().await.unwrap(), Delivered::PutOff);
        assert_eq!(users.deliver().await.unwrap(), Delivered::Nothing, "not before its time");
        plant.clock.advance(Duration::from_secs(6));
        assert_eq!(users.deliver().await.unwrap(), Delivered::PutOff);
        mailbox.take();
        plant.clock.advance(Duration::from_secs(600));
        assert_eq!(users.deliver().await.unwrap(), Delivered::Sent);
        let token = mailbox.mails().pop().unwrap().token();
        assert_eq!(reset(&plant.nobody().with_token(&token), NEW).await.expect(201), json!({}), "its token is fresh");

        mailbox.refuse();
        ask_for_reset(&plant, "ann@example.com").await;
        plant.clock.advance(Duration::from_secs(24 * 3600));
        assert_eq!(users.deliver().await.unwrap(), Delivered::Dropped);
        assert_eq!(plant.count("mails").await, 0);
    }

    async fn without_a_mail_server_the_answers_are_the_same_and_nothing_is_kept(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        ask_for_reset(&plant, "ann@example.com").await;
        assert_eq!(plant.count("mails").await, 0);
        let message = ann.post("/users/send-verification", json!({})).await.refused(422);
        assert!(message.contains("sends no mail"), "{message}");
    }

    async fn the_link_of_a_verification_mail_verifies_the_address_once(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;
        assert!(ann.post("/users/send-verification", json!({})).await.expect(200).is_null());
        assert_eq!(plant.registry.users.deliver().await.unwrap(), Delivered::Sent);
        let mail = mailbox.mails().pop().unwrap();
        assert!(mail.text.contains("Subject: Email Verification"), "{}", mail.text);
        assert!(mail.text.contains("http://ui.example.com/verify?token="), "{}", mail.text);
        let nobody = plant.nobody();
        let path = |token: &str| format!("/verify-email?token={token}");
        assert_eq!(nobody.get("/verify-email").await.refused(400), "invalid verification");
        for bad in ["x", "eyJhIjoxfQ==", &"a".repeat(2000)] {
            assert_eq!(nobody.get(&path(bad)).await.refused(422), "invalid verification", "{bad}");
        }
        assert!(nobody.get(&path(&mail.token())).await.expect(200).is_null());
        let profile = ann.get("/users/profile").await.expect(200);
        assert_eq!(profile["verified_at"], "2026-01-02T03:04:05Z");
        assert!(nobody.get(&path(&mail.token())).await.refused(422).contains("used already"));
        assert_eq!(ann.post("/users/send-verification", json!({})).await.refused(422), "user already verified");
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.send_verification", "user.verify_email"]);
        assert_eq!(plant.count(&format!("accounts WHERE user_id = '{}' AND verified = 1", ann.id)).await, 1);
    }

    async fn a_verification_ages_and_belongs_to_one_address(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        let token = async || {
            ann.post("/users/send-verification", json!({})).await.expect(200);
            deliver_all(&plant).await;
            mailbox.mails().into_iter().find(|mail| mail.text.contains("Subject: Email Verification")).unwrap().token()
        };
        let left = token().await;
        ann.patch(&format!("/users/{}/email", ann.id), json!({"email": "ann2@example.com"})).await.expect(200);
        let nobody = plant.nobody();
        assert_eq!(nobody.get(&format!("/verify-email?token={left}")).await.refused(422), "invalid verification");
        let late = token().await;
        plant.clock.advance(Duration::from_secs(24 * 3600));
        assert!(nobody.get(&format!("/verify-email?token={late}")).await.refused(422).contains("expired"));
    }

    async fn no_token_of_a_mail_is_in_the_database_or_in_an_event(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        ask_for_reset(&plant, "ann@example.com").await;
        ann.post("/users/send-verification", json!({})).await.expect(200);
        plant.registry.users.deliver().await.unwrap();
        plant.registry.users.deliver().await.unwrap();
        let told = format!("{:?}", plant.events().await);
        for mail in mailbox.mails() {
            assert!(!told.contains(&mail.token()), "{told}");
        }
        assert_eq!(plant.count("email_verifications WHERE length(otp_digest) = 32").await, 1);
    }
}
