use db::{both_databases, testing::TestDb};
use serde_json::json;

use super::{UNKNOWN, chain, names, place};
use crate::plant::{LATER, Plant};

both_databases! {
    async fn a_group_is_made_whole(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let root = plant.admin.group(&domain, "root", None).await;
        plant.events().await;
        let body = json!({
            "name": "hall", "description": "north", "tags": ["t"], "metadata": {"a": 1}, "parent_id": root,
            "id": UNKNOWN, "path": "x", "created_at": "0001-01-01T00:00:00Z",
        });
        let answer = plant.admin.post(&format!("/{domain}/groups"), body).await;
        let location = answer.header("location").to_owned();
        let group = answer.expect(201);
        let id = group["id"].as_str().unwrap();
        assert_ne!(id, UNKNOWN);
        assert_eq!(location, format!("/groups/{id}"));
        assert_eq!(
            group,
            json!({
                "id": id, "domain_id": domain, "parent_id": root, "name": "hall", "description": "north",
                "tags": ["t"], "metadata": {"a": 1}, "level": 2, "path": format!("{root}.{id}"),
                "created_at": "2026-01-02T03:04:05Z", "updated_at": "0001-01-01T00:00:00Z", "status": "enabled",
            })
        );
        assert_eq!(plant.admin.get(&format!("/{domain}/groups/{id}")).await.expect(200), group);

        let events = plant.events().await;
        assert_eq!(events.len(), 1);
        let (operation, event) = &events[0];
        assert_eq!(operation, "group.create");
        assert_eq!(event["roles_provisioned"][0]["optional_actions"].as_array().unwrap().len(), 65);
        for (key, value) in [("id", json!(id)), ("domain", json!(domain)), ("parent", json!(root)), ("name", json!("hall"))] {
            assert_eq!(event[key], value);
        }
        assert_eq!(plant.count(&format!("roles WHERE entity_id = '{id}'")).await, 1);
        assert_eq!(plant.count(&format!("role_members WHERE entity_id = '{id}'")).await, 1);
        assert_eq!(plant.count(&format!("relations WHERE object_id = '{id}'")).await, 2);
    }

    async fn a_group_without_a_parent_is_a_root_and_its_description_is_null(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let body = json!({"name": "root", "parent_id": ""});
        let group = plant.admin.post(&format!("/{domain}/groups"), body).await.expect(201);
        assert_eq!((&group["description"], &group["level"]), (&json!(null), &json!(1)));
        assert!(group.get("parent_id").is_none());
        assert_eq!(group["path"], group["id"]);
    }

    async fn what_is_no_group_is_refused_with_the_reason(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        plant.events().await;
        for (body, message) in [
            (json!({}), "invalid name size"),
            (json!({"name": ""}), "invalid name size"),
            (json!({"name": "n".repeat(1025)}), "invalid name size"),
            (json!({"name": "n", "description": "d".repeat(1025)}), "invalid description size, at most 1024 bytes"),
            (json!({"name": "n", "status": "deleted"}), "invalid status"),
            (json!({"name": "n", "status": "all"}), "invalid status"),
            (json!({"name": "n", "parent_id": "x"}), "invalid id format provided"),
        ] {
            assert_eq!(plant.admin.post(&format!("/{domain}/groups"), body).await.refused(400), message);
        }
        plant.admin.post(&format!("/{domain}/groups"), json!({"name": "n", "parent_id": UNKNOWN})).await.refused(404);
        assert_eq!(plant.count("groups").await, 0);
        assert!(plant.events().await.is_empty());
    }

    async fn only_an_enabled_group_of_the_same_domain_takes_a_group(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, ..]) = chain(&plant).await;
        let other = plant.admin.domain("two").await;
        let body = json!({"name": "n", "parent_id": root});
        assert_eq!(
            plant.admin.post(&format!("/{other}/groups"), body.clone()).await.refused(400),
            "malformed entity specification, the parent group is not in the domain"
        );
        plant.admin.post(&format!("/{domain}/groups/{root}/disable"), json!({})).await.expect(200);
        assert_eq!(
            plant.admin.post(&format!("/{domain}/groups"), body).await.refused(400),
            "malformed entity specification, the parent group is not enabled"
        );
    }

    async fn whoever_makes_a_group_in_another_needs_the_consent_of_both(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let (domain, [root, ..]) = chain(&plant).await;
        let of_ann = ann.domain("ann-1").await;
        ann.post(&format!("/{domain}/groups"), json!({"name": "n"})).await.refused(403);
        ann.post(&format!("/{of_ann}/groups"), json!({"name": "n", "parent_id": root})).await.refused(404);
        ann.post(&format!("/{of_ann}/groups"), json!({"name": "n"})).await.expect(201);
    }

    async fn groups_nest_twenty_levels_deep_and_no_deeper(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let mut parent = plant.admin.group(&domain, "1", None).await;
        for level in 2..=20 {
            parent = plant.admin.group(&domain, &level.to_string(), Some(&parent)).await;
        }
        assert_eq!(place(&plant.admin, &domain, &parent).await.1, 20);
        let body = json!({"name": "21", "parent_id": parent});
        assert_eq!(
            plant.admin.post(&format!("/{domain}/groups"), body).await.refused(400),
            "malformed entity specification, groups nest at most 20 levels deep"
        );
    }

    async fn a_group_changes_as_it_is_told(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [_, middle, _]) = chain(&plant).await;
        let path = format!("/{domain}/groups/{middle}");
        plant.clock.advance(LATER);
        let body = json!({"name": "hall", "description": "", "metadata": {"b": 2}});
        let group = plant.admin.put(&path, body).await.expect(200);
        assert_eq!((&group["name"], &group["description"]), (&json!("hall"), &json!("")));
        assert_eq!((&group["metadata"], &group["level"]), (&json!({"b": 2}), &json!(2)));
        assert_eq!((&group["updated_by"], &group["updated_at"]), (&json!(plant.admin.id), &json!("2026-01-02T03:05:05Z")));
        let unchanged = plant.admin.put(&path, json!({"name": "", "description": null})).await.expect(200);
        assert_eq!((&unchanged["name"], &unchanged["description"]), (&json!("hall"), &json!("")));
        let tagged = plant.admin.patch(&format!("{path}/tags"), json!({"tags": ["a", "b"]})).await.expect(200);
        assert_eq!(tagged["tags"], json!(["a", "b"]));
        assert!(plant.admin.patch(&format!("{path}/tags"), json!({})).await.expect(200).get("tags").is_none());
        assert_eq!(plant.admin.put(&path, json!({"name": "n".repeat(1025)})).await.refused(400), "invalid name size");

        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["group.update", "group.update", "group.update_tags", "group.update_tags"]);
        assert_eq!(events[2].1["tags"], json!(["a", "b"]));
        assert_eq!(events[0].1["updated_by"], plant.admin.id);

        plant.admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        plant.admin.put(&path, json!({"name": "x"})).await.refused(404);
        plant.admin.patch(&format!("{path}/tags"), json!({"tags": []})).await.refused(404);
    }

    async fn a_status_is_assigned_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, ..]) = chain(&plant).await;
        let path = format!("/{domain}/groups/{root}");
        assert_eq!(plant.admin.post(&format!("{path}/enable"), json!({})).await.refused(409), "status already assigned");
        let group = plant.admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        assert_eq!(group["status"], "disabled");
        assert_eq!(plant.admin.post(&format!("{path}/disable"), json!({})).await.refused(409), "status already assigned");
        let total = async |query: &str| plant.admin.get(&format!("/{domain}/groups{query}")).await.expect(200)["total"].clone();
        assert_eq!((total("").await, total("?status=disabled").await, total("?status=all").await), (json!(2), json!(1), json!(3)));
        plant.admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["group.disable", "group.enable"]);
        assert_eq!((&events[0].1["status"], &events[0].1["id"]), (&json!("disabled"), &json!(root)));
    }

    async fn a_removed_group_leaves_what_was_in_it_as_roots(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        plant.admin.delete(&format!("/{domain}/groups/{middle}")).await.expect(204);
        plant.admin.get(&format!("/{domain}/groups/{middle}")).await.refused(404);
        assert_eq!(place(&plant.admin, &domain, &leaf).await, (json!(null), json!(1), json!(leaf)));
        assert_eq!(place(&plant.admin, &domain, &root).await.1, 1);
        for table in [
            format!("groups WHERE id = '{middle}'"),
            format!("roles WHERE entity_id = '{middle}'"),
            format!("role_members WHERE entity_id = '{middle}'"),
            format!("relations WHERE object_id = '{middle}' OR subject_id = '{middle}'"),
        ] {
            assert_eq!(plant.count(&table).await, 0, "{table}");
        }
        let events = plant.events().await;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].0.as_str(), &events[0].1["id"]), ("group.remove", &json!(middle)));
        let list = plant.admin.get(&format!("/{domain}/groups?order=name&dir=asc")).await.expect(200);
        assert_eq!((names(&list), &list["total"]), (vec!["leaf", "root"], &json!(2)));
    }

    async fn lists_are_filtered_and_ordered_as_asked(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, ..]) = chain(&plant).await;
        plant.clock.advance(LATER);
        let body = json!({"name": "Tower", "tags": ["x", "y"], "metadata": {"floor": {"n": 7}}});
        plant.admin.post(&format!("/{domain}/groups"), body).await.expect(201);
        for (query, expected) in [
            ("order=name&dir=asc", vec!["Tower", "leaf", "middle", "root"]),
            ("order=created_at&dir=desc&limit=1", vec!["Tower"]),
            ("name=OWE", vec!["Tower"]),
            ("tags=x,z", vec!["Tower"]),
            ("tags=x%2Bz", vec![]),
            ("metadata=%7B%22floor%22%3A%7B%22n%22%3A7%7D%7D", vec!["Tower"]),
            (&format!("id={root}"), vec!["root"]),
            ("root_group=true&order=name&dir=asc", vec!["Tower", "root"]),
            ("created_from=2026-01-02T03:05:05Z", vec!["Tower"]),
            ("created_to=2026-01-02T03:04:05Z&order=name&dir=asc", vec!["leaf", "middle", "root"]),
            ("only_total=true", vec![]),
            ("offset=3&order=name&dir=asc", vec!["root"]),
            ("group=anything&id=00000000-0000-4000-8000-000000000000", vec![]),
        ] {
            let list = plant.admin.get(&format!("/{domain}/groups?{query}")).await.expect(200);
            assert_eq!(names(&list), expected, "{query}");
        }
        assert_eq!(plant.admin.get(&format!("/{domain}/groups?only_total=true")).await.expect(200)["total"], 4);
        for (query, message) in [
            ("limit=0", "invalid limit size"),
            ("limit=101", "invalid limit size"),
            ("order=size", "invalid list order provided"),
            ("dir=up", "invalid list direction provided"),
            ("status=gone", "invalid status"),
            ("root_group=maybe", "invalid query parameters"),
            ("user=00000000-0000-4000-8000-000000000000&group=g", "multiple entities are provided in filter are not supported"),
        ] {
            assert_eq!(plant.admin.get(&format!("/{domain}/groups?{query}")).await.refused(400), message, "{query}");
        }
    }

    async fn an_empty_list_is_a_list(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let list = plant.admin.get(&format!("/{domain}/groups")).await.expect(200);
        assert_eq!(list, json!({"total": 0, "offset": 0, "limit": 10, "groups": []}));
    }

    async fn only_an_administrator_of_the_platform_asks_what_others_see(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        ann.group(&domain, "hers", None).await;
        plant.admin.group(&domain, "not-hers", None).await;
        let list = async |caller: &crate::plant::Caller, user: &str| {
            caller.get(&format!("/{domain}/groups?user={user}")).await
        };
        assert_eq!(list(&ann, &ann.id).await.expect(200)["total"], 2);
        list(&ann, &plant.admin.id).await.refused(403);
        assert_eq!(list(&plant.admin, &ann.id).await.expect(200)["total"], 2);
        list(&plant.admin, UNKNOWN).await.refused(404);
    }

    async fn a_stranger_learns_nothing_of_a_group(db: TestDb) {
        let plant = Plant::new(db).await;
        let (bob, ann) = (plant.user("bob").await, plant.user("ann").await);
        let domain = ann.domain("ann-1").await;
        let group = ann.group(&domain, "hers", None).await;
        for id in [group.as_str(), UNKNOWN] {
            for path in ["", "/hierarchy", "/children"] {
                let message = bob.get(&format!("/{domain}/groups/{id}{path}")).await.refused(403);
                assert_eq!(message, "failed to perform authorization over the entity");
            }
        }
        bob.get(&format!("/{domain}/groups")).await.refused(403);
        ann.get(&format!("/{domain}/groups/{UNKNOWN}")).await.refused(404);
    }
}
