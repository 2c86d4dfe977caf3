//! Personal access tokens over the whole table of routes: without scopes they open nothing, and each operation takes
//! exactly the scopes that name it, whoever their owner is.

use std::collections::{BTreeMap, BTreeSet};

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};
use web::Rule;

use crate::plant::{Caller, Plant};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// Routes that refuse every personal access token in words of their own, as the contract has it.
const NEVER: &[(&str, u16)] = &[("/pats", 400), ("/keys/rotate", 403), ("/keys", 401)];

/// What is the same for everybody.
const FOR_ALL: &str = "/roles/available-actions";

/// Routes without operations that a scope can open.
const OWN: &[&str] = &[
    "POST /domains",
    "GET /domains",
    "POST /domains/{domain}/freeze",
    "GET /invitations",
    "POST /invitations/accept",
    "POST /invitations/reject",
];

/// Somebody, a domain with something of each kind in it, and what has been tried there.
struct Story {
    owner: Caller,
    ids: BTreeMap<&'static str, String>,
    tried: BTreeSet<String>,
}

impl Story {
    async fn new(owner: &Caller) -> Self {
        let domain = owner.domain("home").await;
        let group = owner.group(&domain, "group", None).await;
        let client = owner.client(&domain, "client").await;
        let channel = owner.channel(&domain, "channel").await;
        let other = owner.domain("other").await;
        let roles = owner.get(&format!("/domains/{domain}/roles")).await.expect(200);
        let role = roles["roles"][0]["id"].as_str().unwrap().to_owned();
        let ids = [
            ("domain", domain),
            ("other", other),
            ("group", group),
            ("client", client),
            ("channel", channel),
            ("role", role),
            ("user", owner.id.clone()),
            ("pat", UNKNOWN.to_owned()),
            ("key", UNKNOWN.to_owned()),
            ("config", UNKNOWN.to_owned()),
            ("profile", UNKNOWN.to_owned()),
        ];
        Self { owner: owner.clone(), ids: ids.into(), tried: BTreeSet::new() }
    }

    /// The text with ids for the names in braces.
    fn filled(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    /// A token with these scopes, each `domain kind entity operation`.
    async fn pat(&self, scopes: &[String]) -> Caller {
        let made = self.owner.post("/pats", json!({"name": "ci", "duration": "1d"})).await.expect(201);
        if !scopes.is_empty() {
            let scope = |text: &String| {
                let words: Vec<&str> = text.split(' ').collect();
                json!({"domain_id": words[0], "entity_type": words[1], "entity_id": words[2], "operation": words[3]})
            };
            let body = json!({"scopes": scopes.iter().map(scope).collect::<Vec<_>>()});
            let path = format!("/pats/{}/scope/add", made["id"].as_str().unwrap());
            self.owner.patch(&path, body).await.expect(200);
        }
        self.owner.with_token(made["secret"].as_str().unwrap())
    }

    /// A token with all of these scopes may do this, and one that lacks any of them may not.
    async fn takes(&mut self, route: &str, body: Value, status: u16, scopes: &[&str]) -> Value {
        self.tried.insert(route.to_owned());
        let (method, path) = route.split_once(' ').unwrap();
        let (method, path): (Method, _) = (method.parse().unwrap(), self.filled(path));
        let body = Some(body).filter(|body| !body.is_null());
        let scopes: Vec<String> = scopes.iter().map(|scope| self.filled(scope)).collect();
        for missing in &scopes {
            let mut narrow: Vec<String> = scopes.iter().filter(|scope| *scope != missing).cloned().collect();
            narrow.extend(self.beside(missing));
            let refused = self.pat(&narrow).await.send(method.clone(), &path, body.clone()).await;
            assert_eq!(refused.status, 403, "{route} without `{missing}`");
        }
        let answer = self.pat(&scopes).await.send(method, &path, body).await;
        assert_eq!(answer.status, status, "{route} with {scopes:?}");
        answer.expect(status)
    }

    /// Scopes that come close to this one and are not it.
    fn beside(&self, scope: &str) -> Vec<String> {
        let words: Vec<&str> = scope.split(' ').collect();
        let (domain, kind, operation) = (words[0], words[1], words[3]);
        if domain == "*" {
            return vec![format!("{} domains {} {operation}", self.id("other"), self.id("other"))];
        }
        vec![
            format!("{domain} {kind} {UNKNOWN} {operation}"),
            format!("{} {kind} * {operation}", self.id("other")),
        ]
    }
}

/// A method, and what comes behind a path.
fn split(route: &str) -> (&str, &str) {
    route.split_at(route.find('/').unwrap_or(route.len()))
}

async fn domains(story: &mut Story, plant: &Plant) {
    let nothing = || Value::Null;
    let named = json!({"name": "new", "route": "new"});
    story.takes("POST /domains", named, 201, &["* domains * create"]).await;
    let page = story.takes("GET /domains", nothing(), 200, &["* domains * list"]).await;
    assert_eq!(page["total"], 3);
    let one = "/domains/{domain}";
    story.takes(&format!("GET {one}"), nothing(), 200, &["{domain} domains {domain} read"]).await;
    let changed = json!({"name": "renamed"});
    story.takes(&format!("PATCH {one}"), changed, 200, &["{domain} domains {domain} update"]).await;
    for verb in ["disable", "enable"] {
        let scope = format!("{{domain}} domains {{domain}} {verb}");
        story.takes(&format!("POST {one}/{verb}"), nothing(), 200, &[&scope]).await;
    }

    let guest = plant.user("guest").await;
    story.ids.insert("user", guest.id.clone());
    let invitations = format!("{one}/invitations");
    let invitation = json!({"invitee_user_id": guest.id, "role_id": story.id("role")});
    let send = ["{domain} domains {domain} send_invitation"];
    let see = ["{domain} domains {domain} list_domain_invitation"];
    let withdraw = ["{domain} domains {domain} delete_invitation"];
    story.takes(&format!("POST {invitations}"), invitation.clone(), 201, &send).await;
    story.takes(&format!("GET {invitations}"), nothing(), 200, &see).await;
    story.takes(&format!("GET {invitations}/{{user}}"), nothing(), 200, &see).await;
    story.takes(&format!("DELETE {invitations}/{{user}}"), nothing(), 204, &withdraw).await;
    story.takes(&format!("POST {invitations}"), invitation, 201, &send).await;
    story.takes(&format!("DELETE {invitations}"), json!({"user_id": guest.id}), 204, &withdraw).await;

    for verb in ["accept", "reject"] {
        let host = guest.domain(verb).await;
        let roles = guest.get(&format!("/domains/{host}/roles")).await.expect(200);
        let body = json!({"invitee_user_id": story.owner.id, "role_id": roles["roles"][0]["id"]});
        guest.post(&format!("/domains/{host}/invitations"), body).await.expect(201);
        let scope = format!("{host} domains {host} {verb}_invitation");
        story.takes(&format!("POST /invitations/{verb}"), json!({"domain_id": host}), 204, &[&scope]).await;
    }
    story.takes("GET /invitations", nothing(), 200, &["* domains * list_invitation"]).await;
}

async fn groups(story: &mut Story) {
    let nothing = || Value::Null;
    let (all, one) = ("/{domain}/groups", "/{domain}/groups/{group}");
    let top = story.owner.group(story.id("domain"), "top", None).await;
    story.ids.insert("top", top.clone());
    let group = story.id("group").to_owned();
    let create = ["{domain} groups * create_groups", "{domain} groups {top} add_children_groups"];
    story.takes(&format!("POST {all}"), json!({"name": "inner", "parent_id": top}), 201, &create).await;
    story.takes(&format!("GET {all}"), nothing(), 200, &["{domain} groups * list_groups"]).await;
    for (route, body, operation) in [
        ("GET", nothing(), "view"),
        ("PUT", json!({"name": "renamed"}), "update"),
        ("PATCH/tags", json!({"tags": ["a"]}), "update_tags"),
        ("POST/disable", nothing(), "disable"),
        ("POST/enable", nothing(), "enable"),
        ("GET/hierarchy", nothing(), "retrieve_group_hierarchy"),
        ("GET/children", nothing(), "list_children_groups"),
    ] {
        let (method, rest) = split(route);
        let scope = format!("{{domain}} groups {{group}} {operation}");
        story.takes(&format!("{method} {one}{rest}"), body, 200, &[&scope]).await;
    }
    let up = ["{domain} groups {group} add_parent_group", "{domain} groups {top} add_children_groups"];
    story.takes(&format!("POST {one}/parent"), json!({"parent_id": top}), 200, &up).await;
    let out = ["{domain} groups {group} remove_parent_group", "{domain} groups {top} remove_parent_group"];
    story.takes(&format!("DELETE {one}/parent"), nothing(), 204, &out).await;

    let child = story.owner.group(story.id("domain"), "child", None).await;
    story.ids.insert("child", child.clone());
    let down = ["{domain} groups {group} add_children_groups", "{domain} groups {child} add_parent_group"];
    let body = json!({"children_ids": [child]});
    story.takes(&format!("POST {one}/children"), body.clone(), 200, &down).await;
    let out = ["{domain} groups {group} remove_children_groups"];
    story.takes(&format!("DELETE {one}/children"), body.clone(), 204, &out).await;
    story.takes(&format!("POST {one}/children"), body, 200, &down).await;
    let out = ["{domain} groups {group} remove_all_children_groups"];
    story.takes(&format!("DELETE {one}/children/all"), nothing(), 204, &out).await;

    let members = json!({"members": [story.id("client"), story.id("user")]});
    let let_go = [
        "{domain} clients {client} remove_parent_group",
        "{domain} groups {group} remove_child_client",
        "{domain} groups {group} role_remove_all_members",
    ];
    story.takes(&format!("DELETE {one}/members"), members.clone(), 204, &let_go).await;
    story.takes("DELETE /groups/{group}/members", members, 204, &let_go).await;

    let gone = story.owner.group(story.id("domain"), "gone", None).await;
    story.ids.insert("group", gone);
    story.takes(&format!("DELETE {one}"), nothing(), 204, &["{domain} groups {group} delete"]).await;
    story.ids.insert("group", group);
}

/// Clients and channels, as far as they are alike.
async fn things(story: &mut Story, kind: &'static str) {
    let nothing = || Value::Null;
    let (all, one) = (format!("/{{domain}}/{kind}s"), format!("/{{domain}}/{kind}s/{{{kind}}}"));
    let (any, this) = (format!("{{domain}} {kind}s *"), format!("{{domain}} {kind}s {{{kind}}}"));
    let (create, list) = (format!("{any} create_{kind}s"), format!("{any} list_{kind}s"));
    // The group must agree, under its own name or under that of the kind.
    let set_child = format!("{{domain}} groups {{group}} set_child_{kind}");
    let also_set_child = format!("{{domain}} {kind}s {{group}} set_child_{kind}");
    let remove_child = format!("{{domain}} groups {{group}} remove_child_{kind}");
    let inside = json!({"name": "inside", "parent_group_id": story.id("group")});
    story.takes(&format!("POST {all}"), json!({"name": "alone"}), 201, &[&create]).await;
    story.takes(&format!("POST {all}"), inside.clone(), 201, &[&create, &set_child]).await;
    story.takes(&format!("POST {all}/bulk"), json!([inside]), 200, &[&create, &also_set_child]).await;
    let page = story.takes(&format!("GET {all}"), nothing(), 200, &[&list]).await;
    assert_eq!(page["total"], 4);
    for (route, body, operation) in [
        ("GET", nothing(), "view"),
        ("PATCH", json!({"name": "renamed"}), "update"),
        ("PATCH/tags", json!({"tags": ["a"]}), "update_tags"),
        ("POST/disable", nothing(), "disable"),
        ("POST/enable", nothing(), "enable"),
    ] {
        let (method, rest) = split(route);
        story.takes(&format!("{method} {one}{rest}"), body, 200, &[&format!("{this} {operation}")]).await;
    }
    let parent = json!({"parent_group_id": story.id("group")});
    let set = format!("{this} set_parent_group");
    story.takes(&format!("POST {one}/parent"), parent, 200, &[&set, &set_child]).await;
    let remove = format!("{this} remove_parent_group");
    story.takes(&format!("DELETE {one}/parent"), nothing(), 204, &[&remove, &remove_child]).await;

    let kept = story.id(kind).to_owned();
    let gone = story.owner.post(&story.filled(&all), json!({"name": "gone"})).await.expect(201);
    story.ids.insert(kind, gone["id"].as_str().unwrap().to_owned());
    story.takes(&format!("DELETE {one}"), nothing(), 204, &[&format!("{this} delete")]).await;
    story.ids.insert(kind, kept);
}

/// Both ends of a connection must be named.
async fn connections(story: &mut Story) {
    let secret = ["{domain} clients {client} update_secret"];
    let body = json!({"secret": "a secret of its own"});
    story.takes("PATCH /{domain}/clients/{client}/secret", body, 200, &secret).await;
    let connect =
        ["{domain} channels {channel} connect_client", "{domain} clients {client} connect_to_channel"];
    let disconnect = [
        "{domain} channels {channel} disconnect_client",
        "{domain} clients {client} disconnect_from_channel",
    ];
    let body = json!({
        "channel_ids": [story.id("channel")], "client_ids": [story.id("client")], "types": ["publish"],
    });
    for path in ["/{domain}/channels", "/{domain}/channels/{channel}"] {
        story.takes(&format!("POST {path}/connect"), body.clone(), 201, &connect).await;
        story.takes(&format!("POST {path}/disconnect"), body.clone(), 204, &disconnect).await;
    }
}

/// The roles of one kind of thing.
async fn roles(story: &mut Story, kind: &str, member: &Caller) {
    let nothing = || Value::Null;
    let thing = if kind == "domain" {
        "/domains/{domain}".to_owned()
    } else {
        format!("/{{domain}}/{kind}s/{{{kind}}}")
    };
    let all = format!("{thing}/roles");
    let scope = |operation: &str| format!("{{domain}} {kind}s {{{kind}}} role_{operation}");
    let body = json!({"role_name": "new", "optional_actions": ["read"], "optional_members": [member.id]});
    let made = story.takes(&format!("POST {all}"), body, 201, &[&scope("add"), &scope("add_members")]).await;
    let kept = story.ids.insert("role", made["id"].as_str().unwrap().to_owned()).unwrap();
    let (actions, members) = (json!({"actions": ["update"]}), json!({"members": [member.id]}));
    for (route, body, status, operation) in [
        ("GET", nothing(), 200, "retrieve_all"),
        ("GET/members", nothing(), 200, "list_members"),
        ("GET/{role}", nothing(), 200, "retrieve"),
        ("PUT/{role}", json!({"name": "renamed"}), 200, "update"),
        ("POST/{role}/actions", actions.clone(), 200, "add_actions"),
        ("GET/{role}/actions", nothing(), 200, "list_actions"),
        ("POST/{role}/actions/delete", actions, 204, "remove_actions"),
        ("GET/{role}/members", nothing(), 200, "list_members"),
        ("POST/{role}/members/delete", members.clone(), 204, "remove_members"),
        ("POST/{role}/members", members.clone(), 200, "add_members"),
        ("POST/{role}/members/delete-all", nothing(), 204, "remove_all_members"),
        ("POST/{role}/members", members, 200, "add_members"),
        ("DELETE", json!({"member_ids": [member.id]}), 204, "remove_all_members"),
        ("POST/{role}/actions/delete-all", nothing(), 204, "remove_all_actions"),
        ("DELETE/{role}", nothing(), 204, "remove"),
    ] {
        let (method, rest) = split(route);
        story.takes(&format!("{method} {all}{rest}"), body, status, &[&scope(operation)]).await;
    }
    story.ids.insert("role", kept);
}

/// A gateway takes what its parts take; each attempt is another gateway, and those that are refused make none.
async fn provision(story: &mut Story) {
    let make = |kind: &str| format!("{{domain}} {kind} * create_{kind}");
    let gateway = json!({"name": "gateway", "external_id": "gateway", "external_key": "k"});
    let scopes = [&*make("clients"), &*make("channels"), "{domain} bootstrap * create"];
    story.takes("POST /{domain}/mapping", gateway, 201, &scopes).await;
    let reads = ["{domain} domains {domain} read"];
    story.takes("GET /{domain}/mapping", Value::Null, 200, &reads).await;
    let wish = json!({"client_id": story.id("client")});
    story.takes("POST /{domain}/cert", wish, 201, &["{domain} clients {client} issue_cert"]).await;
}

/// Configurations that know no client, their profiles and slots; then one that knows its client.
async fn bootstrap(story: &mut Story) {
    let nothing = || Value::Null;
    let any = |operation: &str| format!("{{domain}} bootstrap * {operation}");
    let (all, one) =
        ("/{domain}/clients/bootstrap/profiles", "/{domain}/clients/bootstrap/profiles/{profile}");
    let made = story.takes(&format!("POST {all}"), json!({"name": "p"}), 201, &[&any("create")]).await;
    story.takes(&format!("POST {all}/upload"), json!({"name": "q"}), 201, &[&any("create")]).await;
    story.ids.insert("profile", made["id"].as_str().unwrap().to_owned());
    story.takes(&format!("GET {all}"), nothing(), 200, &[&any("list")]).await;
    for (route, body, operation) in [
        ("GET", nothing(), "view"),
        ("GET/slots", nothing(), "view"),
        ("POST/render-preview", json!({}), "view"),
        ("PATCH", json!({"description": "d"}), "update"),
    ] {
        let (method, rest) = split(route);
        story.takes(&format!("{method} {one}{rest}"), body, 200, &[&any(operation)]).await;
    }

    let (all, config) = ("/{domain}/clients/configs", "/{domain}/clients/configs/{config}");
    let known = story.owner.post(&story.filled(all), json!({"external_id": "a", "external_key": "k"})).await;
    story.ids.insert("config", known.expect(201)["id"].as_str().unwrap().to_owned());
    story.takes(&format!("GET {all}"), nothing(), 200, &[&any("list")]).await;
    let this = |operation: &str| format!("{{domain}} bootstrap {{config}} {operation}");
    let enrolment = "/{domain}/clients/bootstrap/enrollments/{config}";
    let assigned = json!({"profile_id": story.id("profile")});
    story.takes(&format!("PATCH {enrolment}/profile"), assigned, 204, &[&this("update")]).await;
    let bound = json!({"bindings": [{"slot": "s", "type": "client", "resource_id": story.id("client")}]});
    let scopes = [&*this("update"), "{domain} clients {client} view"];
    story.takes(&format!("PUT {enrolment}/bindings"), bound, 204, &scopes).await;
    story.takes(&format!("GET {enrolment}/bindings"), nothing(), 200, &[&this("view")]).await;
    story.takes(&format!("POST {enrolment}/bindings/refresh"), nothing(), 204, &[&this("update")]).await;
    for (route, body, operation) in [
        ("GET", nothing(), "view"),
        ("PATCH", json!({"name": "n"}), "update"),
        ("PUT", json!({"name": "n"}), "update"),
        ("POST/disable", nothing(), "change_state"),
        ("POST/enable", nothing(), "change_state"),
    ] {
        let (method, rest) = split(route);
        story.takes(&format!("{method} {config}{rest}"), body, 200, &[&this(operation)]).await;
    }
    let certs = format!("PATCH {all}/certs/{{config}}");
    story.takes(&certs, json!({}), 200, &[&this("update_cert")]).await;
    story.takes(&format!("DELETE {config}"), nothing(), 204, &[&this("remove")]).await;
    story.takes(&format!("DELETE {one}"), nothing(), 204, &[&any("remove")]).await;

    let body = json!({"external_id": "b", "external_key": "k", "channels": [story.id("channel")]});
    let scopes = [&*any("create"), "{domain} clients * create_clients", "{domain} channels {channel} view"];
    let made = story.takes(&format!("POST {all}"), body, 201, &scopes).await;
    story.ids.insert("config", made["id"].as_str().unwrap().to_owned());
    let scopes = [&*this("update"), "{domain} channels {channel} view", "{domain} clients {config} update"];
    let channels = json!({"channels": [story.id("channel")]});
    story.takes(&format!("PUT {all}/connections/{{config}}"), channels, 200, &scopes).await;
    let scopes = [
        &*this("change_state"),
        "{domain} channels {channel} connect_client",
        "{domain} clients {config} connect_to_channel",
    ];
    story.takes("PUT /{domain}/clients/state/{config}", json!({"state": 1}), 200, &scopes).await;
}

/// All of it; what was tried is what there is.
async fn whole(plant: &Plant, owner: &Caller) {
    let member = plant.user("member").await;
    let mut story = Story::new(owner).await;
    domains(&mut story, plant).await;
    things(&mut story, "client").await;
    things(&mut story, "channel").await;
    groups(&mut story).await;
    certificates(&mut story).await;
    connections(&mut story).await;
    bootstrap(&mut story).await;
    provision(&mut story).await;
    roles(&mut story, "domain", &member).await;
    owner.grants(&format!("/domains/{}", story.id("domain")), "member", &["read"], &member).await;
    for kind in ["group", "client", "channel"] {
        roles(&mut story, kind, &member).await;
    }
    if owner.id == plant.admin.id {
        let scope = "{other} domains {other} freeze";
        story.ids.insert("domain", story.id("other").to_owned());
        story.ids.insert("other", UNKNOWN.to_owned());
        story
            .takes("POST /domains/{domain}/freeze", Value::Null, 200, &[&scope.replace("other", "domain")])
            .await;
    } else {
        let holder = story.pat(&[story.filled("{domain} domains {domain} freeze")]).await;
        let path = format!("/domains/{}/freeze", story.id("domain"));
        holder.send(Method::POST, &path, None).await.refused(403);
        story.tried.insert("POST /domains/{domain}/freeze".to_owned());
    }
    let all: BTreeSet<String> = plant
        .routes()
        .map(|route| (format!("{} {}", route.method, route.path), route.rule))
        .filter(|(route, rule)| matches!(rule, Rule::Operations(_)) || OWN.contains(&route.as_str()))
        .map(|(route, _)| route)
        .collect();
    assert_eq!(story.tried, all);
}

/// A request to have a key certified.
const REQUEST: &str = include_str!("request.pem");

/// What the id in a path of certificates names: a client, or a serial number that nobody has.
fn meant(method: &Method, path: &str) -> &'static str {
    let of_client =
        ["/issue/", "/csrs/", "/serials/", "/delete", "/revoke-all"].iter().any(|part| path.contains(part));
    if of_client || (*method == Method::DELETE && path.ends_with("/certs/{id}")) {
        "{client}"
    } else {
        "20:f4:bd"
    }
}

/// Certificates of a client: whoever may not have them made may not see them, and the other way round.
async fn certificates(story: &mut Story) {
    let nothing = || Value::Null;
    let on = |operation: &str| format!("{{domain}} clients {{client}} {operation}");
    let (issue, view, renew, revoke) =
        (on("issue_cert"), on("view_cert"), on("renew_cert"), on("revoke_cert"));
    let wish = json!({"client_id": story.id("client"), "ttl": "1h", "options": {"common_name": "x"}, "csr": REQUEST});
    let serial = async |story: &mut Story| {
        let path = story.filled("/{domain}/certs");
        let made = story.owner.post(&path, wish.clone()).await.expect(201);
        story.ids.insert("serial", made["serial_number"].as_str().unwrap().to_owned());
    };
    for (method, path, body, status, scope) in [
        ("POST", "/{domain}/certs", wish.clone(), 201, &issue),
        ("POST", "/{domain}/certs/issue/{id}", wish.clone(), 201, &issue),
        ("POST", "/{domain}/certs/csrs/{id}", wish.clone(), 200, &issue),
        ("POST", "/certs/issue/{id}", wish.clone(), 201, &issue),
        ("GET", "/{domain}/certs/{id}", nothing(), 200, &view),
        ("GET", "/{domain}/serials/{id}", nothing(), 200, &view),
        ("GET", "/certs/{id}", nothing(), 200, &view),
        ("GET", "/{domain}/certs/{id}/download/token", nothing(), 200, &on("download_cert")),
        ("GET", "/certs/{id}/download/token", nothing(), 200, &on("download_cert")),
        ("PATCH", "/{domain}/certs/{id}/renew", nothing(), 200, &renew),
        ("PATCH", "/certs/{id}/renew", nothing(), 200, &renew),
        ("PATCH", "/{domain}/certs/{id}/revoke", nothing(), 204, &revoke),
        ("POST", "/{domain}/certs/{id}/revoke", nothing(), 200, &revoke),
        ("PATCH", "/certs/{id}/revoke", nothing(), 204, &revoke),
        ("POST", "/{domain}/certs/{id}/revoke-all", nothing(), 200, &revoke),
        ("DELETE", "/{domain}/certs/{id}", nothing(), 200, &revoke),
        ("DELETE", "/{domain}/certs/{id}/delete", nothing(), 204, &revoke),
        ("DELETE", "/certs/{id}/delete", nothing(), 204, &revoke),
        ("DELETE", "/certs/revoke", wish.clone(), 200, &revoke),
    ] {
        serial(story).await;
        let named = meant(&method.parse().unwrap(), path).replace("20:f4:bd", "{serial}");
        let named = format!("{method} {}", path.replace("{id}", &named));
        story.takes(&named, body, status, &[scope]).await;
        story.tried.remove(&named);
        story.tried.insert(format!("{method} {path}"));
    }
    let list = ["{domain} domains {domain} list_certs"];
    story.takes("GET /{domain}/certs", nothing(), 200, &list).await;
    let all = format!("GET /certs?entity_id={}", story.id("client"));
    story.takes(&all, nothing(), 200, &[&view]).await;
    story.tried.remove(&all);
    story.tried.insert("GET /certs".to_owned());
}

/// A token of the owner's that has no scopes, against every route of the table.
async fn opens_nothing(plant: &Plant, owner: &Caller) {
    // Of all routes that take a body, each takes its own part of this one.
    let story = Story::new(owner).await;
    let body = json!({
        "name": "x", "route": "x", "tags": ["a"], "metadata": {}, "secret": "a secret of its own",
        "parent_id": story.id("group"), "children_ids": [UNKNOWN], "actions": ["read"],
        "members": [story.id("user")], "member_ids": [story.id("user")], "user_id": story.id("user"),
        "invitee_user_id": story.id("user"), "role_id": story.id("role"), "domain_id": story.id("domain"),
        "client_ids": [story.id("client")], "channel_ids": [story.id("channel")], "types": ["publish"],
        "first_name": "x", "last_name": "x", "email": "x@example.com", "username": "xyz", "role": "user",
        "enabled": true, "old_secret": "correct horse", "new_secret": "another horse", "type": 3,
        "profile_picture": "https://example.com/x.png", "token_id": UNKNOWN,
        "external_id": "x", "external_key": "x", "profile_id": UNKNOWN, "channels": [story.id("channel")],
        "bindings": [{"slot": "x", "type": "client", "resource_id": story.id("client")}],
        "client_id": story.id("client"), "ttl": "1h", "options": {"common_name": "x"}, "csr": REQUEST,
    });
    let holder = story.pat(&[]).await;
    let mut refused = 0;
    for route in plant.routes().filter(|route| !matches!(route.rule, Rule::Public(_))) {
        let name = format!("{} {}", route.method, route.path);
        let path = story.filled(&route.path.replace("{id}", meant(&route.method, route.path)));
        assert!(!path.contains('{'), "{name}: the test knows no such thing");
        let path = match route.path {
            "/authz/explain" => format!(
                "{path}?subject=user:{0}&permission=read_permission&object=client:{1}&domain={2}",
                owner.id,
                story.id("client"),
                story.id("domain")
            ),
            "/users/search" => format!("{path}?username=ann"),
            _ => path,
        };
        let body = if route.path.ends_with("/bulk") { json!([body]) } else { body.clone() };
        let body = (route.method != Method::GET).then_some(body);
        let answer = holder.send(route.method.clone(), &path, body).await;
        let never = NEVER.iter().find(|(start, _)| route.path.starts_with(start)).map(|(_, status)| *status);
        let expected = never.unwrap_or(if route.path.ends_with(FOR_ALL) { 200 } else { 403 });
        assert_eq!(answer.status, expected, "{name}");
        refused += usize::from(expected == 403);
    }
    assert!(refused > 120, "{refused}");
    assert_eq!(plant.count("clients").await, 1);
}

both_databases! {
    async fn a_token_of_a_domains_administrator_without_scopes_opens_no_route(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        opens_nothing(&plant, &ann).await;
    }

    async fn a_token_of_the_platforms_administrator_without_scopes_opens_no_route(db: TestDb) {
        let plant = Plant::new(db).await;
        opens_nothing(&plant, &plant.admin).await;
    }

    async fn each_operation_of_a_domains_administrator_takes_its_scopes(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        whole(&plant, &ann).await;
    }

    async fn each_operation_of_the_platforms_administrator_takes_its_scopes(db: TestDb) {
        let plant = Plant::new(db).await;
        let admin = plant.admin.clone();
        whole(&plant, &admin).await;
    }
}
