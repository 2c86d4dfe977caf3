//! Every route of a domain, taken from the table: with ids that exist, but are another tenant's.

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};
use web::Rule;

use crate::plant::{Caller, Plant};

/// Somebody with a domain and a thing of each kind in it.
pub(crate) struct Tenant {
    pub(crate) caller: Caller,
    pub(crate) domain: String,
    client: String,
    channel: String,
    group: String,
    /// Another one.
    shed: String,
    role: String,
}

impl Tenant {
    pub(crate) async fn settle(plant: &Plant, name: &str) -> Self {
        let caller = plant.user(name).await;
        let domain = caller.domain(name).await;
        let group = caller.group(&domain, "hall", None).await;
        let shed = caller.group(&domain, "shed", None).await;
        let client = caller.client(&domain, "pump").await;
        let channel = caller.channel(&domain, "flow").await;
        let connect = json!({"client_ids": [client], "channel_ids": [channel], "types": ["publish"]});
        caller.post(&format!("/{domain}/channels/connect"), connect).await.expect(201);
        let role = json!({"role_name": "readers", "optional_actions": ["read"]});
        let role = caller.post(&format!("/domains/{domain}/roles"), role).await.expect(201);
        let role = role["role_id"].as_str().or(role["id"].as_str()).unwrap().to_owned();
        Self { caller, domain, client, channel, group, shed, role }
    }

    /// The path of a route with this tenant's ids.
    pub(crate) fn filled(&self, path: &str) -> String {
        let id = |segment: &str| match segment.trim_matches(['{', '}']) {
            "domain" => self.domain.clone(),
            "channel" => self.channel.clone(),
            "group" => self.group.clone(),
            "role" => self.role.clone(),
            "user" | "member" => self.caller.id.clone(),
            _ => self.client.clone(),
        };
        let fill = |segment: &str| if segment.starts_with('{') { id(segment) } else { segment.to_owned() };
        path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// A body that any route finds something in, naming this tenant's things.
    pub(crate) fn named(&self, path: &str, to: &Caller) -> Value {
        // What is put into a group names it in one way.
        let parent = if path.contains("/groups") { "parent_id" } else { "parent_group_id" };
        let body = json!({
            "name": "taken", "route": "taken", "tags": ["taken"], "metadata": {"taken": true}, "secret": "taken-secret",
            (parent): self.group, "domain_id": self.domain, "client_id": self.client, "client_ids": [self.client],
            "channel_ids": [self.channel], "channels": [self.channel], "types": ["subscribe"],
            "children_ids": [self.shed], "role_name": "taken", "optional_actions": ["read"],
            "optional_members": [to.id], "actions": ["read"], "members": [to.id], "member_ids": [to.id],
            "user_id": to.id, "invitee_user_id": to.id, "role_id": self.role, "external_id": "taken",
            "external_key": "taken",
        });
        if path.ends_with("/bulk") { json!([body]) } else { body }
    }

    /// All that the tenant sees of what is its own, and how much of it there is.
    pub(crate) async fn belongings(&self, plant: &Plant) -> Vec<Value> {
        let Self { domain, client, channel, group, shed, role, .. } = self;
        let mut seen = Vec::new();
        for path in [
            format!("/domains/{domain}"),
            format!("/domains/{domain}/roles"),
            format!("/domains/{domain}/roles/{role}/members"),
            format!("/domains/{domain}/invitations"),
            format!("/{domain}/clients/{client}"),
            format!("/{domain}/clients/{client}/roles"),
            format!("/{domain}/channels/{channel}"),
            format!("/{domain}/channels/{channel}/roles"),
            format!("/{domain}/groups/{group}"),
            format!("/{domain}/groups/{shed}"),
            format!("/{domain}/groups/{group}/roles"),
            format!("/{domain}/groups/{group}/children?start_level=1&end_level=2"),
            format!("/{domain}/clients?channel={channel}"),
            format!("/{domain}/clients"),
            format!("/{domain}/channels"),
            format!("/{domain}/groups"),
        ] {
            seen.push(self.caller.get(&path).await.expect(200));
        }
        let things = [domain, client, channel, group, shed].map(|id| format!("'{id}'")).join(", ");
        for rows in [
            format!("relations WHERE object_id IN ({things}) OR subject_id IN ({things})"),
            format!("connections WHERE client_id = '{client}' OR channel_id = '{channel}'"),
            format!("role_members WHERE domain_id = '{domain}'"),
        ] {
            seen.push(json!(plant.count(&rows).await));
        }
        seen
    }
}

/// Removing what is not there is done already for these (reference 04 §3).
const REMOVED_ALREADY: [&str; 2] =
    ["/{domain}/clients/configs/{config}", "/{domain}/clients/bootstrap/profiles/{profile}"];

/// The routes that name a thing and take a right, those that end something last.
fn routes(plant: &Plant) -> Vec<(Method, &str)> {
    let named = |path: &str| ["{domain}", "{group}"].iter().any(|name| path.contains(name));
    let routes =
        plant.routes().filter(|route| matches!(route.rule, Rule::Operations(_)) && named(route.path));
    let mut routes: Vec<_> = routes.map(|route| (route.method.clone(), route.path)).collect();
    routes.sort_by_key(|(method, path)| {
        (*method == Method::DELETE, path.ends_with("disable") || path.ends_with("freeze"))
    });
    routes
}

both_databases! {
    async fn nobody_does_anything_with_the_things_of_another_tenant(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (Tenant::settle(&plant, "ann").await, Tenant::settle(&plant, "bob").await);
        let before = ann.belongings(&plant).await;
        let (mut tried, mut wrong) = (0, Vec::new());
        for (method, path) in routes(&plant) {
            // In the other's domain; in one's own; and about what is one's own, naming what is the other's.
            let foreign = ann.filled(path);
            let in_own = foreign.replacen(&ann.domain, &bob.domain, 1);
            let own = bob.filled(path);
            for (way, place) in [("foreign", &foreign), ("in own", &in_own), ("own", &own)] {
                let body = (method != Method::GET).then(|| ann.named(path, &bob.caller));
                let status = bob.caller.send(method.clone(), place, body).await.status;
                let done = way == "in own" && method == Method::DELETE && REMOVED_ALREADY.contains(&path);
                let another = way == "foreign" || (way == "in own" && *place != own && !done);
                if status.is_server_error() || (another && !status.is_client_error()) {
                    wrong.push(format!("{way}: {method} {path}: {status}"));
                }
                tried += 1;
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
        assert!(tried > 200, "{tried}");
        for (before, after) in before.iter().zip(ann.belongings(&plant).await) {
            assert_eq!(*before, after);
        }
    }
}
