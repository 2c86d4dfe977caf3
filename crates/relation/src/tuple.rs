//! Tuples, and the nodes in which the engine keeps them.

use std::{
    ops::{BitAnd, BitOr, Not},
    sync::Arc,
};

use crate::{
    id::{Object, Subject},
    schema::RelationId,
};

/// A statement: `subject` has `relation` to `object`. Made by [`crate::Schema::tuple`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tuple {
    /// What it is about.
    pub object: Object,
    /// How they are related.
    pub relation: RelationId,
    /// Who is related.
    pub subject: Subject,
}

/// A set of relations of one kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelationSet(u128);

impl RelationSet {
    /// No relation.
    pub const EMPTY: Self = Self(0);

    /// Only this one.
    pub const fn of(relation: RelationId) -> Self {
        Self(1 << (relation.0 % 128))
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether both have a relation in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether `relation` is one of them.
    pub const fn contains(self, relation: RelationId) -> bool {
        self.meets(Self::of(relation))
    }

    /// The relations one by one.
    pub fn iter(self) -> impl Iterator<Item = RelationId> {
        (0..128).map(RelationId).filter(move |relation| self.contains(*relation))
    }
}

impl BitOr for RelationSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for RelationSet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for RelationSet {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl FromIterator<RelationId> for RelationSet {
    fn from_iter<I: IntoIterator<Item = RelationId>>(relations: I) -> Self {
        relations.into_iter().fold(Self::EMPTY, |set, relation| set | Self::of(relation))
    }
}

/// Which piece of the stored tuples the engine asks for. An answer is complete: what it lacks does not exist.
///
/// A relation is *paired* when it admits only plain subjects (no `role#member`) and no arrow starts at it, as
/// `role#member: user` and `platform#member: user`. Such a relation can have very many subjects, and a subject very many
/// objects (whoever creates 100,000 clients is a member of as many roles). So neither side is ever loaded as a whole to
/// answer a check: the engine asks for one pair, which is one look-up by primary key. It also makes writes cheap:
/// a new member, role or object touches only nodes that nobody else reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKey {
    /// All tuples on this object, but those of paired relations.
    Edges(Object),
    /// The paired relations of the first object in which the second is the subject.
    Pair(Object, Object),
    /// All tuples of paired relations of this object. Asked for by [`crate::Graph::subjects`] only, never cached.
    Members(Object),
}

/// All relations in which one subject stands to an object. 64 bytes, however many the relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Who is related.
    pub subject: Subject,
    /// How.
    pub relations: RelationSet,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Edges(Arc<[Edge]>),
    Pair(RelationSet),
    Members(Arc<[Edge]>),
}

/// The answer to a [`NodeKey`], as the store gives it.
#[derive(Debug, Clone)]
pub struct Fact {
    pub(crate) key: NodeKey,
    pub(crate) node: Node,
}

impl Fact {
    /// The answer to [`NodeKey::Edges`]. Several edges of one subject are merged.
    pub fn edges(object: Object, edges: impl IntoIterator<Item = Edge>) -> Self {
        Self { key: NodeKey::Edges(object), node: Node::Edges(merge(edges)) }
    }

    /// The answer to [`NodeKey::Pair`].
    pub const fn pair(object: Object, subject: Object, relations: RelationSet) -> Self {
        Self { key: NodeKey::Pair(object, subject), node: Node::Pair(relations) }
    }

    /// The answer to [`NodeKey::Members`].
    pub fn members(object: Object, members: impl IntoIterator<Item = Edge>) -> Self {
        Self { key: NodeKey::Members(object), node: Node::Members(merge(members)) }
    }

    /// What it answers.
    pub const fn key(&self) -> NodeKey {
        self.key
    }
}

/// One edge per subject.
fn merge(edges: impl IntoIterator<Item = Edge>) -> Arc<[Edge]> {
    let mut edges: Vec<Edge> = edges.into_iter().collect();
    edges.sort_unstable_by_key(|edge| edge.subject);
    edges.dedup_by(|next, kept| {
        let same = next.subject == kept.subject;
        if same {
            kept.relations = kept.relations | next.relations;
        }
        same
    });
    edges.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::Id, schema::KindId};

    #[test]
    fn all_relations_of_a_subject_are_one_edge_of_a_cache_line() {
        let subject = Subject::from(Object::new(KindId(1), Id::uuid(5)));
        let object = Object::new(KindId(0), Id::uuid(1));
        let edge = |bit| Edge { subject, relations: RelationSet::of(RelationId(bit)) };
        let Node::Edges(edges) = Fact::edges(object, [edge(3), edge(127), edge(3)]).node else {
            panic!("edges are edges")
        };
        let bits: Vec<u8> = edges[0].relations.iter().map(|relation| relation.0).collect();
        assert_eq!((edges.len(), bits), (1, vec![3, 127]));
        assert_eq!(size_of::<Edge>(), 64);
    }
}
