//! What clients and channels have in common, written once.
//!
//! Each is an [`Entry`] (name, tags, metadata, status, the group it is in) with something of its own, lives in one
//! domain, is changed, enabled, disabled, put into a group and listed in the same way, and announces that in the same
//! words. What differs is said by [`Registered`]; the capabilities add what only they have.
//!
//! One walk through it: a capability's route table mounts the handlers of [`http`], they call the use cases of
//! [`Entries`], which authorize, open one transaction, call [`store`] and announce what happened.
//!
//! Rules that hold here: the group that contains a thing is a relation (`access::hierarchy`) and no column; whoever
//! changes a thing holds its row; a list is filtered in the database to what the caller may see.

mod emptying;
mod entry;
mod events;
pub mod http;
mod located;
mod query;
mod service;
pub mod store;

pub use entry::{Entry, EntryId, New, NewEntry, Operations, Refusals, Registered, Words};
pub use located::{Located, locate, locate_enabled};
pub use query::{InGroup, Listed, Query};
pub use service::{Entries, OnRemove};
