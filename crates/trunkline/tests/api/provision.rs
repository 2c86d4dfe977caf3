//! Gateways in one request: what is made, in whose name, and that a failure leaves nothing.

use db::{both_databases, testing::TestDb};
use kernel::Secret;
use provision::{
    Credentials, Layout,
    layout::{Beside, File},
};
use serde_json::{Value, json};

use crate::plant::{Caller, PASSWORD, Plant};

const LAYOUT: &str = r#"
[bootstrap]
x509_provision = true
[bootstrap.content.agent.log]
level = "info"
[[clients]]
name = "gateway"
[clients.metadata]
external_id = "xxxxxx"
[[clients]]
name = "meter"
[[channels]]
name = "control"
[channels.metadata]
type = "control"
[[channels]]
name = "export"
[channels.metadata]
type = "export"
"#;

/// A platform with this layout and these credentials.
async fn tenant(db: TestDb, file: &str, credentials: Credentials) -> (Plant, Caller, String) {
    let plant = Plant::new(db).await.with_provisioning(laid(file), credentials);
    let owner = plant.user("owner").await;
    let domain = owner.domain("one").await;
    (plant, owner, domain)
}

/// As the seeds have it.
fn gateway() -> Value {
    json!({"name": "gateway-a", "external_id": "33:52:77:99:43", "external_key": "223334fw2"})
}

/// Whether anything of a gateway is there.
async fn things(plant: &Plant) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in ["clients", "channels", "connections", "bootstrap_configs", "certificates", "outbox"] {
        counts.push(plant.count(table).await);
    }
    counts
}

both_databases! {
    async fn one_request_makes_a_gateway_that_is_connected_and_fetches_what_it_needs(db: TestDb) {
        let (plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let path = format!("/{domain}/mapping");
        let made = owner.post(&path, gateway()).await.expect(201);
        let id = made["clients"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(made["clients"][0]["name"], "gateway-a");
        assert_eq!(made["clients"][1]["name"], "gateway-a_meter");
        assert_eq!(made["channels"][0]["name"], "gateway-a_control");
        assert_eq!(made["clients"][0]["key"], made["clients"][0]["credentials"]["secret"]);
        let other = made["clients"][1]["id"].as_str().unwrap();
        assert_eq!(made["whitelisted"], json!({&*id: true, other: true}));
        assert!(made["client_cert"][&id].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE"));
        assert!(made["client_key"][&id].as_str().unwrap().contains("PRIVATE KEY"));
        assert!(made["client_key"][other].as_str().unwrap().contains("PRIVATE KEY"));
        assert!(made["ca_cert"].as_str().unwrap().contains("BEGIN CERTIFICATE"));

        assert_eq!(plant.count(&format!("connections WHERE client_id = '{id}'")).await, 4);
        assert_eq!(plant.count("connections").await, 8);
        let seen = owner.get(&format!("/{domain}/clients/{id}")).await.expect(200);
        assert_eq!(seen["metadata"], json!({
            "type": "gateway", "external_id": "33:52:77:99:43", "cfg_id": id, "data_channel_id": "",
            "ctrl_channel_id": made["channels"][0]["id"], "export_channel_id": made["channels"][1]["id"],
        }));
        let told = plant.events().await;
        assert!(!format!("{told:?}").contains("223334fw2"));
        assert_eq!(told.iter().filter(|event| event.0 == "client.create").count(), 2);
        assert_eq!(told.iter().filter(|event| event.0 == "certificate.issue").count(), 2);

        let device = plant.nobody().as_device("223334fw2").get("/clients/bootstrap/33:52:77:99:43").await;
        let device = device.expect(200);
        assert_eq!(device["client_key"], made["client_key"][&id]);
        assert_eq!(device["client_secret"], made["clients"][0]["key"]);
        assert_eq!(device["content"], "{\"agent\":{\"log\":{\"level\":\"info\"}}}");
        let content = owner.get(&path).await.expect(200);
        assert_eq!(content, json!({"agent": {"log": {"level": "info"}}}));
    }

    async fn a_caller_with_a_token_brings_a_layout_and_more_about_the_gateway(db: TestDb) {
        let (plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let path = format!("/{domain}/mapping");
        let mut body = gateway();
        body["metadata"] = json!({"floor": "3", "type": "lamp"});
        body["layout"] = json!({
            "clients": [{"name": "lamp", "metadata": {"external_id": "x"}}],
            "channels": [{"name": "data", "metadata": {"type": "data"}}],
            "bootstrap": {"x509_provision": false, "render_context": {"floor": "0", "url": "u"}},
            "server": {"mg_api_key": "not used"},
        });
        let made = owner.post(&path, body.clone()).await.expect(201);
        assert_eq!((made["clients"].as_array().unwrap().len(), made["channels"].as_array().unwrap().len()), (1, 1));
        assert_eq!(made["client_cert"], Value::Null);
        let id = made["clients"][0]["id"].as_str().unwrap();
        let seen = owner.get(&format!("/{domain}/clients/{id}")).await.expect(200);
        assert_eq!((&seen["metadata"]["floor"], &seen["metadata"]["type"]), (&json!("3"), &json!("gateway")));
        let config = owner.get(&format!("/{domain}/clients/configs/{id}")).await.expect(200);
        let values = json!({"floor": "3", "url": "u", "type": "lamp", "external_id": "33:52:77:99:43", "name": "gateway-a"});
        assert_eq!(config["render_context"], values);

        let before = things(&plant).await;
        for (layout, status, message) in [
            (json!({"clients": [{"name": "a"}]}), 400, "channels list in configuration is empty"),
            (json!({"channels": [{"name": "a"}]}), 400, "clients list in configuration empty"),
            (json!({"clients": vec![json!({"name": "a"}); 101]}), 400, "a gateway has at most 100 clients"),
        ] {
            body["layout"] = layout;
            assert_eq!(owner.post(&path, body.clone()).await.refused(status), message);
        }
        assert_eq!(things(&plant).await, before);
    }

    async fn who_acts_in_the_operators_name_gets_the_operators_layout(db: TestDb) {
        let login = Credentials::Login("owner".to_owned(), Secret::new(PASSWORD.to_owned()));
        let (plant, _, domain) = tenant(db, LAYOUT, login).await;
        let mut body = gateway();
        body["layout"] = json!({"clients": [{"name": "a"}], "channels": [{"name": "b"}]});
        let refused = plant.nobody().post(&format!("/{domain}/mapping"), body).await.refused(401);
        assert_eq!(refused, "a layout in the request needs a token");
        assert_eq!(plant.count("clients").await, 0);
    }

    async fn a_failure_anywhere_leaves_nothing(db: TestDb) {
        let (plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let path = format!("/{domain}/mapping");
        owner.post(&path, gateway()).await.expect(201);
        let before = things(&plant).await;
        let taken = json!({"name": "gateway-b", "external_id": "33:52:77:99:43", "external_key": "k"});
        assert!(owner.post(&path, taken).await.refused(409).contains("external id is taken"));
        // The last thing of all to be made: the name of the configuration.
        let named = json!({"name": "gateway-a", "external_id": "44", "external_key": "k"});
        owner.post(&path, named).await.refused(409);
        let long = json!({"name": "gateway-c", "external_id": "45", "external_key": "k".repeat(2000)});
        owner.post(&path, long).await.refused(400);
        assert_eq!(things(&plant).await, before);
    }

    async fn a_profile_that_is_not_there_leaves_nothing(db: TestDb) {
        let file = LAYOUT.replace("[bootstrap]\n", "[bootstrap]\nprofile_id = \"00000000-0000-4000-8000-000000000000\"\n");
        let (plant, owner, domain) = tenant(db, &file, Credentials::None).await;
        let before = things(&plant).await;
        owner.post(&format!("/{domain}/mapping"), gateway()).await.refused(404);
        assert_eq!(things(&plant).await, before);
    }

    async fn a_request_without_a_token_acts_with_the_login_that_is_set_or_not_at_all(db: TestDb) {
        let login = Credentials::Login("owner".to_owned(), Secret::new(PASSWORD.to_owned()));
        let (plant, owner, domain) = tenant(db, LAYOUT, login).await;
        let path = format!("/{domain}/mapping");
        let made = plant.nobody().post(&path, gateway()).await.expect(201);
        let id = made["clients"][0]["id"].as_str().unwrap();
        owner.get(&format!("/{domain}/clients/{id}")).await.expect(200);
        plant.nobody().get(&path).await.refused(401);
        plant.nobody().with_token("wrong").post(&path, gateway()).await.refused(401);
        let foreign = plant.user("foreign").await.domain("two").await;
        plant.nobody().post(&format!("/{foreign}/mapping"), gateway()).await.refused(403);
    }

    async fn a_request_without_a_token_acts_with_the_token_that_is_set(db: TestDb) {
        let (plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let path = format!("/{domain}/mapping");
        plant.nobody().post(&path, gateway()).await.refused(401);
        let token = Secret::new(owner.token.clone().unwrap());
        let plant = plant.with_provisioning(laid(LAYOUT), Credentials::Token(token));
        plant.nobody().post(&path, gateway()).await.expect(201);
    }

    async fn a_login_that_fails_says_so_and_no_more(db: TestDb) {
        let login = Credentials::Login("owner".to_owned(), Secret::new("not the password".to_owned()));
        let (plant, _, domain) = tenant(db, LAYOUT, login).await;
        let refused = plant.nobody().post(&format!("/{domain}/mapping"), gateway()).await.refused(401);
        assert_eq!(refused, "failed to create access token");
    }

    async fn what_is_wrong_in_a_request_or_a_layout_is_said(db: TestDb) {
        let (plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let path = format!("/{domain}/mapping");
        for (member, status, message) in [
            ("external_id", 400, "missing entity id"),
            ("external_key", 401, "missing or invalid bearer entity key"),
            ("name", 400, "missing identity name"),
        ] {
            let mut body = gateway();
            body.as_object_mut().unwrap().remove(member);
            assert_eq!(owner.post(&path, body).await.refused(status), message);
        }
        let mut plant = plant;
        for (file, message) in [
            ("[[channels]]\nname = \"c\"\n", "clients list in configuration empty"),
            ("[[clients]]\nname = \"c\"\n", "channels list in configuration is empty"),
        ] {
            plant = plant.with_provisioning(laid(file), Credentials::None);
            let owner = plant.nobody().logged_in("owner").await;
            assert_eq!(owner.post(&path, gateway()).await.refused(400), message);
        }
    }

    async fn nobody_from_another_domain_provisions_or_looks(db: TestDb) {
        let (plant, _, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let stranger = plant.user("stranger").await;
        let path = format!("/{domain}/mapping");
        stranger.post(&path, gateway()).await.refused(403);
        stranger.get(&path).await.refused(403);
        assert_eq!(plant.count("clients").await, 0);
    }

    async fn a_certificate_for_a_client_is_valid_as_long_as_asked_for(db: TestDb) {
        let (_plant, owner, domain) = tenant(db, LAYOUT, Credentials::None).await;
        let client = owner.client(&domain, "one").await;
        let path = format!("/{domain}/cert");
        let made = owner.post(&path, json!({"client_id": client, "ttl": "10h"})).await.expect(201);
        assert!(made["certificate"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
        assert!(made["key"].as_str().unwrap().contains("PRIVATE KEY"));
        assert_eq!(owner.post(&path, json!({})).await.refused(400), "missing entity id");
        let page = owner.get(&format!("/{domain}/certs")).await.expect(200);
        assert_eq!(page["total"], 1);
        let serial = page["certificates"][0]["serial_number"].as_str().unwrap();
        let seen = owner.get(&format!("/{domain}/certs/{serial}")).await.expect(200);
        assert_eq!(seen["expiry_time"], json!("2026-01-02T13:04:05Z"), "ten hours later");
    }
}

fn laid(file: &str) -> Layout {
    let beside = Beside { configuration: true, whitelist: true, ..Beside::default() };
    Layout::of_file(File::parse(file).unwrap(), &beside).unwrap()
}
