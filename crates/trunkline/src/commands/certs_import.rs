//! `trunkline certs import`: another certificate authority, on the machine of the platform.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use kernel::Secret;

use crate::compose;
use crate::config::{self, Layers};
use crate::data_dir::DataDir;
use crate::logging;

/// Makes an authority of the operator's the one that signs. It opens the database itself, while no node uses it.
pub(crate) fn import(layers: &Layers, certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .with_context(|| format!("the PEM file `{}` cannot be read", file.display()))
    };
    let imported = certs::Imported { certificate: read(certificate)?, key: Secret::new(read(key)?) };
    let loaded = config::load(layers)?;
    logging::start(&loaded.settings.log);
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    // An error means that a provider is installed already, and there is only one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let data = DataDir::open(&loaded.settings.node.data_dir)?;
        compose::import_authority(&loaded.settings, &data, imported).await
    })?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "The authority signs from the next start on; what others have signed stays valid.")?;
    Ok(out.flush()?)
}
