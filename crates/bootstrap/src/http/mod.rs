//! The routes and wire shapes of bootstrap, both generations on the same paths (reference 04 §3.4).

mod bindings;
mod configs;
mod device;
mod profiles;
mod views;

use web::{Routes, Rule};

use crate::{Bootstrap, operations};

/// The table.
pub fn routes(bootstrap: Bootstrap) -> Routes {
    Routes::new("bootstrap")
        .merge(configs::routes())
        .merge(configs::state_routes())
        .merge(profiles::routes())
        .merge(bindings::routes())
        .merge(device::routes())
        .with(bootstrap)
}

/// Also on the client, where the configuration knows one.
const VIEW: Rule = Rule::Operations(&[operations::VIEW, clients::operations::VIEW]);
const UPDATE: Rule = Rule::Operations(&[operations::UPDATE, clients::operations::UPDATE]);
