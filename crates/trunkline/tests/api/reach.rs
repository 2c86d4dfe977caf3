//! How roles on groups reach what is in them: what lists show, and who is listed as having access.

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, Plant};

/// A domain of Ann's with a group in a group, and a client and a channel in the inner one.
struct Site {
    ann: Caller,
    domain: String,
    top: String,
    inner: String,
    client: String,
    _plant: Plant,
}

impl Site {
    async fn new(plant: Plant) -> Self {
        let ann = plant.user("ann").await;
        let domain = ann.domain("site").await;
        let top = ann.group(&domain, "top", None).await;
        let inner = ann.group(&domain, "inner", Some(&top)).await;
        let client = ann.client(&domain, "sensor").await;
        let parent = json!({"parent_group_id": inner});
        ann.post(&format!("/{domain}/clients/{client}/parent"), parent).await.expect(200);
        Self { ann, domain, top, inner, client, _plant: plant }
    }

    /// The roles of a thing.
    fn roles(&self, of: &str) -> String {
        match of {
            "domain" => format!("/domains/{}/roles", self.domain),
            "top" => format!("/{}/groups/{}/roles", self.domain, self.top),
            "inner" => format!("/{}/groups/{}/roles", self.domain, self.inner),
            _ => format!("/{}/clients/{}/roles", self.domain, self.client),
        }
    }

    /// A role with one member; its id.
    async fn grant(&self, of: &str, name: &str, actions: &[&str], member: &Caller) -> String {
        let body = json!({"role_name": name, "optional_actions": actions, "optional_members": [member.id]});
        self.ann.post(&self.roles(of), body).await.expect(201)["id"].as_str().unwrap().to_owned()
    }
}

fn ids(members: &Value) -> Vec<&str> {
    members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["member_id"].as_str().unwrap())
        .collect()
}

both_databases! {
    async fn a_list_shows_what_a_role_on_a_group_reaches(db: TestDb) {
        let plant = Plant::new(db).await;
        let (bob, carl) = (plant.user("bob").await, plant.user("carl").await);
        let site = Site::new(plant).await;
        site.grant("domain", "bob", &["read"], &bob).await;
        site.grant("domain", "carl", &["read"], &carl).await;
        let clients = format!("/{}/clients", site.domain);
        assert_eq!(bob.get(&clients).await.expect(200)["total"], 0);
        let role = site.grant("top", "reader", &["subgroup_client_read"], &bob).await;
        site.grant("inner", "reader", &["client_read"], &carl).await;
        for user in [&bob, &carl] {
            let page = user.get(&clients).await.expect(200);
            assert_eq!((&page["total"], &page["clients"][0]["id"]), (&json!(1), &json!(site.client)));
            user.get(&format!("{clients}/{}", site.client)).await.expect(200);
        }
        site.ann.delete(&format!("{}/{role}", site.roles("top"))).await.expect(204);
        assert_eq!(bob.get(&clients).await.expect(200)["total"], 0);
        bob.get(&format!("{clients}/{}", site.client)).await.refused(403);
    }

    async fn everybody_is_listed_with_all_roles_that_reach_the_thing(db: TestDb) {
        let plant = Plant::new(db).await;
        let (bob, carl, dora) = (plant.user("bob").await, plant.user("carl").await, plant.user("dora").await);
        let site = Site::new(plant).await;
        let seeing = site.grant("domain", "seeing", &["client_read", "read"], &bob).await;
        site.grant("domain", "blind", &["read"], &carl).await;
        site.grant("domain", "elsewhere", &["channel_read"], &dora).await;
        let own = site.grant("client", "own", &["update"], &bob).await;
        let near = site.grant("inner", "near", &["client_update"], &bob).await;
        let far = site.grant("top", "far", &["subgroup_client_delete", "read"], &carl).await;
        site.grant("top", "beside", &["client_read", "subgroup_channel_read"], &dora).await;
        let path = format!("{}/members", site.roles("client"));

        let page = site.ann.get(&format!("{path}?limit=50")).await.expect(200);
        let mut expected = [site.ann.id.as_str(), &bob.id, &carl.id];
        expected.sort_unstable();
        assert_eq!(ids(&page), expected);
        assert_eq!((&page["total"], &page["offset"], &page["limit"]), (&json!(3), &json!(0), &json!(50)));
        let of = |user: &Caller| {
            page["members"].as_array().unwrap().iter().find(|member| member["member_id"] == user.id).unwrap()["roles"].clone()
        };
        assert_eq!(
            of(&bob),
            json!([
                {"role_id": own, "role_name": "own", "actions": ["update"], "access_type": "direct"},
                {"role_id": near, "role_name": "near", "actions": ["client_update"], "access_type": "direct_group",
                 "access_provider_id": site.inner, "access_provider_path": format!("{}.{}", site.top, site.inner)},
                {"role_id": seeing, "role_name": "seeing", "actions": ["client_read", "read"], "access_type": "domain",
                 "access_provider_id": site.domain},
            ])
        );
        assert_eq!(
            of(&carl),
            json!([{"role_id": far, "role_name": "far", "actions": ["subgroup_client_delete", "read"],
                    "access_type": "indirect_group", "access_provider_id": site.top, "access_provider_path": site.top}])
        );
        assert_eq!(of(&site.ann).as_array().unwrap().len(), 4, "an admin everywhere");
    }

    async fn everybody_is_filtered_ordered_and_paged(db: TestDb) {
        let plant = Plant::new(db).await;
        let (bob, carl) = (plant.user("bob").await, plant.user("carl").await);
        let site = Site::new(plant).await;
        site.grant("domain", "zeta", &["client_read", "read"], &bob).await;
        let alpha = site.grant("domain", "alpha", &["client_delete"], &carl).await;
        let own = site.grant("client", "own \" role", &["update", "read"], &bob).await;
        let path = format!("{}/members", site.roles("client"));
        let (ann, bob, carl) = (site.ann.id.as_str(), bob.id.as_str(), carl.id.as_str());
        let top = &site.top;
        for (query, expected) in [
            (format!("role_id={own}"), vec![bob]),
            ("role_name=own%20%22%20role".to_owned(), vec![bob]),
            ("role_name=%22".to_owned(), vec![]),
            ("actions=update,read&access_type=direct&role_name=own%20%22%20role".to_owned(), vec![bob]),
            (format!("access_type=direct&role_id={alpha}"), vec![]),
            (format!("access_provider_id={top}"), vec![ann]),
            ("order=role_name&dir=asc".to_owned(), vec![ann, carl, bob]),
            ("order=role_name&dir=desc&limit=1".to_owned(), vec![bob]),
            ("order=access_type&dir=desc&limit=1".to_owned(), vec![carl]),
            ("order=anything&dir=asc&limit=1&offset=3".to_owned(), vec![]),
        ] {
            let page = site.ann.get(&format!("{path}?{query}")).await.expect(200);
            assert_eq!(ids(&page), expected, "{query}");
        }
        for (query, message) in [
            ("limit=0", "invalid limit size"),
            ("dir=up", "invalid list direction provided"),
            ("access_provider_id=x", "invalid id format provided"),
            ("access_type=odd", "invalid access type, one of direct, direct_group, indirect_group, indirect, domain"),
        ] {
            assert_eq!(site.ann.get(&format!("{path}?{query}")).await.refused(400), message, "{query}");
        }
    }

    async fn everybody_of_a_domain_and_of_a_group_is_listed(db: TestDb) {
        let plant = Plant::new(db).await;
        let (bob, carl) = (plant.user("bob").await, plant.user("carl").await);
        let site = Site::new(plant).await;
        site.grant("domain", "bob", &["read"], &bob).await;
        site.grant("domain", "carl", &["group_read"], &carl).await;
        site.grant("top", "bob", &["subgroup_update"], &bob).await;
        let types = |page: &Value, user: &Caller| -> Vec<String> {
            let members = page["members"].as_array().unwrap();
            let member = members.iter().find(|member| member["member_id"] == user.id).unwrap();
            member["roles"].as_array().unwrap().iter().map(|role| role["access_type"].as_str().unwrap().to_owned()).collect()
        };
        let domain = site.ann.get(&format!("{}/members", site.roles("domain"))).await.expect(200);
        assert_eq!(domain["total"], 3);
        assert_eq!(types(&domain, &bob), ["direct"]);
        let inner = site.ann.get(&format!("{}/members", site.roles("inner"))).await.expect(200);
        assert_eq!(types(&inner, &bob), ["indirect_group"]);
        assert_eq!(types(&inner, &carl), ["domain"]);
        assert_eq!(types(&inner, &site.ann), ["direct", "indirect_group", "domain"]);
        bob.get(&format!("{}/members", site.roles("inner"))).await.refused(403);
    }
}
