//! Every operation of the published interface, called as its document says, answers with its success status.
//!
//! The list is `operations.csv`, taken from the OpenAPI files of the services; where the reference corrects those, the
//! comment says so. Each service is called in one test, in the order in which a user would; a row that is never called
//! fails the test, and so does a call that is no row.

use std::collections::{BTreeMap, BTreeSet};

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};

use crate::{
    mailbox::Mailbox,
    plant::{Caller, PASSWORD, Plant},
};

const LIST: &str = include_str!("operations.csv");

const SERVICES: [&str; 9] =
    ["auth", "users", "domains", "groups", "clients", "channels", "bootstrap", "certs", "provision"];

/// The rows of one service that are to be called.
struct Tour {
    service: &'static str,
    /// By method and path.
    rows: BTreeMap<String, Row>,
}

struct Row {
    status: u16,
    called: bool,
}

/// Service, method and path, success status.
fn rows() -> impl Iterator<Item = (&'static str, String, u16)> {
    LIST.lines().skip(1).map(|line| {
        let [service, method, path, status, _comment] =
            <[&str; 5]>::try_from(line.split(',').collect::<Vec<_>>()).unwrap();
        (service, format!("{method} {path}"), status.parse().unwrap())
    })
}

/// The path with its placeholders filled in, in order.
fn filled(path: &str, ids: &[&str]) -> String {
    let mut ids = ids.iter();
    let fill = |segment: &str| match segment.strip_prefix('{') {
        Some(_) => (*ids.next().unwrap()).to_owned(),
        None => segment.to_owned(),
    };
    let path = path.split('/').map(fill).collect::<Vec<_>>().join("/");
    assert_eq!(ids.next(), None, "an id too many for {path}");
    path
}

impl Tour {
    fn of(service: &'static str) -> Self {
        let own = rows().filter(|row| row.0 == service);
        let rows: BTreeMap<_, _> =
            own.map(|(_, operation, status)| (operation, Row { status, called: false })).collect();
        assert!(!rows.is_empty(), "{service}");
        Self { service, rows }
    }

    /// Sends a request without body, and looks at the status.
    async fn call(&mut self, caller: &Caller, operation: &str, ids: &[&str]) -> Value {
        self.send(caller, operation, ids, "", None).await
    }

    /// Sends a JSON body.
    async fn call_with(&mut self, caller: &Caller, operation: &str, ids: &[&str], body: Value) -> Value {
        self.send(caller, operation, ids, "", Some(body)).await
    }

    async fn send(
        &mut self,
        caller: &Caller,
        operation: &str,
        ids: &[&str],
        query: &str,
        body: Option<Value>,
    ) -> Value {
        assert!(self.rows.contains_key(operation), "{} has no `{operation}`", self.service);
        let row = self.rows.get_mut(operation).unwrap();
        row.called = true;
        let (method, path) = operation.split_once(' ').unwrap();
        let path = filled(path, ids) + query;
        let answer = caller.send(Method::from_bytes(method.as_bytes()).unwrap(), &path, body).await;
        assert_eq!(answer.status.as_u16(), row.status, "{operation}: {}", answer.text);
        answer.expect(row.status)
    }

    /// Notes a call whose answer is no JSON.
    fn called(&mut self, operation: &str) {
        self.rows.get_mut(operation).unwrap().called = true;
    }

    /// Nothing was left out.
    fn end(self) {
        let missing: Vec<_> =
            self.rows.iter().filter(|(_, row)| !row.called).map(|(operation, _)| operation).collect();
        assert!(missing.is_empty(), "{} is not called: {missing:#?}", self.service);
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All about the roles of one thing, whose path is a template with the given ids.
async fn roles(tour: &mut Tour, owner: &Caller, thing: &str, ids: &[&str], actions: [&str; 2], member: &str) {
    let at = |method: &str, rest: &str| format!("{method} {thing}/roles{rest}");
    let made = tour.call_with(owner, &at("POST", ""), ids, json!({"role_name": "one"})).await;
    let role = text(&made["id"]);
    let in_role: Vec<&str> = ids.iter().copied().chain([role.as_str()]).collect();
    tour.call(owner, &at("GET", ""), ids).await;
    tour.call(owner, &at("GET", "/{roleID}"), &in_role).await;
    tour.call_with(owner, &at("PUT", "/{roleID}"), &in_role, json!({"name": "two"})).await;

    let both = json!({ "actions": actions });
    tour.call_with(owner, &at("POST", "/{roleID}/actions"), &in_role, both).await;
    let listed = tour.call(owner, &at("GET", "/{roleID}/actions"), &in_role).await;
    assert_eq!(listed["actions"].as_array().unwrap().len(), 2, "{listed}");
    let first = json!({"actions": [actions[0]]});
    tour.call_with(owner, &at("POST", "/{roleID}/actions/delete"), &in_role, first).await;
    tour.call(owner, &at("POST", "/{roleID}/actions/delete-all"), &in_role).await;

    let one = json!({"members": [member]});
    for removal in ["/{roleID}/members/delete", "/{roleID}/members/delete-all"] {
        tour.call_with(owner, &at("POST", "/{roleID}/members"), &in_role, one.clone()).await;
        let listed = tour.call(owner, &at("GET", "/{roleID}/members"), &in_role).await;
        assert_eq!(listed["members"], json!([member]));
        tour.call_with(owner, &at("POST", removal), &in_role, one.clone()).await;
    }
    tour.call_with(owner, &at("POST", "/{roleID}/members"), &in_role, one).await;
    tour.call(owner, &at("GET", "/members"), ids).await;
    tour.call_with(owner, &at("DELETE", ""), ids, json!({"member_ids": [member]})).await;
    tour.call(owner, &at("DELETE", "/{roleID}"), &in_role).await;
}

/// A platform with the owner of a domain, the domain's id, and a member of it.
async fn tenant(db: TestDb) -> (Plant, Caller, String, Caller) {
    let plant = Plant::new(db).await;
    let (owner, member) = (plant.user("owner").await, plant.user("member").await);
    let domain = owner.domain("one").await;
    owner.grants(&format!("/domains/{domain}"), "members", &["read"], &member).await;
    (plant, owner, domain, member)
}

#[test]
fn each_row_belongs_to_a_service_and_stands_once_in_the_list() {
    let mut seen = BTreeSet::new();
    for (service, operation, _) in rows() {
        assert!(SERVICES.contains(&service), "{service} has no tour");
        assert!(seen.insert((service, operation.clone())), "{service} {operation} stands there twice");
    }
}

both_databases! {
    async fn the_auth_service_answers_as_published(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("one").await;
        let mut tour = Tour::of("auth");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        tour.call(&plant.nobody(), "GET /keys/.well-known/jwks.json", &[]).await;
        let key = tour.call_with(&ann, "POST /keys", &[], json!({"type": 3, "duration": 3600})).await;
        let key = text(&key["id"]);
        tour.call(&ann, "GET /keys/{keyID}", &[&key]).await;
        tour.call(&ann, "DELETE /keys/{keyID}", &[&key]).await;

        let new = json!({"name": "one", "description": "for a test", "duration": "720h"});
        let pat = tour.call_with(&ann, "POST /pats", &[], new).await;
        let pat = [&*text(&pat["id"])];
        tour.call(&ann, "GET /pats", &[]).await;
        tour.call(&ann, "GET /pats/{patID}", &pat).await;
        tour.call_with(&ann, "PATCH /pats/{patID}/name", &pat, json!({"name": "two"})).await;
        tour.call_with(&ann, "PATCH /pats/{patID}/description", &pat, json!({"description": "more"})).await;
        let scopes = json!({"scopes": [
            {"domain_id": domain, "entity_type": "clients", "operation": "view", "entity_id": "*"},
            {"domain_id": domain, "entity_type": "channels", "operation": "view", "entity_id": "*"},
        ]});
        tour.call_with(&ann, "PATCH /pats/{patID}/scope/add", &pat, scopes).await;
        let listed = tour.call(&ann, "GET /pats/{patID}/scope", &pat).await;
        let first = json!({"scopes_id": [listed["scopes"][0]["id"]]});
        tour.call_with(&ann, "PATCH /pats/{patID}/scope/remove", &pat, first).await;
        tour.call(&ann, "DELETE /pats/{patID}/scope", &pat).await;
        tour.call(&ann, "PATCH /pats/{patID}/secret/revoke", &pat).await;
        tour.call_with(&ann, "PATCH /pats/{patID}/secret/reset", &pat, json!({"duration": "24h"})).await;
        tour.call(&ann, "DELETE /pats/{patID}", &pat).await;
        tour.call(&ann, "DELETE /pats", &[]).await;
        tour.end();
    }

    async fn the_users_service_answers_as_published(db: TestDb) {
        let mailbox = Mailbox::open().await;
        let post = mailbox.post();
        let plant = Plant::with_settings(db, access::Settings::default(), |rules| rules.mail = Some(post)).await;
        let (admin, nobody) = (plant.admin.clone(), plant.nobody());
        let mut tour = Tour::of("users");
        tour.call(&nobody, "GET /health", &[]).await;
        let new = json!({
            "first_name": "Ann", "last_name": "Test", "email": "ann@example.com",
            "credentials": {"username": "ann", "secret": PASSWORD},
        });
        tour.call_with(&admin, "POST /users", &[], new).await;
        let login = json!({"username": "ann", "password": PASSWORD});
        let pair = tour.call_with(&nobody, "POST /users/tokens/issue", &[], login).await;
        let refresh = nobody.with_token(pair["refresh_token"].as_str().unwrap());
        tour.call(&refresh, "POST /users/tokens/refresh", &[]).await;
        let ann = nobody.logged_in("ann").await;
        let id = [&*ann.id];
        tour.call(&ann, "GET /users/profile", &[]).await;
        tour.call(&ann, "GET /users/{userID}", &id).await;
        tour.call(&admin, "GET /users", &[]).await;
        tour.send(&ann, "GET /users/search", &[], "?username=ann", None).await;
        let open = tour.call(&ann, "GET /users/tokens/refresh-tokens", &[]).await;
        let one = json!({"token_id": open["refresh_tokens"][0]["id"]});
        tour.call_with(&ann, "POST /users/tokens/revoke", &[], one).await;
        tour.call(&ann, "POST /users/send-verification", &[]).await;
        plant.registry.users.deliver().await.unwrap();
        let link = format!("?token={}", mailbox.mails().pop().unwrap().token());
        tour.send(&nobody, "GET /verify-email", &[], &link, None).await;

        tour.call_with(&ann, "PATCH /users/{userID}", &id, json!({"first_name": "Anna"})).await;
        tour.call_with(&ann, "PATCH /users/{userID}/tags", &id, json!({"tags": ["a"]})).await;
        let picture = json!({"profile_picture": "https://example.com/a.png"});
        tour.call_with(&ann, "PATCH /users/{userID}/picture", &id, picture).await;
        tour.call_with(&ann, "PATCH /users/{userID}/email", &id, json!({"email": "anna@example.com"})).await;
        tour.call_with(&ann, "PATCH /users/{userID}/username", &id, json!({"username": "anna"})).await;
        let secrets = json!({"old_secret": PASSWORD, "new_secret": "another horse"});
        tour.call_with(&ann, "PATCH /users/secret", &[], secrets).await;
        // The notice of the new address, which is not verified: the way back leads by the old one.
        crate::users_mail::deliver_all(&plant).await;
        mailbox.mails();
        let lost = json!({"email": "ann@example.com"});
        tour.call_with(&nobody, "POST /password/reset-request", &[], lost).await;
        crate::users_mail::deliver_all(&plant).await;
        let recovery = nobody.with_token(&mailbox.mail_to("ann@example.com").token());
        let passwords = json!({"password": PASSWORD, "confirm_password": PASSWORD});
        tour.call_with(&recovery, "PUT /password/reset", &[], passwords).await;

        tour.call_with(&admin, "PATCH /users/{userID}/role", &id, json!({"role": "admin"})).await;
        tour.call(&admin, "POST /users/{userID}/disable", &id).await;
        tour.call(&admin, "POST /users/{userID}/enable", &id).await;
        tour.call(&admin, "DELETE /users/{userID}", &id).await;
        tour.end();
    }

    async fn the_domains_service_answers_as_published(db: TestDb) {
        let plant = Plant::new(db).await;
        let (owner, guest) = (plant.user("owner").await, plant.user("guest").await);
        let mut tour = Tour::of("domains");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let made = tour.call_with(&owner, "POST /domains", &[], json!({"name": "one", "route": "one"})).await;
        let domain = text(&made["id"]);
        let id = [&*domain];
        tour.call(&owner, "GET /domains", &[]).await;
        tour.call(&owner, "GET /domains/roles/available-actions", &[]).await;
        tour.call(&owner, "GET /domains/{domainID}", &id).await;
        tour.call_with(&owner, "PATCH /domains/{domainID}", &id, json!({"name": "two"})).await;
        tour.call(&owner, "POST /domains/{domainID}/disable", &id).await;
        tour.call(&owner, "POST /domains/{domainID}/enable", &id).await;
        roles(&mut tour, &owner, "/domains/{domainID}", &id, ["read", "update"], &guest.id).await;

        let role = owner.post(&format!("/domains/{domain}/roles"), json!({"role_name": "guests"})).await;
        let invitation = json!({"invitee_user_id": guest.id, "role_id": role.expect(201)["id"]});
        let (about_guest, about_domain) = (json!({"user_id": guest.id}), json!({"domain_id": domain}));
        tour.call_with(&owner, "POST /domains/{domainID}/invitations", &id, invitation.clone()).await;
        tour.call(&owner, "GET /domains/{domainID}/invitations", &id).await;
        tour.call(&guest, "GET /invitations", &[]).await;
        tour.call_with(&owner, "DELETE /domains/{domainID}/invitations", &id, about_guest).await;
        tour.call_with(&owner, "POST /domains/{domainID}/invitations", &id, invitation.clone()).await;
        tour.call_with(&guest, "POST /invitations/reject", &[], about_domain.clone()).await;
        let mut again = invitation;
        again["resend"] = json!(true);
        tour.call_with(&owner, "POST /domains/{domainID}/invitations", &id, again).await;
        tour.call_with(&guest, "POST /invitations/accept", &[], about_domain).await;
        tour.call(&plant.admin, "POST /domains/{domainID}/freeze", &id).await;
        tour.end();
    }

    async fn the_groups_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, member) = tenant(db).await;
        let mut tour = Tour::of("groups");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let id = [&*domain];
        let made = tour.call_with(&owner, "POST /{domainID}/groups", &id, json!({"name": "top"})).await;
        let group = text(&made["id"]);
        let (a, b) = (owner.group(&domain, "a", None).await, owner.group(&domain, "b", None).await);
        let (top, below) = ([&*domain, &*group], [&*domain, &*a]);
        tour.call(&owner, "GET /{domainID}/groups", &id).await;
        tour.call(&owner, "GET /{domainID}/groups/roles/available-actions", &id).await;
        tour.call(&owner, "GET /{domainID}/groups/{groupID}", &top).await;
        tour.call_with(&owner, "PUT /{domainID}/groups/{groupID}", &top, json!({"name": "root"})).await;
        tour.call_with(&owner, "PATCH /{domainID}/groups/{groupID}/tags", &top, json!({"tags": ["a"]})).await;
        tour.call(&owner, "POST /{domainID}/groups/{groupID}/disable", &top).await;
        tour.call(&owner, "POST /{domainID}/groups/{groupID}/enable", &top).await;

        let (parent, children) = (json!({"parent_id": group}), json!({"children_ids": [a, b]}));
        tour.call_with(&owner, "POST /{domainID}/groups/{groupID}/parent", &below, parent).await;
        tour.call(&owner, "GET /{domainID}/groups/{groupID}/hierarchy", &top).await;
        tour.call(&owner, "DELETE /{domainID}/groups/{groupID}/parent", &below).await;
        tour.call_with(&owner, "POST /{domainID}/groups/{groupID}/children", &top, children).await;
        tour.call(&owner, "GET /{domainID}/groups/{groupID}/children", &top).await;
        let one = json!({"children_ids": [a]});
        tour.call_with(&owner, "DELETE /{domainID}/groups/{groupID}/children", &top, one).await;
        tour.call(&owner, "DELETE /{domainID}/groups/{groupID}/children/all", &top).await;

        let thing = "/{domainID}/groups/{groupID}";
        roles(&mut tour, &owner, thing, &top, ["read", "update"], &member.id).await;
        tour.call(&owner, "DELETE /{domainID}/groups/{groupID}", &top).await;
        tour.end();
    }

    async fn the_clients_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, member) = tenant(db).await;
        let group = owner.group(&domain, "room", None).await;
        let mut tour = Tour::of("clients");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let id = [&*domain];
        let made = tour.call_with(&owner, "POST /{domainID}/clients", &id, json!({"name": "one"})).await;
        let client = text(&made["id"]);
        let one = [&*domain, &*client];
        let two = json!([{"name": "two"}, {"name": "three"}]);
        let bulk = tour.call_with(&owner, "POST /{domainID}/clients/bulk", &id, two).await;
        assert_eq!(bulk["total"], 2);
        tour.call(&owner, "GET /{domainID}/clients", &id).await;
        tour.call(&owner, "GET /{domainID}/clients/roles/available-actions", &id).await;
        tour.call(&owner, "GET /{domainID}/clients/{clientID}", &one).await;
        tour.call_with(&owner, "PATCH /{domainID}/clients/{clientID}", &one, json!({"name": "first"})).await;
        tour.call_with(&owner, "PATCH /{domainID}/clients/{clientID}/tags", &one, json!({"tags": ["a"]})).await;
        tour.call_with(&owner, "PATCH /{domainID}/clients/{clientID}/secret", &one, json!({"secret": "new"})).await;
        tour.call(&owner, "POST /{domainID}/clients/{clientID}/disable", &one).await;
        tour.call(&owner, "POST /{domainID}/clients/{clientID}/enable", &one).await;
        let parent = json!({"parent_group_id": group});
        tour.call_with(&owner, "POST /{domainID}/clients/{clientID}/parent", &one, parent).await;
        tour.call(&owner, "DELETE /{domainID}/clients/{clientID}/parent", &one).await;
        let thing = "/{domainID}/clients/{clientID}";
        roles(&mut tour, &owner, thing, &one, ["read", "update"], &member.id).await;
        tour.call(&owner, "DELETE /{domainID}/clients/{clientID}", &one).await;
        tour.end();
    }

    async fn the_bootstrap_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, _) = tenant(db).await;
        let mut tour = Tour::of("bootstrap");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let id = [&*domain];
        let profiles = "/{domainID}/clients/bootstrap/profiles";
        let at = |method: &str, rest: &str| format!("{method} {profiles}{rest}");
        let slots = json!([{"name": "mqtt_client", "type": "client", "required": true}]);
        let new = json!({"name": "linux", "content_template": "{{ .Device.ID }}", "binding_slots": slots});
        let profile = text(&tour.call_with(&owner, &at("POST", ""), &id, new).await["id"]);
        tour.call_with(&owner, &at("POST", "/upload"), &id, json!({"name": "uploaded"})).await;
        tour.call(&owner, &at("GET", ""), &id).await;
        let one = [&*domain, &*profile];
        tour.call(&owner, &at("GET", "/{profileID}"), &one).await;
        tour.call(&owner, &at("GET", "/{profileID}/slots"), &one).await;
        tour.call_with(&owner, &at("PATCH", "/{profileID}"), &one, json!({"description": "boxes"})).await;

        let new = json!({"external_id": "33:52:77:99:43", "external_key": "223334fw2", "name": "gateway-a"});
        let config = text(&tour.call_with(&owner, "POST /{domainID}/clients/configs", &id, new).await["id"]);
        let this = [&*domain, &*config];
        tour.call(&owner, "GET /{domainID}/clients/configs", &id).await;
        tour.call(&owner, "GET /{domainID}/clients/configs/{configID}", &this).await;
        let change = json!({"name": "gateway-b", "content": "{}"});
        tour.call_with(&owner, "PATCH /{domainID}/clients/configs/{configID}", &this, change).await;
        let certs = json!({"client_cert": "a", "client_key": "b", "ca_cert": "c"});
        tour.call_with(&owner, "PATCH /{domainID}/clients/configs/certs/{configID}", &this, certs).await;
        tour.call(&owner, "POST /{domainID}/clients/configs/{configID}/disable", &this).await;
        tour.call(&owner, "POST /{domainID}/clients/configs/{configID}/enable", &this).await;

        let enrolment = "/{domainID}/clients/bootstrap/enrollments/{configID}";
        let at_enrolment = |method: &str, rest: &str| format!("{method} {enrolment}{rest}");
        let assigned = json!({"profile_id": profile});
        tour.call_with(&owner, &at_enrolment("PATCH", "/profile"), &this, assigned).await;
        let client = owner.client(&domain, "box").await;
        let bound = json!({"bindings": [{"slot": "mqtt_client", "type": "client", "resource_id": client}]});
        tour.call_with(&owner, &at_enrolment("PUT", "/bindings"), &this, bound).await;
        tour.call(&owner, &at_enrolment("GET", "/bindings"), &this).await;
        tour.call(&owner, &at_enrolment("POST", "/bindings/refresh"), &this).await;
        let stored = json!({"config_id": config});
        tour.call_with(&owner, &at("POST", "/{profileID}/render-preview"), &one, stored).await;

        let device = plant.nobody().as_device("223334fw2");
        tour.call(&device, "GET /clients/bootstrap/{externalID}", &["33:52:77:99:43"]).await;
        let secure = plant.nobody().as_device(&crate::bootstrap::encrypted("223334fw2"));
        let path = "/clients/bootstrap/secure/33:52:77:99:43";
        let answer = secure.get_bytes(path).await;
        assert_eq!(answer.0, 200);
        tour.called("GET /clients/bootstrap/secure/{externalID}");

        tour.call(&owner, &at("DELETE", "/{profileID}"), &one).await;
        tour.call(&owner, "DELETE /{domainID}/clients/configs/{configID}", &this).await;
        tour.end();
    }

    async fn the_channels_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, member) = tenant(db).await;
        let (group, client) = (owner.group(&domain, "room", None).await, owner.client(&domain, "one").await);
        let mut tour = Tour::of("channels");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let id = [&*domain];
        let made = tour.call_with(&owner, "POST /{domainID}/channels", &id, json!({"name": "one"})).await;
        let channel = text(&made["id"]);
        let one = [&*domain, &*channel];
        let two = json!([{"name": "two"}, {"name": "three"}]);
        let bulk = tour.call_with(&owner, "POST /{domainID}/channels/bulk", &id, two).await;
        assert_eq!(bulk["total"], 2);
        tour.call(&owner, "GET /{domainID}/channels", &id).await;
        tour.call(&owner, "GET /{domainID}/channels/roles/available-actions", &id).await;
        tour.call(&owner, "GET /{domainID}/channels/{chanID}", &one).await;
        tour.call_with(&owner, "PATCH /{domainID}/channels/{chanID}", &one, json!({"name": "first"})).await;
        tour.call_with(&owner, "PATCH /{domainID}/channels/{chanID}/tags", &one, json!({"tags": ["a"]})).await;
        tour.call(&owner, "POST /{domainID}/channels/{chanID}/disable", &one).await;
        tour.call(&owner, "POST /{domainID}/channels/{chanID}/enable", &one).await;
        let parent = json!({"parent_group_id": group});
        tour.call_with(&owner, "POST /{domainID}/channels/{chanID}/parent", &one, parent).await;
        tour.call(&owner, "DELETE /{domainID}/channels/{chanID}/parent", &one).await;

        let all = json!({"channel_ids": [channel], "client_ids": [client], "types": ["publish", "subscribe"]});
        tour.call_with(&owner, "POST /{domainID}/channels/connect", &id, all.clone()).await;
        tour.call_with(&owner, "POST /{domainID}/channels/disconnect", &id, all).await;
        let clients = json!({"client_ids": [client], "types": ["publish"]});
        tour.call_with(&owner, "POST /{domainID}/channels/{chanID}/connect", &one, clients.clone()).await;
        tour.call_with(&owner, "POST /{domainID}/channels/{chanID}/disconnect", &one, clients).await;
        let thing = "/{domainID}/channels/{chanID}";
        roles(&mut tour, &owner, thing, &one, ["read", "update"], &member.id).await;
        tour.call(&owner, "DELETE /{domainID}/channels/{chanID}", &one).await;
        tour.end();
    }

    async fn the_provision_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, _) = tenant(db).await;
        let mut tour = Tour::of("provision");
        tour.call(&plant.nobody(), "GET /health", &[]).await;
        let gateway = json!({"name": "gateway-a", "external_id": "33:52:77:99:43", "external_key": "223334fw2"});
        tour.call_with(&owner, "POST /{domainID}/mapping", &[&domain], gateway).await;
        tour.call(&owner, "GET /{domainID}/mapping", &[&domain]).await;
        tour.end();
    }

    async fn the_certs_service_answers_as_published(db: TestDb) {
        let (plant, owner, domain, _) = tenant(db).await;
        let (client, nobody) = (owner.client(&domain, "one").await, plant.nobody());
        let agents = nobody.with_token("agents-12345678");
        let mut tour = Tour::of("certs");
        tour.call(&nobody, "GET /health", &[]).await;
        let one = [&*domain, &*client];
        let named = json!({"ttl": "1h", "options": {"common_name": "boiler"}});
        let made = tour.call_with(&owner, "POST /{domainID}/certs/issue/{entityID}", &one, named).await;
        let serial = text(&made["serial_number"]);
        let this = [&*domain, &*serial];
        let wish = json!({"csr": include_str!("request.pem")});
        tour.call_with(&owner, "POST /{domainID}/certs/csrs/{entityID}", &one, wish.clone()).await;
        tour.call_with(&agents, "POST /certs/csrs/{entityID}", &[&client], wish).await;
        let page = tour.call(&owner, "GET /{domainID}/certs", &[&domain]).await;
        assert_eq!(page["total"], 3);
        tour.call(&owner, "GET /{domainID}/certs/{id}", &this).await;
        tour.call(&owner, "PATCH /{domainID}/certs/{id}/renew", &this).await;
        tour.call(&owner, "PATCH /{domainID}/certs/{id}/revoke", &this).await;
        tour.call(&owner, "DELETE /{domainID}/certs/{entityID}/delete", &one).await;
        tour.call(&nobody, "GET /certs/crl", &[]).await;
        tour.call(&nobody, "GET /certs/view-ca", &[]).await;
        tour.end();
    }
}
