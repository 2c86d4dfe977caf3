use std::sync::Arc;

use db::{both_databases, testing::TestDb};
use kernel::{Secret, Status};
use serde_json::json;

use crate::plant::{LATER, Plant, Shared, at_once};

/// Whether the secret is the client's.
async fn holds(plant: &Plant, client: &str, secret: &str) -> bool {
    let secret = Secret::new(secret.to_owned());
    plant.registry.clients.authenticate(client.parse().unwrap(), &secret).await.unwrap().is_some()
}

both_databases! {
    async fn a_client_is_made_whole(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        plant.events().await;

        let answer = plant
            .admin
            .post(
                &format!("/{domain}/clients"),
                json!({
                    "name": "sensor", "tags": ["t"], "credentials": {"identity": "sn-1", "secret": "secret"},
                    "metadata": {"a": 1}, "private_metadata": {"b": 2}, "status": "enabled",
                    "updated_at": "0001-01-01T00:00:00Z",
                }),
            )
            .await;
        let location = answer.header("location").to_owned();
        let client = answer.expect(201);
        let id = client["id"].as_str().unwrap();
        assert_eq!(location, format!("/clients/{id}"));
        assert_eq!(
            client,
            json!({
                "id": id, "name": "sensor", "tags": ["t"], "domain_id": domain,
                "credentials": {"identity": "sn-1", "secret": "secret"},
                "metadata": {"a": 1}, "private_metadata": {"b": 2},
                "created_at": "2026-01-02T03:04:05Z", "updated_at": "0001-01-01T00:00:00Z", "status": "enabled",
            })
        );
        assert_eq!(plant.admin.get(&format!("/{domain}/clients/{id}")).await.expect(200), client);

        let events = plant.events().await;
        assert_eq!(events.iter().map(|event| event.0.as_str()).collect::<Vec<_>>(), ["client.create"]);
        assert_eq!(events[0].1["roles_provisioned"][0]["optional_actions"].as_array().unwrap().len(), 9);
        assert_eq!(plant.count(&format!("relations WHERE object_id = '{id}' AND relation = 'domain'")).await, 1);
        assert_eq!(plant.count(&format!("roles WHERE entity_id = '{id}'")).await, 1);
        assert_eq!(plant.count(&format!("role_members WHERE entity_id = '{id}'")).await, 1);
    }

    async fn a_secret_is_made_where_none_is_given_and_works_at_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let client = plant.admin.post(&format!("/{domain}/clients"), json!({})).await.expect(201);
        let secret = client["credentials"]["secret"].as_str().unwrap().to_owned();
        assert_eq!(secret.len(), 32);
        let id = client["id"].as_str().unwrap().parse().unwrap();
        let clients = &plant.registry.clients;
        assert!(clients.authenticate(id, &Secret::new(secret.clone())).await.unwrap().is_some());
        assert!(clients.authenticate(id, &Secret::new(format!("{secret}x"))).await.unwrap().is_none());
        let found = clients.authenticate_in(domain.parse().unwrap(), &Secret::new(secret)).await.unwrap();
        assert_eq!(found.unwrap().id, id);
    }

    async fn a_client_that_is_remembered_is_refused_from_the_answer_to_its_change_on(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let clients = format!("/{domain}/clients");
        let made = plant.admin.post(&clients, json!({"credentials": {"secret": "first"}})).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        let holder = async |secret: &str| {
            let secret = Secret::new(secret.to_owned());
            let found = plant.registry.clients.authenticate_in(domain.parse().unwrap(), &secret).await.unwrap();
            found.map(|found| (found.id.to_string(), found.status == Status::Enabled))
        };
        // Known in both ways before each change.
        assert!(holds(&plant, &id, "first").await);
        assert_eq!(holder("first").await, Some((id.clone(), true)));

        let path = format!("{clients}/{id}");
        plant.admin.patch(&format!("{path}/secret"), json!({"secret": "second"})).await.expect(200);
        assert!(!holds(&plant, &id, "first").await);
        assert_eq!(holder("first").await, None);
        assert!(holds(&plant, &id, "second").await);
        assert_eq!(holder("second").await, Some((id.clone(), true)));

        // A secret that has become free may be another's; whoever had it is not taken for the new one.
        let other = plant.admin.post(&clients, json!({"credentials": {"secret": "first"}})).await.expect(201);
        let other = other["id"].as_str().unwrap().to_owned();
        assert_eq!(holder("first").await, Some((other, true)));
        assert!(!holds(&plant, &id, "first").await);

        plant.admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        assert_eq!(holder("second").await, Some((id.clone(), false)));
        plant.admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        assert_eq!(holder("second").await, Some((id.clone(), true)));

        plant.admin.delete(&path).await.expect(204);
        assert!(!holds(&plant, &id, "second").await);
        assert_eq!(holder("second").await, None);
    }

    async fn a_secret_names_one_client_of_its_domain(db: TestDb) {
        let plant = Plant::new(db).await;
        let (one, two) = (plant.admin.domain("one").await, plant.admin.domain("two").await);
        let body = json!({"credentials": {"secret": "secret"}});
        plant.admin.post(&format!("/{one}/clients"), body.clone()).await.expect(201);
        plant.events().await;
        let answer = plant.admin.post(&format!("/{one}/clients"), body.clone()).await;
        assert_eq!(answer.refused(409), "client key is not available");
        plant.admin.post(&format!("/{two}/clients"), body).await.expect(201);
        assert_eq!(plant.count("clients").await, 2);
        assert_eq!(plant.events().await.len(), 1);
    }

    async fn many_clients_are_made_all_or_none(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let path = format!("/{domain}/clients/bulk");
        let made = plant.admin.post(&path, json!([{"name": "a"}, {"name": "b", "status": "disabled"}])).await.expect(200);
        assert_eq!(made["total"], 2);
        assert_eq!(plant.admin.post(&path, json!([])).await.refused(400), "empty list provided");
        let same = json!([{"credentials": {"secret": "x"}}, {"credentials": {"secret": "x"}}]);
        plant.admin.post(&path, same).await.refused(409);
        assert_eq!(plant.count("clients").await, 2);
        let total = async |query: &str| plant.admin.get(&format!("/{domain}/clients?{query}")).await.expect(200)["total"].clone();
        assert_eq!(total("").await, 1);
        assert_eq!(total("status=disabled").await, 1);
        assert_eq!(total("status=all").await, 2);
        assert_eq!(total("status=all&only_total=true").await, 2);
        assert_eq!(total("status=all&name=A").await, 1);
    }

    async fn a_client_of_another_domain_is_not_there(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let (of_ann, of_bob) = (ann.domain("ann-1").await, bob.domain("bob-1").await);
        let client = ann.client(&of_ann, "sensor").await;
        let unknown = "00000000-0000-4000-8000-000000000000";
        for (caller, id) in [(&bob, client.as_str()), (&bob, unknown), (&plant.admin, client.as_str())] {
            let path = format!("/{of_bob}/clients/{id}");
            caller.get(&path).await.refused(404);
            caller.patch(&path, json!({"name": "mine"})).await.refused(404);
            caller.post(&format!("{path}/disable"), json!({})).await.refused(404);
            caller.patch(&format!("{path}/secret"), json!({"secret": "mine"})).await.refused(404);
            caller.delete(&path).await.refused(404);
        }
        assert_eq!(ann.get(&format!("/{of_ann}/clients/{client}")).await.expect(200)["name"], "sensor");
    }

    async fn only_an_enabled_client_is_changed(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let path = format!("/{domain}/clients/{}", plant.admin.client(&domain, "sensor").await);
        plant.events().await;

        let changed = plant.admin.patch(&path, json!({"name": "", "metadata": {"x": 1}})).await.expect(200);
        assert_eq!((&changed["name"], &changed["metadata"]), (&json!("sensor"), &json!({"x": 1})));
        assert_eq!(changed["updated_by"], plant.admin.id);
        assert_eq!(changed["credentials"], json!({}), "an update shows no secret");
        let tagged = plant.admin.patch(&format!("{path}/tags"), json!({"tags": ["a"]})).await.expect(200);
        assert_eq!(tagged["tags"], json!(["a"]));
        plant.admin.patch(&format!("{path}/secret"), json!({"secret": "new"})).await.expect(200);
        assert_eq!(plant.admin.get(&path).await.expect(200)["credentials"]["secret"], "new");
        assert_eq!(plant.admin.patch(&format!("{path}/secret"), json!({"secret": ""})).await.refused(400), "missing secret");

        plant.admin.post(&format!("{path}/disable"), json!({})).await.expect(200);
        plant.admin.patch(&path, json!({"name": "x"})).await.refused(404);
        plant.admin.patch(&format!("{path}/secret"), json!({"secret": "x"})).await.refused(404);
        assert_eq!(plant.admin.post(&format!("{path}/disable"), json!({})).await.refused(409), "status already assigned");
        plant.admin.post(&format!("{path}/enable"), json!({})).await.expect(200);
        let operations: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(
            operations,
            ["client.update", "client.update_tags", "client.update_secret", "client.disable", "client.enable"]
        );
    }

    async fn a_removed_client_leaves_nothing_behind(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (client, channel) = (plant.admin.client(&domain, "c").await, plant.admin.channel(&domain, "h").await);
        let connect = json!({"client_ids": [client], "types": ["publish"]});
        plant.admin.post(&format!("/{domain}/channels/{channel}/connect"), connect).await.expect(201);
        plant.events().await;

        plant.admin.delete(&format!("/{domain}/clients/{client}")).await.expect(204);

        for table in [
            format!("clients WHERE id = '{client}'"),
            format!("connections WHERE client_id = '{client}'"),
            format!("relations WHERE object_id = '{client}'"),
            format!("roles WHERE entity_id = '{client}'"),
            format!("role_members WHERE entity_id = '{client}'"),
        ] {
            assert_eq!(plant.count(&table).await, 0, "{table}");
        }
        assert_eq!(plant.events().await[0].0, "client.remove");
        plant.admin.get(&format!("/{domain}/clients/{client}")).await.refused(404);
        plant.admin.delete(&format!("/{domain}/clients/{client}")).await.refused(404);
        assert_eq!(plant.admin.get(&format!("/{domain}/clients")).await.expect(200)["total"], 0);
    }

    async fn the_same_secret_at_once_is_given_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let caller: Shared = Arc::new(plant.admin.clone());
        let answers = at_once(16, |_| {
            let (caller, path) = (Arc::clone(&caller), format!("/{domain}/clients"));
            async move { caller.post(&path, json!({"credentials": {"secret": "one"}})).await }
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1);
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.status == 409));
        assert_eq!(plant.count("clients").await, 1);
        assert_eq!(plant.admin.get(&format!("/{domain}/clients")).await.expect(200)["total"], 1);
    }

    async fn what_is_too_large_is_refused(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let path = format!("/{domain}/clients");
        for body in [
            json!({"metadata": {"x": "y".repeat(64 * 1024)}}),
            json!({"private_metadata": {"x": "y".repeat(64 * 1024)}}),
            json!({"tags": vec!["t"; 129]}),
            json!({"tags": ["t".repeat(255)]}),
            json!({"credentials": {"secret": "s".repeat(4097)}}),
            json!({"credentials": {"identity": "i".repeat(255)}}),
        ] {
            plant.admin.post(&path, body).await.refused(400);
        }
        assert_eq!(plant.count("clients").await, 0);
    }

    async fn a_secret_is_rotated_and_shown_once(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let client = plant.admin.client(&domain, "sensor").await;
        let path = format!("/{domain}/clients/{client}/secret");
        let mut seen = Vec::new();
        let patch = http::Method::PATCH;
        for _ in 0..3 {
            let answer = plant.admin.send(patch.clone(), &path, None).await.expect(200);
            let secret = answer["credentials"]["secret"].as_str().unwrap().to_owned();
            assert!(holds(&plant, &client, &secret).await);
            assert!(!seen.contains(&secret));
            seen.push(secret);
        }
        assert!(!holds(&plant, &client, &seen[0]).await);
        for body in [json!({}), json!({"secret": null}), json!({"secrets": "new"})] {
            assert_eq!(plant.admin.patch(&path, body).await.refused(400), "missing secret");
        }
        assert!(holds(&plant, &client, &seen[2]).await, "a mistake locks no device out");
        let given = plant.admin.patch(&path, json!({"secret": "mine"})).await.expect(200);
        assert_eq!(given["credentials"], json!({}), "a secret that was sent does not travel back");
        let events = plant.events().await;
        assert!(events.iter().all(|event| !event.1.to_string().contains(&seen[2])), "no event tells it");
    }

    async fn a_list_is_no_object(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let made = plant.admin.post(&format!("/{domain}/clients"), json!({"tags": ["kept"]})).await.expect(201);
        let path = format!("/{domain}/clients/{}", made["id"].as_str().unwrap());
        for (way, body) in [("/tags", json!([])), ("/tags", json!([["new"]])), ("", json!(["new"]))] {
            let message = plant.admin.patch(&format!("{path}{way}"), body).await.refused(400);
            assert_eq!(message, "request body is not a valid JSON, expecting a valid JSON");
        }
        assert_eq!(plant.admin.get(&path).await.expect(200)["tags"], json!(["kept"]));
        plant.admin.post(&format!("/{domain}/clients/bulk"), json!({})).await.refused(400);
    }

    async fn a_list_can_be_narrowed_down(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let (ann, path) = (plant.user("ann").await, format!("/{domain}/clients"));
        let first = json!({"name": "first", "credentials": {"identity": "SN-1"}, "tags": ["a", "b"], "metadata": {"x": {"y": 1}}});
        let first = plant.admin.post(&path, first).await.expect(201)["id"].as_str().unwrap().to_owned();
        plant.clock.advance(LATER);
        plant.admin.post(&path, json!({"name": "100%", "tags": ["a"]})).await.expect(201);
        for (query, total) in [
            ("", 2),
            ("?status=", 2),
            ("?identity=sn-", 1),
            (&format!("?id={first}"), 1),
            ("?id=", 2),
            ("?tags=a%2Bb", 1),
            ("?tags=a,c", 2),
            ("?name=%25", 1),
            ("?metadata=%7B%22x%22%3A%7B%22y%22%3A1%7D%7D", 1),
            ("?created_from=2026-01-02T03:04:06Z", 1),
            ("?created_to=2026-01-02%2003:04:05", 1),
            ("?created_from=2026-01-02T03:04:05Z&created_to=2026-01-02T03:05:05Z", 2),
            ("?with_attributes=true&with_metadata=true&permission=read", 2),
            (&format!("?user={}", ann.id), 0),
            (&format!("?user={}", plant.admin.id), 2),
        ] {
            assert_eq!(plant.admin.get(&format!("{path}{query}")).await.expect(200)["total"], total, "{query}");
        }
        for query in ["?created_from=yesterday", "?name=a&name=b", "?metadata=x", "?connection_type=read"] {
            let message = plant.admin.get(&format!("{path}{query}")).await.refused(400);
            assert_eq!(message, "invalid query parameters", "{query}");
        }
        plant.admin.get(&format!("{path}?group=x")).await.refused(400);
        let bob = plant.user("bob").await;
        let of_bob = bob.domain("bob-1").await;
        let path = format!("/{of_bob}/clients?user={}", ann.id);
        assert_eq!(bob.get(&path).await.refused(403), "not authorized to perform admin action");
    }
}
