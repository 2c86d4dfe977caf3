use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Answer, Caller, Plant};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

async fn ask(asker: &Caller, subject: &str, wanted: &str, object: &str) -> Answer {
    let key = if wanted.contains('.') { "operation" } else { "permission" };
    asker.get(&format!("/authz/explain?subject=user:{subject}&{key}={wanted}&object={object}")).await
}

fn step<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap()
}

/// A member of the domain with these actions, by a role of its own.
async fn member(plant: &Plant, owner: &Caller, domain: &str, name: &str, actions: Value) -> Caller {
    let user = plant.user(name).await;
    let body = json!({"role_name": name, "optional_actions": actions, "optional_members": [user.id]});
    owner.post(&format!("/domains/{domain}/roles"), body).await.expect(201);
    user
}

both_databases! {
    async fn an_administrator_sees_the_path_by_which_a_member_may(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let client = ann.client(&domain, "sensor").await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["read", "client_read"])).await;
        bob.get(&format!("/{domain}/clients/{client}")).await.expect(200);

        let object = format!("client:{client}");
        let answer = ask(&ann, "bob@example.com", "clients.view", &object).await.expect(200);
        assert_eq!(answer["allowed"], true);
        assert_eq!(answer["subject"], format!("user:{}", bob.id));
        assert_eq!(answer["domain_id"], domain.as_str());
        let names: Vec<&str> =
            answer["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(names, ["account", "domain", "permission", "relation"]);
        let relation = step(&answer, "relation").to_string();
        assert!(relation.contains("through `domain` of client"), "{relation}");
        assert!(relation.contains("client_read"), "{relation}");

        // The same by permission, and by the administrator of the platform.
        let again = ask(&plant.admin, &bob.id, "read_permission", &object).await.expect(200);
        assert_eq!(again["allowed"], true);
    }

    async fn a_no_names_each_condition_that_failed(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let client = ann.client(&domain, "sensor").await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["read", "client_read"])).await;
        bob.delete(&format!("/{domain}/clients/{client}")).await.refused(403);

        let object = format!("client:{client}");
        let answer = ask(&ann, &bob.id, "clients.delete", &object).await.expect(200);
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["summary"], "refused: nothing gives the user `delete_permission` on the client");
        assert_eq!(step(&answer, "domain")["allowed"], true);
        assert_eq!(step(&answer, "relation")["because"][0]["allowed"], false);
        assert!(step(&answer, "relation").to_string().contains("client_delete"), "{answer}");

        ann.post(&format!("/domains/{domain}/disable"), json!({})).await.expect(200);
        let answer = ask(&ann, &bob.id, "clients.view", &object).await.expect(200);
        let gate = "the domain is disabled: it is open to its administrators, and the user is none";
        assert_eq!(step(&answer, "domain")["says"], gate);
        assert_eq!(answer["allowed"], false);

        plant.admin.post(&format!("/users/{}/disable", bob.id), json!({})).await.expect(200);
        let answer = ask(&plant.admin, &bob.id, "clients.view", &object).await.expect(200);
        assert_eq!(answer["summary"], "refused: the user's account is disabled");
        plant.admin.post(&format!("/domains/{domain}/freeze"), json!({})).await.expect(200);
        ask(&ann, &bob.id, "clients.view", &object).await.refused(403);
        let admin = ask(&plant.admin, &plant.admin.id, "clients.view", &object).await.expect(200);
        assert_eq!(admin["allowed"], true);
        let platform = ask(&plant.admin, &ann.id, "admin", "platform:magistrala").await.expect(200);
        assert_eq!(platform["allowed"], false);
    }

    async fn whoever_asks_about_oneself_learns_no_more_than_a_refusal_tells(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let client = ann.client(&domain, "sensor").await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["read"])).await;
        let carl = plant.user("carl").await;

        let there = ask(&bob, &bob.id, "clients.view", &format!("client:{client}")).await.expect(200);
        let path = format!("client:{UNKNOWN}&domain={domain}");
        let gone = ask(&bob, &bob.id, "clients.view", &path).await.expect(200);
        assert_eq!(there["allowed"], false);
        assert_eq!(there["steps"], gone["steps"], "whether it is there is not told");
        assert_eq!(step(&there, "relation").get("because"), None);
        let own = ask(&bob, &bob.id, "domains.read", &format!("domain:{domain}")).await.expect(200);
        assert!(own["allowed"] == true && step(&own, "relation")["because"][0]["allowed"] == true);

        let there = ask(&carl, &carl.id, "clients.view", &format!("client:{client}")).await.expect(200);
        let gone = ask(&carl, &carl.id, "clients.view", &format!("client:{UNKNOWN}")).await.expect(200);
        assert_eq!(there["steps"], gone["steps"]);
        assert_eq!(there.get("domain_id"), None);
    }

    async fn about_others_only_administrators_ask(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["read", "manage_role"])).await;
        let object = format!("domain:{domain}");
        ask(&bob, &ann.id, "domains.read", &object).await.refused(403);
        ask(&ann, &plant.admin.id, "admin", "platform:magistrala").await.refused(403);
        let carl = plant.user("carl").await;
        ask(&carl, &ann.id, "domains.read", &object).await.refused(403);
        ask(&carl, &ann.id, "domains.read", &format!("domain:{UNKNOWN}")).await.refused(403);

        // An administrator of a domain asks about its members; a stranger and nobody look alike.
        let stranger = ask(&ann, "carl@example.com", "domains.read", &object).await.refused(404);
        assert_eq!(ask(&ann, "nobody@example.com", "domains.read", &object).await.refused(404), stranger);
        ask(&plant.admin, "nobody@example.com", "domains.read", &object).await.refused(404);
        assert_eq!(ask(&plant.admin, &carl.id, "domains.read", &object).await.expect(200)["allowed"], false);
    }

    async fn the_scopes_of_a_token_are_part_of_the_answer(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let pat = ann.post("/pats", json!({"name": "p", "duration": "24h"})).await.expect(201);
        let id = pat["id"].as_str().unwrap();
        let scope = json!({"scopes": [{"domain_id": domain, "entity_type": "domains", "entity_id": domain, "operation": "read"}]});
        ann.patch(&format!("/pats/{id}/scope/add"), scope).await.expect(200);
        let object = format!("domain:{domain}&pat={id}");
        assert_eq!(ask(&ann, &ann.id, "domains.read", &object).await.expect(200)["allowed"], true);
        let no = ask(&ann, &ann.id, "domains.update", &object).await.expect(200);
        assert_eq!(step(&no, "scope")["allowed"], false);
        assert_eq!(step(&no, "relation")["allowed"], true);
        let foreign = ask(&plant.admin, &plant.admin.id, "domains.read", &object).await.expect(200);
        assert_eq!(foreign["summary"], "refused: the user has no such personal access token");
        // A token explains nothing.
        let lent = plant.nobody().with_token(pat["secret"].as_str().unwrap());
        ask(&lent, &ann.id, "domains.read", &object).await.refused(403);
    }

    async fn what_is_no_question_is_refused_with_the_reason(db: TestDb) {
        let plant = Plant::new(db).await;
        let domain = plant.admin.domain("one").await;
        let object = format!("domain:{domain}");
        for (subject, wanted, object) in [
            ("", "domains.read", object.as_str()),
            ("admin", "", &object),
            ("admin", "domains.fly", &object),
            ("admin", "fly_permission", &object),
            ("admin", "clients.delete", "platform:magistrala"),
            ("admin", "clients.view", "client:7"),
            ("admin", "clients.view", "thing:x"),
            ("admin", "admin", "platform:other"),
        ] {
            ask(&plant.admin, subject, wanted, object).await.refused(400);
        }
        ask(&plant.admin, "admin", "clients.view", &format!("client:{UNKNOWN}")).await.refused(404);
    }

    async fn of_an_operation_on_two_things_both_are_asked(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let (client, channel) = (ann.client(&domain, "sensor").await, ann.channel(&domain, "temperatures").await);
        let group = ann.group(&domain, "hall", None).await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["read", "channel_connect_to_client", "client_set_parent_group"])).await;

        let named = format!("channel:{channel}&with=client:{client}");
        let answer = ask(&ann, &bob.id, "channels.connect_client", &named).await.expect(200);
        assert_eq!(answer["summary"], "refused: nothing gives the user `connect_to_channel_permission` on the client");
        let names: Vec<_> = answer["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
        assert_eq!(names, ["account", "domain", "permission", "relation", "permission", "relation"]);
        let body = json!({"client_ids": [client], "types": ["publish"]});
        bob.post(&format!("/{domain}/channels/{channel}/connect"), body.clone()).await.refused(403);
        assert_eq!(ask(&ann, &ann.id, "channels.connect_client", &named).await.expect(200)["allowed"], true);
        ann.post(&format!("/{domain}/channels/{channel}/connect"), body).await.expect(201);

        // Where the other thing is not named nothing is promised.
        let half = ask(&ann, &ann.id, "channels.connect_client", &format!("channel:{channel}")).await.expect(200);
        assert_eq!((&half["allowed"], &step(&half, "relation")["allowed"]), (&json!(false), &json!(true)));
        assert!(half["summary"].as_str().unwrap().starts_with("not decided: a client has to agree too"), "{half}");

        let named = format!("client:{client}&with=group:{group}");
        let answer = ask(&ann, &bob.id, "clients.set_parent_group", &named).await.expect(200);
        assert_eq!(answer["summary"], "refused: nothing gives the user `set_child_permission` on the group");
        ann.post(&format!("/{domain}/clients/{client}/parent"), json!({"parent_group_id": group})).await.expect(200);
        let removed = ask(&ann, &bob.id, "clients.remove_parent_group", &format!("client:{client}")).await.expect(200);
        assert_eq!(removed["summary"], "refused: nothing gives the user `set_child_permission` on the group");
        bob.delete(&format!("/{domain}/clients/{client}/parent")).await.refused(403);
        for (wanted, object) in [
            ("clients.view", format!("client:{client}&with=group:{group}")),
            ("clients.set_parent_group", format!("client:{client}&with=channel:{channel}")),
            ("clients.set_parent_group", format!("client:{client}&with=platform:magistrala")),
            ("clients.view", format!("channel:{channel}")),
        ] {
            ask(&ann, &bob.id, wanted, &object).await.refused(400);
        }
    }

    async fn an_invitation_takes_an_administrator_of_the_domain_and_a_list_takes_nothing(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("ann-1").await;
        let bob = member(&plant, &ann, &domain, "bob", json!(["manage_role"])).await;
        let object = format!("domain:{domain}");
        let answer = ask(&ann, &bob.id, "domains.send_invitation", &object).await.expect(200);
        assert_eq!(answer["summary"], "refused: nothing gives the user `admin` on the domain");
        let carl = plant.user("carl").await;
        let roles = ann.get(&format!("/domains/{domain}/roles")).await.expect(200);
        let body = json!({"invitee_user_id": carl.id, "role_id": roles["roles"][0]["id"]});
        bob.post(&format!("/domains/{domain}/invitations"), body.clone()).await.refused(403);
        assert_eq!(ask(&ann, &ann.id, "domains.send_invitation", &object).await.expect(200)["allowed"], true);
        ann.post(&format!("/domains/{domain}/invitations"), body).await.expect(201);

        for kind in ["clients", "channels", "groups"] {
            let answer = ask(&ann, &bob.id, &format!("domains.list_{kind}"), &object).await.expect(200);
            assert_eq!(answer["allowed"], true, "{answer}");
            bob.get(&format!("/{domain}/{kind}")).await.expect(200);
        }
        let stranger = ask(&carl, &carl.id, "domains.list_clients", &object).await.expect(200);
        assert_eq!(stranger["allowed"], false);
        carl.get(&format!("/{domain}/clients")).await.refused(403);
    }
}
