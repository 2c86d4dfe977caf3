//! Bodies and queries as the contract reads them (reference 01 §1.2), through the routes of the capabilities.

use db::{both_databases, testing::TestDb};
use serde_json::json;

use crate::plant::{PASSWORD, Plant};

both_databases! {
    async fn keys_match_in_any_case_and_null_leaves_the_default(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let clients = format!("/{domain}/clients");
        let body = json!({
            "Name": "sensor", "TAGS": null, "credentials": {"Identity": "i", "SECRET": "s3cret"}, "metadata": {"Name": null},
            "status": null, "parent_group_id": null, "created_at": "0001-01-01T00:00:00Z",
        });
        let client = plant.admin.post(&clients, body).await.expect(201);
        assert_eq!((&client["name"], &client["status"]), (&json!("sensor"), &json!("enabled")));
        assert_eq!(client["credentials"], json!({"identity": "i", "secret": "s3cret"}));
        assert_eq!(client["metadata"], json!({"Name": null}), "what users attach stays as it is");

        let one = format!("{clients}/{}", client["id"].as_str().unwrap());
        let changed = plant.admin.patch(&one, json!({"NAME": "probe", "metadata": null})).await.expect(200);
        assert_eq!((&changed["name"], &changed["metadata"]), (&json!("probe"), &client["metadata"]));
        let bulk = json!([{"Name": "a"}, null, {"name": "b", "Credentials": null}]);
        assert_eq!(plant.admin.post(&format!("{clients}/bulk"), bulk).await.expect(200)["total"], 3);
        let nothing = plant.admin.post(&format!("{clients}/bulk"), json!(null)).await;
        assert_eq!(nothing.refused(400), "empty list provided");
    }

    async fn a_list_is_no_object_at_whatever_depth(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let clients = format!("/{domain}/clients");
        let no_json = "request body is not a valid JSON, expecting a valid JSON";
        for (path, body) in [
            (clients.clone(), json!(["5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11"])),
            (clients.clone(), json!({"name": "a", "credentials": ["i", "s3cret"]})),
            (clients.clone(), json!({"name": "a", "Credentials": ["i", "s3cret"]})),
            (format!("{clients}/bulk"), json!([[null, "a"]])),
            (format!("{clients}/bulk"), json!([{"credentials": ["i", "s3cret"]}])),
            ("/users/tokens/issue".to_owned(), json!(["admin", "", PASSWORD])),
        ] {
            assert_eq!(plant.admin.post(&path, body.clone()).await.refused(400), no_json, "{body}");
        }
        assert_eq!(plant.count("clients").await, 0);
    }

    async fn of_two_names_for_one_field_the_contracts_own_counts(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let log_in = json!({"username": "admin", "identity": "nobody", "secret": "wrong", "password": PASSWORD});
        plant.nobody().post("/users/tokens/issue", log_in).await.expect(201);
        let older = json!({"identity": "admin", "username": "", "secret": PASSWORD});
        plant.nobody().post("/users/tokens/issue", older).await.expect(201);

        let role = json!({
            "role_name": "reader", "name": "other", "optional_actions": ["read"], "actions": ["update"], "members": null,
        });
        let role = plant.admin.post(&format!("/domains/{domain}/roles"), role).await.expect(201);
        assert_eq!((&role["name"], &role["optional_actions"]), (&json!("reader"), &json!(["read"])));

        let (one, two) = (plant.admin.group(&domain, "one", None).await, plant.admin.group(&domain, "two", None).await);
        let leaf = plant.admin.group(&domain, "leaf", None).await;
        let path = format!("/{domain}/groups/{leaf}/parent");
        plant.admin.post(&path, json!({"parent_id": one, "group_id": two})).await.expect(200);
        let view = plant.admin.get(&format!("/{domain}/groups/{leaf}")).await.expect(200);
        assert_eq!(view["parent_id"], one.as_str());
        assert_eq!(plant.admin.post(&path, json!({})).await.refused(400), "invalid id format provided");
        let children = json!({"children_ids": [two], "groups": [leaf]});
        plant.admin.post(&format!("/{domain}/groups/{one}/children"), children).await.expect(200);

        let client = plant.admin.client(&domain, "sensor").await;
        let parents = json!({"parent_group_id": two, "parent_id": one});
        plant.admin.post(&format!("/{domain}/clients/{client}/parent"), parents).await.expect(200);
        let view = plant.admin.get(&format!("/{domain}/clients/{client}")).await.expect(200);
        assert_eq!(view["parent_group_id"], two.as_str());

        let pat = plant.admin.post("/pats", json!({"name": "p", "duration": "24h"})).await.expect(201);
        let scope = json!({
            "domain_id": domain, "optional_domain_id": "x", "entity_type": "clients", "entity_id": "*", "operation": "view",
        });
        let path = format!("/pats/{}/scope/add", pat["id"].as_str().unwrap());
        plant.admin.patch(&path, json!({"scopes": [scope]})).await.expect(200);
        assert_eq!(plant.count(&format!("pat_scopes WHERE domain_id = '{domain}'")).await, 1);
    }

    async fn an_empty_parameter_is_one_that_was_left_out(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let group = plant.admin.group(&domain, "hall", None).await;
        let client = plant.admin.client(&domain, "sensor").await;
        let body = json!({"parent_group_id": group});
        plant.admin.post(&format!("/{domain}/clients/{client}/parent"), body).await.expect(200);
        plant.admin.channel(&domain, "temperatures").await;
        let empty = "name=&status=&tags=&metadata=&order=&dir=&id=&created_from=&created_to=&role_id=&role_name=\
                     &actions=&access_type=&user=&client=&channel=&connection_type=";
        for path in ["clients", "channels", "groups"] {
            let page = plant.admin.get(&format!("/{domain}/{path}?{empty}")).await.expect(200);
            assert_eq!(page["total"], 1, "{path}");
        }
        assert_eq!(plant.admin.get(&format!("/domains?{empty}")).await.expect(200)["total"], 1);
        plant.admin.get(&format!("/users?{empty}&username=&email=")).await.expect(200);
        plant.admin.get("/invitations?state=&role_id=&invited_by=&domain_id=&invitee_user_id=").await.expect(200);
        let roles = format!("/{domain}/groups/{group}/roles/members?order=&dir=&role_id=&access_type=&actions=");
        assert_eq!(plant.admin.get(&roles).await.expect(200)["total"], 1);
        // Which group: none. And a page has a size.
        assert_eq!(plant.admin.get(&format!("/{domain}/clients?group=")).await.expect(200)["total"], 0);
        for query in ["limit=", "offset="] {
            let answer = plant.admin.get(&format!("/{domain}/clients?{query}")).await;
            assert_eq!(answer.refused(400), "invalid query parameters");
        }
        let ever = "created_from=0001-01-01T00:00:00Z&created_to=9999-12-31T23:59:59Z";
        for path in [format!("/{domain}/clients"), format!("/{domain}/groups"), "/domains".to_owned()] {
            assert_eq!(plant.admin.get(&format!("{path}?{ever}")).await.expect(200)["total"], 1, "{path}");
        }
        let never = "created_from=9999-12-31T23:59:59Z";
        assert_eq!(plant.admin.get(&format!("/{domain}/clients?{never}")).await.expect(200)["total"], 0);
    }

    async fn who_made_or_changed_a_thing_and_when_is_not_the_callers_to_say(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("one").await;
        let forged = json!({
            "name": "it", "route": "it", "domain_id": plant.admin.id, "created_by": plant.admin.id, "updated_by": plant.admin.id,
            "created_at": "2001-02-03T04:05:06Z", "updated_at": "2001-02-03T04:05:06Z",
        });
        for (made, view) in [
            ("/domains".to_owned(), "/domains".to_owned()),
            (format!("/{domain}/clients"), format!("/{domain}/clients")),
            (format!("/{domain}/channels"), format!("/{domain}/channels")),
            (format!("/{domain}/groups"), format!("/{domain}/groups")),
        ] {
            let id = ann.post(&made, forged.clone()).await.expect(201)["id"].as_str().unwrap().to_owned();
            let seen = ann.get(&format!("{view}/{id}")).await.expect(200);
            assert_eq!(seen["created_at"], "2026-01-02T03:04:05Z", "{seen}");
            assert_eq!(seen["updated_at"], "0001-01-01T00:00:00Z", "{seen}");
            assert_ne!(seen["created_by"], json!(plant.admin.id), "{seen}");
            assert!(seen["updated_by"].is_null(), "{seen}");
            assert_ne!(seen["domain_id"], json!(plant.admin.id), "{seen}");
        }
    }
}
