use std::time::Duration;

use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::Plant;

const DAY: Duration = Duration::from_secs(24 * 3600);

both_databases! {
    async fn who_was_deleted_is_removed_when_it_is_time_with_everything_that_it_had(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let domain = ann.domain("plant").await;
        plant.admin.patch(&format!("/users/{}/role", ann.id), json!({"role": "admin"})).await.expect(200);
        ann.delete(&format!("/users/{}", ann.id)).await.expect(204);
        bob.delete(&format!("/users/{}", bob.id)).await.expect(204);
        let users = &plant.registry.users;
        plant.clock.advance(DAY * 30 - Duration::from_secs(1));
        assert_eq!(users.purge().await.unwrap(), 0);
        let admin = plant.nobody().logged_in("admin").await;
        admin.post(&format!("/users/{}/enable", bob.id), json!({})).await.expect(200);
        plant.events().await;
        plant.clock.advance(Duration::from_secs(1));
        assert_eq!(users.purge().await.unwrap(), 1);
        assert_eq!(users.purge().await.unwrap(), 0);
        for table in [
            format!("users WHERE id = '{}'", ann.id),
            format!("accounts WHERE user_id = '{}'", ann.id),
            format!("sessions WHERE user_id = '{}'", ann.id),
            format!("relations WHERE subject_id LIKE '%{}'", ann.id),
            format!("role_members WHERE member_id = '{}'", ann.id),
        ] {
            assert_eq!(plant.count(&table).await, 0, "{table}");
        }
        let events = plant.events().await;
        assert_eq!((events[0].0.as_str(), &events[0].1["id"]), ("user.purge", &json!(ann.id)));
        admin.get(&format!("/users/{}", ann.id)).await.refused(404);
        admin.get(&format!("/domains/{domain}")).await.expect(200);
        plant.nobody().logged_in("bob").await;
        plant.register_by("ann", &admin).await;
    }

    async fn invitations_of_a_removed_user_go_also_to_domains_that_it_never_joined(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob, carl) = (plant.user("ann").await, plant.user("bob").await, plant.user("carl").await);
        let domain = ann.domain("plant").await;
        let role = json!({"role_name": "reader", "optional_actions": ["read"]});
        let role = ann.post(&format!("/domains/{domain}/roles"), role).await.expect(201)["id"].clone();
        let path = format!("/domains/{domain}/invitations");
        for user in [&bob, &carl] {
            ann.post(&path, json!({"invitee_user_id": user.id, "role_id": role})).await.expect(201);
        }
        plant.admin.delete(&format!("/users/{}", bob.id)).await.expect(204);
        assert_eq!(ann.get(&path).await.expect(200)["total"], 2);
        plant.clock.advance(DAY * 30);
        assert_eq!(plant.registry.users.purge().await.unwrap(), 1);
        let ann = plant.nobody().logged_in("ann").await;
        let left = ann.get(&path).await.expect(200);
        assert_eq!((&left["total"], &left["invitations"][0]["invitee_user_id"]), (&json!(1), &json!(carl.id)));
        let again = ann.post(&path, json!({"invitee_user_id": bob.id, "role_id": role})).await;
        assert_eq!(again.refused(422), "there is no user with the id `invitee_user_id`");
    }

    async fn one_who_cannot_be_removed_does_not_keep_the_others(db: TestDb) {
        let mut plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        for user in [&ann, &bob] {
            plant.admin.delete(&format!("/users/{}", user.id)).await.expect(204);
            plant.clock.advance(Duration::from_secs(1));
        }
        plant.registry.users = plant.registry.users.clone().on_purge(|tx, user| {
            Box::pin(async move {
                let sql = "SELECT username FROM users WHERE id = $1";
                let name: String = tx.one(sql, db::params![user]).await?.get("username")?;
                if name == "ann" { Err(kernel::Error::internal("a hook of the test fails")) } else { Ok(()) }
            })
        });
        plant.clock.advance(DAY * 30);
        assert_eq!(plant.registry.users.purge().await.unwrap(), 1);
        assert_eq!(plant.count("users WHERE username IN ('ann', 'bob')").await, 1);
        assert_eq!(plant.count(&format!("accounts WHERE user_id = '{}'", ann.id)).await, 1);
    }
}
