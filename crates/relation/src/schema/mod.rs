//! Schemas: which kinds of objects there are, how they can be related, and which permissions follow.
//!
//! A schema is written in SpiceDB's language (`parser.rs` tells the subset) and compiled once: names become small
//! numbers, the relations of a kind are the bits of one 128-bit [`RelationSet`], and a permission that is a union of
//! relations is one such set, so that it is decided by one `and`. What compiling checks is told in
//! `compile.rs`.

mod compile;
mod layers;
mod lexer;
mod order;
pub(crate) mod parser;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use hashbrown::HashMap;

pub use self::lexer::Position;
use crate::{
    id::{Id, IdError, Object, Subject},
    tuple::{NodeKey, RelationSet, Tuple},
};

/// A kind of object (a `definition`), by its place in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindId(pub(crate) u8);

/// A relation of some kind: its bit in a [`RelationSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationId(pub(crate) u8);

/// A relation or a permission of some kind: what can be asked for, what an arrow leads to, what a userset names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub(crate) u16);

impl From<RelationId> for ItemId {
    fn from(relation: RelationId) -> Self {
        Self(u16::from(relation.0))
    }
}

/// What is wrong with a schema, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
pub struct SchemaError {
    at: Position,
    message: String,
}

impl SchemaError {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// Where it is.
    pub const fn position(&self) -> Position {
        self.at
    }
}

/// Why a text names nothing in the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The schema has no such kind.
    #[error("the schema has no definition `{0}`")]
    UnknownKind(String),
    /// The kind has no such relation (or, where one may be named, permission).
    #[error("`{kind}` has no `{name}`")]
    UnknownItem {
        /// The kind.
        kind: String,
        /// What was looked for.
        name: String,
    },
    /// The relation does not admit such a subject.
    #[error("`{kind}#{relation}` does not admit `{subject}`")]
    NotAdmitted {
        /// The kind of the object.
        kind: String,
        /// The relation.
        relation: String,
        /// The subject's kind, with `#members` for a userset.
        subject: String,
    },
    /// The id is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The text does not have the expected form.
    #[error("`{text}` is not of the form `{form}`")]
    Form {
        /// The text.
        text: String,
        /// What was expected.
        form: &'static str,
    },
}

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    kinds: Box<[Kind]>,
    by_name: HashMap<Box<str>, KindId>,
}

/// One kind of object.
#[derive(Debug)]
pub(crate) struct Kind {
    name: Box<str>,
    /// Relations first, then permissions.
    items: Box<[Item]>,
    by_name: HashMap<Box<str>, ItemId>,
    relations: Box<[Relation]>,
    /// Relations that admit only plain subjects and are no arrow's left side: see [`NodeKey`].
    pub(crate) paired: RelationSet,
    /// By kind of subject: the paired relations that admit it.
    paired_by: Box<[RelationSet]>,
}

#[derive(Debug)]
struct Relation {
    admits: Box<[Allowed]>,
}

/// `kind` or `kind#members`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowed {
    kind: KindId,
    members: Option<ItemId>,
}

#[derive(Debug)]
pub(crate) struct Item {
    name: Box<str>,
    pub(crate) rule: Rule,
    /// Whether the rule looks at anything but paired relations of its own object.
    pub(crate) needs_edges: bool,
}

/// What makes a subject have an item of an object.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// Nothing.
    Nil,
    /// Any of these relations of the object.
    Relations(RelationSet),
    /// Another permission of the same object. Never recursive.
    Item(ItemId),
    /// Having, on any object that is so related, the item named for its kind. Kinds without one grant nothing.
    Arrow { relation: RelationId, targets: Box<[(KindId, ItemId)]> },
    /// Any of these.
    Union(Box<[Rule]>),
    /// All of these.
    Intersection(Box<[Rule]>),
    /// The first and not the second.
    Exclusion(Box<(Rule, Rule)>),
}

impl Kind {
    pub(crate) fn item(&self, item: ItemId) -> Option<&Item> {
        self.items.get(usize::from(item.0))
    }

    /// The relations among `set` that are paired and admit a plain subject of kind `subject`.
    pub(crate) fn paired_with(&self, set: RelationSet, subject: KindId) -> RelationSet {
        self.paired_by.get(usize::from(subject.0)).map_or(RelationSet::EMPTY, |paired| set & *paired)
    }
}

impl Schema {
    /// Reads and compiles a schema.
    pub fn parse(source: &str) -> Result<Self, SchemaError> {
        compile::compile(&parser::parse(source)?)
    }

    /// The kind with this name.
    pub fn kind(&self, name: &str) -> Option<KindId> {
        self.by_name.get(name).copied()
    }

    /// All kinds, in the order of the schema.
    pub fn kinds(&self) -> impl Iterator<Item = KindId> {
        (0..self.kinds.len()).filter_map(|index| u8::try_from(index).ok().map(KindId))
    }

    /// The relation of `kind` with this name.
    pub fn relation(&self, kind: KindId, name: &str) -> Option<RelationId> {
        let item = self.item(kind, name)?;
        let relations = self.kind_of(kind)?.relations.len();
        u8::try_from(item.0).ok().filter(|bit| usize::from(*bit) < relations).map(RelationId)
    }

    /// The relation or permission of `kind` with this name.
    pub fn item(&self, kind: KindId, name: &str) -> Option<ItemId> {
        self.kind_of(kind)?.by_name.get(name).copied()
    }

    /// Whether `kind` has a relation or permission `name`.
    pub fn has_permission(&self, kind: &str, name: &str) -> bool {
        self.kind(kind).is_some_and(|kind| self.item(kind, name).is_some())
    }

    /// The names of the relations of `kind`, in the order of the schema.
    pub fn relations(&self, kind: KindId) -> impl Iterator<Item = &str> {
        let kind = self.kind_of(kind);
        kind.into_iter().flat_map(|kind| kind.items.iter().take(kind.relations.len()).map(|item| &*item.name))
    }

    /// The names of the permissions of `kind`, in the order of the schema.
    pub fn permissions(&self, kind: KindId) -> impl Iterator<Item = &str> {
        let kind = self.kind_of(kind);
        kind.into_iter().flat_map(|kind| kind.items.iter().skip(kind.relations.len()).map(|item| &*item.name))
    }

    /// The set of the relations of `kind` with these names.
    pub fn relation_set<'n>(
        &self,
        kind: KindId,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<RelationSet, NameError> {
        names.into_iter().try_fold(RelationSet::EMPTY, |set, name| {
            let relation = self.relation(kind, name).ok_or_else(|| self.unknown_item(kind, name))?;
            Ok(set | RelationSet::of(relation))
        })
    }

    /// The name of a kind; empty for one of another schema.
    pub fn kind_name(&self, kind: KindId) -> &str {
        self.kind_of(kind).map_or("", |kind| &kind.name)
    }

    /// The name of a relation or permission; empty for one that the kind does not have.
    pub fn item_name(&self, kind: KindId, item: ItemId) -> &str {
        self.kind_of(kind).and_then(|kind| kind.item(item)).map_or("", |item| &item.name)
    }

    /// The object of the kind with this name and this id.
    pub fn object(&self, kind: &str, id: &str) -> Result<Object, NameError> {
        let kind = self.kind(kind).ok_or_else(|| NameError::UnknownKind(kind.to_owned()))?;
        Ok(Object::new(kind, Id::from_str(id)?))
    }

    /// Reads `kind:id`.
    pub fn parse_object(&self, text: &str) -> Result<Object, NameError> {
        let form = || NameError::Form { text: text.to_owned(), form: "kind:id" };
        let (kind, id) = text.split_once(':').ok_or_else(form)?;
        self.object(kind, id)
    }

    /// Reads `kind:id` or `kind:id#members`.
    pub fn parse_subject(&self, text: &str) -> Result<Subject, NameError> {
        let Some((object, members)) = text.split_once('#') else {
            return self.parse_object(text).map(Subject::from);
        };
        let object = self.parse_object(object)?;
        let item =
            self.item(object.kind(), members).ok_or_else(|| self.unknown_item(object.kind(), members))?;
        Ok(Subject::userset(object, item))
    }

    /// Reads `kind:id#relation@subject` and checks that the relation admits the subject.
    pub fn parse_tuple(&self, text: &str) -> Result<Tuple, NameError> {
        let form = || NameError::Form { text: text.to_owned(), form: "kind:id#relation@subject" };
        let (object, rest) = text.split_once('#').ok_or_else(form)?;
        let (relation, subject) = rest.split_once('@').ok_or_else(form)?;
        let object = self.parse_object(object)?;
        let relation = self
            .relation(object.kind(), relation)
            .ok_or_else(|| self.unknown_item(object.kind(), relation))?;
        self.tuple(object, relation, self.parse_subject(subject)?)
    }

    /// The tuple of these parts, if the relation admits the subject.
    pub fn tuple(&self, object: Object, relation: RelationId, subject: Subject) -> Result<Tuple, NameError> {
        let wanted = Allowed { kind: subject.object.kind(), members: subject.members };
        let admits = self
            .kind_of(object.kind())
            .and_then(|kind| kind.relations.get(usize::from(relation.0)))
            .is_some_and(|relation| relation.admits.contains(&wanted));
        if admits {
            return Ok(Tuple { object, relation, subject });
        }
        let kind = self.kind_name(wanted.kind);
        Err(NameError::NotAdmitted {
            kind: self.kind_name(object.kind()).to_owned(),
            relation: self.item_name(object.kind(), relation.into()).to_owned(),
            subject: match wanted.members {
                Some(item) => format!("{kind}#{}", self.item_name(wanted.kind, item)),
                None => kind.to_owned(),
            },
        })
    }

    /// The node in which a tuple stands: what [`crate::Graph::invalidate`] must be told after it was written or
    /// removed.
    pub fn node_of(&self, tuple: &Tuple) -> NodeKey {
        let paired = self.kind_of(tuple.object.kind()).map_or(RelationSet::EMPTY, |kind| kind.paired);
        if paired.contains(tuple.relation) {
            NodeKey::Pair(tuple.object, tuple.subject.object)
        } else {
            NodeKey::Edges(tuple.object)
        }
    }

    /// The relations of `kind` that are kept in [`NodeKey::Pair`] and [`NodeKey::Members`] nodes; all others are in
    /// [`NodeKey::Edges`].
    pub fn paired_relations(&self, kind: KindId) -> RelationSet {
        self.kind_of(kind).map_or(RelationSet::EMPTY, |kind| kind.paired)
    }

    /// An object as text, `kind:id`.
    pub fn show_object(&self, object: Object) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{}:{}", self.kind_name(object.kind()), object.id()))
    }

    /// A subject as text, `kind:id` or `kind:id#members`.
    pub fn show_subject(&self, subject: Subject) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            write!(f, "{}", self.show_object(subject.object))?;
            match subject.members {
                Some(item) => write!(f, "#{}", self.item_name(subject.object.kind(), item)),
                None => Ok(()),
            }
        })
    }

    /// A tuple as text, `kind:id#relation@subject`.
    pub fn show_tuple(&self, tuple: &Tuple) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let relation = self.item_name(tuple.object.kind(), tuple.relation.into());
            write!(f, "{}#{relation}@{}", self.show_object(tuple.object), self.show_subject(tuple.subject))
        })
    }

    pub(crate) fn kind_of(&self, kind: KindId) -> Option<&Kind> {
        self.kinds.get(usize::from(kind.0))
    }

    fn unknown_item(&self, kind: KindId, name: &str) -> NameError {
        NameError::UnknownItem { kind: self.kind_name(kind).to_owned(), name: name.to_owned() }
    }
}
