use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};

use super::{UNKNOWN, chain};
use crate::plant::{Answer, Caller, Plant};

async fn remove(caller: &Caller, path: &str, members: Value) -> Answer {
    caller.send(Method::DELETE, &format!("{path}/members"), Some(json!({"members": members}))).await
}

both_databases! {
    async fn clients_leave_the_group_and_users_its_roles(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, _]) = chain(&plant).await;
        let bob = plant.user("bob").await;
        plant.admin.grants(&format!("/domains/{domain}"), "looking", &["read"], &bob).await;
        plant.admin.grants(&format!("/{domain}/groups/{root}"), "guests", &["read"], &bob).await;
        let (inside, elsewhere) = (plant.admin.client(&domain, "a").await, plant.admin.client(&domain, "b").await);
        for (client, group) in [(&inside, &root), (&elsewhere, &middle)] {
            let path = format!("/{domain}/clients/{client}/parent");
            plant.admin.post(&path, json!({"parent_group_id": group})).await.expect(200);
        }
        bob.get(&format!("/{domain}/groups/{root}")).await.expect(200);
        plant.events().await;

        let members = json!([inside, elsewhere, bob.id]);
        remove(&plant.admin, &format!("/{domain}/groups/{root}"), members.clone()).await.expect(204);
        bob.get(&format!("/{domain}/groups/{root}")).await.refused(403);
        assert_eq!(plant.count(&format!("relations WHERE object_id = '{inside}' AND relation = 'parent_group'")).await, 0);
        assert_eq!(plant.count(&format!("relations WHERE object_id = '{elsewhere}' AND relation = 'parent_group'")).await, 1);
        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["group.members.remove", "client.remove_parent"]);
        assert_eq!((&events[0].1["members"], &events[1].1["id"]), (&json!([bob.id]), &json!(inside)));

        remove(&plant.admin, &format!("/groups/{root}"), members).await.expect(204);
    }

    async fn who_may_not_is_refused_with_or_without_the_domain(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, ..]) = chain(&plant).await;
        let bob = plant.user("bob").await;
        let client = plant.admin.client(&domain, "a").await;
        plant.admin.post(&format!("/{domain}/clients/{client}/parent"), json!({"parent_group_id": root})).await.expect(200);
        for member in [&client, &plant.admin.id] {
            for path in [format!("/{domain}/groups/{root}"), format!("/groups/{root}"), format!("/groups/{UNKNOWN}")] {
                let message = remove(&bob, &path, json!([member])).await.refused(403);
                assert_eq!(message, "failed to perform authorization over the entity");
            }
        }
        let last = remove(&plant.admin, &format!("/groups/{root}"), json!([plant.admin.id])).await;
        assert_eq!(last.refused(400), "must retain at least one member");
        assert_eq!(remove(&plant.admin, &format!("/groups/{root}"), json!([])).await.refused(400), "missing members");
        assert_eq!(remove(&plant.admin, &format!("/groups/{root}"), json!(["x"])).await.refused(400), "invalid id format provided");
        assert_eq!(plant.count("relations WHERE relation = 'parent_group' AND object_kind = 'client'").await, 1);
    }
}
