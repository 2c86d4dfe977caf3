//! Black-box tests of the whole program, over real sockets, with clients that others wrote: curl, Mosquitto's,
//! libcoap's, Eclipse Paho, mqtt.js and grpcio. One file per promise.
//!
//! [`platform::Platform`] is the common ground: a running server with a tenant in it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, helpers included"
)]

mod agent;
mod attempts;
mod authority;
mod bad_input;
mod callouts;
mod certs;
mod cli;
mod cli_certs;
mod cli_people;
mod cli_rights;
mod clients;
mod cluster;
mod coap;
mod crash;
mod grpc;
mod http_publish;
mod locked_out;
mod losses;
mod mail;
mod matrix;
mod metrics;
mod nats;
mod platform;
mod policy;
mod policy_members;
mod policy_mosquitto;
mod policy_tls;
mod probe;
mod provision;
mod quickstart;
mod refusals;
mod revocation;
mod revocation_users;
mod seeds;
mod shell;
mod standalone;
mod startup;
mod tls_modes;
mod topic_map;
mod tour;
mod transports;
