//! Listing what somebody may see: by a join, not by a check per row.
//!
//! A permission that is a union is granted along a few fixed ways. For `read_permission` of a client they are, as
//! [`Schema::list_paths`] finds them (an asterisk means any number of steps, also none):
//!
//! | Way from the client | The subject has there |
//! |---|---|
//! | (itself) | `read` |
//! | `parent_group` | `client_read` on the group |
//! | `parent_group` `parent_group` `parent_group*` | `subgroup_client_read` on the group |
//! | `domain` | `client_read` on the domain |
//! | `domain` `organization` | `administrator` of the platform |
//!
//! (and the same over the group's domain and over teams). So a list query asks one check first, whether the permission
//! holds for the whole domain; if so it needs no filter. Otherwise it takes the objects on which the subject's roles hold
//! any of `relations` as roots (a join of roles and their members) and selects the rows whose own id, whose
//! `parent_group`, or whose `parent_group`'s ancestors are among them. Rows are never loaded to be dropped.

use crate::{
    id::Object,
    schema::{ItemId, KindId, RelationId, Rule, Schema},
    tuple::RelationSet,
};

/// More ways than a query could join.
const MAX_PATHS: usize = 256;

/// One way in which objects of a kind grant a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPath {
    /// From the listed object to the root, in this order; none: the object itself.
    pub steps: Vec<Step>,
    /// The kind of the root.
    pub kind: KindId,
    /// The subject must have any of these on the root, itself or as a member of a userset.
    pub relations: RelationSet,
}

/// To the object that is the subject of this relation of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The relation.
    pub relation: RelationId,
    /// Any number of such steps, also none; otherwise exactly one.
    pub repeated: bool,
}

impl ListPath {
    /// Whether somebody who has `relations` on `root` is granted the permission at the other end of this way.
    pub fn starts_at(&self, root: Object, relations: RelationSet) -> bool {
        root.kind() == self.kind && relations.meets(self.relations)
    }
}

/// Why a permission cannot be listed by joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It takes an intersection or an exclusion, of which a single way proves nothing.
    #[error("the permission is more than a union")]
    NotAUnion,
    /// Its ways go in circles over more than one kind or relation, or there are more than can be listed.
    #[error("the permission is granted along too many ways")]
    TooManyWays,
}

impl Schema {
    /// All ways along which `permission` is granted on objects of `kind`.
    pub fn list_paths(&self, kind: KindId, permission: ItemId) -> Result<Vec<ListPath>, ListError> {
        let mut search = Search { schema: self, steps: Vec::new(), open: Vec::new(), paths: Vec::new() };
        search.visit(kind, permission)?;
        Ok(search.paths)
    }
}

struct Search<'s> {
    schema: &'s Schema,
    steps: Vec<Step>,
    open: Vec<(KindId, ItemId)>,
    paths: Vec<ListPath>,
}

/// A permission, taken apart.
#[derive(Default)]
struct Parts {
    relations: RelationSet,
    arrows: Vec<(RelationId, KindId, ItemId)>,
}

impl Search<'_> {
    fn visit(&mut self, kind: KindId, item: ItemId) -> Result<(), ListError> {
        if self.open.contains(&(kind, item)) || self.paths.len() >= MAX_PATHS || self.open.len() >= MAX_PATHS
        {
            return Err(ListError::TooManyWays);
        }
        let mut parts = Parts::default();
        self.take_apart(kind, item, &mut parts)?;
        let mut again = parts.arrows.iter().filter(|(_, to, of)| (*to, *of) == (kind, item));
        let repeated = again.next().map(|(relation, ..)| *relation);
        if again.next().is_some() {
            return Err(ListError::TooManyWays);
        }
        let length = self.steps.len();
        self.steps.extend(repeated.map(|relation| Step { relation, repeated: true }));
        self.open.push((kind, item));
        if !parts.relations.is_empty() {
            self.paths.push(ListPath { steps: self.steps.clone(), kind, relations: parts.relations });
        }
        for (relation, to, of) in parts.arrows.into_iter().filter(|(_, to, of)| (*to, *of) != (kind, item)) {
            self.steps.push(Step { relation, repeated: false });
            self.visit(to, of)?;
            self.steps.pop();
        }
        self.open.pop();
        self.steps.truncate(length);
        Ok(())
    }

    fn take_apart(&self, kind: KindId, item: ItemId, parts: &mut Parts) -> Result<(), ListError> {
        match self.schema.kind_of(kind).and_then(|kind| kind.item(item)) {
            Some(found) => self.take_rule(kind, &found.rule, parts),
            None => Ok(()),
        }
    }

    fn take_rule(&self, kind: KindId, rule: &Rule, parts: &mut Parts) -> Result<(), ListError> {
        match rule {
            Rule::Nil => Ok(()),
            Rule::Relations(set) => {
                parts.relations = parts.relations | *set;
                Ok(())
            }
            Rule::Item(item) => self.take_apart(kind, *item, parts),
            Rule::Arrow { relation, targets } => {
                parts.arrows.extend(targets.iter().map(|(kind, item)| (*relation, *kind, *item)));
                Ok(())
            }
            Rule::Union(rules) => rules.iter().try_for_each(|rule| self.take_rule(kind, rule, parts)),
            Rule::Intersection(_) | Rule::Exclusion(_) => Err(ListError::NotAUnion),
        }
    }
}
