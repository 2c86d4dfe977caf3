use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use super::{UNKNOWN, chain, names};
use crate::plant::Plant;

/// The ids of a tree, each before what it contains.
fn flattened(groups: &Value) -> Vec<&str> {
    let groups = groups.as_array().unwrap().iter();
    groups
        .flat_map(|group| {
            let below = group.get("children").map(flattened).unwrap_or_default();
            std::iter::once(group["id"].as_str().unwrap()).chain(below)
        })
        .collect()
}

both_databases! {
    async fn a_hierarchy_goes_up_or_down_as_far_as_asked(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [_, middle, _]) = chain(&plant).await;
        let get = async |query: &str| plant.admin.get(&format!("/{domain}/groups/{middle}/hierarchy{query}")).await;
        for (query, level, direction, expected) in [
            ("", 0, -1, vec!["middle", "leaf"]),
            ("?dir=-3", 0, -3, vec!["middle", "leaf"]),
            ("?dir=desc", 0, -1, vec!["middle", "leaf"]),
            ("?dir=0", 0, 0, vec!["root", "middle"]),
            ("?dir=asc&level=20", 20, 1, vec!["root", "middle"]),
            ("?level=1", 1, -1, vec!["middle", "leaf"]),
        ] {
            let answer = get(query).await.expect(200);
            assert_eq!((&answer["level"], &answer["direction"]), (&json!(level), &json!(direction)), "{query}");
            assert_eq!(names(&answer), expected, "{query}");
        }
        assert_eq!(get("?level=21").await.refused(400), "invalid level");
        assert_eq!(get("?level=-1").await.refused(400), "invalid query parameters");
        assert_eq!(get("?dir=sideways").await.refused(400), "invalid query parameters");
        plant.admin.get(&format!("/{domain}/groups/{UNKNOWN}/hierarchy")).await.refused(404);
    }

    async fn levels_count_from_the_group_that_is_asked_about(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, _, leaf]) = chain(&plant).await;
        let get = async |group: &str, query: &str| {
            let answer = plant.admin.get(&format!("/{domain}/groups/{group}/hierarchy?{query}")).await.expect(200);
            names(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(get(&root, "level=1").await, ["root", "middle"]);
        assert_eq!(get(&root, "level=2").await, ["root", "middle", "leaf"]);
        assert_eq!(get(&leaf, "level=1&dir=1").await, ["middle", "leaf"]);
    }

    async fn a_tree_nests_what_is_contained_in_the_order_of_the_paths(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, _]) = chain(&plant).await;
        let more = [
            plant.admin.group(&domain, "x", Some(&middle)).await,
            plant.admin.group(&domain, "y", Some(&root)).await,
        ];
        plant.admin.group(&domain, "z", Some(&more[0])).await;
        let get = async |query: &str| {
            plant.admin.get(&format!("/{domain}/groups/{root}/hierarchy?{query}")).await.expect(200)["groups"].clone()
        };
        let flat = get("").await;
        let paths: Vec<&str> = flat.as_array().unwrap().iter().map(|group| group["path"].as_str().unwrap()).collect();
        assert!(paths.is_sorted() && paths.len() == 6, "{paths:?}");
        let tree = get("tree=true").await;
        assert_eq!(tree.as_array().unwrap().len(), 1, "one root");
        let ids: Vec<&str> = flat.as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap()).collect();
        assert_eq!(flattened(&tree), ids, "the order of the paths is a walk through the tree");
        let children = |group: &Value| group["children"].as_array().unwrap().len();
        let middle = tree[0]["children"].as_array().unwrap().iter().find(|group| group["id"] == middle).unwrap();
        assert_eq!((children(&tree[0]), children(middle)), (2, 2));
        assert_eq!(tree, get("tree=true&level=0").await);
    }

    async fn a_hierarchy_too_large_to_show_says_what_to_do(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, _]) = chain(&plant).await;
        plant.fill_group(&domain, &middle, 1000).await;
        let message = plant.admin.get(&format!("/{domain}/groups/{root}/hierarchy")).await.refused(422);
        assert!(message.starts_with("view entity failed, more than 1000 groups"), "{message}");
        let near = plant.admin.get(&format!("/{domain}/groups/{root}/hierarchy?level=1")).await.expect(200);
        assert_eq!(names(&near), ["root", "middle"]);
    }
}
