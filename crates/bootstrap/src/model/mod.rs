//! What a configuration, a profile and a binding are, and what callers give to make one.

mod binding;
mod config;
mod profile;

pub use binding::{Binding, NewBinding, Resource, ResourceKind, Snapshot};
pub use config::{
    BoundChannel, Certificates, Client, Config, ConfigPage, ConfigQuery, Device, ExternalId, NewConfig,
    NewDevice, external_key, text,
};
pub use profile::{ContentFormat, NewProfile, Profile, ProfileChange, ProfileQuery, Slot};
