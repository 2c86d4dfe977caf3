use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::{Caller, Plant};

both_databases! {
    async fn whoever_makes_a_domain_holds_every_right_in_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        plant.events().await;

        let body = json!({"name": "Plant 1", "route": "plant-1", "tags": ["a"], "metadata": {"x": 1}});
        let domain = ann.post("/domains", body).await.expect(201);
        let id = domain["id"].as_str().unwrap();
        assert_eq!(
            domain,
            json!({
                "id": id, "name": "Plant 1", "route": "plant-1", "tags": ["a"], "metadata": {"x": 1},
                "status": "enabled", "created_by": ann.id, "created_at": "2026-01-02T03:04:05Z",
                "updated_at": "0001-01-01T00:00:00Z",
            })
        );

        let events = plant.events().await;
        assert_eq!(events.len(), 1);
        let (operation, event) = &events[0];
        assert_eq!(operation, "domain.create");
        assert_eq!(event["user_id"], ann.id);
        assert_eq!(event["roles_provisioned"][0]["optional_actions"].as_array().unwrap().len(), 64);

        assert_eq!(ann.get(&format!("/domains/{id}")).await.expect(200), domain);
        ann.client(id, "sensor").await;
        ann.channel(id, "temperatures").await;
        assert_eq!(plant.count(&format!("roles WHERE domain_id = '{id}'")).await, 3);
    }

    async fn a_stranger_learns_nothing_of_a_domain(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let id = ann.domain("ann-1").await;
        let client = ann.client(&id, "sensor").await;
        let unknown = "00000000-0000-4000-8000-000000000000";

        for path in [
            format!("/domains/{id}"),
            format!("/domains/{unknown}"),
            format!("/{id}/clients"),
            format!("/{id}/clients/{client}"),
            format!("/{id}/clients/{unknown}"),
            format!("/{unknown}/clients"),
        ] {
            let message = bob.get(&path).await.refused(403);
            assert_eq!(message, "failed to perform authorization over the entity", "{path}");
        }
        assert_eq!(bob.get("/domains").await.expect(200)["total"], 0);
        assert_eq!(ann.get("/domains").await.expect(200)["total"], 1);
        assert_eq!(plant.admin.get("/domains").await.expect(200)["total"], 1);
    }

    async fn a_taken_route_is_a_conflict_and_changes_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.admin.domain("boiler").await;
        plant.events().await;

        let answer = plant.admin.post("/domains", json!({"name": "second", "route": "boiler"})).await;

        assert_eq!(answer.refused(409), "route not available");
        assert_eq!(plant.admin.get("/domains").await.expect(200)["total"], 1);
        assert!(plant.events().await.is_empty());
        assert_eq!(plant.count("roles").await, 1);
    }

    async fn what_is_not_a_domain_is_refused_with_the_reason(db: TestDb) {
        let plant = Plant::new(db).await;
        for (body, message) in [
            (json!({"name": "x"}), "missing route"),
            (json!({"route": "x"}), "missing identity name"),
            (json!({"name": "x", "route": "7up"}), "invalid route format"),
            (json!({"name": "x", "route": "users"}), "invalid route format"),
            (json!({"name": "x".repeat(1025), "route": "x"}), "invalid name size"),
            (json!({"name": "x", "route": "x", "id": "1"}), "invalid id format provided"),
            (json!({"name": 7, "route": "x"}), "request body is not a valid JSON, expecting a valid JSON"),
        ] {
            assert_eq!(plant.admin.post("/domains", body).await.refused(400), message);
        }
    }

    async fn a_disabled_domain_is_open_to_its_administrators_only(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let id = ann.domain("ann-1").await;
        plant.events().await;

        ann.post(&format!("/domains/{id}/disable"), json!({})).await.expect(200);
        assert_eq!(ann.get(&format!("/domains/{id}")).await.expect(200)["status"], "disabled");
        ann.client(&id, "still possible").await;

        plant.admin.post(&format!("/domains/{id}/freeze"), json!({})).await.expect(200);
        ann.get(&format!("/domains/{id}")).await.refused(403);
        ann.post(&format!("/domains/{id}/enable"), json!({})).await.refused(403);
        assert_eq!(plant.admin.get(&format!("/domains/{id}")).await.expect(200)["status"], "freezed");

        plant.admin.post(&format!("/domains/{id}/enable"), json!({})).await.expect(200);
        let domain = ann.get(&format!("/domains/{id}")).await.expect(200);
        assert_eq!(domain["updated_by"], plant.admin.id);
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(operations, ["domain.disable", "client.create", "domain.freeze", "domain.enable"]);
    }

    async fn a_change_replaces_what_it_names_and_leaves_the_rest(db: TestDb) {
        let plant = Plant::new(db).await;
        let body = json!({"name": "one", "route": "one", "tags": ["a", "b"], "metadata": {"x": 1}});
        let id = plant.admin.post("/domains", body).await.expect(201)["id"].as_str().unwrap().to_owned();
        plant.clock.advance(crate::plant::LATER);

        let changed = plant.admin.patch(&format!("/domains/{id}"), json!({"metadata": {"y": 2}})).await.expect(200);

        assert_eq!(changed["name"], "one");
        assert_eq!(changed["tags"], json!(["a", "b"]));
        assert_eq!(changed["metadata"], json!({"y": 2}));
        assert_eq!(changed["updated_at"], "2026-01-02T03:05:05Z");
    }

    async fn lists_are_filtered_and_paged(db: TestDb) {
        let plant = Plant::new(db).await;
        for n in 0..12 {
            let tags = if n % 2 == 0 { json!(["even", "all"]) } else { json!(["odd", "all"]) };
            let body = json!({"name": format!("Näme {n:02}"), "route": format!("r{n}"), "tags": tags, "metadata": {"n": n}});
            plant.admin.post("/domains", body).await.expect(201);
        }
        let total = async |query: &str| plant.admin.get(&format!("/domains?{query}")).await.expect(200)["total"].clone();
        assert_eq!(total("").await, 12);
        assert_eq!(total("name=n%C3%84ME").await, 12);
        assert_eq!(total("name=%25").await, 0);
        assert_eq!(total("tags=even").await, 6);
        assert_eq!(total("tags=even,odd").await, 12);
        assert_eq!(total("tags=even%2Ball").await, 6);
        assert_eq!(total("tags=even%2Bodd").await, 0);
        assert_eq!(total("metadata=%7B%22n%22%3A3%7D").await, 1);
        assert_eq!(total("status=disabled").await, 0);
        let page = plant.admin.get("/domains?order=name&dir=asc&limit=5&offset=10").await.expect(200);
        let names: Vec<_> = page["domains"].as_array().unwrap().iter().map(|d| d["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Näme 10", "Näme 11"]);
        for (query, message) in [
            ("limit=0", "invalid limit size"),
            ("limit=1001", "invalid limit size"),
            ("limit=x", "invalid query parameters"),
            ("limit=1&limit=2", "invalid query parameters"),
            ("order=secret", "invalid list order provided"),
            ("dir=up", "invalid list direction provided"),
            ("status=gone", "invalid status"),
            ("metadata=x", "invalid query parameters"),
        ] {
            assert_eq!(plant.admin.get(&format!("/domains?{query}")).await.refused(400), message, "{query}");
        }
    }

    async fn a_freeze_holds_against_an_administrator_of_the_domain_who_enables_it_all_the_time(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let id = ann.domain("ann-1").await;
        for _ in 0..10 {
            let enabling: Vec<_> = (0..4)
                .map(|_| {
                    let (ann, path) = (ann.clone(), format!("/domains/{id}/enable"));
                    tokio::spawn(async move {
                        for _ in 0..10 {
                            ann.post(&path, json!({})).await;
                        }
                    })
                })
                .collect();
            plant.admin.post(&format!("/domains/{id}/freeze"), json!({})).await.expect(200);
            for task in enabling {
                task.await.unwrap();
            }
            assert_eq!(plant.admin.get(&format!("/domains/{id}")).await.expect(200)["status"], "freezed");
            plant.admin.post(&format!("/domains/{id}/enable"), json!({})).await.expect(200);
        }
    }

    async fn a_list_says_which_role_one_holds_and_is_filtered_by_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let (one, two, three) = (ann.domain("one").await, ann.domain("two").await, ann.domain("three").await);
        let own = bob.domain("bobs").await;
        ann.grants(&format!("/domains/{one}"), "reader", &["read"], &bob).await;
        ann.grants(&format!("/domains/{two}"), "editor", &["update", "read"], &bob).await;
        // A role that allows nothing opens no domain.
        ann.grants(&format!("/domains/{three}"), "idle", &[], &bob).await;
        let names = async |caller: &Caller, query: &str| {
            let page = caller.get(&format!("/domains?order=created_at&dir=asc&{query}")).await.expect(200);
            let domains = page["domains"].as_array().unwrap().clone();
            assert_eq!(page["total"], domains.len());
            domains.iter().map(|domain| domain["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut all = names(&bob, "").await;
        all.sort();
        assert_eq!(all, ["bobs", "one", "two"]);

        let page = bob.get("/domains?role_name=editor").await.expect(200);
        let row = &page["domains"][0];
        assert_eq!((&row["id"], &row["role_name"]), (&json!(two), &json!("editor")));
        assert_eq!(row["actions"], json!(["update", "read"]));
        let shown: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = [
            "actions", "created_at", "created_by", "id", "name", "role_id", "role_name", "route", "status", "updated_at",
        ];
        expected.sort_unstable();
        assert_eq!(shown, expected);
        let role = row["role_id"].as_str().unwrap();
        for (query, expected) in [
            (format!("role_id={role}"), vec!["two"]),
            (format!("role_id={role}&role_name=reader"), vec![]),
            ("role_name=admin".to_owned(), vec!["bobs"]),
            ("role_name=%27".to_owned(), vec![]),
            ("actions=read,update&status=all".to_owned(), vec!["two"]),
            (format!("actions=read&id={one}"), vec!["one"]),
            ("actions=fly".to_owned(), vec![]),
        ] {
            let mut found = names(&bob, &query).await;
            found.retain(|name| name != "bobs" || query.contains("admin"));
            assert_eq!(found, expected, "{query}");
        }
        // Administrators of the platform need no role: they see all, and nothing is said of roles.
        assert_eq!(names(&plant.admin, "role_name=nobody&actions=fly").await.len(), 4);
        let page = plant.admin.get(&format!("/domains?id={own}")).await.expect(200);
        assert!(page["domains"][0].get("role_id").is_none());
        assert!(page["domains"][0].get("actions").is_none());
        bob.get("/domains?role_id=x%00").await.refused(400);
    }

    async fn a_list_without_domains_is_empty_and_pages_may_be_long(db: TestDb) {
        let plant = Plant::new(db).await;
        let bob = plant.user("bob").await;
        assert_eq!(
            bob.get("/domains?limit=1000").await.expect(200),
            json!({"total": 0, "offset": 0, "limit": 1000, "domains": []})
        );
        assert_eq!(bob.get("/domains?limit=1001").await.refused(400), "invalid limit size");
        bob.domain("one").await;
        assert_eq!(
            bob.get("/domains?only_total=true").await.expect(200),
            json!({"total": 1, "offset": 0, "limit": 10, "domains": []})
        );
    }

    async fn a_list_is_limited_to_a_time(db: TestDb) {
        let plant = Plant::new(db).await;
        plant.admin.domain("one").await;
        plant.clock.advance(crate::plant::LATER);
        plant.admin.domain("two").await;
        for (query, total) in [
            ("created_from=2026-01-02T03:04:05Z", 2),
            ("created_from=2026-01-02T03:04:06Z", 1),
            ("created_to=2026-01-02T03:04:05Z", 1),
            ("created_to=2026-01-02T03:04:04Z", 0),
            ("created_from=2026-01-02T03:04:06Z&created_to=2026-01-02T03:05:05Z", 1),
        ] {
            assert_eq!(plant.admin.get(&format!("/domains?{query}")).await.expect(200)["total"], total, "{query}");
        }
        assert_eq!(plant.admin.get("/domains?created_from=now").await.refused(400), "invalid query parameters");
    }

    async fn a_view_says_by_which_roles_one_comes_to_the_domain(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let path = format!("/domains/{}", ann.domain("one").await);
        ann.grants(&path, "reader", &["read", "client_read"], &bob).await;
        let viewed = bob.get(&format!("{path}?roles=true")).await.expect(200);
        assert_eq!(viewed["member_id"], bob.id);
        let role = viewed["roles"][0]["role_id"].as_str().unwrap();
        assert_eq!(
            viewed["roles"],
            json!([{"role_id": role, "role_name": "reader", "actions": ["read", "client_read"], "access_type": "direct"}])
        );
        let plain = bob.get(&format!("{path}?roles=false")).await.expect(200);
        assert!(plain.get("roles").is_none() && plain.get("member_id").is_none());
        // An administrator of the platform needs no role.
        let viewed = plant.admin.get(&format!("{path}?roles=true")).await.expect(200);
        assert_eq!((&viewed["member_id"], &viewed["roles"]), (&json!(plant.admin.id), &json!([])));
        assert_eq!(bob.get(&format!("{path}?roles=perhaps")).await.refused(400), "invalid query parameters");
    }

    async fn names_are_bounded_when_a_domain_is_made_and_when_it_is_changed(db: TestDb) {
        let plant = Plant::new(db).await;
        let id = plant.admin.domain("one").await;
        let (long, longest) = ("ü".repeat(255), "ü".repeat(254));
        let body = json!({"name": long, "route": "two"});
        assert_eq!(plant.admin.post("/domains", body).await.refused(400), "invalid name size");
        let path = format!("/domains/{id}");
        assert_eq!(plant.admin.patch(&path, json!({"name": long})).await.refused(400), "invalid name size");
        assert_eq!(plant.admin.get(&path).await.expect(200)["name"], "one");
        let changed = plant.admin.patch(&path, json!({"name": longest})).await.expect(200);
        assert_eq!((&changed["name"], &changed["updated_by"]), (&json!(longest), &json!(plant.admin.id)));
        plant.admin.post("/domains", json!({"name": longest, "route": "two"})).await.expect(201);
    }

    async fn a_domain_with_an_id_of_ones_own_needs_a_name_and_a_route_as_well(db: TestDb) {
        let plant = Plant::new(db).await;
        let id = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
        for (body, message) in [
            (json!({"id": id, "route": "x"}), "missing identity name"),
            (json!({"id": id, "name": "x"}), "missing route"),
            (json!({"id": id, "name": "x", "route": "a__b"}), "invalid route format"),
        ] {
            assert_eq!(plant.admin.post("/domains", body).await.refused(400), message);
        }
        assert_eq!(plant.count("domains").await, 0);
        let body = json!({"id": id, "name": "x", "route": "x"});
        assert_eq!(plant.admin.post("/domains", body).await.expect(201)["id"], id);
        let again = plant.admin.post("/domains", json!({"id": id, "name": "x", "route": "y"})).await;
        assert_eq!(again.refused(409), "domain already exists");
    }

    async fn enabling_an_enabled_domain_changes_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        let id = plant.admin.domain("one").await;
        plant.events().await;
        plant.admin.post(&format!("/domains/{id}/enable"), json!({})).await.expect(200);
        assert!(plant.events().await.is_empty());
        let domain = plant.admin.get(&format!("/domains/{id}")).await.expect(200);
        assert_eq!(domain["updated_at"], "0001-01-01T00:00:00Z");
    }
}
