//! Has this subject that permission on this object?
//!
//! The rules of the schema are walked from the object towards the subject. Every step gives yes, no or unknown (a node
//! is missing); operators combine the three, so that a question is often decided before everything is loaded, and
//! otherwise all branches name what they lack, to be loaded in one go.
//!
//! Objects related in a circle end by this rule: what is already being asked further up counts as no. That is right for
//! the question as a whole, because a proof that goes round a circle can be cut short; but a no that was found this way
//! holds only below that point, so only answers that do not lean on an open question are remembered. The schema sees to
//! it that an exclusion never leans on one (see `schema/layers.rs`).

use smallvec::SmallVec;

use crate::{
    graph::{Graph, Loaded, Outcome},
    id::{Object, Subject},
    known::Known,
    schema::{ItemId, Kind, Rule, Schema},
    tuple::{Edge, NodeKey, RelationSet},
};

/// How many objects may stand one above the other. Groups nest 20 deep.
pub const MAX_DEPTH: usize = 64;

/// How many steps a question may take: a thousand times what a check of the platform's schema needs.
pub const MAX_STEPS: u32 = 100_000;

/// A question: has `subject` the `permission` on `object`?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Who. For a userset: whether it is named as a whole by some tuple on the way; its members are not looked at.
    pub subject: Subject,
    /// A relation or a permission of the object's kind.
    pub permission: ItemId,
    /// On what.
    pub object: Object,
}

/// Why a question has no answer. Never means no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Chains of objects are longer than [`MAX_DEPTH`].
    #[error("the relations above `{object}` are deeper than {MAX_DEPTH}")]
    TooDeep {
        /// Where the chain was left.
        object: String,
    },
    /// The question takes more than [`MAX_STEPS`] steps.
    #[error("the question takes more than {MAX_STEPS} steps")]
    TooWide,
    /// The object's kind has no such permission.
    #[error("`{object}` has no such permission")]
    UnknownPermission {
        /// The object.
        object: String,
    },
}

impl Schema {
    /// The question in words: `user:…`, `read_permission`, `client:…`.
    pub fn ask(&self, subject: &str, permission: &str, object: &str) -> Result<Ask, crate::NameError> {
        let object = self.parse_object(object)?;
        let permission =
            self.item(object.kind(), permission).ok_or_else(|| crate::NameError::UnknownItem {
                kind: self.kind_name(object.kind()).to_owned(),
                name: permission.to_owned(),
            })?;
        Ok(Ask { subject: self.parse_subject(subject)?, permission, object })
    }
}

impl Graph {
    /// Decides a question, or names the nodes that must be loaded first.
    ///
    /// An error may be hidden by a branch that decides without it. Does not allocate when all nodes are in memory.
    pub fn check(&self, ask: &Ask, loaded: &Loaded) -> Result<Outcome<bool>, AskError> {
        let mut walk = Walk {
            graph: self,
            schema: self.schema(),
            loaded,
            subject: ask.subject,
            open: SmallVec::new(),
            known: Known::new(),
            leans_on: usize::MAX,
            steps: 0,
            need: Vec::new(),
        };
        Ok(match walk.item(ask.object, ask.permission)? {
            Answer::Yes => Outcome::Decided(true),
            Answer::No => Outcome::Decided(false),
            Answer::Unknown => Outcome::Need(walk.need),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

struct Walk<'a> {
    graph: &'a Graph,
    schema: &'a Schema,
    loaded: &'a Loaded,
    subject: Subject,
    /// What is being asked, outermost first.
    open: SmallVec<[(Object, ItemId); 12]>,
    known: Known<Answer>,
    /// The outermost open question on which an answer since the last reset leans.
    leans_on: usize,
    steps: u32,
    need: Vec<NodeKey>,
}

/// Where a rule is asked: an object and what is stored about it. No edges: they are missing.
#[derive(Clone, Copy)]
struct Here<'e> {
    object: Object,
    kind: &'e Kind,
    edges: Option<&'e [Edge]>,
}

impl Walk<'_> {
    fn item(&mut self, object: Object, item: ItemId) -> Result<Answer, AskError> {
        let schema = self.schema;
        let Some((kind, found)) =
            schema.kind_of(object.kind()).and_then(|kind| kind.item(item).map(|found| (kind, found)))
        else {
            return Err(AskError::UnknownPermission { object: schema.show_object(object).to_string() });
        };
        if let Rule::Relations(set) = found.rule
            && !found.needs_edges
        {
            // The commonest question, whether a user holds a role, is one look-up.
            return Ok(self.pair(object, kind, set));
        }
        if let Some(answer) = self.known.get(object, item) {
            return Ok(answer);
        }
        if let Some(above) = self.open.iter().position(|open| *open == (object, item)) {
            self.leans_on = self.leans_on.min(above);
            return Ok(Answer::No);
        }
        let depth = self.open.len();
        if depth >= MAX_DEPTH {
            return Err(AskError::TooDeep { object: schema.show_object(object).to_string() });
        }
        let edges = if found.needs_edges { self.edges(object) } else { None };
        self.open.push((object, item));
        let leant_on = std::mem::replace(&mut self.leans_on, usize::MAX);
        let answer = self.rule(Here { object, kind, edges: edges.as_deref() }, &found.rule)?;
        self.open.pop();
        // A circle that closes here is closed; one that reaches further up goes on to be open.
        let leans = answer != Answer::Yes && self.leans_on < depth;
        if !leans {
            self.known.insert(object, item, answer);
        }
        self.leans_on = if leans { leant_on.min(self.leans_on) } else { leant_on };
        Ok(answer)
    }

    fn rule(&mut self, here: Here<'_>, rule: &Rule) -> Result<Answer, AskError> {
        self.step()?;
        match rule {
            Rule::Nil => Ok(Answer::No),
            Rule::Relations(set) => self.relations(here, *set),
            Rule::Item(item) => match here.kind.item(*item) {
                Some(found) => self.rule(here, &found.rule),
                None => Ok(Answer::No),
            },
            Rule::Arrow { relation, targets } => self.any(here, RelationSet::of(*relation), |walk, edge| {
                let above = edge.subject.object;
                match targets.iter().find(|(kind, _)| *kind == above.kind()) {
                    Some((_, item)) => walk.item(above, *item),
                    None => Ok(Answer::No),
                }
            }),
            Rule::Union(rules) => self.first(rules, here, Answer::Yes),
            Rule::Intersection(rules) => self.first(rules, here, Answer::No),
            Rule::Exclusion(sides) => self.exclusion(here, &sides.0, &sides.1),
        }
    }

    fn step(&mut self) -> Result<(), AskError> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(AskError::TooWide) } else { Ok(()) }
    }

    /// The first operand that decides by itself (yes in a union, no in an intersection), or what all of them say.
    fn first(&mut self, rules: &[Rule], here: Here<'_>, decisive: Answer) -> Result<Answer, AskError> {
        let mut all = if decisive == Answer::Yes { Answer::No } else { Answer::Yes };
        for rule in rules {
            let answer = self.rule(here, rule)?;
            if answer == decisive {
                return Ok(decisive);
            }
            if answer == Answer::Unknown {
                all = Answer::Unknown;
            }
        }
        Ok(all)
    }

    fn exclusion(&mut self, here: Here<'_>, base: &Rule, without: &Rule) -> Result<Answer, AskError> {
        let base = self.rule(here, base)?;
        if base == Answer::No {
            return Ok(Answer::No);
        }
        Ok(match self.rule(here, without)? {
            Answer::Yes => Answer::No,
            Answer::No => base,
            Answer::Unknown => Answer::Unknown,
        })
    }

    /// Whether the subject has any of these relations to the object, itself or as a member of a userset.
    fn relations(&mut self, here: Here<'_>, set: RelationSet) -> Result<Answer, AskError> {
        let paired = self.pair(here.object, here.kind, set);
        let others = set & !here.kind.paired;
        if paired == Answer::Yes || others.is_empty() {
            return Ok(paired);
        }
        let answer = self.any(here, others, |walk, edge| {
            if edge.subject == walk.subject {
                return Ok(Answer::Yes);
            }
            match edge.subject.members {
                Some(item) => walk.item(edge.subject.object, item),
                None => Ok(Answer::No),
            }
        })?;
        Ok(if answer == Answer::No { paired } else { answer })
    }

    /// Whether any edge with one of these relations leads to a yes.
    fn any(
        &mut self,
        here: Here<'_>,
        relations: RelationSet,
        mut leads: impl FnMut(&mut Self, &Edge) -> Result<Answer, AskError>,
    ) -> Result<Answer, AskError> {
        let Some(edges) = here.edges else { return Ok(Answer::Unknown) };
        let mut all = Answer::No;
        for edge in edges.iter().filter(|edge| edge.relations.meets(relations)) {
            self.step()?;
            match leads(self, edge)? {
                Answer::Yes => return Ok(Answer::Yes),
                Answer::Unknown => all = Answer::Unknown,
                Answer::No => {}
            }
        }
        Ok(all)
    }

    /// Whether the subject has any of these paired relations to the object.
    fn pair(&mut self, object: Object, kind: &Kind, set: RelationSet) -> Answer {
        let relations = kind.paired_with(set, self.subject.object.kind());
        if relations.is_empty() || self.subject.members.is_some() {
            return Answer::No;
        }
        match self.graph.pair(object, self.subject.object, self.loaded) {
            Some(related) if related.meets(relations) => Answer::Yes,
            Some(_) => Answer::No,
            None => {
                self.lacks(NodeKey::Pair(object, self.subject.object));
                Answer::Unknown
            }
        }
    }

    fn edges(&mut self, object: Object) -> Option<std::sync::Arc<[Edge]>> {
        let edges = self.graph.edges(object, self.loaded);
        if edges.is_none() {
            self.lacks(NodeKey::Edges(object));
        }
        edges
    }

    fn lacks(&mut self, key: NodeKey) {
        if !self.need.contains(&key) {
            self.need.push(key);
        }
    }
}
