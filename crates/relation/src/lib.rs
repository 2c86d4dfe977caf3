//! The relation engine: who may do what, from tuples and a schema.
//!
//! In the manner of Zanzibar: a *tuple* `object#relation@subject` says that a subject is related to an object, a
//! [`Schema`] says which permissions follow, and [`Graph::check`] decides. The crate does no I/O. It keeps what it
//! knows in a bounded cache and says what it lacks; the owner of the database loads that and asks again (the loop is in
//! [`graph`]). Three rules hold:
//!
//! 1. A question that starts after [`Graph::invalidate`] has returned sees nothing older than that write.
//! 2. No answer is not a no: errors are errors, and callers fail closed.
//! 3. Nothing is unbounded: the schema's size, the depth and width of a walk, the bytes of the cache.
//!
//! A walk through it: [`Schema::parse`] compiles [`PLATFORM`]; [`Schema::ask`] turns names into an [`Ask`];
//! [`Graph::check`] walks the rules, asking for nodes ([`NodeKey`]) that hold all edges of an object, or the relations
//! of one pair. [`Graph::explain`] gives the path of a yes or each condition that failed, [`Graph::subjects`] everybody
//! who has a permission, and [`Schema::list_paths`] what a database query must join to list the objects that somebody
//! may see, without a check per row.

mod actions;
#[cfg(test)]
mod agreement;
pub mod check;
pub mod explain;
pub mod graph;
mod id;
mod known;
pub mod list;
pub mod memory;
#[cfg(test)]
mod naive;
pub mod schema;
mod subjects;
mod tuple;

pub use actions::actions;
pub use check::{Ask, AskError};
pub use explain::Explanation;
pub use graph::{Graph, Loaded, Outcome, Ticket};
pub use id::{Id, IdError, Object, Subject};
pub use list::{ListError, ListPath, Step};
pub use schema::{ItemId, KindId, NameError, Position, RelationId, Schema, SchemaError};
pub use tuple::{Edge, Fact, NodeKey, RelationSet, Tuple};

/// The platform's schema (reference 02 §5.2).
pub const PLATFORM: &str = include_str!("platform.zed");

impl Schema {
    /// The platform's schema, compiled.
    pub fn platform() -> Result<Self, SchemaError> {
        Self::parse(PLATFORM)
    }
}
