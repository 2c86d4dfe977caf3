use db::{both_databases, testing::TestDb};
use serde_json::json;

use super::{UNKNOWN, chain, place};
use crate::plant::{Plant, at_once};

both_databases! {
    async fn a_group_moves_with_all_below_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        let parent = format!("/{domain}/groups/{middle}/parent");
        plant.admin.delete(&parent).await.expect(204);
        assert_eq!(place(&plant.admin, &domain, &leaf).await, (json!(middle), json!(2), json!(format!("{middle}.{leaf}"))));
        plant.admin.delete(&parent).await.expect(204);
        let tower = plant.admin.group(&domain, "tower", Some(&root)).await;
        plant.admin.post(&parent, json!({"parent_id": tower})).await.expect(200);
        let path = format!("{root}.{tower}.{middle}.{leaf}");
        assert_eq!(place(&plant.admin, &domain, &leaf).await, (json!(middle), json!(4), json!(path)));
        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["group.remove_parent_group", "group.create", "group.add_parent_group"]);
        assert_eq!((&events[2].1["id"], &events[2].1["parent_id"]), (&json!(middle), &json!(tower)));
        assert_eq!((&events[0].1["id"], &events[0].1["domain"]), (&json!(middle), &json!(domain)));
    }

    async fn a_move_that_cannot_be_is_refused_with_the_reason(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        let other = plant.admin.domain("two").await;
        let foreign = plant.admin.group(&other, "foreign", None).await;
        let off = plant.admin.group(&domain, "off", None).await;
        plant.admin.post(&format!("/{domain}/groups/{off}/disable"), json!({})).await.expect(200);
        plant.events().await;
        let post = async |group: &str, parent: &str, status: u16| {
            let path = format!("/{domain}/groups/{group}/parent");
            plant.admin.post(&path, json!({"parent_id": parent})).await.refused(status)
        };
        assert_eq!(post(&root, "x", 400).await, "invalid id format provided");
        assert_eq!(post(&root, &root, 400).await, "self parenting not allowed");
        assert_eq!(post(&root, &leaf, 400).await, "cyclic parent, group is parent of requested group");
        assert_eq!(post(&middle, &off, 409).await, "entity already exists");
        assert_eq!(post(&root, &off, 400).await, "malformed entity specification, the parent group is not enabled");
        assert_eq!(post(&root, &foreign, 400).await, "malformed entity specification, the parent group is not in the domain");
        assert_eq!(post(&root, UNKNOWN, 404).await, "entity not found");
        assert_eq!(post(UNKNOWN, &root, 404).await, "entity not found");
        plant.admin.post(&format!("/{domain}/groups/{root}/parent"), json!({})).await.refused(400);
        assert!(plant.events().await.is_empty());
        assert_eq!(plant.count("relations WHERE relation = 'parent_group'").await, 2);
    }

    async fn a_moved_tree_stays_within_the_depth(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, ..]) = chain(&plant).await;
        let mut deep = plant.admin.group(&domain, "1", None).await;
        for level in 2..=17 {
            deep = plant.admin.group(&domain, &level.to_string(), Some(&deep)).await;
        }
        let deeper = plant.admin.group(&domain, "18", Some(&deep)).await;
        let message = "malformed entity specification, groups nest at most 20 levels deep";
        let parent = format!("/{domain}/groups/{root}/parent");
        assert_eq!(plant.admin.post(&parent, json!({"parent_id": deeper})).await.refused(400), message);
        let children = format!("/{domain}/groups/{deeper}/children");
        assert_eq!(plant.admin.post(&children, json!({"children_ids": [root]})).await.refused(400), message);
        plant.admin.post(&parent, json!({"parent_id": deep})).await.expect(200);
    }

    async fn children_are_put_in_and_taken_out_together(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let root = plant.admin.group(&domain, "root", None).await;
        let (a, b) = (plant.admin.group(&domain, "a", None).await, plant.admin.group(&domain, "b", None).await);
        plant.admin.post(&format!("/{domain}/groups/{b}/disable"), json!({})).await.expect(200);
        plant.events().await;
        let children = format!("/{domain}/groups/{root}/children");
        let delete = async |ids: serde_json::Value| {
            plant.admin.send(http::Method::DELETE, &children, Some(json!({"children_ids": ids}))).await
        };
        plant.admin.post(&children, json!({"children_ids": [a, b, a]})).await.expect(200);
        assert_eq!(plant.admin.post(&children, json!({"children_ids": [a]})).await.refused(409), "group already have parent");
        for (body, message) in [
            (json!({}), "missing children group ids"),
            (json!({"children_ids": []}), "missing children group ids"),
            (json!({"children_ids": [root]}), "self parenting not allowed"),
            (json!({"children_ids": ["x"]}), "invalid id format provided"),
        ] {
            assert_eq!(plant.admin.post(&children, body).await.refused(400), message);
        }
        plant.admin.post(&children, json!({"children_ids": [UNKNOWN]})).await.refused(404);
        let upside_down = format!("/{domain}/groups/{a}/children");
        assert_eq!(
            plant.admin.post(&upside_down, json!({"children_ids": [root]})).await.refused(400),
            "cyclic parent, group is parent of requested group"
        );
        assert_eq!(delete(json!([a, UNKNOWN])).await.refused(400), "groups have different parent");
        assert_eq!(place(&plant.admin, &domain, &a).await.0, json!(root), "all or none");
        delete(json!([a])).await.expect(204);
        assert_eq!(delete(json!([a])).await.refused(400), "groups have different parent");
        assert_eq!(place(&plant.admin, &domain, &b).await.0, json!(root));
        plant.admin.delete(&format!("{children}/all")).await.expect(204);
        assert_eq!(place(&plant.admin, &domain, &b).await.0, json!(null));
        plant.admin.delete(&format!("{children}/all")).await.refused(404);

        let mut both = vec![a.clone(), b.clone()];
        both.sort();
        let events = plant.events().await;
        let operations: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(
            operations,
            ["group.add_children_groups", "group.remove_children_groups", "group.remove_all_children_groups"]
        );
        assert_eq!((&events[0].1["id"], &events[0].1["children_ids"]), (&json!(root), &json!(both)));
        assert_eq!(events[1].1["children_ids"], json!([a]));
    }

    async fn more_children_than_caches_are_told_of_one_by_one_are_let_go_as_well(db: TestDb) {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, _]) = chain(&plant).await;
        plant.fill_group(&domain, &root, 1100).await;
        plant.admin.delete(&format!("/{domain}/groups/{root}/children/all")).await.expect(204);
        assert_eq!(place(&plant.admin, &domain, &middle).await.0, json!(null));
        assert_eq!(plant.count(&format!("relations WHERE subject_id = '{root}'")).await, 0);
    }

    async fn moves_at_once_close_no_circle(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        for round in 0..10 {
            let mut groups = Vec::new();
            for n in 0..3 {
                groups.push(plant.admin.group(&domain, &format!("{round}-{n}"), None).await);
            }
            let answers = at_once(3, |n| {
                let (admin, domain, groups) = (plant.admin.clone(), domain.clone(), groups.clone());
                async move {
                    let path = format!("/{domain}/groups/{}/parent", groups[n]);
                    admin.post(&path, json!({"parent_id": groups[(n + 1) % 3]})).await
                }
            })
            .await;
            let made = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(made, 2, "the third closes the circle");
            let refused = answers.into_iter().find(|answer| answer.status != 200).unwrap();
            assert_eq!(refused.refused(400), "cyclic parent, group is parent of requested group");
        }
    }

    async fn a_group_that_is_removed_while_clients_are_put_into_it_keeps_none(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        for round in 0..10 {
            let root = plant.admin.group(&domain, &format!("root {round}"), None).await;
            let mut clients = Vec::new();
            for n in 0..3 {
                clients.push(plant.admin.client(&domain, &format!("{round}-{n}")).await);
            }
            let answers = at_once(4, |n| {
                let (admin, domain, root, clients) = (plant.admin.clone(), domain.clone(), root.clone(), clients.clone());
                async move {
                    match clients.get(n) {
                        None => admin.delete(&format!("/{domain}/groups/{root}")).await,
                        Some(client) => {
                            let path = format!("/{domain}/clients/{client}/parent");
                            admin.post(&path, json!({"parent_group_id": root})).await
                        }
                    }
                }
            })
            .await;
            for answer in answers {
                assert!([200, 204, 404, 422].contains(&answer.status.as_u16()), "{}", answer.status);
            }
            assert_eq!(plant.count(&format!("relations WHERE subject_id = '{root}'")).await, 0);
        }
    }

    async fn a_group_that_is_removed_while_others_are_put_into_it_keeps_none(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        for round in 0..10 {
            let root = plant.admin.group(&domain, &format!("root {round}"), None).await;
            let answers = at_once(4, |n| {
                let (admin, domain, root) = (plant.admin.clone(), domain.clone(), root.clone());
                async move {
                    match n {
                        0 => admin.delete(&format!("/{domain}/groups/{root}")).await,
                        _ => admin.post(&format!("/{domain}/groups"), json!({"name": "child", "parent_id": root})).await,
                    }
                }
            })
            .await;
            for answer in answers {
                assert!([201, 204, 400, 404].contains(&answer.status.as_u16()), "{}", answer.status);
            }
            assert_eq!(plant.count(&format!("relations WHERE subject_id = '{root}'")).await, 0);
        }
    }
}
