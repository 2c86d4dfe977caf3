//! Callouts: endpoints of the operator's own, here a server of the test.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use access::callouts;
use axum::{Router, extract::State, response::IntoResponse};
use db::{both_databases, testing::TestDb};
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

/// What the endpoint was asked, and what it answers.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<(Method, String, String)>>>,
    answer: Arc<Mutex<(StatusCode, String)>>,
}

impl Endpoint {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/check", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::OK, String::new())));
        let endpoint = Self { url, asked: Arc::default(), answer };
        let router = Router::new().fallback(answer_as_told).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    pub(crate) fn answers(&self, status: u16, text: &str) {
        *self.answer.lock().unwrap() = (StatusCode::from_u16(status).unwrap(), text.to_owned());
    }

    pub(crate) fn asked(&self) -> Vec<(Method, String, String)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The bodies of the questions since the last call.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.asked().iter().map(|(_, _, body)| serde_json::from_str(body).unwrap()).collect()
    }
}

async fn answer_as_told(
    State(endpoint): State<Endpoint>,
    method: Method,
    uri: Uri,
    body: String,
) -> impl IntoResponse {
    endpoint.asked.lock().unwrap().push((method, uri.to_string(), body));
    let (status, text) = endpoint.answer.lock().unwrap().clone();
    // A redirect would lead here again.
    (status, [("location", "/check?redirected=true")], text)
}

pub(crate) fn hook(urls: &[&str], operations: &[&str]) -> callouts::Settings {
    callouts::Settings {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        get: false,
        timeout: Duration::from_secs(5),
        tls_verification: true,
        ca_cert: None,
        cert: None,
        key: None,
        operations: operations.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn plant(db: TestDb, hooks: Vec<(&'static str, callouts::Settings)>) -> (Plant, Caller) {
    let settings = access::Settings { callouts: hooks, ..access::Settings::default() };
    let plant = Plant::with_settings(db, settings, |_| {}).await;
    let ann = plant.user("ann").await;
    (plant, ann)
}

both_databases! {
    async fn a_view_with_roles_is_one_question(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let hooks = ["groups", "clients", "channels"].map(|kind| (kind, hook(&[&endpoint.url], &["view"])));
        let (_plant, ann) = plant(db, hooks.to_vec()).await;
        let domain = ann.domain("ann-1").await;
        let (group, client) = (ann.group(&domain, "hall", None).await, ann.client(&domain, "sensor").await);
        let channel = ann.channel(&domain, "temperatures").await;
        for path in [format!("groups/{group}"), format!("clients/{client}"), format!("channels/{channel}")] {
            let viewed = ann.get(&format!("/{domain}/{path}?roles=true")).await.expect(200);
            assert_eq!(viewed["roles"][0]["access_type"], "direct", "{path}");
            assert_eq!(endpoint.asked().len(), 1, "{path}");
        }
    }

    async fn a_list_as_another_user_sees_it_is_refused_before_anybody_is_asked(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let of = |operation: &str| hook(&[&endpoint.url], &[operation]);
        let hooks = vec![("clients", of("list_user_clients")), ("groups", of("list_user_groups"))];
        let (plant, ann) = plant(db, hooks).await;
        let domain = ann.domain("ann-1").await;
        for kind in ["clients", "groups"] {
            let path = format!("/{domain}/{kind}?user={}", plant.admin.id);
            assert_eq!(ann.get(&path).await.refused(403), "not authorized to perform admin action");
            assert_eq!(endpoint.asked(), []);
            plant.admin.get(&format!("/{domain}/{kind}?user={}", ann.id)).await.expect(200);
            assert_eq!(endpoint.asked().len(), 1);
        }
    }

    async fn an_endpoint_is_told_who_does_what_and_never_a_secret(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let domains = hook(&[&endpoint.url], &["create", "update", "list", "send_invitation"]);
        let clients = hook(&[&endpoint.url], &["create_clients", "update_secret"]);
        let (_plant, ann) = plant(db, vec![("domains", domains), ("clients", clients)]).await;
        let domain = ann.domain("ann-1").await;
        assert_eq!(
            endpoint.bodies(),
            [json!({
                "operation": "create", "entity_type": "domain", "caller_id": ann.id, "caller_type": "user",
                "time": "2026-01-02T03:04:05Z", "payload": {"entity_id": null},
            })]
        );

        ann.patch(&format!("/domains/{domain}"), json!({"name": "new"})).await.expect(200);
        ann.get(&format!("/domains/{domain}")).await.expect(200);
        let asked = endpoint.bodies();
        assert_eq!(asked.len(), 1, "an operation that is not named is not asked about");
        assert_eq!(asked[0]["entity_id"], domain.as_str());
        assert_eq!(asked[0]["domain_id"], domain.as_str());
        assert_eq!(asked[0]["payload"]["domain_req"]["name"], "new");

        let body = json!({"name": "sensor", "credentials": {"secret": "very-secret-indeed"}});
        let client = ann.post(&format!("/{domain}/clients"), body).await.expect(201);
        let path = format!("/{domain}/clients/{}/secret", client["id"].as_str().unwrap());
        ann.patch(&path, json!({"secret": "another-secret-of-mine"})).await.expect(200);
        let asked = endpoint.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|(.., body)| !body.contains("secret-")), "{asked:?}");
        let created: Value = serde_json::from_str(&asked[0].2).unwrap();
        assert_eq!((&created["operation"], &created["entity_type"]), (&json!("create_clients"), &json!("domain")));
    }

    async fn a_refusal_is_passed_on_and_nothing_is_done(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let (plant, ann) = plant(db, vec![("domains", hook(&[&endpoint.url], &["update"]))]).await;
        let domain = ann.domain("ann-1").await;
        let path = format!("/domains/{domain}");
        plant.events().await;
        let large = "x".repeat(100_000);
        for (answered, text, status, message) in [
            (403, "not on a Sunday", 403, "not on a Sunday"),
            (409, "twice", 409, "twice"),
            (422, "", 422, "refused by a callout of this installation"),
            (418, "tea", 403, "tea"),
            (204, "", 403, "refused by a callout of this installation"),
            (302, "", 403, "refused by a callout of this installation"),
            (400, "\u{1}\u{2}", 400, "refused by a callout of this installation"),
            (400, large.as_str(), 400, "refused by a callout of this installation"),
            (500, "secret details", 503, "the service is not available right now, try again in a moment"),
        ] {
            endpoint.answers(answered, text);
            assert_eq!(ann.patch(&path, json!({"name": "new"})).await.refused(status), message);
        }
        assert_eq!(endpoint.asked().len(), 9, "a redirect is not followed");
        assert!(plant.events().await.is_empty());
        assert_eq!(ann.get(&path).await.expect(200)["name"], "ann-1");
    }

    async fn an_endpoint_is_asked_only_about_what_our_own_rules_allow(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let (plant, ann) = plant(db, vec![("domains", hook(&[&endpoint.url], &["update", "freeze"]))]).await;
        let domain = ann.domain("ann-1").await;
        let bob = plant.user("bob").await;
        bob.patch(&format!("/domains/{domain}"), json!({"name": "mine"})).await.refused(403);
        ann.post(&format!("/domains/{domain}/freeze"), json!({})).await.refused(403);
        assert!(endpoint.asked().is_empty());
        plant.admin.post(&format!("/domains/{domain}/freeze"), json!({})).await.expect(200);
        assert_eq!(endpoint.bodies()[0]["operation"], "freeze");
    }

    async fn an_endpoint_that_cannot_be_reached_refuses(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let urls = [endpoint.url.as_str(), &format!("http://{nobody}/")];
        let (_plant, ann) = plant(db, vec![("domains", hook(&urls, &["update"]))]).await;
        let domain = ann.domain("ann-1").await;
        ann.patch(&format!("/domains/{domain}"), json!({"name": "new"})).await.refused(503);
        assert_eq!(endpoint.asked().len(), 1, "each is asked in turn");
    }

    async fn a_get_carries_the_question_in_its_query(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let asked_by_get = callouts::Settings { get: true, ..hook(&[&endpoint.url], &["view"]) };
        let (_plant, ann) = plant(db, vec![("clients", asked_by_get)]).await;
        let domain = ann.domain("ann-1").await;
        let client = ann.client(&domain, "sensor").await;
        ann.get(&format!("/{domain}/clients/{client}")).await.expect(200);
        let asked = endpoint.asked();
        assert_eq!(asked[0].0, Method::GET);
        for part in ["operation=view", "entity_type=client", "caller_type=user", &format!("entity_id={client}")] {
            assert!(asked[0].1.contains(part), "{part} in {}", asked[0].1);
        }
        assert_eq!(asked[0].2, "");
    }

    async fn an_endpoint_is_told_what_is_made_and_for_whom_a_list_is(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let of = |operations: &[&str]| hook(&[&endpoint.url], operations);
        let hooks = vec![
            ("clients", of(&["create_clients", "list_clients", "list_user_clients"])),
            ("channels", of(&["create_channels", "list_user_channels"])),
            ("groups", of(&["list_user_groups"])),
        ];
        let (plant, ann) = plant(db, hooks).await;
        let domain = ann.domain("ann-1").await;
        let group = ann.group(&domain, "hall", None).await;
        let body = json!([
            {
                "name": "a", "tags": ["t"], "metadata": {"m": 1, "secret": "not-for-you"}, "parent_group_id": group,
                "credentials": {"identity": "i", "secret": "not-for-you"},
            },
            {"name": "b", "status": "disabled"},
        ]);
        ann.post(&format!("/{domain}/clients/bulk"), body).await.expect(200);
        let asked = endpoint.bodies();
        assert_eq!((asked.len(), &asked[0]["entity_type"]), (1, &json!("domain")));
        assert_eq!(
            asked[0]["payload"],
            json!({"count": 2, "entities": [
                {
                    "name": "a", "tags": ["t"], "metadata": {"m": 1}, "private_metadata": {}, "status": "enabled",
                    "parent_group_id": group, "credentials": {"identity": "i"},
                },
                {
                    "name": "b", "tags": [], "metadata": {}, "private_metadata": {}, "status": "disabled",
                    "parent_group_id": null, "credentials": {"identity": ""},
                },
            ]})
        );
        ann.post(&format!("/{domain}/channels"), json!({"name": "c", "route": "r"})).await.expect(201);
        assert_eq!(
            endpoint.bodies()[0]["payload"],
            json!({"count": 1, "entities": [{
                "name": "c", "route": "r", "tags": [], "metadata": {}, "status": "enabled", "parent_group_id": null,
            }]})
        );

        ann.get(&format!("/{domain}/clients")).await.expect(200);
        let asked = endpoint.bodies();
        assert_eq!((&asked[0]["operation"], &asked[0]["payload"].get("user_id")), (&json!("list_clients"), &None));
        for kind in ["clients", "channels", "groups"] {
            plant.admin.get(&format!("/{domain}/{kind}?user={}", ann.id)).await.expect(200);
            let asked = endpoint.bodies();
            assert_eq!((asked.len(), &asked[0]["operation"]), (1, &json!(format!("list_user_{kind}"))));
            assert_eq!((&asked[0]["payload"]["user_id"], &asked[0]["entity_type"]), (&json!(ann.id), &json!("domain")));
            assert_eq!(asked[0]["payload"]["pagemeta"]["limit"], 10);
        }
    }

    async fn taking_a_thing_out_of_its_group_is_one_question_after_both_have_agreed(db: TestDb) {
        let endpoint = Endpoint::start().await;
        let operations = ["remove_parent_group", "remove_child_client", "remove_child_channel"];
        let hooks = ["groups", "clients", "channels"].map(|kind| (kind, hook(&[&endpoint.url], &operations)));
        let (plant, ann) = plant(db, hooks.to_vec()).await;
        let domain = ann.domain("ann-1").await;
        let group = ann.group(&domain, "hall", None).await;
        let bob = plant.user("bob").await;
        ann.grants(&format!("/domains/{domain}"), "bob", &["read"], &bob).await;
        for (kind, parent) in [("clients", "parent_id"), ("channels", "parent_group_id")] {
            let thing = ann.post(&format!("/{domain}/{kind}"), json!({"parent_group_id": group})).await.expect(201);
            let thing = thing["id"].as_str().unwrap();
            let path = format!("/{domain}/{kind}/{thing}");
            ann.grants(&path, "mover", &["set_parent_group"], &bob).await;
            bob.delete(&format!("{path}/parent")).await.refused(403);
            assert_eq!(endpoint.asked(), [], "the group has not agreed");
            ann.delete(&format!("{path}/parent")).await.expect(204);
            let asked = endpoint.bodies();
            assert_eq!((asked.len(), &asked[0]["operation"]), (1, &json!("remove_parent_group")));
            assert_eq!(asked[0]["payload"], json!({"entity_id": thing, parent: group}));
            // In no group there is nobody else to agree.
            bob.delete(&format!("{path}/parent")).await.expect(204);
            assert_eq!(endpoint.bodies()[0]["payload"][parent], Value::Null);
        }
    }
}

#[test]
fn what_is_no_callout_is_refused_at_the_start() {
    let open = |settings| callouts::Callouts::open(&[("domains", settings)]).unwrap_err().to_string();
    assert!(open(hook(&["ftp://x"], &[])).contains("`http://`"));
    let missing = callouts::Settings { ca_cert: Some("/nowhere.pem".into()), ..hook(&["https://x"], &[]) };
    assert!(open(missing).contains("`/nowhere.pem` cannot be read"));
    let half = callouts::Settings { key: Some("/nowhere.pem".into()), ..hook(&["https://x"], &[]) };
    assert!(open(half).contains("set both"));
}
