//! Lists as another user sees them (`?user=`): for administrators of the platform.

use db::{both_databases, testing::TestDb};

use crate::plant::Plant;

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

both_databases! {
    async fn an_administrator_of_the_platform_sees_everything_whoever_asks(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        ann.client(&domain, "sensor").await;
        ann.channel(&domain, "temperatures").await;
        ann.group(&domain, "hall", None).await;
        let second = plant.user("second").await;
        let body = serde_json::json!({"role": "admin"});
        plant.admin.patch(&format!("/users/{}/role", second.id), body).await.expect(200);
        let second = second.logged_in("second").await;
        let stranger = plant.user("carl").await;
        for kind in ["clients", "channels", "groups"] {
            let path = format!("/{domain}/{kind}");
            let total = async |user: &str| {
                plant.admin.get(&format!("{path}?user={user}")).await.expect(200)["total"].clone()
            };
            assert_eq!(plant.admin.get(&path).await.expect(200)["total"], 1, "{kind}");
            assert_eq!(total(&plant.admin.id).await, 1, "{kind}, himself");
            assert_eq!(total(&second.id).await, 1, "{kind}, another administrator");
            assert_eq!(total(&ann.id).await, 1, "{kind}, the owner");
            assert_eq!(total(&stranger.id).await, 0, "{kind}, a stranger");
        }
    }

    async fn an_unknown_user_is_unknown_only_to_those_who_may_ask(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        for kind in ["clients", "channels", "groups"] {
            let path = format!("/{domain}/{kind}?user={UNKNOWN}");
            assert_eq!(plant.admin.get(&path).await.refused(404), "entity not found", "{kind}");
            assert_eq!(ann.get(&path).await.refused(403), "not authorized to perform admin action", "{kind}");
        }
    }
}
