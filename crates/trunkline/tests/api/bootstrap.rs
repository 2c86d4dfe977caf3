//! Configurations of devices: both generations, states and connections, and what a device gets.

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, Plant, cipher};

const EXTERNAL: &str = "33:52:77:99:43";
const KEY: &str = "223334fw2";

/// A key as a device shows it that asks for secure bootstrap.
pub(crate) fn encrypted(key: &str) -> String {
    cipher().encrypt(key.as_bytes()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn tenant(db: TestDb) -> (Plant, Caller, String) {
    let plant = Plant::new(db).await;
    let owner = plant.user("owner").await;
    let domain = owner.domain("one").await;
    (plant, owner, domain)
}

fn new(more: Value) -> Value {
    let mut body = json!({"external_id": EXTERNAL, "external_key": KEY, "content": "{\"a\":1}"});
    if let Value::Object(more) = more {
        body.as_object_mut().unwrap().extend(more);
    }
    body
}

fn fetch() -> String {
    format!("/clients/bootstrap/{EXTERNAL}")
}

both_databases! {
    async fn a_device_of_the_older_generation_gets_its_client_and_its_state_moves_connections(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let (control, data) = (owner.channel(&domain, "control").await, owner.channel(&domain, "data").await);
        plant.events().await;
        let answer = owner.post(&format!("/{domain}/clients/configs"), new(json!({"channels": [control]}))).await;
        let location = answer.header("location").to_owned();
        let made = answer.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        assert_eq!(location, format!("/clients/configs/{id}"));
        assert_eq!((&made["client_id"], &made["state"], &made["status"]), (&json!(id), &json!(0), &json!("disabled")));
        assert!(made.get("external_key").is_none());
        let told: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(told, ["client.create", "bootstrap.config.create"]);

        let device = plant.nobody().as_device(KEY).get(&fetch()).await.expect(200);
        assert_eq!(device["client_id"], json!(id));
        assert_eq!(device["client_secret"], made["client_secret"]);
        assert_eq!((&device["content"], &device["channels"][0]["name"]), (&json!("{\"a\":1}"), &json!("control")));

        let state = format!("/{domain}/clients/state/{id}");
        let connected = format!("connections WHERE client_id = '{id}'");
        owner.put(&state, json!({"state": 1})).await.expect(200);
        assert_eq!(plant.count(&connected).await, 2);
        owner.put(&state, json!({"state": 1})).await.expect(200);
        let connections = format!("/{domain}/clients/configs/connections/{id}");
        owner.put(&connections, json!({"channels": [control, data]})).await.expect(200);
        assert_eq!(plant.count(&connected).await, 4);
        owner.put(&connections, json!({"channels": [data]})).await.expect(200);
        assert_eq!(plant.count(&connected).await, 2);
        owner.put(&state, json!({})).await.expect(200);
        assert_eq!(plant.count(&connected).await, 0);
        assert_eq!(owner.put(&state, json!({"state": 2})).await.refused(400), "invalid bootstrap state");
        let told: Vec<String> = plant.events().await.into_iter().map(|event| event.0).collect();
        assert_eq!(told, [
            "bootstrap.client.bootstrap",
            "bootstrap.config.enable", "channel.connect",
            "bootstrap.client.update_connections", "channel.connect",
            "bootstrap.client.update_connections", "channel.disconnect",
            "bootstrap.config.disable", "channel.disconnect",
        ]);
    }

    async fn an_unknown_id_and_a_wrong_key_look_the_same_and_are_limited(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        owner.post(&format!("/{domain}/clients/configs"), new(json!({}))).await.expect(201);
        let nobody = plant.nobody();
        assert_eq!(nobody.get(&fetch()).await.refused(401), "missing or invalid bearer entity key");
        assert_eq!(nobody.get("/clients/bootstrap/").await.refused(400), "missing entity id");
        let words = "failed to get bootstrap configuration for given external key";
        let unknown = "/clients/bootstrap/nobody".to_owned();
        for path in [fetch(), unknown] {
            for _ in 0..10 {
                assert_eq!(nobody.as_device("wrong").get(&path).await.refused(403), words, "{path}");
            }
            let limited = nobody.as_device("wrong").get(&path).await;
            assert_eq!(limited.header("retry-after"), "60");
            limited.refused(429);
        }
        plant.clock.advance(std::time::Duration::from_secs(60));
        nobody.as_device(KEY).get(&fetch()).await.expect(200);
        let secure = format!("/clients/bootstrap/secure/{EXTERNAL}");
        let words = "failed to get bootstrap configuration for given encrypted external key";
        for shown in ["zz", "00", &encrypted("wrong")] {
            assert_eq!(nobody.as_device(shown).get(&secure).await.refused(403), words);
        }
        let (status, bytes) = nobody.as_device(&encrypted(KEY)).get_bytes(&secure).await;
        let plain = cipher().decrypt(&bytes).unwrap();
        let device: Value = serde_json::from_slice(plain.expose()).unwrap();
        assert_eq!((status, &device["content"]), (200, &json!("{\"a\":1}")));
    }

    async fn a_profile_is_rendered_for_the_device_and_the_secret_is_the_one_of_now(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let (client, channel) = (owner.client(&domain, "box").await, owner.channel(&domain, "telemetry").await);
        let template = r#"{"secret": "{{ index (index .Bindings "mqtt").Secret "secret" }}",
            "channel": "{{ (index .Bindings "telemetry").ID }}", "url": "{{ .Vars.url }}"}"#;
        let slots = json!([{"name": "mqtt", "type": "client", "required": true},
                           {"name": "telemetry", "type": "channel", "required": true}]);
        let body = json!({"name": "p", "content_format": "json", "content_template": template,
                          "binding_slots": slots, "defaults": {"url": "default"}});
        let profiles = format!("/{domain}/clients/bootstrap/profiles");
        let profile = owner.post(&profiles, body.clone()).await.expect(201)["id"].as_str().unwrap().to_owned();
        assert_eq!(owner.post(&profiles, body).await.refused(409), "entity already exists: the name is taken");
        let more = json!({"profile_id": profile, "render_context": {"url": "mqtts://here"}});
        let made = owner.post(&format!("/{domain}/clients/configs"), new(more)).await.expect(201);
        let id = made["id"].as_str().unwrap();
        let device = plant.nobody().as_device(KEY);
        assert_eq!(device.get(&fetch()).await.refused(422), "the binding slot `mqtt` is required, bind it");

        let bindings = format!("/{domain}/clients/bootstrap/enrollments/{id}/bindings");
        let one = |slot: &str, kind: &str, id: &str| json!({"slot": slot, "type": kind, "resource_id": id});
        for (bad, status) in [
            (json!([]), 400),
            (json!([one("mqtt", "broker", &client)]), 400),
            (json!([one("mqtt", "cert", "0f")]), 404),
            (json!([one("other", "client", &client)]), 422),
            (json!([one("mqtt", "channel", &channel)]), 422),
            (json!([one("mqtt", "client", &client)]), 422),
            (json!([one("mqtt", "client", "00000000-0000-4000-8000-000000000000")]), 404),
        ] {
            owner.put(&bindings, json!({"bindings": bad})).await.refused(status);
        }
        let both = json!([one("mqtt", "client", &client), one("telemetry", "channel", &channel)]);
        owner.put(&bindings, json!({"bindings": both})).await.expect(204);
        owner.patch(&format!("/{domain}/clients/{client}/secret"), json!({"secret": "s3cret"})).await.expect(200);
        let listed = owner.get(&bindings).await;
        assert!(!listed.text.contains("s3cret"), "{}", listed.text);
        let content = device.get(&fetch()).await.expect(200)["content"].as_str().unwrap().to_owned();
        let content: Value = serde_json::from_str(&content).unwrap();
        assert_eq!(content, json!({"secret": "s3cret", "channel": channel, "url": "mqtts://here"}));
        let preview = owner.post(&format!("{profiles}/{profile}/render-preview"), json!({"config_id": id})).await;
        assert!(!preview.text.contains("s3cret") && preview.text.contains("***"), "{}", preview.text);
        assert!(plant.events().await.iter().all(|event| !event.1.to_string().contains("s3cret")));
    }

    async fn a_certificate_in_a_slot_is_shown_as_it_stands(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let client = owner.client(&domain, "box").await;
        let body = json!({"options": {"common_name": client}});
        let issued = owner.post(&format!("/{domain}/certs/issue/{client}"), body).await.expect(201);
        let serial = issued["serial_number"].as_str().unwrap();
        let template = "{{ with index .Bindings \"tls\" }}{{ .Snapshot.revoked }} {{ .Snapshot.certificate }}\
                        {{ .Snapshot.ca_cert }}{{ end }}";
        let profile = json!({"name": "p", "content_format": "go-template", "content_template": template,
                             "binding_slots": [{"name": "tls", "type": "cert", "required": true}]});
        let profile = owner.post(&format!("/{domain}/clients/bootstrap/profiles"), profile).await.expect(201);
        let more = json!({"profile_id": profile["id"]});
        let made = owner.post(&format!("/{domain}/clients/configs"), new(more)).await.expect(201);
        let id = made["id"].as_str().unwrap();
        let bindings = format!("/{domain}/clients/bootstrap/enrollments/{id}/bindings");
        let bound = json!({"bindings": [{"slot": "tls", "type": "cert", "resource_id": serial}]});
        owner.put(&bindings, bound.clone()).await.expect(204);
        let listed = owner.get(&bindings).await.expect(200);
        assert_eq!(listed["bindings"][0]["snapshot"]["entity_id"], json!(client));

        let content = plant.nobody().as_device(KEY).get(&fetch()).await.expect(200)["content"].clone();
        let content = content.as_str().unwrap();
        assert!(content.starts_with(&format!("false {}", issued["certificate"].as_str().unwrap().trim_end())));
        assert!(content.matches("BEGIN CERTIFICATE").count() >= 3, "leaf, intermediate and root: {content}");
        owner.patch(&format!("/{domain}/certs/{serial}/revoke"), json!({})).await.expect(204);
        let content = plant.nobody().as_device(KEY).get(&fetch()).await.expect(200)["content"].clone();
        assert!(content.as_str().unwrap().starts_with("true "));

        // Somebody who may change configurations elsewhere does not get at it.
        let stranger = plant.user("stranger").await;
        let elsewhere = stranger.domain("two").await;
        stranger.put(&bindings, bound.clone()).await.refused(403);
        let profile = json!({"name": "p", "content_format": "raw"});
        let profile = stranger.post(&format!("/{elsewhere}/clients/bootstrap/profiles"), profile).await.expect(201);
        let own = json!({"external_id": "own", "external_key": KEY, "profile_id": profile["id"]});
        let own = stranger.post(&format!("/{elsewhere}/clients/configs"), own).await.expect(201);
        let own = own["id"].as_str().unwrap();
        let bindings = format!("/{elsewhere}/clients/bootstrap/enrollments/{own}/bindings");
        stranger.put(&bindings, bound).await.refused(404);
    }

    async fn nobody_from_another_domain_gets_in_and_keys_are_nowhere_in_the_open(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let stranger = plant.user("stranger").await;
        let elsewhere = stranger.domain("two").await;
        let more = json!({"client_cert": "CERT", "client_key": "PRIVATE", "ca_cert": "CA"});
        let made = owner.post(&format!("/{domain}/clients/configs"), new(more)).await.expect(201);
        let id = made["id"].as_str().unwrap();
        for path in ["configs", &format!("configs/{id}"), "bootstrap/profiles"] {
            stranger.get(&format!("/{domain}/clients/{path}")).await.refused(403);
        }
        stranger.get(&format!("/{elsewhere}/clients/configs/{id}")).await.refused(404);
        let taken = stranger.post(&format!("/{elsewhere}/clients/configs"), new(json!({}))).await;
        assert_eq!(taken.refused(409), "entity already exists: the external id is taken");
        for path in [format!("/{domain}/clients/configs"), format!("/{domain}/clients/configs/{id}")] {
            let text = owner.get(&path).await.text;
            assert!(!text.contains("PRIVATE") && !text.contains(KEY), "{text}");
        }
        let events = plant.events().await;
        assert!(events.iter().all(|event| !event.1.to_string().contains("PRIVATE") && !event.1.to_string().contains(KEY)));
        let device = plant.nobody().as_device(KEY);
        assert_eq!(device.get(&fetch()).await.expect(200)["client_key"], "PRIVATE");
        owner.post(&format!("/{domain}/clients/configs/{id}/disable"), json!({})).await.expect(200);
        device.get(&fetch()).await.refused(403);
        assert_eq!(owner.get(&format!("/{domain}/clients/configs")).await.expect(200)["total"], 0);
        assert_eq!(owner.get(&format!("/{domain}/clients/configs?status=all")).await.expect(200)["total"], 1);
        owner.post(&format!("/{domain}/clients/configs/{id}/enable"), json!({})).await.expect(200);
        owner.post(&format!("/domains/{domain}/disable"), json!({})).await.expect(200);
        device.get(&fetch()).await.refused(403);
    }

    async fn what_is_removed_leaves_its_configurations_and_slots_in_the_same_transaction(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let (control, data) = (owner.channel(&domain, "control").await, owner.channel(&domain, "data").await);
        let configs = format!("/{domain}/clients/configs");
        let known = owner.post(&configs, new(json!({"channels": [control, data]}))).await.expect(201);
        let known = known["id"].as_str().unwrap().to_owned();
        let (client, slots) = (owner.client(&domain, "box").await, json!([{"name": "a", "type": "client"}]));
        let profile = json!({"name": "p", "content_format": "raw", "binding_slots": slots});
        let profile = owner.post(&format!("/{domain}/clients/bootstrap/profiles"), profile).await.expect(201);
        let free = json!({"external_id": "other", "external_key": KEY, "profile_id": profile["id"]});
        let free = owner.post(&configs, free).await.expect(201)["id"].as_str().unwrap().to_owned();
        let bindings = format!("/{domain}/clients/bootstrap/enrollments/{free}/bindings");
        let bound = json!([{"slot": "a", "type": "client", "resource_id": client}]);
        owner.put(&bindings, json!({"bindings": bound})).await.expect(204);
        plant.events().await;

        owner.delete(&format!("/{domain}/channels/{data}")).await.expect(204);
        assert_eq!(plant.count("bootstrap_channels").await, 1);
        owner.delete(&format!("/{domain}/clients/{client}")).await.expect(204);
        assert_eq!(plant.count("bootstrap_bindings").await, 0);
        plant.events().await;
        owner.delete(&format!("/{domain}/clients/{known}")).await.expect(204);
        assert_eq!(plant.count("bootstrap_channels").await, 0);
        plant.nobody().as_device(KEY).get(&fetch()).await.refused(403);
        owner.get(&format!("{configs}/{known}")).await.refused(404);
        owner.get(&format!("{configs}/{free}")).await.expect(200);
        let told = plant.events().await;
        let operations: Vec<&str> = told.iter().map(|event| event.0.as_str()).collect();
        assert_eq!(operations, ["bootstrap.config.remove_handler", "client.remove"]);
        assert_eq!((&told[0].1["config_id"], &told[0].1["user_id"]), (&json!(known), &json!(owner.id)));
    }

    async fn a_device_that_is_known_and_refused_is_told_of(db: TestDb) {
        let (plant, owner, domain) = tenant(db).await;
        let made = owner.post(&format!("/{domain}/clients/configs"), new(json!({}))).await.expect(201);
        plant.events().await;
        plant.nobody().as_device("wrong").get("/clients/bootstrap/nobody").await.refused(403);
        plant.nobody().as_device("wrong").get(&fetch()).await.refused(403);
        // Told beside the answer, which must not take longer for it.
        testkit::wait_until_async("the refusal is told", async || plant.count("outbox").await > 0).await;
        let told = plant.events().await;
        assert_eq!(told[0].0, "bootstrap.client.bootstrap");
        assert_eq!((&told[0].1["success"], &told[0].1["config_id"]), (&json!(false), &made["id"]));
        plant.nobody().as_device(KEY).get(&fetch()).await.expect(200);
        assert_eq!(plant.events().await[0].1["success"], json!(true));
        let id = made["id"].as_str().unwrap();
        owner.post(&format!("/{domain}/clients/configs/{id}/disable"), json!({})).await.expect(200);
        plant.events().await;
        plant.nobody().as_device(KEY).get(&fetch()).await.refused(403);
        assert_eq!(plant.events().await[0].1["success"], json!(false));
    }

    async fn what_is_wrong_in_a_body_is_said(db: TestDb) {
        let (_plant, owner, domain) = tenant(db).await;
        let path = format!("/{domain}/clients/configs");
        for (body, status, message) in [
            (json!({"external_key": KEY}), 400, "missing entity id"),
            (json!({"external_id": EXTERNAL}), 400, "missing or invalid bearer entity key"),
            (new(json!({"channels": []})), 400, "empty list provided"),
            (new(json!({"profile_id": "00000000-0000-4000-8000-000000000000"})), 404, "entity not found"),
            (new(json!({"channels": ["00000000-0000-4000-8000-000000000000"]})), 404, "entity not found"),
        ] {
            assert_eq!(owner.post(&path, body).await.refused(status), message);
        }
        let profiles = format!("/{domain}/clients/bootstrap/profiles");
        let bad = json!({"name": "p", "content_template": "{{ .Device"});
        assert!(owner.post(&profiles, bad).await.refused(400).starts_with("the template cannot be read"));
        assert_eq!(owner.post(&profiles, json!({})).await.refused(400), "missing identity name");
        assert_eq!(owner.get(&format!("{path}?limit=101")).await.refused(400), "invalid limit size");
    }
}
