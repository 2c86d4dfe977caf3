//! Exclusions must not depend on themselves.
//!
//! Objects may be related in circles, and a permission that climbs them is well defined as long as more tuples can only
//! grant more: whoever can be shown to have it by a finite chain has it. With `a - b` more of `b` grants less, so `b`
//! must be settled before `a` is asked: no chain of rules, across all kinds, may lead from `b` back to the permission
//! that excludes it. (Logic programming calls such programs stratified.) The check walks the schema only, once.

use hashbrown::HashSet;

use super::{ItemId, Kind, KindId, Rule, SchemaError, parser::Definition};

type Place = (KindId, ItemId);

/// More exclusions than any readable schema has; each costs one walk.
const MAX_EXCLUSIONS: usize = 256;

pub(super) fn check(kinds: &[Kind], definitions: &[Definition<'_>]) -> Result<(), SchemaError> {
    let mut exclusions = 0;
    for (kind, definition) in (0u8..).map(KindId).zip(definitions) {
        let Some(compiled) = kinds.get(usize::from(kind.0)) else { continue };
        for (number, permission) in (compiled.relations.len()..).zip(&definition.permissions) {
            let Some(item) = u16::try_from(number).ok().map(ItemId) else { continue };
            let excluded = compiled.item(item).map(|item| excluded(&item.rule)).unwrap_or_default();
            exclusions += excluded.len();
            let at = permission.name.at;
            if exclusions > MAX_EXCLUSIONS {
                return Err(SchemaError::new(at, format!("more than {MAX_EXCLUSIONS} exclusions")));
            }
            if excluded.into_iter().any(|rule| leads_to(kinds, kind, rule, (kind, item))) {
                let name = permission.name.text;
                return Err(SchemaError::new(
                    at,
                    format!("what `{name}` excludes depends on `{name}` itself"),
                ));
            }
        }
    }
    Ok(())
}

/// The right sides of all exclusions in a rule.
fn excluded(rule: &Rule) -> Vec<&Rule> {
    match rule {
        Rule::Nil | Rule::Relations(_) | Rule::Item(_) | Rule::Arrow { .. } => Vec::new(),
        Rule::Union(rules) | Rule::Intersection(rules) => rules.iter().flat_map(excluded).collect(),
        Rule::Exclusion(sides) => {
            let mut all = excluded(&sides.0);
            all.extend(excluded(&sides.1));
            all.push(&sides.1);
            all
        }
    }
}

fn leads_to(kinds: &[Kind], kind: KindId, rule: &Rule, goal: Place) -> bool {
    let mut seen = HashSet::new();
    let mut open = Vec::new();
    follow(kinds, kind, rule, &mut open);
    while let Some(place) = open.pop() {
        if place == goal {
            return true;
        }
        if seen.insert(place)
            && let Some(item) = kinds.get(usize::from(place.0.0)).and_then(|kind| kind.item(place.1))
        {
            follow(kinds, place.0, &item.rule, &mut open);
        }
    }
    false
}

/// What a rule asks next.
fn follow(kinds: &[Kind], kind: KindId, rule: &Rule, open: &mut Vec<Place>) {
    match rule {
        Rule::Nil => {}
        Rule::Relations(set) => {
            for relation in set.iter() {
                let admits = kinds
                    .get(usize::from(kind.0))
                    .and_then(|kind| kind.relations.get(usize::from(relation.0)))
                    .into_iter()
                    .flat_map(|relation| &relation.admits);
                open.extend(admits.filter_map(|allowed| Some((allowed.kind, allowed.members?))));
            }
        }
        Rule::Item(item) => open.push((kind, *item)),
        Rule::Arrow { targets, .. } => open.extend(targets.iter().copied()),
        Rule::Union(rules) | Rule::Intersection(rules) => {
            for rule in rules {
                follow(kinds, kind, rule, open);
            }
        }
        Rule::Exclusion(sides) => {
            follow(kinds, kind, &sides.0, open);
            follow(kinds, kind, &sides.1, open);
        }
    }
}
