//! What all lists have in common: order, direction, pages, the total alone, and a list also where it is empty.

use std::time::Duration;

use db::{both_databases, testing::TestDb};
use serde_json::{Value, json};

use crate::plant::{Caller, PASSWORD, Plant};

/// A list of three things of this test's, and how to ask for these and no others.
struct List {
    path: String,
    /// What it holds its rows in, and where a row has its name.
    key: &'static str,
    name: &'static str,
    /// What it may be ordered by beside the times.
    by_name: &'static str,
    caller: Caller,
}

/// Names in the order in which the things are made; the first is changed last.
const MADE: [&str; 3] = ["mid", "top", "end"];

impl List {
    async fn page(&self, query: &str) -> Value {
        let sep = if self.path.contains('?') { '&' } else { '?' };
        self.caller.get(&format!("{}{sep}{query}", self.path)).await.expect(200)
    }

    async fn refused(&self, query: &str) -> String {
        let sep = if self.path.contains('?') { '&' } else { '?' };
        self.caller.get(&format!("{}{sep}{query}", self.path)).await.refused(400)
    }

    fn names(&self, page: &Value) -> Vec<String> {
        let rows = page[self.key].as_array().unwrap().iter();
        rows.map(|row| row.pointer(self.name).unwrap().as_str().unwrap().to_owned()).collect()
    }

    /// The rows in each order, whole and in pages.
    async fn is_ordered(&self) {
        for (order, expected) in [
            (self.by_name, ["end", "mid", "top"]),
            ("created_at", ["mid", "top", "end"]),
            ("updated_at", ["top", "end", "mid"]),
        ] {
            let mut expected = expected.map(ToOwned::to_owned).to_vec();
            for dir in ["asc", "desc"] {
                let asked = format!("order={order}&dir={dir}");
                assert_eq!(self.names(&self.page(&asked).await), expected, "{}?{asked}", self.path);
                let mut paged = Vec::new();
                for offset in 0..3 {
                    let page = self.page(&format!("{asked}&limit=1&offset={offset}")).await;
                    assert_eq!(
                        (&page["limit"], &page["offset"], &page["total"]),
                        (&json!(1), &json!(offset), &json!(3))
                    );
                    paged.extend(self.names(&page));
                }
                assert_eq!(paged, expected, "{}?{asked}, page by page", self.path);
                expected.reverse();
            }
        }
        // What was changed last comes first where nobody says otherwise.
        assert_eq!(self.names(&self.page("").await), ["mid", "end", "top"], "{}", self.path);
        for wrong in ["order=secret", "order=name%3B", "order=1"] {
            assert_eq!(self.refused(wrong).await, "invalid list order provided", "{}", self.path);
        }
        for wrong in ["dir=up", "dir=1"] {
            assert_eq!(self.refused(wrong).await, "invalid list direction provided", "{}", self.path);
        }
    }

    /// The total is there with and without rows, and rows are a list also where there is none.
    async fn counts(&self) {
        let total = self.page("only_total=true").await;
        assert_eq!((&total["total"], &total[self.key]), (&json!(3), &json!([])), "{}", self.path);
        let total = self.page("only_total=false&limit=2").await;
        assert_eq!(
            (&total["total"], total[self.key].as_array().unwrap().len()),
            (&json!(3), 2),
            "{}",
            self.path
        );
        let beyond = self.page("offset=100").await;
        assert_eq!((&beyond["total"], &beyond[self.key]), (&json!(3), &json!([])), "{}", self.path);
        for wrong in ["only_total=perhaps", "offset=-1", "limit=x", "limit=1&limit=2"] {
            assert_eq!(self.refused(wrong).await, "invalid query parameters", "{}", self.path);
        }
        assert_eq!(self.refused("limit=0").await, "invalid limit size", "{}", self.path);
    }
}

/// Makes the three things, a minute apart, and changes the first of them.
async fn three(
    plant: &Plant,
    caller: &Caller,
    path: &str,
    change: (&str, &str),
    body: impl Fn(&str) -> Value,
) {
    let mut first = None;
    for name in MADE {
        let made = caller.post(path, body(name)).await.expect(201);
        first.get_or_insert(made["id"].as_str().unwrap().to_owned());
        plant.clock.advance(Duration::from_secs(60));
    }
    let (method, all) = change;
    let changed = json!({"metadata": {"changed": true}});
    caller
        .send(method.parse().unwrap(), &format!("{all}/{}", first.unwrap()), Some(changed))
        .await
        .expect(200);
    plant.clock.advance(Duration::from_secs(60));
}

both_databases! {
    async fn lists_are_ordered_and_paged_as_asked(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let person = |name: &str| json!({
            "first_name": "Ann", "last_name": "Searched", "email": format!("{name}@example.com"),
            "credentials": {"username": name, "secret": PASSWORD},
        });
        three(&plant, &plant.admin, "/users", ("PATCH", "/users"), person).await;
        three(&plant, &ann, "/domains", ("PATCH", "/domains"), |name| json!({"name": name, "route": name})).await;
        let home = plant.user("bob").await;
        let domain = home.domain("home").await;
        let root = home.group(&domain, "root", None).await;
        let named = |name: &str| json!({"name": name, "parent_id": null});
        let within = |name: &str| json!({"name": name, "parent_id": root});
        let in_root = |name: &str| json!({"name": name, "parent_group_id": root});
        let at = |kind: &str| format!("/{domain}/{kind}");
        three(&plant, &home, &at("groups"), ("PUT", &at("groups")), within).await;
        three(&plant, &home, &at("clients"), ("PATCH", &at("clients")), in_root).await;
        three(&plant, &home, &at("channels"), ("PATCH", &at("channels")), in_root).await;
        let second = home.domain("second").await;
        three(&plant, &home, &format!("/{second}/groups"), ("PUT", &format!("/{second}/groups")), named).await;

        let list = |path: String, key, caller: &Caller| List {
            path, key, name: "/name", by_name: "name", caller: caller.clone(),
        };
        let people = |path: &str| List {
            path: path.to_owned(), key: "users", name: "/credentials/username", by_name: "username",
            caller: plant.admin.clone(),
        };
        for list in [
            people("/users?last_name=Searched"),
            people("/users/search?last_name=Searched"),
            list("/domains".to_owned(), "domains", &ann),
            list(format!("/{second}/groups"), "groups", &home),
            list(format!("/{domain}/groups/{root}/children?start_level=1"), "groups", &home),
            list(format!("/{domain}/clients"), "clients", &home),
            list(format!("/{domain}/channels"), "channels", &home),
            // The same with a condition, which takes another way.
            list(format!("/{domain}/clients?group={root}"), "clients", &home),
            list(format!("/{domain}/channels?group={root}"), "channels", &home),
            list(format!("/{domain}/clients?user={}", home.id), "clients", &plant.admin),
        ] {
            list.is_ordered().await;
            list.counts().await;
        }
    }

    async fn lists_without_an_order_of_ones_choice_count_and_page_as_well(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("home").await;
        let path = format!("/domains/{domain}");
        let role = json!({"role_name": "guests", "optional_actions": ["read"]});
        let role = ann.post(&format!("{path}/roles"), role).await.expect(201)["id"].clone();
        let other = json!({"role_name": "others"});
        ann.post(&format!("{path}/roles"), other).await.expect(201);
        for name in MADE {
            let user = plant.user(name).await;
            let invitation = json!({"invitee_user_id": user.id, "role_id": role});
            ann.post(&format!("{path}/invitations"), invitation).await.expect(201);
            user.post("/invitations/accept", json!({"domain_id": domain})).await.expect(204);
            ann.post("/pats", json!({"name": name, "duration": "1d"})).await.expect(201);
        }
        let role = role.as_str().unwrap();
        for (list, key, total, only_total) in [
            (format!("{path}/invitations"), "invitations", 3, true),
            (format!("{path}/roles"), "roles", 3, false),
            (format!("{path}/roles/{role}/members"), "members", 3, false),
            (format!("{path}/roles/members"), "members", 4, false),
            ("/pats".to_owned(), "pats", 3, false),
        ] {
            let page = async |query: &str| ann.get(&format!("{list}?{query}")).await.expect(200);
            let whole = page("limit=100").await[key].as_array().unwrap().clone();
            assert_eq!(whole.len(), total, "{list}");
            let mut paged = Vec::new();
            for offset in 0..total {
                let page = page(&format!("limit=1&offset={offset}")).await;
                assert_eq!(page["total"], total, "{list}");
                paged.extend(page[key].as_array().unwrap().clone());
            }
            assert_eq!(paged, whole, "{list}");
            let beyond = page("offset=100").await;
            assert_eq!((&beyond["total"], &beyond[key]), (&json!(total), &json!([])), "{list}");
            if only_total {
                let total_alone = page("only_total=true").await;
                assert_eq!((&total_alone["total"], &total_alone[key]), (&json!(total), &json!([])), "{list}");
            }
            for (wrong, message) in [("limit=0", "invalid limit size"), ("limit=101", "invalid limit size"), ("offset=x", "invalid query parameters")] {
                assert_eq!(ann.get(&format!("{list}?{wrong}")).await.refused(400), message, "{list}");
            }
        }
    }

    async fn a_list_without_rows_is_a_list(db: TestDb) {
        let plant = Plant::new(db).await;
        let ann = plant.user("ann").await;
        let domain = ann.domain("home").await;
        let group = ann.group(&domain, "leaf", None).await;
        for (path, key, total) in [
            (format!("/{domain}/clients"), "clients", 0),
            (format!("/{domain}/channels"), "channels", 0),
            (format!("/{domain}/groups/{group}/children"), "groups", 0),
            (format!("/domains/{domain}/invitations"), "invitations", 0),
            ("/invitations".to_owned(), "invitations", 0),
            ("/pats".to_owned(), "pats", 0),
            ("/users/search?username=nobody".to_owned(), "users", 0),
        ] {
            let page = ann.get(&path).await.expect(200);
            assert_eq!((&page["total"], &page[key]), (&json!(total), &json!([])), "{path}");
        }
    }
}
