//! Messages, servers and clients, generated from `proto/`.
#![expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

macro_rules! packages {
    ($($name:ident = $package:literal;)*) => {$(
        pub mod $name {
            pub mod v1 {
                tonic::include_proto!($package);
            }
        }
    )*};
}

packages! {
    auth = "auth.v1";
    token = "token.v1";
    users = "users.v1";
    domains = "domains.v1";
    groups = "groups.v1";
    clients = "clients.v1";
    channels = "channels.v1";
    common = "common.v1";
}

pub mod absmach {
    pub mod certs {
        tonic::include_proto!("absmach.certs");
    }
}

/// The certificates again, by the name that upstream's client calls them.
pub mod certs {
    tonic::include_proto!("certs");
}

/// What a Mosquitto asks; its package is called `grpc`.
pub mod brokers {
    tonic::include_proto!("grpc");
}

/// All of `proto/` in the form that reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
