use std::time::Duration;

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{PASSWORD, Plant};

fn names(page: &Value) -> Vec<&str> {
    let users = page["users"].as_array().unwrap().iter();
    users.map(|user| user["credentials"]["username"].as_str().unwrap()).collect()
}

/// Users `anna`, `bert` and `carl`, a quarter of an hour apart.
async fn three(plant: &Plant) {
    for (name, first, last) in [("anna", "Zoe", "Adams"), ("bert", "Yan", "Baker"), ("carl", "Xin", "Adams")]
    {
        plant.clock.advance(Duration::from_secs(900));
        let body = json!({
            "first_name": first, "last_name": last, "email": format!("{name}@{last}.example"),
            "credentials": {"username": name, "secret": PASSWORD}, "tags": [name, "all"],
            "metadata": {"of": {"name": name}}, "private_metadata": {"secret": name},
        });
        plant.admin.post("/users", body).await.expect(201);
    }
}

both_databases! {
    async fn a_search_finds_enabled_ordinary_users_and_shows_little_of_them(db: TestDb) {
        let plant = Plant::new(db).await;
        three(&plant).await;
        let anna = plant.nobody().logged_in("anna").await;
        for (query, found) in [
            ("username=ERT", vec!["bert"]),
            ("username=ert&last_name=Adams", vec![]),
            ("last_name=dam&order=username&dir=asc", vec!["anna", "carl"]),
            ("last_name=a&order=first_name&dir=asc", vec!["carl", "bert", "anna"]),
            ("last_name=a&order=created_at&dir=desc&limit=1&offset=1", vec!["bert"]),
            ("first_name=s&username=admin", vec![]),
            ("email=admin@example.com&first_name=Zoe", vec!["anna"]),
        ] {
            assert_eq!(names(&anna.get(&format!("/users/search?{query}")).await.expect(200)), found, "{query}");
        }
        let page = anna.get(&format!("/users/search?id={}", anna.id)).await.expect(200);
        let user = &page["users"][0];
        assert_eq!((&user["id"], &user["first_name"], &user["metadata"]["of"]["name"]), (&json!(anna.id), &json!("Zoe"), &json!("anna")));
        assert_eq!((&user["status"], &user["role"]), (&json!("enabled"), &json!("user")));
        assert_eq!(user["created_at"], "2026-01-02T03:19:05Z");
        for hidden in ["email", "tags", "private_metadata", "auth_provider", "profile_picture"] {
            assert_eq!(user[hidden], Value::Null, "{hidden}");
        }
        anna.post(&format!("/users/{}/disable", anna.id), json!({})).await.expect(200);
        assert!(names(&plant.admin.get("/users/search?username=anna").await.expect(200)).is_empty());
    }

    async fn a_search_is_bounded(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        for (query, message) in [
            ("", "search query must not be empty"),
            ("?email=ann@example.com", "search query must not be empty"),
            ("?username=an", "search query must be at least 3 characters"),
            ("?id=00", "search query must be at least 3 characters"),
            ("?username=ann&limit=101", "invalid limit size"),
            ("?username=ann&limit=0", "invalid limit size"),
            ("?username=ann&order=secret", "invalid list order provided"),
            ("?username=ann&dir=up", "invalid list direction provided"),
        ] {
            assert_eq!(ann.get(&format!("/users/search{query}")).await.refused(400), message, "{query}");
        }
        plant.nobody().get("/users/search?username=ann").await.refused(401);
    }

    async fn administrators_list_users_by_all_that_they_have(db: TestDb) {
        let plant = Plant::new(db).await;
        three(&plant).await;
        for (query, found) in [
            ("", vec!["carl", "bert", "anna", "admin"]),
            ("order=username&dir=asc&limit=2", vec!["admin", "anna"]),
            ("order=email&dir=desc&email=.EXAMPLE", vec!["carl", "bert", "anna"]),
            ("order=last_name&dir=desc&tags=all&limit=1", vec!["bert"]),
            ("tags=anna,bert&order=first_name&dir=desc", vec!["anna", "bert"]),
            ("tags=all%2Bcarl", vec!["carl"]),
            ("metadata=%7B%22of%22%3A%7B%22name%22%3A%22bert%22%7D%7D", vec!["bert"]),
            ("first_name=y", vec!["bert"]),
            ("created_from=2026-01-02T03:34:05Z&created_to=2026-01-02T03:34:05Z", vec!["bert"]),
            ("created_from=2026-01-02T03:34:06Z", vec!["carl"]),
            ("created_to=2026-01-02T03:34:05%2B02:00", vec![]),
            ("status=disabled", vec![]),
        ] {
            let page = plant.admin.get(&format!("/users?{query}")).await.expect(200);
            assert_eq!(names(&page), found, "{query}");
        }
        let total = plant.admin.get("/users?only_total=true").await.expect(200);
        assert_eq!((&total["total"], &total["users"]), (&json!(4), &json!([])));
        let listed = plant.admin.get("/users?username=anna").await.expect(200);
        assert_eq!((&listed["users"][0]["email"], &listed["users"][0]["private_metadata"]), (&json!("anna@Adams.example"), &Value::Null));
        for (query, message) in [
            ("order=name", "invalid list order provided"),
            ("order=id", "invalid list order provided"),
            ("limit=101", "invalid limit size"),
            ("status=gone", "invalid status"),
            ("created_from=yesterday", "invalid query parameters"),
            ("metadata=%7B", "invalid query parameters"),
        ] {
            assert_eq!(plant.admin.get(&format!("/users?{query}")).await.refused(400), message, "{query}");
        }
        plant.nobody().logged_in("anna").await.get("/users").await.refused(403);
    }
}
