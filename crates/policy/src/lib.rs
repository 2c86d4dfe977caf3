//! Who may do what on brokers that are not ours: the policy service for Mosquitto, EMQX, RabbitMQ and VerneMQ.
//!
//! A broker asks whether a client may connect and what it may do on a topic ([`http`]). The client's token says who it is
//! ([`oidc`], [`claims`]); where the broker does not hand the token on, the login before says it (`bindings`). What the
//! [`Subject`] may do is decided by rules in a file ([`RuleList`]): it is capable of an [`Action`] by its groups and
//! scopes, and a rule lets it do that on the topics of a [`Pattern`]. What is not granted is denied, and a denial beats
//! every grant. Users and clients of the platform ([`Platform`]) are judged by the platform instead.
//!
//! One walk through a question: `http/mqtt.rs` reads it in whatever form it came, [`Policy::acl`] finds the identity, the
//! cache or the engine decides, the audit records it, and the answer is 200, 403, or 503 where nobody can say: brokers
//! remember a 403.
//!
//! The contract is reference 08.

mod action;
mod audit;
mod bindings;
mod cache;
pub mod cases;
pub mod claims;
pub mod convention;
mod counts;
mod decision;
mod denied;
mod engine;
pub mod http;
mod identity;
mod limits;
pub mod oidc;
mod pattern;
mod rego;
pub mod rules;
mod service;
mod subject;
mod topic;

pub use action::{Action, Actions};
pub use audit::AuditOptions;
pub use cache::CacheOptions;
pub use decision::{Decision, Reason};
pub use engine::PolicySource;
pub use identity::{Identity, Login, Member, Platform, Principal};
pub use limits::LimitOptions;
pub use pattern::Pattern;
pub use rego::RegoOptions;
pub use rules::RuleList;
pub use service::{Asking, Outcome, Policy, PolicyOptions, Shown};
pub use subject::{Subject, SubjectKind, Who};
pub use topic::Asked;
