//! Invitations: how a user comes into a domain (reference 02 §2).
//!
//! An administrator of the domain invites a user into one of the domain's roles; the user accepts, and holds the role
//! from then on, or rejects. A user has at most one invitation to a domain. It goes when the user leaves the domain.
//!
//! Start reading at [`service`].

mod events;
pub(crate) mod http;
pub mod model;
mod service;
pub(crate) mod store;

pub use service::{on_leave, on_purge};
