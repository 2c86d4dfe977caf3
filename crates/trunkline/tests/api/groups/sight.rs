use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use super::{chain, names};
use crate::plant::{Caller, Plant};

/// The chain of groups in a domain to which Bob belongs, with a role on the group in the middle and no other.
struct Scene {
    plant: Plant,
    bob: Caller,
    domain: String,
    root: String,
    middle: String,
    leaf: String,
}

impl Scene {
    async fn new(db: TestDb) -> Self {
        let plant = Plant::new(db).await;
        let (domain, [root, middle, leaf]) = chain(&plant).await;
        let bob = plant.user("bob").await;
        plant.admin.grants(&format!("/domains/{domain}"), "looking", &["read"], &bob).await;
        let on_middle = ["read", "subgroup_read", "set_child"];
        plant.admin.grants(&format!("/{domain}/groups/{middle}"), "keepers", &on_middle, &bob).await;
        Self { plant, bob, domain, root, middle, leaf }
    }

    async fn list(&self, query: &str) -> Value {
        self.bob.get(&format!("/{}/groups?order=name&dir=desc{query}", self.domain)).await.expect(200)
    }
}

both_databases! {
    async fn a_list_shows_what_roles_reach_and_says_how(db: TestDb) {
        let scene = Scene::new(db).await;
        let list = scene.list("").await;
        assert_eq!((names(&list), &list["total"]), (vec!["middle", "leaf"], &json!(2)));
        let [direct, indirect] = [&list["groups"][0], &list["groups"][1]];
        assert_eq!((&direct["access_type"], &direct["role_name"]), (&json!("direct"), &json!("keepers")));
        let mut actions: Vec<&str> =
            direct["actions"].as_array().unwrap().iter().map(|action| action.as_str().unwrap()).collect();
        actions.sort_unstable();
        assert_eq!(actions, ["read", "set_child", "subgroup_read"]);
        assert_eq!((&indirect["access_type"], &indirect["access_provider_id"]), (&json!("indirect"), &json!(scene.middle)));
        assert_eq!(indirect["access_provider_role_name"], "keepers");
        assert!(indirect.get("role_id").is_none());

        let role = direct["role_id"].as_str().unwrap();
        for (query, expected) in [
            ("&root_group=true", vec!["middle"]),
            ("&access_type=direct", vec!["middle"]),
            ("&access_type=indirect", vec!["leaf"]),
            ("&access_type=domain", vec![]),
            ("&role_name=keepers", vec!["middle"]),
            ("&role_name=others", vec![]),
            ("&actions=read,set_child", vec!["middle"]),
            ("&actions=delete", vec![]),
            (&format!("&role_id={role}"), vec!["middle"]),
        ] {
            assert_eq!(names(&scene.list(query).await), expected, "{query}");
        }
        let path = format!("/{}/groups?order=name&dir=desc&user={}", scene.domain, scene.bob.id);
        assert_eq!(scene.plant.admin.get(&path).await.expect(200), list, "as the administrator sees it for him");
    }

    async fn a_role_on_the_domain_shows_all_groups(db: TestDb) {
        let scene = Scene::new(db).await;
        let ann = scene.plant.user("ann").await;
        let domain = format!("/domains/{}", scene.domain);
        scene.plant.admin.grants(&domain, "readers", &["read", "group_read", "client_read"], &ann).await;
        let list = ann.get(&format!("/{}/groups?order=name", scene.domain)).await.expect(200);
        assert_eq!(names(&list), ["root", "middle", "leaf"]);
        for group in list["groups"].as_array().unwrap() {
            assert_eq!((&group["access_type"], &group["access_provider_id"]), (&json!("domain"), &json!(scene.domain)));
            assert_eq!(group["access_provider_role_actions"], json!(["group_read"]));
        }
        let as_admin = scene.plant.admin.get(&format!("/{}/groups?id={}", scene.domain, scene.root)).await.expect(200);
        assert!(as_admin["groups"][0].get("access_type").is_none(), "there is nothing to say");
    }

    async fn what_lies_above_is_shown_only_as_far_as_one_may_look(db: TestDb) {
        let scene = Scene::new(db).await;
        let (bob, domain) = (&scene.bob, &scene.domain);
        let hierarchy = async |group: &str, query: &str| {
            let answer = bob.get(&format!("/{domain}/groups/{group}/hierarchy?{query}")).await.expect(200);
            names(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(hierarchy(&scene.leaf, "dir=1").await, ["middle", "leaf"]);
        assert_eq!(hierarchy(&scene.middle, "dir=-1").await, ["middle", "leaf"]);
        let children = bob.get(&format!("/{domain}/groups/{}/children", scene.middle)).await.expect(200);
        assert_eq!((names(&children), &children["groups"][0]["access_type"]), (vec!["leaf"], &json!("indirect")));
        for path in ["", "/hierarchy", "/children"] {
            bob.get(&format!("/{domain}/groups/{}{path}", scene.root)).await.refused(403);
        }
    }

    async fn a_view_lists_the_roles_by_which_one_comes_to_it(db: TestDb) {
        let scene = Scene::new(db).await;
        let path = format!("/{}/groups/{}", scene.domain, scene.leaf);
        let view = scene.bob.get(&format!("{path}?roles=true")).await.expect(200);
        let roles = view["roles"].as_array().unwrap();
        assert_eq!(roles[0]["role_name"], "keepers");
        assert_eq!((&roles[0]["access_type"], &roles[0]["access_provider_id"]), (&json!("direct_group"), &json!(scene.middle)));
        assert!(scene.bob.get(&path).await.expect(200).get("roles").is_none());
    }

    async fn each_change_needs_its_right(db: TestDb) {
        let scene = Scene::new(db).await;
        let (bob, domain) = (&scene.bob, &scene.domain);
        let middle = format!("/{domain}/groups/{}", scene.middle);
        let leaf = format!("/{domain}/groups/{}", scene.leaf);
        bob.put(&middle, json!({"name": "x"})).await.refused(403);
        bob.patch(&format!("{middle}/tags"), json!({"tags": []})).await.refused(403);
        bob.post(&format!("{middle}/disable"), json!({})).await.refused(403);
        bob.delete(&middle).await.refused(403);
        bob.delete(&format!("{middle}/parent")).await.refused(403);
        // The right to put things in is Bob's; the right to take the leaf away from where it is is not.
        bob.delete(&format!("{leaf}/parent")).await.refused(403);
        let twig = scene.plant.admin.group(domain, "twig", None).await;
        let children = format!("{middle}/children");
        bob.post(&children, json!({"children_ids": [twig]})).await.refused(403);
        bob.post(&format!("/{domain}/groups/{twig}/parent"), json!({"parent_id": scene.middle})).await.refused(403);
        bob.post(&format!("/{domain}/groups"), json!({"name": "n", "parent_id": scene.middle})).await.refused(403);
        scene.plant.admin.grants(&format!("/{domain}/groups/{twig}"), "movers", &["set_parent"], bob).await;
        bob.post(&children, json!({"children_ids": [twig]})).await.expect(200);
        bob.send(http::Method::DELETE, &children, Some(json!({"children_ids": [twig]}))).await.expect(204);
        bob.delete(&format!("{children}/all")).await.expect(204);
        bob.get(&leaf).await.refused(403);
    }
}
