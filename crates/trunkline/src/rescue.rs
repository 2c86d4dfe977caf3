//! `trunkline admin reset-password`: a way in for an administrator who has lost the password, or never saw it because the
//! first start ended before it was printed. It opens the database itself, while no node uses it.

use std::io::Write;

use kernel::Secret;
use users::model::Username;

use crate::compose;
use crate::config::{self, Layers};
use crate::data_dir::DataDir;
use crate::logging;

/// Sets a new password and prints it.
pub(crate) fn run(layers: &Layers, username: Username) -> anyhow::Result<()> {
    let loaded = config::load(layers)?;
    logging::start(&loaded.settings.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // An error means that a provider is installed already, and there is only one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name = username.to_string();
    let password: Secret<String> = runtime.block_on(async {
        let data = DataDir::open(&loaded.settings.node.data_dir)?;
        compose::rescue_admin(&loaded.settings, &data, username).await
    })?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "Username  {name}\nPassword  {}", password.expose())?;
    Ok(out.flush()?)
}
