//! Roles on domains, clients, channels and groups: the routes are the same, so each test runs over the kinds that it
//! says something about.

use std::sync::Arc;

use db::{both_databases, testing::TestDb};
use http::Method;
use serde_json::{Value, json};

use crate::plant::{Answer, Caller, Plant, Shared, at_once};

/// A domain of Ann's in which Bob may look around, and one thing of each kind.
struct Site {
    plant: Plant,
    ann: Caller,
    bob: Caller,
    eve: Caller,
    domain: String,
    things: Vec<Thing>,
}

/// Something that has roles.
struct Thing {
    kind: &'static str,
    id: String,
    path: String,
    /// How many actions there are.
    actions: usize,
}

impl Site {
    async fn new(db: TestDb) -> Self {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let bob = plant.user("bob").await;
        let eve = plant.user("eve").await;
        let domain = ann.domain("site").await;
        let looking =
            json!({"role_name": "looking", "optional_actions": ["read"], "optional_members": [bob.id]});
        ann.post(&format!("/domains/{domain}/roles"), looking).await.expect(201);
        let client = ann.client(&domain, "sensor").await;
        let channel = ann.channel(&domain, "temperatures").await;
        let group = ann.group(&domain, "hall", None).await;
        let thing = |kind, id: &str, path, actions| Thing { kind, id: id.to_owned(), path, actions };
        let things = vec![
            thing("domain", &domain, format!("/domains/{domain}/roles"), 64),
            thing("client", &client, format!("/{domain}/clients/{client}/roles"), 9),
            thing("channel", &channel, format!("/{domain}/channels/{channel}/roles"), 11),
            thing("group", &group, format!("/{domain}/groups/{group}/roles"), 65),
        ];
        plant.events().await;
        Self { plant, ann, bob, eve, domain, things }
    }

    fn domain(&self) -> &Thing {
        &self.things[0]
    }

    fn client(&self) -> &Thing {
        &self.things[1]
    }

    /// A user who belongs to the domain and holds no role on anything in it.
    async fn member(&self, name: &str) -> Caller {
        let user = self.plant.user(name).await;
        let role = self.role(self.domain(), json!({"role_name": name, "optional_actions": ["read"]})).await;
        self.ann
            .post(&format!("{}/{role}/members", self.domain().path), json!({"members": [user.id]}))
            .await
            .expect(200);
        user
    }

    /// A new role on a thing; its id.
    async fn role(&self, thing: &Thing, body: Value) -> String {
        id(&self.ann.post(&thing.path, body).await.expect(201))
    }

    /// The id of the built-in role of a thing.
    async fn admin_role(&self, thing: &Thing) -> String {
        self.role_named("admin", thing).await
    }

    /// The id of a role of a thing.
    async fn role_named(&self, name: &str, thing: &Thing) -> String {
        let page = self.ann.get(&format!("{}?limit=100", thing.path)).await.expect(200);
        page["roles"].as_array().unwrap().iter().find(|role| role["name"] == name).map(id).unwrap()
    }

    async fn events(&self) -> Vec<(String, Value)> {
        self.plant.events().await
    }
}

fn id(role: &Value) -> String {
    role["id"].as_str().unwrap().to_owned()
}

async fn put(caller: &Caller, path: &str, body: Value) -> Answer {
    caller.send(Method::PUT, path, Some(body)).await
}

async fn remove(caller: &Caller, path: &str, members: &[&str]) -> Answer {
    caller.send(Method::DELETE, path, Some(json!({"member_ids": members}))).await
}

both_databases! {
    async fn a_role_is_made_viewed_renamed_and_removed(db: TestDb) {
        let site = Site::new(db).await;
        let carl = site.member("carl").await;
        for thing in &site.things {
            site.events().await;
            // Carl holds a role on the domain already, so it is Eve who joins that.
            let member = if thing.kind == "domain" { &site.eve.id } else { &carl.id };
            let body = json!({"role_name": "ops", "optional_actions": ["update", "read"], "optional_members": [member]});
            let made = site.ann.post(&thing.path, body).await.expect(201);
            let role = id(&made);
            assert!(role.starts_with(&format!("{}_", thing.kind)), "{role}");
            let mut bare = json!({
                "id": role, "name": "ops", "entity_id": thing.id, "created_by": site.ann.id,
                "created_at": "2026-01-02T03:04:05Z", "updated_by": "", "updated_at": "0001-01-01T00:00:00Z",
            });
            let mut whole = bare.clone();
            whole["optional_actions"] = json!(["update", "read"]);
            whole["optional_members"] = json!([member]);
            assert_eq!(made, whole);
            let path = format!("{}/{role}", thing.path);
            assert_eq!(site.ann.get(&path).await.expect(200), bare);

            let renamed = put(&site.ann, &path, json!({"name": "operators"})).await.expect(200);
            bare["name"] = "operators".into();
            bare["updated_by"] = site.ann.id.clone().into();
            bare["updated_at"] = "2026-01-02T03:04:05Z".into();
            assert_eq!(renamed, bare);
            let page = site.ann.get(&format!("{}?limit=100", thing.path)).await.expect(200);
            assert!(page["roles"].as_array().unwrap().contains(&bare), "{page}");
            assert_eq!(page["total"], page["roles"].as_array().unwrap().len());

            site.ann.delete(&path).await.expect(204);
            site.ann.get(&path).await.refused(404);
            site.ann.delete(&path).await.refused(404);
            assert_eq!(site.plant.count(&format!("role_members WHERE role_id = '{role}'")).await, 0);

            let events = site.events().await;
            let names: Vec<&str> = events.iter().map(|event| event.0.as_str()).collect();
            let expected = ["role.add", "role.update", "role.remove"].map(|name| format!("{}.{name}", thing.kind));
            assert_eq!(names, expected);
            for (_, event) in &events {
                assert_eq!((&event["entity_id"], &event["domain"]), (&json!(thing.id), &json!(site.domain)));
                assert_eq!(event["user_id"], site.ann.id);
            }
            assert_eq!(events[0].1["optional_actions"], json!(["update", "read"]));
            assert_eq!(events[2].1["role_id"], role);
            assert_eq!(events[2].1["members"], json!([member]));
        }
    }

    async fn a_role_may_be_made_without_actions_or_members_and_by_the_older_names(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let made = site.ann.post(&thing.path, json!({"role_name": "bare"})).await.expect(201);
        assert_eq!((&made["optional_actions"], &made["optional_members"]), (&Value::Null, &Value::Null));
        let older = json!({"name": "older", "actions": ["read", "publish"], "members": [site.bob.id]});
        let made = site.ann.post(&thing.path, older).await.expect(201);
        assert_eq!(made["optional_actions"], json!(["read", "publish"]));
        assert_eq!(made["optional_members"], json!([site.bob.id]));
        site.bob.get(&format!("/{}/clients/{}", site.domain, thing.id)).await.expect(200);
    }

    async fn what_is_no_role_is_refused_with_the_reason(db: TestDb) {
        let site = Site::new(db).await;
        for thing in &site.things {
            site.role(thing, json!({"role_name": "taken"})).await;
            site.events().await;
            let before = site.plant.count("roles").await;
            for (body, status, message) in [
                (json!({}), 400, "empty role name".to_owned()),
                (json!({"role_name": "x".repeat(201)}), 400, "invalid name size".into()),
                (json!({"role_name": "a\nb"}), 400, "invalid role name, leave out control characters such as line breaks".into()),
                (json!({"role_name": "taken"}), 409,
                 "failed to create entity: there is a role `taken` here already, choose another name".into()),
                (json!({"role_name": "admin"}), 409,
                 "failed to create entity: there is a role `admin` here already, choose another name".into()),
                (json!({"role_name": "x", "optional_actions": ["reed"]}), 400,
                 format!("`reed` is no action on a {}; did you mean `read`?", thing.kind)),
                (json!({"role_name": "x", "optional_actions": vec!["read"; 1001]}), 400,
                 "too many actions in one request, at most 1000".into()),
                (json!({"role_name": "x", "optional_members": ["bob"]}), 400, "invalid id format provided".into()),
                (json!({"role_name": "x", "optional_members": ["00000000-0000-4000-8000-000000000000"]}), 403,
                 "failed to perform authorization over the entity".into()),
            ] {
                assert_eq!(site.ann.post(&thing.path, body.clone()).await.refused(status), message, "{body}");
            }
            assert_eq!(site.plant.count("roles").await, before);
            assert!(site.events().await.is_empty());
        }
    }

    async fn actions_come_and_go(db: TestDb) {
        let site = Site::new(db).await;
        for thing in &site.things {
            let role = site.role(thing, json!({"role_name": "ops", "optional_actions": ["read"]})).await;
            let path = format!("{}/{role}/actions", thing.path);
            site.events().await;

            let added = site.ann.post(&path, json!({"actions": ["update", "delete"]})).await.expect(200);
            assert_eq!(added, json!({"actions": ["update", "delete"]}));
            let held = async || site.ann.get(&path).await.expect(200)["actions"].clone();
            assert_eq!(held().await, json!(["read", "update", "delete"]));

            let again = site.ann.post(&path, json!({"actions": ["manage_role", "read"]})).await.refused(409);
            assert_eq!(again, "failed to add policies: the role holds the action `read` already");
            assert_eq!(held().await, json!(["read", "update", "delete"]), "all or none");
            assert_eq!(site.ann.post(&path, json!({})).await.refused(400), "missing policy entity type");
            let unknown = site.ann.post(&path, json!({"actions": ["manage_rule"]})).await.refused(400);
            assert_eq!(unknown, format!("`manage_rule` is no action on a {}; did you mean `manage_role`?", thing.kind));

            let drop = |actions: Value| json!({"actions": actions});
            site.ann.post(&format!("{path}/delete"), drop(json!(["update"]))).await.expect(204);
            site.ann.post(&format!("{path}/delete"), drop(json!(["update"]))).await.expect(204);
            assert_eq!(held().await, json!(["read", "delete"]));
            site.ann.post(&format!("{path}/delete"), drop(json!(["nonsense"]))).await.refused(400);
            site.ann.post(&format!("{path}/delete"), json!({})).await.refused(400);
            site.ann.post(&format!("{path}/delete-all"), json!({})).await.expect(204);
            assert_eq!(held().await, json!([]));

            let names: Vec<String> = site.events().await.into_iter().map(|event| event.0).collect();
            let expected = ["add", "remove", "remove_all"];
            assert_eq!(names, expected.map(|name| format!("{}.role.actions.{name}", thing.kind)));
        }
    }

    async fn members_come_and_go(db: TestDb) {
        let site = Site::new(db).await;
        let (carl, dora) = (site.member("carl").await, site.member("dora").await);
        for thing in &site.things {
            let (one, two) = match thing.kind {
                "domain" => (site.plant.user("fred").await, site.plant.user("gina").await),
                _ => (carl.clone(), dora.clone()),
            };
            let role = site.role(thing, json!({"role_name": "ops", "optional_actions": ["read"]})).await;
            let other = site.role(thing, json!({"role_name": "other", "optional_actions": ["read"]})).await;
            let path = format!("{}/{role}/members", thing.path);
            site.events().await;

            let both = json!({"members": [one.id, two.id]});
            assert_eq!(site.ann.post(&path, both.clone()).await.expect(200), both);
            let mut ids = [one.id.clone(), two.id.clone()];
            ids.sort();
            let page = |offset: u64, limit: u64, members: &[String]| {
                json!({"total": 2, "offset": offset, "limit": limit, "members": members})
            };
            assert_eq!(site.ann.get(&path).await.expect(200), page(0, 10, &ids));
            assert_eq!(site.ann.get(&format!("{path}?limit=1&offset=1")).await.expect(200), page(1, 1, &ids[1..]));
            site.ann.get(&format!("{path}?limit=0")).await.refused(400);

            let again = site.ann.post(&path, json!({"members": [one.id]})).await.refused(409);
            assert_eq!(again, format!("failed to add policies: the user {} holds this role already", one.id));
            let elsewhere = site.ann.post(&format!("{}/{other}/members", thing.path), json!({"members": [two.id]})).await;
            assert_eq!(
                elsewhere.refused(409),
                format!("failed to create entity: the user {} holds the role {role} here, remove it first", two.id)
            );
            assert_eq!(site.ann.post(&path, json!({})).await.refused(400), "empty role members");

            site.ann.post(&format!("{path}/delete"), json!({"members": [one.id]})).await.expect(204);
            site.ann.post(&format!("{path}/delete"), json!({"members": [one.id]})).await.expect(204);
            assert_eq!(site.ann.get(&path).await.expect(200)["members"], json!([two.id]));
            site.ann.post(&format!("{path}/delete-all"), json!({})).await.expect(204);
            assert_eq!(site.ann.get(&path).await.expect(200)["total"], 0);

            site.ann.post(&path, json!({"members": [one.id]})).await.expect(200);
            remove(&site.ann, &thing.path, &[&one.id, &two.id]).await.expect(204);
            assert_eq!(site.ann.get(&path).await.expect(200)["total"], 0);
            remove(&site.ann, &thing.path, &[]).await.refused(400);

            let names: Vec<String> = site.events().await.into_iter().map(|event| event.0).collect();
            let expected = ["role.members.add", "role.members.remove",
                            "role.members.remove_all", "role.members.add", "members.remove"];
            assert_eq!(names, expected.map(|name| format!("{}.{name}", thing.kind)));
        }
    }

    async fn only_who_belongs_to_the_domain_is_let_into_what_is_in_it(db: TestDb) {
        let site = Site::new(db).await;
        for thing in &site.things[1..] {
            let role = site.role(thing, json!({"role_name": "ops"})).await;
            let path = format!("{}/{role}/members", thing.path);
            let both = json!({"members": [site.bob.id, site.eve.id]});
            let refused = site.ann.post(&path, both).await.refused(403);
            assert_eq!(refused, "failed to perform authorization over the entity");
            assert_eq!(site.ann.get(&path).await.expect(200)["total"], 0, "all or none");
        }
        let unknown = json!({"members": ["00000000-0000-4000-8000-000000000000"]});
        let role = site.admin_role(site.domain()).await;
        site.ann.post(&format!("{}/{role}/members", site.domain().path), unknown).await.refused(403);
    }

    async fn the_built_in_role_keeps_its_name_an_action_and_a_member(db: TestDb) {
        let site = Site::new(db).await;
        for thing in &site.things {
            let role = site.admin_role(thing).await;
            let path = format!("{}/{role}", thing.path);
            site.events().await;
            let actions = site.ann.get(&format!("{path}/actions")).await.expect(200)["actions"].clone();
            assert_eq!(actions.as_array().unwrap().len(), thing.actions);
            let one_member = "must retain at least one member";
            let one_action = "the built-in role `admin` must retain at least one action";
            for (answer, message) in [
                (put(&site.ann, &path, json!({"name": "boss"})).await,
                 "the built-in role `admin` cannot be renamed, make another role"),
                (site.ann.delete(&path).await, "the built-in role `admin` cannot be removed"),
                (site.ann.post(&format!("{path}/actions/delete"), json!({"actions": actions})).await, one_action),
                (site.ann.post(&format!("{path}/actions/delete-all"), json!({})).await, one_action),
                (site.ann.post(&format!("{path}/members/delete"), json!({"members": [site.ann.id]})).await, one_member),
                (site.ann.post(&format!("{path}/members/delete-all"), json!({})).await, one_member),
                (remove(&site.ann, &thing.path, &[&site.ann.id]).await, one_member),
            ] {
                assert_eq!(answer.refused(400), message, "{}", thing.kind);
            }
            assert!(site.events().await.is_empty());
            site.ann.get(&path).await.expect(200);
        }
    }

    async fn a_built_in_role_that_is_bare_keeps_nobody_in_the_other_roles(db: TestDb) {
        let site = Site::new(db).await;
        let (carl, dora) = (site.member("carl").await, site.member("dora").await);
        let makers = site.role_named("carl", site.domain()).await;
        let may_create = json!({"actions": ["client_create"]});
        site.ann.post(&format!("{}/{makers}/actions", site.domain().path), may_create).await.expect(200);
        let client = carl.client(&site.domain, "carl's").await;
        let roles = format!("/{}/clients/{client}/roles", site.domain);
        let ops = json!({"role_name": "ops", "optional_members": [site.bob.id, dora.id]});
        let role = id(&site.ann.post(&roles, ops).await.expect(201));
        // The only administrator of the client leaves the domain, and with it the client.
        remove(&site.ann, &site.domain().path, &[&carl.id]).await.expect(204);
        let path = format!("{roles}/{role}/members/delete");
        site.ann.post(&path, json!({"members": [site.bob.id]})).await.expect(204);
        remove(&site.ann, &roles, &[&dora.id]).await.expect(204);
        assert_eq!(site.plant.count(&format!("role_members WHERE role_id = '{role}'")).await, 0);
    }

    async fn two_removals_at_once_leave_the_built_in_role_a_member(db: TestDb) {
        let site = Site::new(db).await;
        let carl = site.member("carl").await;
        let thing = site.client();
        let role = site.admin_role(thing).await;
        let path = format!("{}/{role}/members", thing.path);
        site.ann.post(&path, json!({"members": [carl.id]})).await.expect(200);
        let caller: Shared = Arc::new(site.ann.clone());
        let answers = at_once(8, |n| {
            let caller = Arc::clone(&caller);
            let user = if n % 2 == 0 { site.ann.id.clone() } else { carl.id.clone() };
            let path = format!("{path}/delete");
            async move { caller.post(&path, json!({"members": [user]})).await }
        })
        .await;
        assert!(answers.iter().all(|answer| answer.status == 204 || answer.status == 400));
        assert_eq!(site.plant.count(&format!("role_members WHERE role_id = '{role}'")).await, 1);
    }

    async fn the_same_user_let_in_many_times_at_once_holds_one_role(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let mut roles = Vec::new();
        for name in ["a", "b", "c", "d"] {
            roles.push(site.role(thing, json!({"role_name": name})).await);
        }
        let caller: Shared = Arc::new(site.ann.clone());
        let answers = at_once(12, |n| {
            let (caller, body) = (Arc::clone(&caller), json!({"members": [site.bob.id]}));
            let path = format!("{}/{}/members", thing.path, roles[n % roles.len()]);
            async move { caller.post(&path, body).await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 409));
        let held = format!("role_members WHERE entity_id = '{}' AND member_id = '{}'", thing.id, site.bob.id);
        assert_eq!(site.plant.count(&held).await, 1);
    }

    async fn who_leaves_a_domain_leaves_everything_in_it(db: TestDb) {
        let site = Site::new(db).await;
        let elsewhere = site.eve.domain("elsewhere").await;
        let roles = site.eve.get(&format!("/domains/{elsewhere}/roles")).await.expect(200);
        let kept = format!("/domains/{elsewhere}/roles/{}/members", id(&roles["roles"][0]));
        for way in ["members", "role", "all", "everybody"] {
            let user = site.member(way).await;
            site.eve.post(&kept, json!({"members": [user.id]})).await.expect(200);
            for thing in &site.things[1..] {
                let body = json!({"role_name": way, "optional_actions": ["read"], "optional_members": [user.id]});
                site.role(thing, body).await;
            }
            let client = format!("/{}/clients/{}", site.domain, site.client().id);
            user.get(&client).await.expect(200);
            let role = site.role_named(way, site.domain()).await;
            let path = format!("{}/{role}", site.domain().path);
            match way {
                "members" => site.ann.post(&format!("{path}/members/delete"), json!({"members": [user.id]})).await,
                "role" => site.ann.delete(&path).await,
                "all" => site.ann.post(&format!("{path}/members/delete-all"), json!({})).await,
                _ => remove(&site.ann, &site.domain().path, &[&user.id]).await,
            }
            .expect(204);
            user.get(&client).await.refused(403);
            let held = format!("role_members WHERE member_id = '{}' AND domain_id = '{}'", user.id, site.domain);
            assert_eq!(site.plant.count(&held).await, 0, "{way}");
            user.get(&format!("/domains/{elsewhere}")).await.expect(200);
        }
    }

    async fn a_right_begins_and_ends_with_the_answer(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let client = format!("/{}/clients/{}", site.domain, thing.id);
        site.bob.get(&client).await.refused(403);
        let role = site.role(thing, json!({"role_name": "ops"})).await;
        let path = format!("{}/{role}", thing.path);
        site.ann.post(&format!("{path}/members"), json!({"members": [site.bob.id]})).await.expect(200);
        site.bob.get(&client).await.refused(403);
        site.ann.post(&format!("{path}/actions"), json!({"actions": ["read"]})).await.expect(200);
        site.bob.get(&client).await.expect(200);
        site.ann.post(&format!("{path}/actions/delete"), json!({"actions": ["read"]})).await.expect(204);
        site.bob.get(&client).await.refused(403);
        site.ann.post(&format!("{path}/actions"), json!({"actions": ["read"]})).await.expect(200);
        site.bob.get(&client).await.expect(200);
        site.ann.delete(&path).await.expect(204);
        site.bob.get(&client).await.refused(403);
    }

    async fn each_operation_takes_its_own_right(db: TestDb) {
        let site = Site::new(db).await;
        let carl = site.member("carl").await;
        let thing = site.client();
        let rights = ["manage_role", "add_role_users", "remove_role_users", "view_role_users"];
        for right in rights {
            let user = site.member(right).await;
            let body = json!({"role_name": right, "optional_actions": [right], "optional_members": [user.id]});
            site.role(thing, body).await;
            let victim = site.role(thing, json!({"role_name": format!("for {right}"), "optional_actions": ["read"]})).await;
            let path = format!("{}/{victim}", thing.path);
            let carl_too = json!({"members": [carl.id]});
            let tried = |needed: &'static str, answer: Answer| {
                assert_eq!(answer.status.as_u16() == 403, right != needed, "{right} tried what needs {needed}");
            };
            tried("view_role_users", user.get(&thing.path).await);
            tried("view_role_users", user.get(&path).await);
            tried("view_role_users", user.get(&format!("{path}/actions")).await);
            tried("view_role_users", user.get(&format!("{path}/members")).await);
            tried("manage_role", user.post(&thing.path, json!({"role_name": format!("by {right}")})).await);
            tried("manage_role", put(&user, &path, json!({"name": format!("once {right}")})).await);
            tried("manage_role", user.post(&format!("{path}/actions"), json!({"actions": ["update"]})).await);
            tried("manage_role", user.post(&format!("{path}/actions/delete"), json!({"actions": ["update"]})).await);
            tried("manage_role", user.post(&format!("{path}/actions/delete-all"), json!({})).await);
            tried("add_role_users", user.post(&format!("{path}/members"), carl_too.clone()).await);
            tried("remove_role_users", user.post(&format!("{path}/members/delete"), carl_too).await);
            tried("remove_role_users", user.post(&format!("{path}/members/delete-all"), json!({})).await);
            tried("remove_role_users", remove(&user, &thing.path, &[&carl.id]).await);
            tried("manage_role", user.delete(&path).await);
            remove(&site.ann, &thing.path, &[&carl.id]).await.expect(204);
        }
    }

    async fn who_may_only_manage_roles_lets_nobody_in_by_making_one(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let user = site.member("carl").await;
        let body = json!({"role_name": "m", "optional_actions": ["manage_role"], "optional_members": [user.id]});
        site.role(thing, body).await;
        site.events().await;
        let with_member = json!({"role_name": "x", "optional_actions": ["delete"], "optional_members": [site.bob.id]});
        user.post(&thing.path, with_member).await.refused(403);
        user.post(&thing.path, json!({"role_name": "x", "optional_members": []})).await.expect(201);
        assert_eq!(site.events().await.len(), 1);
    }

    async fn a_role_of_another_thing_is_unknown_here(db: TestDb) {
        let site = Site::new(db).await;
        let foreign = site.admin_role(site.domain()).await;
        let thing = site.client();
        let path = format!("{}/{foreign}", thing.path);
        site.ann.get(&path).await.refused(404);
        put(&site.ann, &path, json!({"name": "x"})).await.refused(404);
        site.ann.delete(&path).await.refused(404);
        site.ann.get(&format!("{path}/actions")).await.refused(404);
        site.ann.post(&format!("{path}/actions"), json!({"actions": ["read"]})).await.refused(404);
        site.ann.post(&format!("{path}/actions/delete-all"), json!({})).await.refused(404);
        site.ann.get(&format!("{path}/members")).await.refused(404);
        site.ann.post(&format!("{path}/members"), json!({"members": [site.bob.id]})).await.refused(404);
        site.ann.post(&format!("{path}/members/delete"), json!({"members": [site.ann.id]})).await.refused(404);
        site.ann.post(&format!("{path}/members/delete-all"), json!({})).await.refused(404);
        site.ann.get(&format!("{}/no.such%20role", thing.path)).await.refused(400);
        // The client of one domain, asked for through another of the same owner.
        let other = site.ann.domain("other").await;
        site.ann.get(&format!("/{other}/clients/{}/roles", thing.id)).await.refused(404);
    }

    async fn a_thing_of_another_domain_keeps_its_roles_from_a_neighbour(db: TestDb) {
        let site = Site::new(db).await;
        let own = site.eve.domain("eves").await;
        for thing in &site.things {
            site.eve.get(&thing.path).await.refused(403);
            site.eve.post(&thing.path, json!({"role_name": "x"})).await.refused(403);
            let through = thing.path.replace(&site.domain, &own);
            if thing.kind != "domain" {
                let refused = site.eve.post(&through, json!({"role_name": "x", "optional_members": [site.eve.id]})).await;
                assert!(refused.status == 403 || refused.status == 404, "{}", refused.status);
            }
        }
        assert_eq!(site.plant.count("roles WHERE name = 'x'").await, 0);
    }

    async fn available_actions_are_listed_to_anybody_who_is_signed_in(db: TestDb) {
        let site = Site::new(db).await;
        for (path, count) in [
            ("/domains/roles/available-actions".to_owned(), 64),
            (format!("/{}/groups/roles/available-actions", site.domain), 65),
            (format!("/{}/clients/roles/available-actions", site.domain), 9),
            (format!("/{}/channels/roles/available-actions", site.domain), 11),
        ] {
            let actions = site.eve.get(&path).await.expect(200)["available_actions"].clone();
            assert_eq!(actions.as_array().unwrap().len(), count, "{path}");
            assert_eq!(actions[0], "update", "{path}");
            site.plant.nobody().get(&path).await.refused(401);
        }
    }

    async fn a_thing_that_is_removed_takes_its_roles_along_even_as_they_are_made(db: TestDb) {
        let site = Site::new(db).await;
        for round in 0..4 {
            let client = site.ann.client(&site.domain, &format!("c{round}")).await;
            let caller: Shared = Arc::new(site.ann.clone());
            let path = format!("/{}/clients/{client}", site.domain);
            at_once(6, |n| {
                let (caller, path) = (Arc::clone(&caller), path.clone());
                let body = json!({"role_name": format!("r{n}"), "optional_members": [site.bob.id]});
                async move {
                    match n {
                        3 => caller.delete(&path).await,
                        _ => caller.post(&format!("{path}/roles"), body).await,
                    }
                }
            })
            .await;
            assert_eq!(site.plant.count(&format!("roles WHERE entity_id = '{client}'")).await, 0);
            assert_eq!(site.plant.count(&format!("role_members WHERE entity_id = '{client}'")).await, 0);
            assert_eq!(site.plant.count(&format!("relations WHERE object_id = '{client}'")).await, 0);
        }
    }

    async fn who_is_let_in_while_leaving_is_out(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let role = site.role(thing, json!({"role_name": "ops"})).await;
        for round in 0..4 {
            let user = site.member(&format!("user{round}")).await;
            let caller: Shared = Arc::new(site.ann.clone());
            let (way_in, way_out) = (format!("{}/{role}/members", thing.path), site.domain().path.clone());
            at_once(4, |n| {
                let (caller, user) = (Arc::clone(&caller), user.id.clone());
                let (way_in, way_out) = (way_in.clone(), way_out.clone());
                async move {
                    match n % 2 {
                        0 => caller.post(&way_in, json!({"members": [user]})).await,
                        _ => remove(&caller, &way_out, &[&user]).await,
                    }
                }
            })
            .await;
            assert_eq!(site.plant.count(&format!("role_members WHERE member_id = '{}'", user.id)).await, 0);
        }
    }

    async fn an_id_that_names_two_things_mixes_up_nobodys_roles(db: TestDb) {
        let site = Site::new(db).await;
        let group = site.things.iter().find(|thing| thing.kind == "group").unwrap();
        let carl = site.member("carl").await;
        let may_create = json!({"actions": ["client_create"]});
        let role = site.role_named("carl", site.domain()).await;
        site.ann.post(&format!("{}/{role}/actions", site.domain().path), may_create).await.expect(200);
        let inside = json!({"role_name": "in", "optional_actions": ["read"], "optional_members": [site.bob.id]});
        site.role(group, inside).await;
        for id in [&group.id, &site.domain] {
            carl.post(&format!("/{}/clients", site.domain), json!({"id": id, "name": "twin"})).await.expect(201);
            let twin = format!("/{}/clients/{id}", site.domain);
            site.bob.get(&twin).await.refused(403);
            let bob_and_ann = [site.bob.id.as_str(), site.ann.id.as_str()];
            remove(&carl, &format!("{twin}/roles"), &bob_and_ann).await.expect(204);
            carl.delete(&twin).await.expect(204);
        }
        site.bob.get(&format!("/{}/groups/{}", site.domain, group.id)).await.expect(200);
        site.ann.get(&format!("/domains/{}", site.domain)).await.expect(200);
        site.ann.get(&group.path).await.expect(200);
    }

    async fn who_leaves_a_domain_takes_the_invitation_along(db: TestDb) {
        let site = Site::new(db).await;
        let role = site.role(site.domain(), json!({"role_name": "guests", "optional_actions": ["read"]})).await;
        let invitation = json!({"invitee_user_id": site.eve.id, "role_id": role});
        site.ann.post(&format!("/domains/{}/invitations", site.domain), invitation).await.expect(201);
        site.eve.post("/invitations/accept", json!({"domain_id": site.domain})).await.expect(204);
        assert_eq!(site.plant.count("invitations").await, 1);
        let path = format!("{}/{role}/members/delete", site.domain().path);
        site.ann.post(&path, json!({"members": [site.eve.id]})).await.expect(204);
        assert_eq!(site.plant.count("invitations").await, 0);
    }

    async fn a_thing_has_a_thousand_roles_at_the_most(db: TestDb) {
        let site = Site::new(db).await;
        let thing = site.client();
        let (client, domain, ann) = (thing.id.clone(), site.domain.clone(), site.ann.id.clone());
        site.plant
            .access()
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let row = |n: u32| {
                        let named = format!("r{n}");
                        vec![
                            db::Val::from(format!("client_{n}")), named.into(), "client".into(), client.as_str().into(),
                            domain.as_str().into(), db::Val::Json("[]".into()), 0_i64.into(), ann.as_str().into(), 0_i64.into(),
                        ]
                    };
                    let insert = "INSERT INTO roles (id, name, entity_kind, entity_id, domain_id, actions, built_in,
                                                     created_by, created_at) VALUES";
                    tx.insert_many(insert, (0..998).map(row).collect()).await
                })
            })
            .await
            .unwrap();
        site.role(thing, json!({"role_name": "the last one"})).await;
        let refused = site.ann.post(&thing.path, json!({"role_name": "one more"})).await.refused(422);
        assert_eq!(refused, "too many roles here, at most 1000; remove one before you add another");
    }
}
