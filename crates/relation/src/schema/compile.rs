//! Syntax tree → numbers, sets and rules.
//!
//! What is refused: two definitions or two items with one name; unknown types, relations and permissions; an arrow that
//! starts at a permission; an arrow to an item that none of its types has (where only some have it, the others grant
//! nothing, as in SpiceDB); a permission that needs itself on the same object; an exclusion that can depend on itself
//! through any chain of objects (see [`super::layers`]); and anything over the bounds below.

use hashbrown::HashMap;

use super::{
    Allowed, Item, ItemId, Kind, KindId, Position, Relation, RelationId, Rule, Schema, SchemaError, layers,
    order,
    parser::{Definition, Expression, Permission, Word},
};
use crate::tuple::RelationSet;

/// A kind is one byte of an object's key.
const MAX_KINDS: usize = 128;
/// A relation is a bit of a `u128`.
const MAX_RELATIONS: usize = 128;
/// Far above the 66 of a domain.
const MAX_PERMISSIONS: usize = 1024;
/// How deep a rule may nest, with the permissions of the same object that it names. Bounds the stack of a check
/// together with [`crate::check::MAX_DEPTH`].
const MAX_RULE_DEPTH: u32 = 32;

pub(super) fn compile(definitions: &[Definition<'_>]) -> Result<Schema, SchemaError> {
    let names = Names::collect(definitions)?;
    let mut kinds = Vec::with_capacity(definitions.len());
    for definition in definitions {
        kinds.push(KindCompiler::new(&names, definition)?.compile()?);
    }
    layers::check(&kinds, definitions)?;
    order::cheapest_first(&mut kinds);
    let by_name = names.kinds.iter().map(|(name, id)| (Box::from(*name), *id)).collect();
    Ok(Schema { kinds: kinds.into(), by_name })
}

/// What can be referred to.
struct Names<'s> {
    kinds: HashMap<&'s str, KindId>,
    /// By kind.
    items: Vec<HashMap<&'s str, ItemId>>,
}

impl<'s> Names<'s> {
    fn collect(definitions: &[Definition<'s>]) -> Result<Self, SchemaError> {
        let mut names = Self { kinds: HashMap::new(), items: Vec::new() };
        for (index, definition) in definitions.iter().enumerate() {
            let Word { text, at } = definition.name;
            let kind = u8::try_from(index).ok().filter(|_| index < MAX_KINDS).map(KindId);
            let kind =
                kind.ok_or_else(|| SchemaError::new(at, format!("more than {MAX_KINDS} definitions")))?;
            if names.kinds.insert(text, kind).is_some() {
                return Err(SchemaError::new(at, format!("`{text}` is defined twice")));
            }
            names.items.push(Self::items_of(definition)?);
        }
        Ok(names)
    }

    fn items_of(definition: &Definition<'s>) -> Result<HashMap<&'s str, ItemId>, SchemaError> {
        if let Some(relation) = definition.relations.get(MAX_RELATIONS) {
            return Err(SchemaError::new(relation.name.at, format!("more than {MAX_RELATIONS} relations")));
        }
        if let Some(permission) = definition.permissions.get(MAX_PERMISSIONS) {
            return Err(SchemaError::new(
                permission.name.at,
                format!("more than {MAX_PERMISSIONS} permissions"),
            ));
        }
        let relations = definition.relations.iter().map(|relation| relation.name);
        let permissions = definition.permissions.iter().map(|permission| permission.name);
        let mut items = HashMap::new();
        for (index, name) in (0u16..).zip(relations.chain(permissions)) {
            if items.insert(name.text, ItemId(index)).is_some() {
                let message = format!("`{}` has two items named `{}`", definition.name.text, name.text);
                return Err(SchemaError::new(name.at, message));
            }
        }
        Ok(items)
    }

    fn item(&self, kind: KindId, name: &str) -> Option<ItemId> {
        self.items.get(usize::from(kind.0))?.get(name).copied()
    }
}

/// How far a permission has been compiled.
#[derive(Clone)]
enum State {
    Waiting,
    /// Being compiled: to meet it again is a cycle.
    Open,
    Done {
        rule: Rule,
        depth: u32,
    },
}

struct KindCompiler<'a, 's> {
    names: &'a Names<'s>,
    definition: &'a Definition<'s>,
    kind: KindId,
    relations: Box<[Relation]>,
    states: Vec<State>,
    /// Relations at which an arrow starts.
    arrows: RelationSet,
}

impl<'a, 's> KindCompiler<'a, 's> {
    fn new(names: &'a Names<'s>, definition: &'a Definition<'s>) -> Result<Self, SchemaError> {
        let kind = known_kind(names, definition.name)?;
        let relations = definition.relations.iter().map(|relation| {
            let admits = relation.subjects.iter().map(|allowed| {
                let kind = known_kind(names, allowed.kind)?;
                let members = allowed
                    .members
                    .map(|name| known_item(names, kind, allowed.kind.text, name))
                    .transpose()?;
                Ok(Allowed { kind, members })
            });
            Ok(Relation { admits: admits.collect::<Result<_, SchemaError>>()? })
        });
        Ok(Self {
            names,
            definition,
            kind,
            relations: relations.collect::<Result<_, SchemaError>>()?,
            states: vec![State::Waiting; definition.permissions.len()],
            arrows: RelationSet::EMPTY,
        })
    }

    fn compile(mut self) -> Result<Kind, SchemaError> {
        for index in 0..self.definition.permissions.len() {
            self.permission(index, 0)?;
        }
        let paired = self.paired();
        let item = |name: &Word<'_>, rule: Rule| Item {
            name: name.text.into(),
            needs_edges: needs_edges(&rule, paired),
            rule,
        };
        let mut items = Vec::new();
        for (bit, relation) in (0u8..).zip(&self.definition.relations) {
            items.push(item(&relation.name, Rule::Relations(RelationSet::of(RelationId(bit)))));
        }
        for (permission, state) in self.definition.permissions.iter().zip(std::mem::take(&mut self.states)) {
            let rule = if let State::Done { rule, .. } = state { rule } else { Rule::Nil };
            items.push(item(&permission.name, rule));
        }
        Ok(Kind {
            name: self.definition.name.text.into(),
            items: items.into(),
            by_name: self
                .names
                .items
                .get(usize::from(self.kind.0))
                .into_iter()
                .flatten()
                .map(|(name, item)| (Box::from(*name), *item))
                .collect(),
            paired_by: self.paired_by(paired),
            paired,
            relations: self.relations,
        })
    }

    fn relation_ids(&self) -> impl Iterator<Item = (RelationId, &Relation)> {
        (0u8..).map(RelationId).zip(&self.relations)
    }

    fn paired(&self) -> RelationSet {
        let plain = |relation: &Relation| relation.admits.iter().all(|allowed| allowed.members.is_none());
        let all: RelationSet =
            self.relation_ids().filter(|(_, relation)| plain(relation)).map(|(id, _)| id).collect();
        all & !self.arrows
    }

    fn paired_by(&self, paired: RelationSet) -> Box<[RelationSet]> {
        let kinds = (0..self.names.items.len()).filter_map(|index| u8::try_from(index).ok().map(KindId));
        kinds
            .map(|kind| {
                let admitting =
                    |relation: &Relation| relation.admits.contains(&Allowed { kind, members: None });
                let all: RelationSet = self
                    .relation_ids()
                    .filter(|(_, relation)| admitting(relation))
                    .map(|(id, _)| id)
                    .collect();
                all & paired
            })
            .collect()
    }

    /// Compiles a permission unless that is done.
    fn permission(&mut self, index: usize, above: u32) -> Result<(), SchemaError> {
        let definition = self.definition;
        let (Some(permission), Some(state)) = (definition.permissions.get(index), self.states.get(index))
        else {
            return Ok(());
        };
        match state {
            State::Done { .. } => return Ok(()),
            State::Open => {
                let message =
                    format!("the permission `{}` needs itself on the same object", permission.name.text);
                return Err(SchemaError::new(permission.name.at, message));
            }
            State::Waiting => {}
        }
        self.set(index, State::Open);
        let (rule, depth) = self.rule(&permission.expression, permission, above + 1)?;
        self.set(index, State::Done { rule, depth });
        Ok(())
    }

    fn set(&mut self, index: usize, state: State) {
        if let Some(place) = self.states.get_mut(index) {
            *place = state;
        }
    }

    fn rule(
        &mut self,
        expression: &Expression<'s>,
        permission: &Permission<'s>,
        above: u32,
    ) -> Result<(Rule, u32), SchemaError> {
        let (rule, depth) = match expression {
            Expression::Nil => (Rule::Nil, 0),
            Expression::Name(name) => self.name(*name, above)?,
            Expression::Arrow(left, right) => (self.arrow(*left, *right)?, 0),
            Expression::Union(operands) => {
                let (rules, depth) = self.rules(operands, permission, above)?;
                (union(rules), depth)
            }
            Expression::Intersection(operands) => {
                let (rules, depth) = self.rules(operands, permission, above)?;
                (Rule::Intersection(rules.into()), depth)
            }
            Expression::Exclusion(sides) => {
                let (base, base_depth) = self.rule(&sides.0, permission, above + 1)?;
                let (without, without_depth) = self.rule(&sides.1, permission, above + 1)?;
                (Rule::Exclusion(Box::new((base, without))), base_depth.max(without_depth))
            }
        };
        if above.max(depth + 1) > MAX_RULE_DEPTH {
            let message = format!("`{}` nests deeper than {MAX_RULE_DEPTH}", permission.name.text);
            return Err(SchemaError::new(permission.name.at, message));
        }
        Ok((rule, depth + 1))
    }

    fn rules(
        &mut self,
        operands: &[Expression<'s>],
        permission: &Permission<'s>,
        above: u32,
    ) -> Result<(Vec<Rule>, u32), SchemaError> {
        let mut rules = Vec::with_capacity(operands.len());
        let mut deepest = 0;
        for operand in operands {
            let (rule, depth) = self.rule(operand, permission, above + 1)?;
            rules.push(rule);
            deepest = deepest.max(depth);
        }
        Ok((rules, deepest))
    }

    /// A relation is its bit; a permission that is only a set of relations is that set.
    fn name(&mut self, name: Word<'s>, above: u32) -> Result<(Rule, u32), SchemaError> {
        let item = known_item(self.names, self.kind, self.definition.name.text, name)?;
        if let Some(relation) = self.as_relation(item) {
            return Ok((Rule::Relations(RelationSet::of(relation)), 0));
        }
        let index = usize::from(item.0).saturating_sub(self.definition.relations.len());
        if above > MAX_RULE_DEPTH {
            return Err(SchemaError::new(
                name.at,
                format!("permissions name each other deeper than {MAX_RULE_DEPTH}"),
            ));
        }
        self.permission(index, above)?;
        Ok(match self.states.get(index) {
            Some(State::Done { rule: rule @ (Rule::Nil | Rule::Relations(_)), depth }) => {
                (rule.clone(), *depth)
            }
            Some(State::Done { depth, .. }) => (Rule::Item(item), *depth),
            _ => (Rule::Item(item), 0),
        })
    }

    fn as_relation(&self, item: ItemId) -> Option<RelationId> {
        u8::try_from(item.0).ok().filter(|bit| usize::from(*bit) < self.relations.len()).map(RelationId)
    }

    fn arrow(&mut self, left: Word<'s>, right: Word<'s>) -> Result<Rule, SchemaError> {
        let item = known_item(self.names, self.kind, self.definition.name.text, left)?;
        let Some(relation) = self.as_relation(item) else {
            let message = format!("an arrow starts at a relation, `{}` is a permission", left.text);
            return Err(SchemaError::new(left.at, message));
        };
        let mut targets: Vec<(KindId, ItemId)> = Vec::new();
        for allowed in
            self.relations.get(usize::from(relation.0)).into_iter().flat_map(|relation| &relation.admits)
        {
            if let Some(item) = self.names.item(allowed.kind, right.text)
                && !targets.contains(&(allowed.kind, item))
            {
                targets.push((allowed.kind, item));
            }
        }
        if targets.is_empty() {
            let message = format!("nothing that `{}` leads to has `{}`", left.text, right.text);
            return Err(SchemaError::new(right.at, message));
        }
        self.arrows = self.arrows | RelationSet::of(relation);
        Ok(Rule::Arrow { relation, targets: targets.into() })
    }
}

/// Flattens nested unions and makes one set of all relations among them.
fn union(rules: Vec<Rule>) -> Rule {
    let mut relations = RelationSet::EMPTY;
    let mut others = Vec::new();
    let flat = rules
        .into_iter()
        .flat_map(|rule| if let Rule::Union(inner) = rule { inner.into_vec() } else { vec![rule] });
    for rule in flat {
        match rule {
            Rule::Nil => {}
            Rule::Relations(set) => relations = relations | set,
            other => others.push(other),
        }
    }
    match (relations.is_empty(), others.len()) {
        (true, 0) => Rule::Nil,
        (false, 0) => Rule::Relations(relations),
        (true, 1) => others.pop().unwrap_or(Rule::Nil),
        (true, _) => Rule::Union(others.into()),
        (false, _) => {
            // First, because it is the cheapest to ask.
            others.insert(0, Rule::Relations(relations));
            Rule::Union(others.into())
        }
    }
}

fn needs_edges(rule: &Rule, paired: RelationSet) -> bool {
    match rule {
        Rule::Nil => false,
        Rule::Relations(set) => !(*set & !paired).is_empty(),
        // A permission is referred to by number only if it is more than a set of relations: nearly always an arrow.
        Rule::Arrow { .. } | Rule::Item(_) => true,
        Rule::Union(rules) | Rule::Intersection(rules) => rules.iter().any(|rule| needs_edges(rule, paired)),
        Rule::Exclusion(sides) => needs_edges(&sides.0, paired) || needs_edges(&sides.1, paired),
    }
}

fn known_kind(names: &Names<'_>, name: Word<'_>) -> Result<KindId, SchemaError> {
    let known = names.kinds.get(name.text).copied();
    known.ok_or_else(|| SchemaError::new(name.at, format!("unknown type `{}`", name.text)))
}

fn known_item(
    names: &Names<'_>,
    kind: KindId,
    kind_name: &str,
    name: Word<'_>,
) -> Result<ItemId, SchemaError> {
    let unknown = |at: Position| {
        SchemaError::new(at, format!("`{kind_name}` has no relation or permission `{}`", name.text))
    };
    names.item(kind, name.text).ok_or_else(|| unknown(name.at))
}
