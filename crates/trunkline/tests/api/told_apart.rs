//! Nobody learns from a refusal whether something is there: what one may not look for looks the same as what is not.

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};
use web::Rule;

use crate::plant::{Caller, Plant};

/// Things of a domain, or ids of things that there are not.
struct Things {
    domain: String,
    group: String,
    /// Another one.
    shed: String,
    client: String,
    channel: String,
    role: String,
    user: String,
}

impl Things {
    async fn of(owner: &Caller) -> Self {
        let domain = owner.domain("home").await;
        let group = owner.group(&domain, "hall", None).await;
        let shed = owner.group(&domain, "shed", None).await;
        let inside = json!({"name": "pump", "parent_group_id": group});
        let client = owner.post(&format!("/{domain}/clients"), inside.clone()).await.expect(201);
        let channel = owner.post(&format!("/{domain}/channels"), inside).await.expect(201);
        let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
        let (client, channel) = (id(&client), id(&channel));
        let all = json!({"client_ids": [client], "channel_ids": [channel], "types": ["publish"]});
        owner.post(&format!("/{domain}/channels/connect"), all).await.expect(201);
        let role = owner.post(&format!("/{domain}/clients/{client}/roles"), json!({"role_name": "r"})).await;
        let role = id(&role.expect(201));
        Self { domain, group, shed, client, channel, role, user: owner.id.clone() }
    }

    /// Others of the same form, which name nothing.
    fn nowhere(&self) -> Self {
        let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02}");
        let role = format!("client_{}", "x".repeat(self.role.len() - "client_".len()));
        Self {
            domain: id(1),
            group: id(2),
            shed: id(5),
            client: id(3),
            channel: id(4),
            role,
            user: self.user.clone(),
        }
    }

    fn filled(&self, path: &str) -> String {
        let id = |segment: &str| match segment {
            "{domain}" => self.domain.clone(),
            "{group}" => self.group.clone(),
            "{client}" => self.client.clone(),
            "{channel}" => self.channel.clone(),
            "{role}" => self.role.clone(),
            "{user}" | "{member}" => self.user.clone(),
            plain => plain.to_owned(),
        };
        path.split('/').map(id).collect::<Vec<_>>().join("/")
    }

    /// A body in which every route finds what it takes, naming these.
    fn body(&self, path: &str) -> Value {
        // What is put into a group names it in one way.
        let parent = if path.contains("/groups") { "parent_id" } else { "parent_group_id" };
        let body = json!({
            "name": "taken", "tags": ["taken"], "metadata": {"taken": true}, "secret": "taken-secret",
            (parent): self.group, "client_ids": [self.client],
            "channel_ids": [self.channel], "types": ["subscribe"], "children_ids": [self.shed],
            "role_name": "taken", "optional_actions": ["read"], "optional_members": [self.user], "actions": ["read"],
            "members": [self.user], "member_ids": [self.user], "user_id": self.user, "invitee_user_id": self.user,
            "role_id": self.role, "domain_id": self.domain,
        });
        if path.ends_with("/bulk") { json!([body]) } else { body }
    }
}

/// Routes of domains, groups, clients and channels that take a right.
pub(crate) fn routes(plant: &Plant) -> Vec<(Method, &'static str)> {
    let services = ["/domains/{domain}", "/{domain}/groups", "/{domain}/clients", "/{domain}/channels"];
    let others = ["bootstrap", "configs", "state", "certs"];
    let ours = |path: &str| {
        services.iter().any(|start| path.starts_with(start))
            && !path.split('/').any(|segment| others.contains(&segment))
    };
    let routes = plant.routes().filter(|route| matches!(route.rule, Rule::Operations(_)) && ours(route.path));
    routes.map(|route| (route.method.clone(), route.path)).collect()
}

/// The id of a role of the client.
async fn role_of(owner: &Caller, things: &Things) -> String {
    let roles = owner.get(&format!("/{}/clients/{}/roles", things.domain, things.client)).await.expect(200);
    roles["roles"][0]["id"].as_str().unwrap().to_owned()
}

/// What a caller is told of these things, but for the id of the request.
async fn told(caller: &Caller, method: &Method, path: &str, things: &Things) -> (u16, Value) {
    let body = (*method != Method::GET).then(|| things.body(path));
    let answer = caller.send(method.clone(), &things.filled(path), body).await;
    let status = answer.status.as_u16();
    let mut told = answer.expect(status);
    if let Some(members) = told.as_object_mut() {
        members.remove("request_id");
    }
    (status, told)
}

both_databases! {
    async fn a_stranger_cannot_tell_a_domain_and_what_is_in_it_from_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, eve) = (plant.user("ann").await, plant.user("eve").await);
        let there = Things::of(&ann).await;
        let nowhere = there.nowhere();
        let mut tried = 0;
        for (method, path) in routes(&plant) {
            let refused = told(&eve, &method, path, &there).await;
            assert_eq!(refused.0, 403, "{method} {path}: {}", refused.1);
            assert_eq!(told(&eve, &method, path, &nowhere).await, refused, "{method} {path}");
            tried += 1;
        }
        assert!(tried > 90, "{tried}");
    }

    async fn a_member_without_rights_cannot_tell_a_thing_from_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        let (ann, bob) = (plant.user("ann").await, plant.user("bob").await);
        let there = Things::of(&ann).await;
        ann.grants(&format!("/domains/{}", there.domain), "looking", &["read"], &bob).await;
        let nowhere = Things { domain: there.domain.clone(), ..there.nowhere() };
        let mut tried = 0;
        for (method, path) in routes(&plant) {
            // The domain itself he may read, and lists show him nothing.
            let refused = told(&bob, &method, path, &there).await;
            let named = ["{group}", "{client}", "{channel}", "{role}"].iter().any(|name| path.contains(name));
            if named || method != Method::GET {
                assert_eq!(refused.0, 403, "{method} {path}: {}", refused.1);
                tried += 1;
            }
            assert_eq!(told(&bob, &method, path, &nowhere).await, refused, "{method} {path}");
        }
        assert!(tried > 80, "{tried}");
        // Nor does a filter tell it.
        let shown = async |kind: &str, query: String| {
            bob.get(&format!("/{}/{kind}?{query}", there.domain)).await.expect(200)
        };
        let own = role_of(&ann, &there).await;
        for kind in ["clients", "channels", "groups"] {
            for (name, here, gone) in [
                ("group", &there.group, &nowhere.group),
                ("client", &there.client, &nowhere.client),
                ("channel", &there.channel, &nowhere.channel),
                ("id", &there.client, &nowhere.client),
                ("id", &there.group, &nowhere.group),
                ("id", &there.channel, &nowhere.channel),
                ("role_id", &own, &nowhere.role),
            ] {
                let seen = shown(kind, format!("{name}={here}")).await;
                assert_eq!(seen["total"], 0, "{kind}?{name}");
                assert_eq!(seen, shown(kind, format!("{name}={gone}")).await, "{kind}?{name}");
            }
        }
    }
}
