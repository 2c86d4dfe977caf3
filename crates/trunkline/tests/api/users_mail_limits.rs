//! How many mails an address is sent, and mails that the mail server refuses for good.

use std::time::Duration;

use db::{both_databases, testing::TestDb};
use serde_json::json;
use users::mail::Delivered;

use crate::{
    plant::LATER,
    users_mail::{ask_for_reset, deliver_all, plant_with_mail},
};

both_databases! {
    async fn an_address_is_sent_one_mail_of_a_kind_in_a_minute_and_five_in_an_hour_and_nobody_can_tell(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        for round in 0..7 {
            for _asked_twice in 0..2 {
                for address in ["ann@example.com", "nobody@example.com"] {
                    ask_for_reset(&plant, address).await;
                }
                deliver_all(&plant).await;
            }
            let expected = usize::from(round < 5);
            assert_eq!(mailbox.mails().len(), expected, "in minute {round}");
            assert_eq!(plant.count("mails").await, 0);
            plant.clock.advance(LATER);
        }
        // The other kind has places of its own.
        ann.post("/users/send-verification", json!({})).await.expect(200);
        deliver_all(&plant).await;
        assert_eq!(mailbox.mails().len(), 1);
        plant.clock.advance(Duration::from_secs(3600));
        ask_for_reset(&plant, "ann@example.com").await;
        deliver_all(&plant).await;
        assert_eq!(mailbox.mails().len(), 1);
        assert_eq!(plant.count("mail_counts").await, 1, "what is old is forgotten");
    }

    async fn asking_for_a_verification_again_is_no_error_and_sends_nothing(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;
        for _ in 0..3 {
            ann.post("/users/send-verification", json!({})).await.expect(200);
            deliver_all(&plant).await;
        }
        assert_eq!(mailbox.mails().len(), 1);
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["user.send_verification"]);
    }

    async fn a_mail_that_is_refused_for_good_is_dropped_and_one_that_is_not_is_kept(db: TestDb) {
        let (plant, mailbox) = plant_with_mail(db).await;
        plant.register("ann").await;
        let users = &plant.registry.users;
        let asked = async || {
            ask_for_reset(&plant, "ann@example.com").await;
            let delivered = users.deliver().await.unwrap();
            plant.clock.advance(LATER);
            delivered
        };
        mailbox.answer_recipient("550 5.1.1 <ann@example.com>: no such mailbox");
        assert_eq!(asked().await, Delivered::Dropped);
        assert_eq!(plant.count("mails").await, 0);
        assert!(!plant.events().await.iter().any(|event| event.0 == "user.send_password_reset"));
        // The platform has to show who it is: that is not the mail's fault.
        mailbox.answer_sender("530 5.7.0 authentication required");
        assert_eq!(asked().await, Delivered::PutOff);
        mailbox.answer_recipient("450 4.2.1 the mailbox is full");
        assert_eq!(users.deliver().await.unwrap(), Delivered::PutOff);
        mailbox.take();
        plant.clock.advance(LATER * 10);
        assert_eq!(users.deliver().await.unwrap(), Delivered::Sent);
        assert_eq!(mailbox.mails().len(), 1);
    }
}
