//! SIGTERM and SIGINT: the first asks the node to stop in good order, a second one ends it at once.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `shutdown` at the first signal.
pub(crate) fn watch(shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!("stopping by signal: {name}; a second one stops at once");
        shutdown.cancel();
        let name = next().await;
        tracing::warn!("stopped at once by signal: {name}");
        std::process::exit(1);
    });
    Ok(())
}
