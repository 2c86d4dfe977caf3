//! Who may do what on brokers that are not ours: the policy service for Mosquitto, EMQX, RabbitMQ and VerneMQ.
//!
//! A broker asks whether a client may connect and what it may do on a topic. The answer comes from rules in a file
//! ([`RuleList`]): a [`Subject`] is capable of an [`Action`] by its groups and scopes, and a rule lets it do that on the
//! topics of a [`Pattern`]. What is not granted is denied, and a denial beats every grant.
//!
//! The contract is reference 08.

mod action;
mod decision;
mod pattern;
pub mod rules;
mod subject;
mod topic;

pub use action::{Action, Actions};
pub use decision::{Decision, Reason};
pub use pattern::Pattern;
pub use rules::RuleList;
pub use subject::{Subject, SubjectKind, Who};
pub use topic::Asked;
