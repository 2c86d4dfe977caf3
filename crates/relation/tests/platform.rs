//! The platform's schema against reference 02: counts, actions, and "effective access, restated" (§5.3) as a table that
//! is asked in full: every role action, held on every object of the chain, against every permission.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use relation::{Graph, Object, Schema, actions, memory::Tuples};

const ROLE_ACTIONS: [&str; 4] = ["manage_role", "add_role_users", "remove_role_users", "view_role_users"];
const DOMAIN_OWN: [&str; 9] = [
    "update",
    "enable",
    "disable",
    "read",
    "delete",
    "manage_role",
    "add_role_users",
    "remove_role_users",
    "view_role_users",
];

fn schema() -> Arc<Schema> {
    Arc::new(Schema::platform().unwrap())
}

/// A platform, a domain, three groups inside each other, and one of everything in the innermost.
struct Plant {
    schema: Arc<Schema>,
    graph: Graph,
    tuples: Tuples,
}

impl Plant {
    fn new() -> Self {
        let schema = schema();
        let graph = Graph::new(Arc::clone(&schema), 16 << 20);
        let mut plant = Self { tuples: Tuples::new(Arc::clone(&schema)), graph, schema };
        for tuple in [
            "platform:magistrala#administrator@user:root",
            "domain:d#organization@platform:magistrala",
            "group:g0#parent_group@group:g1",
            "group:g1#parent_group@group:g2",
            "client:c#parent_group@group:g0",
            "channel:h#parent_group@group:g0",
        ] {
            plant.add(tuple);
        }
        for object in ["group:g0", "group:g1", "group:g2", "client:c", "channel:h", "rule:r", "report:p"] {
            plant.add(&format!("{object}#domain@domain:d"));
        }
        plant
    }

    fn add(&mut self, tuple: &str) {
        let tuple = self.schema.parse_tuple(tuple).unwrap();
        assert!(self.tuples.insert(&tuple), "twice");
        self.graph.invalidate([self.schema.node_of(&tuple)]);
    }

    fn remove(&mut self, tuple: &str) {
        let tuple = self.schema.parse_tuple(tuple).unwrap();
        assert!(self.tuples.remove(&tuple));
        self.graph.invalidate([self.schema.node_of(&tuple)]);
    }

    fn allows(&self, user: &str, permission: &str, object: &str) -> bool {
        let ask = self.schema.ask(&format!("user:{user}"), permission, object).unwrap();
        self.tuples.answer(&self.graph, |loaded| self.graph.check(&ask, loaded)).unwrap()
    }

    /// Gives the user `d_u` a role with these actions for the time of a question.
    fn with_role<T>(&mut self, object: &str, held: &[&str], question: impl FnOnce(&Self) -> T) -> T {
        let mut role: Vec<String> =
            held.iter().map(|action| format!("{object}#{action}@role:x#member")).collect();
        role.push("role:x#member@user:d_u".to_owned());
        for tuple in &role {
            self.add(tuple);
        }
        let answer = question(self);
        for tuple in &role {
            self.remove(tuple);
        }
        answer
    }
}

#[test]
fn relations_and_permissions_are_as_many_as_the_reference_says() {
    let schema = schema();
    let counts = |kind: &str| {
        let kind = schema.kind(kind).unwrap();
        (schema.relations(kind).count(), schema.permissions(kind).count())
    };
    assert_eq!(counts("user"), (0, 0));
    assert_eq!(counts("platform"), (2, 2));
    assert_eq!(counts("role"), (3, 6));
    // Beside the actions: `domain` and `parent_group`, or `organization` and `team`.
    assert_eq!(counts("client"), (2 + 9, 9));
    assert_eq!(counts("channel"), (2 + 11, 11));
    assert_eq!(counts("rule"), (1 + 11, 11));
    assert_eq!(counts("report"), (1 + 7, 7));
    assert_eq!(counts("group"), (2 + 65, 65));
    assert_eq!(counts("domain"), (2 + 64, 66));
    assert_eq!(counts("organization"), (2 + 19, 10));
    assert_eq!(counts("team"), (2 + 20 + 2 + 8 + 55, 10));
    assert_eq!(schema.kinds().count(), 11);
}

#[test]
fn the_actions_of_a_kind_are_its_relations_in_the_same_order() {
    let schema = schema();
    let structure = ["domain", "parent_group", "organization", "team"];
    for (kind, count) in
        [("domain", 64), ("group", 65), ("client", 9), ("channel", 11), ("rule", 11), ("report", 7)]
    {
        let id = schema.kind(kind).unwrap();
        let relations: Vec<&str> = schema.relations(id).filter(|name| !structure.contains(name)).collect();
        assert_eq!(actions(kind), relations, "{kind}");
        assert_eq!(actions(kind).len(), count, "{kind}");
        for action in actions(kind) {
            let tuple = schema.parse_tuple(&format!("{kind}:o#{action}@role:r#member"));
            assert!(tuple.is_ok(), "{kind}#{action}");
            assert!(schema.has_permission(kind, &format!("{action}_permission")), "{kind} {action}");
        }
    }
    assert!(actions("user").is_empty());
}

/// Reference 02 §5.3, with §13 item 7: does `action`, held on `holder`, grant `a_permission` on an object of `kind`?
///
/// `above` is how many groups the holder is above the object's own group (or above the group itself).
fn granted(kind: &str, a: &str, holder: &str, above: usize, action: &str) -> bool {
    let prefixed = |prefix: &str| action == format!("{prefix}_{a}");
    let role_action = ROLE_ACTIONS.contains(&a);
    match (kind, holder) {
        ("group", "group") if above == 0 => action == a,
        ("group", "group") if a == "update" => action == "subgroup_create" || action == "subgroup_update",
        ("group", "group") => prefixed("subgroup"),
        ("client" | "channel", "group") if above == 0 => prefixed(kind),
        ("client", "group") => prefixed("subgroup_client"),
        ("channel", "group") => prefixed("subgroup_channel") || role_action && prefixed("channel"),
        ("rule", "domain") if a.starts_with("alarm_") => action == a,
        (_, "domain") => prefixed(kind),
        _ => action == a,
    }
}

#[test]
fn every_action_on_every_holder_grants_exactly_what_the_table_says() {
    let mut plant = Plant::new();
    let group_own =
        [&["update", "read", "membership", "delete", "set_child", "set_parent"][..], &ROLE_ACTIONS].concat();
    let mut granted_in_all = 0;
    for (kind, object, asked, holders) in [
        (
            "client",
            "client:c",
            actions("client").to_vec(),
            &["client:c", "group:g0", "group:g1", "group:g2", "domain:d"][..],
        ),
        (
            "channel",
            "channel:h",
            actions("channel").to_vec(),
            &["channel:h", "group:g0", "group:g1", "group:g2", "domain:d"],
        ),
        ("group", "group:g0", group_own, &["group:g0", "group:g1", "group:g2", "domain:d"]),
        ("rule", "rule:r", actions("rule").to_vec(), &["rule:r", "domain:d"]),
        ("report", "report:p", actions("report").to_vec(), &["report:p", "domain:d"]),
    ] {
        for holder in holders {
            let (holder_kind, id) = holder.split_once(':').unwrap();
            let above = ["g0", "g1", "g2"].iter().position(|group| *group == id).unwrap_or(0);
            for action in actions(holder_kind) {
                plant.with_role(holder, &[action], |plant| {
                    for a in &asked {
                        let expected = granted(kind, a, holder_kind, above, action);
                        let allowed = plant.allows("d_u", &format!("{a}_permission"), object);
                        assert_eq!(allowed, expected, "{holder}#{action} → {a} on {object}");
                        granted_in_all += u32::from(allowed);
                    }
                });
            }
        }
    }
    // client 9 × 5, channel 11 × 5 + 4 × 2 mended, group 10 × 4 + 2 mended, rule 11 × 2, report 7 × 2
    assert_eq!(granted_in_all, 45 + 63 + 42 + 22 + 14);
}

#[test]
fn on_a_domain_an_action_grants_its_permission_and_membership() {
    let mut plant = Plant::new();
    for action in actions("domain") {
        plant.with_role("domain:d", &[action], |plant| {
            for a in actions("domain") {
                assert_eq!(
                    plant.allows("d_u", &format!("{a}_permission"), "domain:d"),
                    a == action,
                    "{action} → {a}"
                );
            }
            assert!(plant.allows("d_u", "membership", "domain:d"), "{action}");
            assert!(!plant.allows("d_u", "admin", "domain:d"), "{action}");
        });
    }
    plant.with_role("domain:d", &[], |plant| assert!(!plant.allows("d_u", "membership", "domain:d")));
}

#[test]
fn an_administrator_of_a_domain_holds_all_nine_actions_on_it() {
    let mut plant = Plant::new();
    plant.with_role("domain:d", &DOMAIN_OWN, |plant| assert!(plant.allows("d_u", "admin", "domain:d")));
    for missing in 0..DOMAIN_OWN.len() {
        let mut eight = DOMAIN_OWN.to_vec();
        eight.remove(missing);
        plant.with_role("domain:d", &eight, |plant| {
            assert!(!plant.allows("d_u", "admin", "domain:d"), "{eight:?}");
        });
    }
    // The nine may come from several roles.
    let (some, rest) = DOMAIN_OWN.split_at(4);
    for action in some {
        plant.add(&format!("domain:d#{action}@role:a#member"));
    }
    plant.add("role:a#member@user:d_u");
    plant.with_role("domain:d", rest, |plant| assert!(plant.allows("d_u", "admin", "domain:d")));
}

#[test]
fn the_admin_role_of_a_domain_has_everything_in_it() {
    let mut plant = Plant::new();
    plant.with_role("domain:d", actions("domain"), |plant| {
        for (kind, object) in
            [("client", "client:c"), ("channel", "channel:h"), ("rule", "rule:r"), ("report", "report:p")]
        {
            for action in actions(kind) {
                assert!(plant.allows("d_u", &format!("{action}_permission"), object), "{action} on {object}");
            }
        }
        assert!(plant.allows("d_u", "admin", "domain:d"));
        assert!(!plant.allows("other_u", "read_permission", "client:c"), "another domain's member");
        assert!(!plant.allows("u", "read_permission", "client:c"), "the bare user is not the member");
    });
}

#[test]
fn a_role_on_a_group_says_nothing_about_its_subgroups_without_subgroup_actions() {
    let mut plant = Plant::new();
    let own: Vec<&str> =
        actions("group").iter().copied().filter(|action| !action.starts_with("subgroup_")).collect();
    plant.with_role("group:g1", &own, |plant| {
        assert!(plant.allows("d_u", "read_permission", "group:g1"));
        assert!(!plant.allows("d_u", "read_permission", "group:g0"));
        assert!(!plant.allows("d_u", "read_permission", "client:c"));
    });
}

#[test]
fn an_administrator_of_the_platform_reaches_what_is_tied_to_it() {
    let mut plant = Plant::new();
    let everything = [
        ("client", "client:c"),
        ("channel", "channel:h"),
        ("group", "group:g0"),
        ("rule", "rule:r"),
        ("report", "report:p"),
        ("domain", "domain:d"),
    ];
    let reached = |plant: &Plant| {
        let permission = |(kind, object): &(&str, &'static str)| {
            let asked = if *kind == "group" { "read_permission" } else { "delete_permission" };
            plant.allows("root", asked, object)
        };
        everything.iter().filter(|one| permission(one)).count()
    };
    assert_eq!(reached(&plant), everything.len());
    assert!(plant.allows("root", "membership", "domain:d") && plant.allows("root", "admin", "domain:d"));
    plant.remove("domain:d#organization@platform:magistrala");
    assert_eq!(reached(&plant), 0);
    assert!(plant.allows("root", "admin", "platform:magistrala"));
}

#[test]
fn a_right_ends_with_its_tuple() {
    let mut plant = Plant::new();
    plant.add("client:c#read@role:x#member");
    plant.add("role:x#member@user:d_u");
    assert!(plant.allows("d_u", "read_permission", "client:c"));
    plant.remove("role:x#member@user:d_u");
    assert!(!plant.allows("d_u", "read_permission", "client:c"));
    plant.add("role:x#member@user:d_u");
    assert!(plant.allows("d_u", "read_permission", "client:c"));
    plant.remove("client:c#read@role:x#member");
    assert!(!plant.allows("d_u", "read_permission", "client:c"));
}

#[test]
fn everybody_who_may_read_a_client_is_found() {
    let mut plant = Plant::new();
    for tuple in [
        "client:c#read@role:c1#member",
        "role:c1#member@user:d_ann",
        "group:g2#subgroup_client_read@role:g1#member",
        "role:g1#member@user:d_bob",
        "role:g1#member@user:d_ann",
        "group:g0#client_update@role:g2#member",
        "role:g2#member@user:d_no",
        "domain:d#client_read@role:d1#member",
        "role:d1#member@user:d_cid",
    ] {
        plant.add(tuple);
    }
    let ask = plant.schema.ask("user:x", "read_permission", "client:c").unwrap();
    let user = plant.schema.kind("user").unwrap();
    let found: Vec<Object> = plant
        .tuples
        .answer(&plant.graph, |loaded| plant.graph.subjects(ask.object, ask.permission, user, loaded))
        .unwrap();
    let names: Vec<String> = found.iter().map(|user| user.id().to_string()).collect();
    assert_eq!(names, ["d_ann", "d_bob", "d_cid", "root"]);
}

#[test]
fn an_explanation_shows_the_way_of_a_yes_and_each_failed_condition_of_a_no() {
    let mut plant = Plant::new();
    plant.remove("client:c#parent_group@group:g0");
    plant.add("domain:d#client_read@role:operators#member");
    plant.add("role:operators#member@user:d_u");
    plant.add("client:c#update@role:owners#member");
    let explain = |permission: &str| {
        let ask = plant.schema.ask("user:d_u", permission, "client:c").unwrap();
        plant.tuples.answer(&plant.graph, |loaded| plant.graph.explain(&ask, loaded)).unwrap().to_string()
    };
    assert_eq!(
        explain("read_permission"),
        "yes: user:d_u has `read_permission` on client:c
  yes: any of
    yes: through `domain` of client:c
      yes: `client_read_permission` on domain:d
        yes: any of
          yes: related to domain:d by `client_read`
            yes: one of role:operators#member
              yes: related to role:operators by `member`
"
    );
    assert_eq!(
        explain("update_permission"),
        "no: user:d_u has `update_permission` on client:c
  no: any of
    no: related to client:c by `update`
      no: one of role:owners#member
        no: related to role:owners by `member`
    no: through `domain` of client:c
      no: `client_update_permission` on domain:d
        no: any of
          no: related to domain:d by `client_update`
          no: through `team` of domain:d
          no: through `organization` of domain:d
            no: `admin` on platform:magistrala
              no: related to platform:magistrala by `administrator`
    no: through `parent_group` of client:c
"
    );
}

#[test]
fn the_ways_of_a_client_list_are_those_that_the_documentation_shows() {
    let schema = schema();
    let client = schema.kind("client").unwrap();
    let paths = schema.list_paths(client, schema.item(client, "read_permission").unwrap()).unwrap();
    let team = schema.kind("team").unwrap();
    let mut shown: Vec<String> = Vec::new();
    for path in paths.iter().filter(|path| path.kind != team) {
        let mut kind = client;
        let mut text = String::new();
        for step in &path.steps {
            text += schema.item_name(kind, step.relation.into());
            text += if step.repeated { "* " } else { " " };
            kind = schema
                .kind(if text.ends_with("organization ") {
                    "platform"
                } else if text.ends_with("domain ") {
                    "domain"
                } else {
                    "group"
                })
                .unwrap();
        }
        assert_eq!(kind, path.kind);
        let names = path.relations.iter().map(|relation| schema.item_name(kind, relation.into()));
        shown.push(text + &names.collect::<Vec<_>>().join("+"));
    }
    assert_eq!(
        shown,
        [
            "read",
            "domain client_read",
            "domain organization administrator",
            "parent_group client_read",
            "parent_group domain client_read",
            "parent_group domain organization administrator",
            "parent_group parent_group parent_group* subgroup_client_read",
        ]
    );
    let domain = schema.kind("domain").unwrap();
    let admin = schema.list_paths(domain, schema.item(domain, "admin").unwrap());
    assert_eq!(admin, Err(relation::ListError::NotAUnion));
}
