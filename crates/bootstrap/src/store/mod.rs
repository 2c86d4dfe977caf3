//! The tables: configurations with their channels, profiles, bindings.

pub(crate) mod bindings;
pub(crate) mod configs;
pub(crate) mod profiles;
