//! Everybody who has a permission.
//!
//! The rules of [`crate::check`], with sets of subjects instead of yes and no. This is the only question that loads all
//! members of a role ([`NodeKey::Members`]); it is meant for lists that people look at, not for decisions.

use hashbrown::HashSet;

use crate::{
    check::{AskError, MAX_DEPTH, MAX_STEPS},
    graph::{Graph, Loaded, Outcome},
    id::Object,
    known::Known,
    schema::{ItemId, Kind, KindId, Rule},
    tuple::{Edge, NodeKey, RelationSet},
};

type Set = HashSet<Object, foldhash::fast::RandomState>;

impl Graph {
    /// All plain subjects of `kind` that have `permission` on `object`, sorted; or the nodes that must be loaded first.
    pub fn subjects(
        &self,
        object: Object,
        permission: ItemId,
        kind: KindId,
        loaded: &Loaded,
    ) -> Result<Outcome<Vec<Object>>, AskError> {
        let mut walk = Walk {
            graph: self,
            loaded,
            wanted: kind,
            open: Vec::new(),
            known: Known::new(),
            leans_on: usize::MAX,
            steps: 0,
            need: Vec::new(),
        };
        let found = walk.item(object, permission)?;
        if !walk.need.is_empty() {
            return Ok(Outcome::Need(walk.need));
        }
        let mut subjects: Vec<Object> = found.into_iter().collect();
        subjects.sort_unstable();
        Ok(Outcome::Decided(subjects))
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    loaded: &'a Loaded,
    wanted: KindId,
    open: Vec<(Object, ItemId)>,
    known: Known<Set>,
    leans_on: usize,
    steps: u32,
    need: Vec<NodeKey>,
}

impl Walk<'_> {
    /// Circles and what is remembered: as in a check.
    fn item(&mut self, object: Object, item: ItemId) -> Result<Set, AskError> {
        let schema = self.graph.schema();
        let Some((kind, found)) =
            schema.kind_of(object.kind()).and_then(|kind| kind.item(item).map(|found| (kind, found)))
        else {
            return Err(AskError::UnknownPermission { object: schema.show_object(object).to_string() });
        };
        if let Some(set) = self.known.get(object, item) {
            return Ok(set);
        }
        if let Some(above) = self.open.iter().position(|open| *open == (object, item)) {
            self.leans_on = self.leans_on.min(above);
            return Ok(Set::default());
        }
        let depth = self.open.len();
        if depth >= MAX_DEPTH {
            return Err(AskError::TooDeep { object: schema.show_object(object).to_string() });
        }
        self.open.push((object, item));
        let leant_on = std::mem::replace(&mut self.leans_on, usize::MAX);
        let set = self.rule(object, kind, &found.rule)?;
        self.open.pop();
        let leans = self.leans_on < depth;
        if !leans {
            self.known.insert(object, item, set.clone());
        }
        self.leans_on = if leans { leant_on.min(self.leans_on) } else { leant_on };
        Ok(set)
    }

    fn rule(&mut self, object: Object, kind: &Kind, rule: &Rule) -> Result<Set, AskError> {
        self.step()?;
        match rule {
            Rule::Nil => Ok(Set::default()),
            Rule::Relations(set) => self.relations(object, kind, *set),
            Rule::Item(item) => match kind.item(*item) {
                Some(found) => self.rule(object, kind, &found.rule),
                None => Ok(Set::default()),
            },
            Rule::Arrow { relation, targets } => {
                let mut all = Set::default();
                for above in self.related(NodeKey::Edges(object), RelationSet::of(*relation)) {
                    self.step()?;
                    let above = above.subject.object;
                    if let Some((_, item)) = targets.iter().find(|(kind, _)| *kind == above.kind()) {
                        all.extend(self.item(above, *item)?);
                    }
                }
                Ok(all)
            }
            Rule::Union(rules) => {
                let mut all = Set::default();
                for rule in rules {
                    all.extend(self.rule(object, kind, rule)?);
                }
                Ok(all)
            }
            Rule::Intersection(rules) => {
                let mut all: Option<Set> = None;
                for rule in rules {
                    let next = self.rule(object, kind, rule)?;
                    all = Some(match all {
                        None => next,
                        Some(mut all) => {
                            all.retain(|subject| next.contains(subject));
                            all
                        }
                    });
                }
                Ok(all.unwrap_or_default())
            }
            Rule::Exclusion(sides) => {
                let mut all = self.rule(object, kind, &sides.0)?;
                let without = self.rule(object, kind, &sides.1)?;
                all.retain(|subject| !without.contains(subject));
                Ok(all)
            }
        }
    }

    fn relations(&mut self, object: Object, kind: &Kind, set: RelationSet) -> Result<Set, AskError> {
        let mut all = Set::default();
        let paired = kind.paired_with(set, self.wanted);
        if !paired.is_empty() {
            let members = self.related(NodeKey::Members(object), paired);
            all.extend(
                members.iter().map(|edge| edge.subject.object).filter(|found| found.kind() == self.wanted),
            );
        }
        let others = set & !kind.paired;
        if others.is_empty() {
            return Ok(all);
        }
        for edge in self.related(NodeKey::Edges(object), others) {
            self.step()?;
            match edge.subject.members {
                Some(item) => all.extend(self.item(edge.subject.object, item)?),
                None if edge.subject.object.kind() == self.wanted => _ = all.insert(edge.subject.object),
                None => {}
            }
        }
        Ok(all)
    }

    /// The edges of a node with any of `relations`; none, and a need, if it is not in memory.
    fn related(&mut self, key: NodeKey, relations: RelationSet) -> Vec<Edge> {
        let edges = match key {
            NodeKey::Edges(object) => self.graph.edges(object, self.loaded),
            NodeKey::Members(_) | NodeKey::Pair(..) => self.loaded.edges(&key),
        };
        match edges {
            Some(edges) => edges.iter().filter(|edge| edge.relations.meets(relations)).copied().collect(),
            None => {
                if !self.need.contains(&key) {
                    self.need.push(key);
                }
                Vec::new()
            }
        }
    }

    fn step(&mut self) -> Result<(), AskError> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(AskError::TooWide) } else { Ok(()) }
    }
}
