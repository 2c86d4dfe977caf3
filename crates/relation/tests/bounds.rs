//! Questions that are too large are errors, never a no, and never cost more than they may.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use relation::{
    AskError, Graph, Loaded, NodeKey, Outcome, Schema,
    check::{MAX_DEPTH, MAX_STEPS},
    memory::Tuples,
};

fn plant(source: &str, tuples: impl IntoIterator<Item = String>) -> (Arc<Schema>, Graph, Tuples) {
    let schema = Arc::new(Schema::parse(source).unwrap());
    let mut stored = Tuples::new(Arc::clone(&schema));
    for tuple in tuples {
        stored.insert(&schema.parse_tuple(&tuple).unwrap());
    }
    (Arc::clone(&schema), Graph::new(schema, 64 << 20), stored)
}

/// A chain of groups `g0` (innermost) to `g<length - 1>`, the outermost with a role of `user:u`.
fn chain(length: usize) -> Vec<String> {
    let mut tuples: Vec<String> =
        (1..length).map(|i| format!("group:g{}#parent_group@group:g{i}", i - 1)).collect();
    tuples.push(format!("group:g{}#subgroup_read@role:r#member", length - 1));
    tuples.push("role:r#member@user:u".to_owned());
    tuples
}

#[test]
fn groups_nest_up_to_the_bound_and_beyond_it_there_is_no_answer() {
    let ask_of = |length| {
        let (schema, graph, tuples) = plant(relation::PLATFORM, chain(length));
        let ask = schema.ask("user:u", "subgroup_read_permission", "group:g0").unwrap();
        tuples.answer(&graph, |loaded| graph.check(&ask, loaded))
    };
    assert_eq!(ask_of(20), Ok(true));
    assert_eq!(ask_of(MAX_DEPTH), Ok(true));
    assert_eq!(ask_of(MAX_DEPTH + 1), Err(AskError::TooDeep { object: format!("group:g{MAX_DEPTH}") }));
}

#[test]
fn a_check_takes_as_many_rounds_as_the_chain_is_long_and_loads_each_node_once() {
    let (schema, graph, tuples) = plant(relation::PLATFORM, chain(20));
    let ask = schema.ask("user:u", "subgroup_read_permission", "group:g0").unwrap();
    let mut loaded = Loaded::default();
    let mut asked: Vec<NodeKey> = Vec::new();
    let mut rounds = 0;
    while let Outcome::Need(keys) = graph.check(&ask, &loaded).unwrap() {
        rounds += 1;
        for key in keys {
            assert!(!asked.contains(&key), "{key:?} again");
            asked.push(key);
            graph.insert(graph.ticket(), tuples.fact(&key), &mut loaded);
        }
    }
    // Twenty groups one after the other, then the role of the last.
    assert_eq!((rounds, asked.len()), (21, 21));
    assert_eq!(graph.check(&ask, &Loaded::default()), Ok(Outcome::Decided(true)));
}

#[test]
fn a_cache_that_holds_nothing_still_gives_answers() {
    let (schema, _, tuples) = plant(relation::PLATFORM, chain(20));
    let graph = Graph::new(Arc::clone(&schema), 0);
    for (permission, expected) in [("subgroup_read_permission", true), ("subgroup_update_permission", false)]
    {
        let ask = schema.ask("user:u", permission, "group:g0").unwrap();
        assert_eq!(tuples.answer(&graph, |loaded| graph.check(&ask, loaded)), Ok(expected));
    }
    assert_eq!(graph.bytes(), 0);
}

#[test]
fn a_question_with_too_many_steps_is_an_error() {
    // Every folder is in every other: the number of ways through them is beyond counting.
    let source = "definition user {} definition folder {
        relation parent: folder relation other: folder relation never: user
        permission p = (parent->p & other->p) + never }";
    let folders = 0..14;
    let mut tuples = Vec::new();
    for a in folders.clone() {
        for b in folders.clone() {
            tuples.push(format!("folder:f{a}#parent@folder:f{b}"));
            tuples.push(format!("folder:f{a}#other@folder:f{b}"));
        }
    }
    let (schema, graph, tuples) = plant(source, tuples);
    let ask = schema.ask("user:u", "p", "folder:f0").unwrap();
    let found = tuples.answer(&graph, |loaded| graph.check(&ask, loaded));
    assert_eq!(found, Err(AskError::TooWide));
    assert!(found.unwrap_err().to_string().contains(&MAX_STEPS.to_string()));
    assert!(tuples.answer(&graph, |loaded| graph.explain(&ask, loaded)).is_err());
}

#[test]
fn a_permission_of_another_kind_is_an_error() {
    let (schema, graph, _) = plant(relation::PLATFORM, []);
    let mut ask = schema.ask("user:u", "view_role_users_permission", "group:g").unwrap();
    ask.object = schema.parse_object("platform:magistrala").unwrap();
    assert!(matches!(graph.check(&ask, &Loaded::default()), Err(AskError::UnknownPermission { .. })));
}

#[test]
fn a_branch_that_decides_hides_what_other_branches_lack() {
    let (schema, graph, tuples) = plant(
        relation::PLATFORM,
        [
            "client:c#domain@domain:d",
            "domain:d#client_read@role:r#member",
            "role:r#member@user:u",
            "client:c#read@role:s#member",
        ]
        .map(str::to_owned),
    );
    let first = schema.ask("user:u", "read_permission", "client:c").unwrap();
    assert_eq!(tuples.answer(&graph, |loaded| graph.check(&first, loaded)), Ok(true));
    // The same for a second client: whether the user holds its own role need not be known.
    let second = schema.ask("user:u", "read_permission", "client:other").unwrap();
    let edges = NodeKey::Edges(second.object);
    assert_eq!(graph.check(&second, &Loaded::default()), Ok(Outcome::Need(vec![edges])));
    let mut like_the_first = Tuples::new(Arc::clone(&schema));
    for tuple in ["client:other#domain@domain:d", "client:other#read@role:t#member"] {
        like_the_first.insert(&schema.parse_tuple(tuple).unwrap());
    }
    graph.insert(graph.ticket(), like_the_first.fact(&edges), &mut Loaded::default());
    assert_eq!(graph.check(&second, &Loaded::default()), Ok(Outcome::Decided(true)));
}
