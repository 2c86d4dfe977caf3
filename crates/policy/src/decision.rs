//! What was decided, and why.

use std::fmt;

use crate::Action;

/// An answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// The step that decided.
    pub reason: Reason,
}

impl Decision {
    /// Yes.
    pub const fn allowed(reason: Reason) -> Self {
        Self { allowed: true, reason }
    }

    /// No.
    pub const fn denied(reason: Reason) -> Self {
        Self { allowed: false, reason }
    }
}

/// The step of the decision that decided (reference 08 §6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The topic or filter is not one.
    InvalidTopic,
    /// No group and no scope of the subject may do this at all.
    MissingCapability(Action),
    /// The rule with this number denies it.
    DeniedBy(usize),
    /// No rule allows it.
    NoRule,
    /// The rule with this number allows it.
    AllowedBy(usize),
    /// In a policy's own words.
    Said(&'static str),
    /// In the words of a policy that was written elsewhere.
    Told(Box<str>),
    /// The policy failed or took too long: nobody can say. Why, for the operator.
    Unable(Box<str>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidTopic => f.write_str("invalid topic"),
            Self::MissingCapability(action) => write!(f, "missing capability {action}"),
            Self::DeniedBy(rule) => write!(f, "denied by rule {rule}"),
            Self::NoRule => f.write_str("no matching rule"),
            Self::AllowedBy(_) => f.write_str("authorized"),
            Self::Said(words) => f.write_str(words),
            Self::Told(words) => f.write_str(words),
            Self::Unable(why) => write!(f, "cannot decide: {why}"),
        }
    }
}
