//! The HTTP API through the front door: the real router, both databases, a clock and ids that the test decides.
//!
//! One file per service, after its `http.rs`. A test reads: make a state, send, look at the status, the JSON, what is
//! stored and what was announced.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails, and says why"
)]

mod at_once;
mod bodies;
mod bootstrap;
mod bulk;
mod callouts;
mod callouts_everywhere;
mod certs;
mod certs_openbao;
mod changes;
mod channels;
mod clients;
mod domains;
mod explain;
mod groups;
mod grpc;
mod invitations;
mod keepers;
mod keys;
mod keys_signing;
mod list_plans;
mod lists;
mod mailbox;
mod oauth_provider;
mod operations;
mod parents;
mod pat_scopes;
mod pats;
mod plane;
mod plane_rights;
mod plant;
mod provision;
mod reach;
mod restart;
mod roles;
mod rules;
mod seen_as;
mod standalone;
mod stored;
mod tenants;
mod told_apart;
mod users;
mod users_address;
mod users_mail;
mod users_mail_limits;
mod users_names;
mod users_oauth;
mod users_profile;
mod users_purge;
mod users_search;
mod users_sessions;
mod users_status;
