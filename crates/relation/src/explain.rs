//! Why somebody may do something, or why not.
//!
//! The rules of [`crate::check`], with the way kept: of a yes only the path that decides, of a no each condition that
//! failed. For people who ask "why can he not read this?"; a check is thousands of times more frequent and keeps nothing.

use std::fmt;

use crate::{
    check::{Ask, AskError, MAX_DEPTH, MAX_STEPS},
    graph::{Graph, Loaded, Outcome},
    id::{Object, Subject},
    known::Known,
    schema::{ItemId, Kind, Rule, Schema},
    tuple::{Edge, NodeKey, RelationSet},
};

/// Failed conditions of one kind that are listed one by one; the rest is counted.
const MAX_LISTED: usize = 16;

/// A condition, whether it holds, and because of what. Printed as indented lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether it holds.
    pub allowed: bool,
    /// The condition, for a person to read.
    pub condition: String,
    /// What decided it: for a yes the conditions that hold, for a no those that failed.
    pub because: Vec<Explanation>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Explanation {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let answer = if self.allowed { "yes" } else { "no" };
        writeln!(f, "{:indent$}{answer}: {}", "", self.condition)?;
        self.because.iter().try_for_each(|reason| reason.write(f, indent + 2))
    }
}

impl Graph {
    /// Decides a question like [`Graph::check`] and says why, or names the nodes that must be loaded first.
    pub fn explain(&self, ask: &Ask, loaded: &Loaded) -> Result<Outcome<Explanation>, AskError> {
        let schema = self.schema();
        let mut walk = Walk {
            graph: self,
            schema,
            loaded,
            subject: ask.subject,
            open: Vec::new(),
            known: Known::new(),
            leans_on: usize::MAX,
            steps: 0,
            need: Vec::new(),
        };
        let answer = walk.item(ask.object, ask.permission)?;
        Ok(match answer.holds {
            None => Outcome::Need(walk.need),
            Some(allowed) => Outcome::Decided(Explanation {
                allowed,
                condition: format!("{} has {}", schema.show_subject(ask.subject), answer.condition),
                because: answer.because,
            }),
        })
    }
}

/// An explanation in the making; `None`: not known, because a node is missing.
struct Reason {
    holds: Option<bool>,
    condition: String,
    because: Vec<Explanation>,
}

impl Reason {
    fn plain(holds: Option<bool>, condition: String) -> Self {
        Self { holds, condition, because: Vec::new() }
    }

    /// Itself as one of the reasons for something else, unless it is not known.
    fn finish(self) -> Option<Explanation> {
        Some(Explanation { allowed: self.holds?, condition: self.condition, because: self.because })
    }
}

/// Collects operands until one decides.
struct Operands {
    /// What an operand must say to decide alone: yes in a union, no in an intersection.
    decisive: bool,
    unknown: bool,
    listed: Vec<Explanation>,
    unlisted: usize,
}

impl Operands {
    const fn new(decisive: bool) -> Self {
        Self { decisive, unknown: false, listed: Vec::new(), unlisted: 0 }
    }

    /// Adds an operand; whether it decides.
    fn add(&mut self, reason: Reason) -> bool {
        let Some(explanation) = reason.finish() else {
            self.unknown = true;
            return false;
        };
        if explanation.allowed == self.decisive {
            // Alone it suffices: the others are no part of the reason.
            self.unknown = false;
            self.unlisted = 0;
            self.listed = vec![explanation];
            return true;
        }
        if self.listed.len() < MAX_LISTED {
            self.listed.push(explanation);
        } else {
            self.unlisted += 1;
        }
        false
    }

    fn reason(mut self, decided: bool, condition: String) -> Reason {
        if self.unlisted > 0 {
            let condition = format!("{} more alike", self.unlisted);
            self.listed.push(Explanation { allowed: !self.decisive, condition, because: Vec::new() });
        }
        let holds = if decided { Some(self.decisive) } else { (!self.unknown).then_some(!self.decisive) };
        Reason { holds, condition, because: self.listed }
    }
}

struct Walk<'a> {
    graph: &'a Graph,
    schema: &'a Schema,
    loaded: &'a Loaded,
    subject: Subject,
    open: Vec<(Object, ItemId)>,
    known: Known<bool>,
    leans_on: usize,
    steps: u32,
    need: Vec<NodeKey>,
}

impl Walk<'_> {
    /// Circles and what is remembered: as in a check.
    fn item(&mut self, object: Object, item: ItemId) -> Result<Reason, AskError> {
        let schema = self.schema;
        let Some((kind, found)) =
            schema.kind_of(object.kind()).and_then(|kind| kind.item(item).map(|found| (kind, found)))
        else {
            return Err(AskError::UnknownPermission { object: schema.show_object(object).to_string() });
        };
        let condition =
            format!("`{}` on {}", schema.item_name(object.kind(), item), schema.show_object(object));
        if let Some(holds) = self.known.get(object, item) {
            return Ok(Reason::plain(Some(holds), format!("{condition} (shown above)")));
        }
        if let Some(above) = self.open.iter().position(|open| *open == (object, item)) {
            self.leans_on = self.leans_on.min(above);
            return Ok(Reason::plain(Some(false), format!("{condition} (a circle, asked above)")));
        }
        let depth = self.open.len();
        if depth >= MAX_DEPTH {
            return Err(AskError::TooDeep { object: schema.show_object(object).to_string() });
        }
        self.open.push((object, item));
        let leant_on = std::mem::replace(&mut self.leans_on, usize::MAX);
        let reason = self.rule(object, kind, &found.rule)?;
        self.open.pop();
        let leans = reason.holds != Some(true) && self.leans_on < depth;
        if !leans && let Some(holds) = reason.holds {
            self.known.insert(object, item, holds);
        }
        self.leans_on = if leans { leant_on.min(self.leans_on) } else { leant_on };
        Ok(Reason { holds: reason.holds, condition, because: reason.finish().into_iter().collect() })
    }

    fn rule(&mut self, object: Object, kind: &Kind, rule: &Rule) -> Result<Reason, AskError> {
        self.step()?;
        match rule {
            Rule::Nil => Ok(Reason::plain(Some(false), "nil".to_owned())),
            Rule::Relations(set) => self.relations(object, kind, *set),
            Rule::Item(item) => match kind.item(*item) {
                Some(found) => self.rule(object, kind, &found.rule),
                None => Ok(Reason::plain(Some(false), "nil".to_owned())),
            },
            Rule::Arrow { relation, targets } => {
                let name = self.schema.item_name(object.kind(), (*relation).into());
                let condition = format!("through `{name}` of {}", self.schema.show_object(object));
                self.any(object, RelationSet::of(*relation), condition, |walk, edge| {
                    let above = edge.subject.object;
                    match targets.iter().find(|(kind, _)| *kind == above.kind()) {
                        Some((_, item)) => walk.item(above, *item),
                        None => {
                            let text = format!("{} does not count here", walk.schema.show_object(above));
                            Ok(Reason::plain(Some(false), text))
                        }
                    }
                })
            }
            Rule::Union(rules) => self.operands(object, kind, rules, true, "any of"),
            Rule::Intersection(rules) => self.operands(object, kind, rules, false, "all of"),
            Rule::Exclusion(sides) => self.exclusion(object, kind, &sides.0, &sides.1),
        }
    }

    fn operands(
        &mut self,
        object: Object,
        kind: &Kind,
        rules: &[Rule],
        decisive: bool,
        condition: &str,
    ) -> Result<Reason, AskError> {
        let mut operands = Operands::new(decisive);
        for rule in rules {
            let reason = self.rule(object, kind, rule)?;
            if operands.add(reason) {
                return Ok(operands.reason(true, condition.to_owned()));
            }
        }
        Ok(operands.reason(false, condition.to_owned()))
    }

    fn exclusion(
        &mut self,
        object: Object,
        kind: &Kind,
        base: &Rule,
        without: &Rule,
    ) -> Result<Reason, AskError> {
        let condition = "the first but not the second".to_owned();
        let base = self.rule(object, kind, base)?;
        if base.holds == Some(false) {
            return Ok(Reason {
                holds: Some(false),
                condition,
                because: base.finish().into_iter().collect(),
            });
        }
        let without = self.rule(object, kind, without)?;
        let holds = match (base.holds, without.holds) {
            (_, Some(true)) => Some(false),
            (Some(true), Some(false)) => Some(true),
            _ => None,
        };
        // Of a no, what is excluded is the whole reason.
        let base = if holds == Some(true) { base.finish() } else { None };
        Ok(Reason { holds, condition, because: base.into_iter().chain(without.finish()).collect() })
    }

    fn relations(&mut self, object: Object, kind: &Kind, set: RelationSet) -> Result<Reason, AskError> {
        let condition =
            format!("related to {} by {}", self.schema.show_object(object), self.names(object, set));
        let paired = self.pair(object, kind, set);
        let others = set & !kind.paired;
        if paired == Some(true) || others.is_empty() {
            return Ok(Reason::plain(paired, condition));
        }
        let mut reason = self.any(object, others, condition, |walk, edge| {
            let subject = walk.schema.show_subject(edge.subject).to_string();
            match edge.subject.members {
                _ if edge.subject == walk.subject => Ok(Reason::plain(Some(true), format!("is {subject}"))),
                Some(item) => {
                    let inner = walk.item(edge.subject.object, item)?;
                    Ok(Reason { condition: format!("one of {subject}"), ..inner })
                }
                None => Ok(Reason::plain(Some(false), format!("is {subject}"))),
            }
        })?;
        if reason.holds == Some(false) {
            reason.holds = paired;
        }
        Ok(reason)
    }

    fn any(
        &mut self,
        object: Object,
        relations: RelationSet,
        condition: String,
        mut leads: impl FnMut(&mut Self, &Edge) -> Result<Reason, AskError>,
    ) -> Result<Reason, AskError> {
        let Some(edges) = self.graph.edges(object, self.loaded) else {
            self.lacks(NodeKey::Edges(object));
            return Ok(Reason::plain(None, condition));
        };
        let mut operands = Operands::new(true);
        for edge in edges.iter().filter(|edge| edge.relations.meets(relations)) {
            self.step()?;
            let reason = leads(self, edge)?;
            if operands.add(reason) {
                return Ok(operands.reason(true, condition));
            }
        }
        Ok(operands.reason(false, condition))
    }

    fn pair(&mut self, object: Object, kind: &Kind, set: RelationSet) -> Option<bool> {
        let relations = kind.paired_with(set, self.subject.object.kind());
        if relations.is_empty() || self.subject.members.is_some() {
            return Some(false);
        }
        let related = self.graph.pair(object, self.subject.object, self.loaded);
        if related.is_none() {
            self.lacks(NodeKey::Pair(object, self.subject.object));
        }
        related.map(|related| related.meets(relations))
    }

    fn names(&self, object: Object, set: RelationSet) -> String {
        let names: Vec<String> = set
            .iter()
            .map(|relation| format!("`{}`", self.schema.item_name(object.kind(), relation.into())))
            .collect();
        if names.len() > 8 { format!("any of {} relations", names.len()) } else { names.join(" or ") }
    }

    fn lacks(&mut self, key: NodeKey) {
        if !self.need.contains(&key) {
            self.need.push(key);
        }
    }

    fn step(&mut self) -> Result<(), AskError> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(AskError::TooWide) } else { Ok(()) }
    }
}
