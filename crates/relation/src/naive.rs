//! The model that the engine is compared with: the definition of the schema language, written down and nothing else.
//!
//! For one subject, the set of true facts (object, item) is computed by trying every rule on every object until nothing
//! changes. Exclusions need their right side settled first, so items are done in layers: an item's layer is at least that
//! of whatever its rule names, and above that of whatever it excludes. Works on the syntax tree and on texts.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::parser::{Definition, Expression, parse};

/// `(kind, id)`
pub(crate) type Thing = (String, String);
/// `(kind, id, members)`
pub(crate) type Who = (String, String, Option<String>);
/// `(object, relation, subject)`
pub(crate) type Statement = (Thing, String, Who);

pub(crate) struct Naive<'s> {
    definitions: Vec<Definition<'s>>,
    /// (kind, item) → layer
    layers: BTreeMap<(String, String), usize>,
    pub(crate) tuples: BTreeSet<Statement>,
}

impl<'s> Naive<'s> {
    pub(crate) fn new(schema: &'s str) -> Self {
        let definitions = parse(schema).unwrap();
        let layers = layers(&definitions);
        Self { definitions, layers, tuples: BTreeSet::new() }
    }

    /// Everything that is true of a subject.
    pub(crate) fn facts(&self, who: &Who) -> BTreeSet<(Thing, String)> {
        let objects: BTreeSet<Thing> = self
            .tuples
            .iter()
            .flat_map(|(object, _, subject)| [object.clone(), (subject.0.clone(), subject.1.clone())])
            .collect();
        let mut facts = BTreeSet::new();
        let highest = self.layers.values().copied().max().unwrap_or(0);
        for layer in 0..=highest {
            loop {
                let before = facts.len();
                for object in &objects {
                    self.derive(object, layer, who, &mut facts);
                }
                if facts.len() == before {
                    break;
                }
            }
        }
        facts
    }

    fn derive(&self, object: &Thing, layer: usize, who: &Who, facts: &mut BTreeSet<(Thing, String)>) {
        let Some(definition) = self.definitions.iter().find(|definition| definition.name.text == object.0)
        else {
            return;
        };
        let here = |item: &str| self.layers[&(object.0.clone(), item.to_owned())] == layer;
        for relation in definition.relations.iter().filter(|relation| here(relation.name.text)) {
            let related = self.subjects(object, relation.name.text).any(|subject| {
                subject == who
                    || subject.2.as_ref().is_some_and(|members| {
                        facts.contains(&((subject.0.clone(), subject.1.clone()), members.clone()))
                    })
            });
            if related {
                facts.insert((object.clone(), relation.name.text.to_owned()));
            }
        }
        for permission in definition.permissions.iter().filter(|permission| here(permission.name.text)) {
            if self.holds(object, &permission.expression, facts) {
                facts.insert((object.clone(), permission.name.text.to_owned()));
            }
        }
    }

    fn subjects<'a>(&'a self, object: &'a Thing, relation: &'a str) -> impl Iterator<Item = &'a Who> {
        self.tuples
            .iter()
            .filter(move |(of, name, _)| of == object && name == relation)
            .map(|(.., subject)| subject)
    }

    fn holds(&self, object: &Thing, expression: &Expression<'_>, facts: &BTreeSet<(Thing, String)>) -> bool {
        match expression {
            Expression::Nil => false,
            Expression::Name(name) => facts.contains(&(object.clone(), name.text.to_owned())),
            Expression::Arrow(relation, name) => self
                .subjects(object, relation.text)
                .any(|(kind, id, _)| facts.contains(&((kind.clone(), id.clone()), name.text.to_owned()))),
            Expression::Union(all) => all.iter().any(|one| self.holds(object, one, facts)),
            Expression::Intersection(all) => all.iter().all(|one| self.holds(object, one, facts)),
            Expression::Exclusion(sides) => {
                self.holds(object, &sides.0, facts) && !self.holds(object, &sides.1, facts)
            }
        }
    }
}

fn layers(definitions: &[Definition<'_>]) -> BTreeMap<(String, String), usize> {
    let mut layers = BTreeMap::new();
    for definition in definitions {
        let names = definition.relations.iter().map(|relation| relation.name);
        for name in names.chain(definition.permissions.iter().map(|permission| permission.name)) {
            layers.insert((definition.name.text.to_owned(), name.text.to_owned()), 0);
        }
    }
    loop {
        let before = layers.clone();
        for definition in definitions {
            let kind = definition.name.text;
            for relation in &definition.relations {
                for allowed in &relation.subjects {
                    if let Some(members) = allowed.members {
                        raise(&mut layers, (kind, relation.name.text), (allowed.kind.text, members.text), 0);
                    }
                }
            }
            for permission in &definition.permissions {
                visit(definition, permission.name.text, &permission.expression, 0, &mut layers);
            }
        }
        if layers == before {
            return layers;
        }
        assert!(layers.values().all(|layer| *layer <= layers.len()), "an exclusion depends on itself");
    }
}

type Layers = BTreeMap<(String, String), usize>;

fn visit(
    definition: &Definition<'_>,
    of: &str,
    expression: &Expression<'_>,
    above: usize,
    layers: &mut Layers,
) {
    let kind = definition.name.text;
    match expression {
        Expression::Nil => {}
        Expression::Name(name) => raise(layers, (kind, of), (kind, name.text), above),
        Expression::Arrow(left, right) => {
            let relation =
                definition.relations.iter().find(|relation| relation.name.text == left.text).unwrap();
            for allowed in &relation.subjects {
                raise(layers, (kind, of), (allowed.kind.text, right.text), above);
            }
        }
        Expression::Union(all) | Expression::Intersection(all) => {
            for one in all {
                visit(definition, of, one, above, layers);
            }
        }
        Expression::Exclusion(sides) => {
            visit(definition, of, &sides.0, above, layers);
            visit(definition, of, &sides.1, above + 1, layers);
        }
    }
}

fn raise(layers: &mut Layers, item: (&str, &str), needs: (&str, &str), above: usize) {
    let Some(needed) = layers.get(&(needs.0.to_owned(), needs.1.to_owned())).copied() else { return };
    let layer = layers.get_mut(&(item.0.to_owned(), item.1.to_owned())).unwrap();
    *layer = (*layer).max(needed + above);
}
