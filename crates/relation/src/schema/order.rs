//! Cheap branches first.
//!
//! A union is decided by its first yes, so the order of its operands is free and matters: own relations come before
//! everything, then arrows, those that can be climbed least high first. So a role on the domain, the commonest reason for
//! a yes, is found without climbing groups, which stand in groups.

use hashbrown::HashMap;

use super::{ItemId, Kind, KindId, Rule};

/// A height that has no bound: a circle of rules, or a chain longer than a check would follow.
const UNBOUNDED: u8 = crate::check::MAX_DEPTH as u8;

pub(super) fn cheapest_first(kinds: &mut [Kind]) {
    let mut heights = Heights { kinds, known: HashMap::new() };
    let mut ordered = Vec::new();
    for (id, kind) in (0u8..).map(KindId).zip(heights.kinds) {
        for item in &kind.items {
            let mut rule = item.rule.clone();
            heights.order(id, &mut rule);
            ordered.push(rule);
        }
    }
    for (item, rule) in kinds.iter_mut().flat_map(|kind| &mut kind.items).zip(ordered) {
        item.rule = rule;
    }
}

/// How many arrows a question can follow one after the other.
struct Heights<'k> {
    kinds: &'k [Kind],
    /// `None`: being found out.
    known: HashMap<(KindId, ItemId), Option<u8>>,
}

impl Heights<'_> {
    fn order(&mut self, kind: KindId, rule: &mut Rule) {
        match rule {
            Rule::Nil | Rule::Relations(_) | Rule::Item(_) | Rule::Arrow { .. } => {}
            Rule::Union(rules) => {
                for rule in rules.iter_mut() {
                    self.order(kind, rule);
                }
                rules.sort_by_cached_key(|rule| self.of_rule(kind, rule, 0));
            }
            Rule::Intersection(rules) => {
                for rule in rules {
                    self.order(kind, rule);
                }
            }
            Rule::Exclusion(sides) => {
                self.order(kind, &mut sides.0);
                self.order(kind, &mut sides.1);
            }
        }
    }

    fn of_rule(&mut self, kind: KindId, rule: &Rule, above: u8) -> u8 {
        match rule {
            Rule::Nil | Rule::Relations(_) => 0,
            Rule::Item(item) => self.of_item(kind, *item, above),
            Rule::Arrow { targets, .. } => {
                let heights = targets.iter().map(|(kind, item)| self.of_item(*kind, *item, above + 1));
                heights.fold(0, u8::max).saturating_add(1).min(UNBOUNDED)
            }
            Rule::Union(rules) | Rule::Intersection(rules) => {
                rules.iter().map(|rule| self.of_rule(kind, rule, above)).fold(0, u8::max)
            }
            Rule::Exclusion(sides) => {
                self.of_rule(kind, &sides.0, above).max(self.of_rule(kind, &sides.1, above))
            }
        }
    }

    fn of_item(&mut self, kind: KindId, item: ItemId, above: u8) -> u8 {
        if let Some(known) = self.known.get(&(kind, item)) {
            return known.unwrap_or(UNBOUNDED);
        }
        let kinds = self.kinds;
        let Some(found) = kinds.get(usize::from(kind.0)).and_then(|kind| kind.item(item)) else { return 0 };
        if above >= UNBOUNDED {
            return UNBOUNDED;
        }
        self.known.insert((kind, item), None);
        let height = self.of_rule(kind, &found.rule, above);
        self.known.insert((kind, item), Some(height));
        height
    }
}
