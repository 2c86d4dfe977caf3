//! The engine and the naive model agree, after every step, on every question that the other asks.
//!
//! Two schemas: the platform's, and a small one with everything that the platform's lacks (intersections under circles,
//! usersets of usersets, exclusions over arrows, a relation that admits users and usersets alike). Tuples are random and
//! few things exist, so that circles and shared ancestors are the rule.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    Ask, Graph, NodeKey, PLATFORM, Schema, Subject,
    memory::Tuples,
    naive::{Naive, Statement, Who},
};

const SMALL: &str = "
    definition user {}
    definition team {
      relation parent: team
      relation lead: user
      relation banned: user | team#member
      relation member: user | team#member | team#strong
      permission strong = (member & parent->strong) + lead
      permission calm = member - banned
    }
    definition folder {
      relation parent: folder | team
      relation viewer: user | team#member | folder#view
      relation owner: user
      relation barred: team#calm
      permission own = owner + parent->own
      relation other: folder
      permission view = viewer + own + parent->view + other->view
      permission two = parent->view & other->view
      permission both = own & view & parent->both + parent->member
      permission open = view - barred - own
      permission odd = (view & own) - (parent->open + nil)
    }";

/// A random change: which relation of the schema, which object, which subject.
#[derive(Debug, Clone)]
struct Change {
    remove: bool,
    relation: Index,
    object: u8,
    subject: u8,
}

fn change() -> impl Strategy<Value = Change> {
    (prop::bool::weighted(0.2), any::<Index>(), 0..3u8, 0..3u8)
        .prop_map(|(remove, relation, object, subject)| Change { remove, relation, object, subject })
}

/// Every `(kind, relation, subject kind, members)` of a schema, from its syntax.
fn possible(source: &str, only: &[&str]) -> Vec<(String, String, String, Option<String>)> {
    let definitions = crate::schema::parser::parse(source).unwrap();
    let mut all = Vec::new();
    for definition in &definitions {
        for relation in &definition.relations {
            if !only.is_empty() && !only.contains(&relation.name.text) {
                continue;
            }
            for allowed in &relation.subjects {
                all.push((
                    definition.name.text.to_owned(),
                    relation.name.text.to_owned(),
                    allowed.kind.text.to_owned(),
                    allowed.members.map(|members| members.text.to_owned()),
                ));
            }
        }
    }
    all
}

struct Both<'s> {
    schema: Arc<Schema>,
    graph: Graph,
    tuples: Tuples,
    naive: Naive<'s>,
    possible: Vec<(String, String, String, Option<String>)>,
}

impl<'s> Both<'s> {
    fn new(source: &'s str, only: &[&str], capacity: u64) -> Self {
        let schema = Arc::new(Schema::parse(source).unwrap());
        Self {
            graph: Graph::new(Arc::clone(&schema), capacity),
            tuples: Tuples::new(Arc::clone(&schema)),
            naive: Naive::new(source),
            possible: possible(source, only),
            schema,
        }
    }

    fn apply(&mut self, change: &Change) {
        let (kind, relation, subject_kind, members) = change.relation.get(&self.possible).clone();
        let statement: Statement = (
            (kind, format!("o{}", change.object)),
            relation,
            (subject_kind, format!("o{}", change.subject), members),
        );
        let ((kind, id), relation, (of, who, members)) = &statement;
        let members = members.as_ref().map(|members| format!("#{members}")).unwrap_or_default();
        let tuple = self.schema.parse_tuple(&format!("{kind}:{id}#{relation}@{of}:{who}{members}")).unwrap();
        if change.remove {
            assert_eq!(self.tuples.remove(&tuple), self.naive.tuples.remove(&statement));
        } else {
            assert_eq!(self.tuples.insert(&tuple), self.naive.tuples.insert(statement));
        }
        self.graph.invalidate([self.schema.node_of(&tuple)]);
    }

    /// Asks about everything on everything for some subjects.
    fn compare(&self, whos: &[Who]) {
        for who in whos {
            let facts = self.naive.facts(who);
            let members = who.2.as_ref().map(|members| format!("#{members}")).unwrap_or_default();
            let subject = self.schema.parse_subject(&format!("{}:{}{members}", who.0, who.1)).unwrap();
            for kind in self.schema.kinds() {
                let kind_name = self.schema.kind_name(kind);
                for id in ["o0", "o1", "o2"] {
                    let object = self.schema.object(kind_name, id).unwrap();
                    for name in self.schema.relations(kind).chain(self.schema.permissions(kind)) {
                        let ask = Ask { subject, permission: self.schema.item(kind, name).unwrap(), object };
                        let expected =
                            facts.contains(&((kind_name.to_owned(), id.to_owned()), name.to_owned()));
                        let found =
                            self.tuples.answer(&self.graph, |loaded| self.graph.check(&ask, loaded)).unwrap();
                        assert_eq!(
                            found, expected,
                            "{kind_name}:{id}#{name}@{who:?}\n{:#?}",
                            self.naive.tuples
                        );
                    }
                }
            }
        }
    }

    /// The other questions say the same as the check.
    fn compare_other_questions(&self, whos: &[Who]) {
        let user = self.schema.kind("user").unwrap();
        let subjects: Vec<_> = whos.iter().map(|who| self.schema.object(&who.0, &who.1).unwrap()).collect();
        for kind in self.schema.kinds() {
            for id in ["o0", "o1", "o2"] {
                let object = self.schema.object(self.schema.kind_name(kind), id).unwrap();
                for name in self.schema.relations(kind).chain(self.schema.permissions(kind)) {
                    let permission = self.schema.item(kind, name).unwrap();
                    let listed = self
                        .tuples
                        .answer(&self.graph, |loaded| self.graph.subjects(object, permission, user, loaded))
                        .unwrap();
                    for who in &subjects {
                        let ask = Ask { subject: Subject::from(*who), permission, object };
                        let allowed = self.tuples.answer(&self.graph, |l| self.graph.check(&ask, l)).unwrap();
                        assert_eq!(listed.contains(who), allowed, "{ask:?}");
                        let explained =
                            self.tuples.answer(&self.graph, |l| self.graph.explain(&ask, l)).unwrap();
                        assert_eq!(explained.allowed, allowed, "{explained}");
                    }
                }
            }
        }
    }
}

fn who(kind: &str, id: &str, members: Option<&str>) -> Who {
    (kind.to_owned(), id.to_owned(), members.map(str::to_owned))
}

/// A few relations of the platform's schema that reach each other, so that random tuples meet.
const MEETING: &[&str] = &[
    "domain",
    "parent_group",
    "organization",
    "team",
    "parent_team",
    "administrator",
    "member",
    "entity",
    "built_in_role",
    "read",
    "update",
    "client_read",
    "channel_manage_role",
    "subgroup_client_read",
    "subgroup_channel_manage_role",
    "subgroup_update",
    "subgroup_create",
    "group_update",
    "manage_role",
    "publish",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn on_a_schema_with_every_operator(changes in vec(change(), 1..50), tiny in any::<bool>()) {
        // A cache too small for the question must change nothing but the number of rounds.
        let mut both = Both::new(SMALL, &[], if tiny { 1500 } else { 1 << 20 });
        let users = [who("user", "o0", None), who("user", "o1", None)];
        let all = [users[0].clone(), who("team", "o0", Some("member")), who("folder", "o1", Some("view"))];
        for change in &changes {
            both.apply(change);
            both.compare(&all);
        }
        both.compare_other_questions(&users);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn on_the_schema_of_the_platform(changes in vec(change(), 1..80)) {
        let mut both = Both::new(PLATFORM, MEETING, 1 << 20);
        let users = [who("user", "o0", None), who("user", "o1", None)];
        for (number, change) in changes.iter().enumerate() {
            both.apply(change);
            if number % 8 == 7 {
                both.compare(&users[..1]);
            }
        }
        both.compare(&users);
        both.compare_other_questions(&users[..1]);
    }

    #[test]
    fn the_ways_of_a_list_lead_to_exactly_the_objects_that_a_check_allows(changes in vec(change(), 1..80)) {
        let mut both = Both::new(PLATFORM, MEETING, 1 << 20);
        for change in &changes {
            both.apply(change);
        }
        let user = who("user", "o0", None);
        let facts = both.naive.facts(&user);
        for (kind, permission) in [
            ("client", "read_permission"), ("channel", "manage_role_permission"), ("group", "update_permission"),
            ("group", "client_read_permission"), ("domain", "read_permission"), ("rule", "read_permission"),
        ] {
            let of = both.schema.kind(kind).unwrap();
            let paths = both.schema.list_paths(of, both.schema.item(of, permission).unwrap()).unwrap();
            for id in ["o0", "o1", "o2"] {
                let listed = paths.iter().any(|path| {
                    let ends = ends(&both, (kind.to_owned(), id.to_owned()), &path.steps);
                    ends.iter().any(|end| {
                        let root = both.schema.object(&end.0, &end.1).unwrap();
                        // What the subject has there, itself or through usersets: a join in a database.
                        let names = both.schema.relations(root.kind());
                        let has = names.filter(|name| facts.contains(&(end.clone(), (*name).to_owned())));
                        let has = both.schema.relation_set(root.kind(), has).unwrap();
                        path.starts_at(root, has)
                    })
                });
                let allowed = facts.contains(&((kind.to_owned(), id.to_owned()), permission.to_owned()));
                prop_assert_eq!(listed, allowed, "{} {} {}", kind, id, permission);
            }
        }
    }
}

/// Where the steps of a way lead in the tuples.
fn ends(
    both: &Both<'_>,
    from: crate::naive::Thing,
    steps: &[crate::Step],
) -> std::collections::BTreeSet<crate::naive::Thing> {
    let mut ends = std::collections::BTreeSet::from([from]);
    for step in steps {
        let next = |ends: &std::collections::BTreeSet<crate::naive::Thing>| {
            let mut next = std::collections::BTreeSet::new();
            for (object, relation, subject) in &both.naive.tuples {
                let kind = both.schema.kind(&object.0).unwrap();
                if ends.contains(object) && both.schema.relation(kind, relation) == Some(step.relation) {
                    next.insert((subject.0.clone(), subject.1.clone()));
                }
            }
            next
        };
        if step.repeated {
            loop {
                let before = ends.len();
                ends.extend(next(&ends));
                if ends.len() == before {
                    break;
                }
            }
        } else {
            ends = next(&ends);
        }
    }
    ends
}

#[test]
fn a_member_of_a_role_with_many_members_is_found_without_loading_them() {
    let both = Both::new(PLATFORM, MEETING, 1 << 20);
    let ask = both.schema.ask("user:a", "member", "role:r").unwrap();
    let need = both.graph.check(&ask, &crate::Loaded::default()).unwrap();
    assert_eq!(need, crate::Outcome::Need(vec![NodeKey::Pair(ask.object, ask.subject.object)]));
}

#[test]
fn a_no_that_leant_on_a_circle_is_not_taken_for_a_no_elsewhere() {
    // o1 is asked while o0 is open and finds only o0 above it, at once or after o3; then o0 turns out to be a yes.
    for circle in [&["o1#parent@folder:o0"][..], &["o1#parent@folder:o3", "o3#parent@folder:o0"]] {
        let mut both = Both::new(SMALL, &[], 1 << 20);
        let others =
            ["o2#parent@folder:o0", "o2#other@folder:o1", "o0#parent@folder:o1", "o0#other@folder:o9"];
        for tuple in circle.iter().chain(&others).chain(&["o9#owner@user:u"]) {
            both.tuples.insert(&both.schema.parse_tuple(&format!("folder:{tuple}")).unwrap());
        }
        let ask = both.schema.ask("user:u", "two", "folder:o2").unwrap();
        assert!(both.tuples.answer(&both.graph, |loaded| both.graph.check(&ask, loaded)).unwrap());
        assert!(both.tuples.answer(&both.graph, |loaded| both.graph.explain(&ask, loaded)).unwrap().allowed);
        let subjects = both.tuples.answer(&both.graph, |loaded| {
            both.graph.subjects(ask.object, ask.permission, ask.subject.object.kind(), loaded)
        });
        assert_eq!(subjects.unwrap(), [ask.subject.object]);
    }
}
