use db::{both_databases, testing::TestDb};
use serde_json::json;

use super::{UNKNOWN, chain, names};
use crate::plant::Plant;

both_databases! {
    async fn children_are_listed_by_their_levels(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        plant.admin.group(&domain, "twig", Some(&leaf)).await;
        let get = async |group: &str, query: &str| {
            plant.admin.get(&format!("/{domain}/groups/{group}/children?order=name&dir=asc&{query}")).await
        };
        for (query, expected) in [
            ("", vec!["middle"]),
            ("start_level=0&end_level=-1", vec!["leaf", "middle", "root", "twig"]),
            ("start_level=2", vec!["leaf"]),
            ("start_level=2&end_level=2", vec!["leaf"]),
            ("start_level=2&end_level=-7", vec!["leaf", "twig"]),
            ("start_level=1&end_level=2", vec!["leaf", "middle"]),
            ("start_level=9", vec![]),
            ("end_level=-1&name=TW", vec!["twig"]),
            ("end_level=-1&limit=1&offset=1", vec!["middle"]),
        ] {
            let answer = get(&root, query).await.expect(200);
            assert_eq!(names(&answer), expected, "{query}");
        }
        assert_eq!(get(&root, "end_level=-1&only_total=true").await.expect(200)["total"], 3);
        assert_eq!(names(&get(&middle, "").await.expect(200)), ["leaf"]);
        let answer = get(&leaf, "id=00000000-0000-4000-8000-000000000000").await.expect(200);
        assert_eq!(answer, json!({"total": 0, "offset": 0, "limit": 10, "groups": []}));
        for query in ["start_level=0", "start_level=-1", "start_level=3&end_level=2"] {
            let message = get(&root, query).await.refused(422);
            assert!(message.starts_with("view entity failed"), "{message}");
        }
        assert_eq!(get(&root, "start_level=x").await.refused(400), "invalid query parameters");
        get(UNKNOWN, "").await.refused(404);
    }

    async fn children_show_where_they_are(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        let path = format!("/{domain}/groups/{root}/children?start_level=2");
        let list = plant.admin.get(&path).await.expect(200);
        let child = &list["groups"][0];
        assert_eq!((&child["id"], &child["parent_id"], &child["level"]), (&json!(leaf), &json!(middle), &json!(3)));
        assert_eq!(child["path"], json!(format!("{root}.{middle}.{leaf}")));
        plant.admin.post(&format!("/{domain}/groups/{leaf}/disable"), json!({})).await.expect(200);
        assert_eq!(plant.admin.get(&path).await.expect(200)["total"], 0);
        assert_eq!(plant.admin.get(&format!("{path}&status=all")).await.expect(200)["total"], 1);
    }
}
