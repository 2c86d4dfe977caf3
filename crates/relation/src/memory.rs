//! Tuples in memory, where a database would be: for tests, measurements and small tools.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;

use crate::{
    check::AskError,
    graph::{Graph, Loaded, Outcome},
    id::{Object, Subject},
    schema::Schema,
    tuple::{Edge, Fact, NodeKey, RelationSet, Tuple},
};

/// A set of tuples that answers for every node.
#[derive(Debug)]
pub struct Tuples {
    schema: Arc<Schema>,
    by_object: HashMap<Object, BTreeMap<Subject, RelationSet>, foldhash::fast::RandomState>,
}

impl Tuples {
    /// No tuples.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, by_object: HashMap::default() }
    }

    /// Adds a tuple; whether it was new.
    pub fn insert(&mut self, tuple: &Tuple) -> bool {
        let relations = self.by_object.entry(tuple.object).or_default().entry(tuple.subject).or_default();
        let new = !relations.contains(tuple.relation);
        *relations = *relations | RelationSet::of(tuple.relation);
        new
    }

    /// Removes a tuple; whether it was there.
    pub fn remove(&mut self, tuple: &Tuple) -> bool {
        let subjects = self.by_object.get_mut(&tuple.object);
        let Some(relations) = subjects.and_then(|subjects| subjects.get_mut(&tuple.subject)) else {
            return false;
        };
        let there = relations.contains(tuple.relation);
        *relations = *relations & !RelationSet::of(tuple.relation);
        there
    }

    /// What is stored about a node.
    pub fn fact(&self, key: &NodeKey) -> Fact {
        match *key {
            NodeKey::Edges(object) => Fact::edges(object, self.edges(object, !self.paired(object))),
            NodeKey::Members(object) => Fact::members(object, self.edges(object, self.paired(object))),
            NodeKey::Pair(object, subject) => {
                let subjects = self.by_object.get(&object);
                let relations = subjects.and_then(|subjects| subjects.get(&Subject::from(subject))).copied();
                Fact::pair(object, subject, relations.unwrap_or_default() & self.paired(object))
            }
        }
    }

    /// Asks in rounds until there is an answer; loads from these tuples what the graph lacks.
    pub fn answer<T>(
        &self,
        graph: &Graph,
        question: impl Fn(&Loaded) -> Result<Outcome<T>, AskError>,
    ) -> Result<T, AskError> {
        let mut loaded = Loaded::default();
        loop {
            match question(&loaded)? {
                Outcome::Decided(answer) => return Ok(answer),
                Outcome::Need(keys) => {
                    let ticket = graph.ticket();
                    for key in &keys {
                        graph.insert(ticket, self.fact(key), &mut loaded);
                    }
                }
            }
        }
    }

    fn paired(&self, object: Object) -> RelationSet {
        self.schema.paired_relations(object.kind())
    }

    fn edges(&self, object: Object, among: RelationSet) -> impl Iterator<Item = Edge> {
        let subjects = self.by_object.get(&object).into_iter().flatten();
        subjects
            .map(move |(subject, relations)| Edge { subject: *subject, relations: *relations & among })
            .filter(|edge| !edge.relations.is_empty())
    }
}
