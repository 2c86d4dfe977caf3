//! Another policy takes the place of the one in force.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{Loaded, Policy};
use crate::{denied::Denied, rules::Fault};

impl Policy {
    /// Reads the policy anew. A broken one changes nothing; a good one counts from this moment, without a gap.
    pub fn reload(&self) -> Result<usize, Fault> {
        // One after the other: what was read later is in force later.
        let _turn = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.0.source.load().and_then(|engine| {
            let denied = Denied::load(self.0.denied.as_deref())?;
            Ok((engine, denied))
        });
        self.0.is_outdated.store(read.is_err(), Ordering::Relaxed);
        let (engine, denied) = read?;
        for warning in engine.warnings() {
            tracing::warn!("policy: {warning}");
        }
        let count = engine.count();
        let version = self.0.versions.fetch_add(1, Ordering::Relaxed);
        self.0.loaded.store(Arc::new(Loaded { engine, denied, version }));
        // What was decided by the old rules is under the old version, and only takes room.
        self.0.cache.clear();
        tracing::info!(rules = count, "policy: the rules were read anew");
        Ok(count)
    }

    /// Looks every second whether a file has changed.
    pub(super) async fn watch(self) {
        let look = |policy: Self| async move {
            tokio::task::spawn_blocking(move || policy.0.source.stamp(policy.0.denied.as_deref()))
                .await
                .unwrap_or_default()
        };
        let mut known = self.0.opened.clone();
        let mut every = tokio::time::interval(Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let stamp = look(self.clone()).await;
            if stamp == known {
                continue;
            }
            known = stamp;
            let policy = self.clone();
            let outcome = tokio::task::spawn_blocking(move || policy.reload()).await;
            if let Ok(Err(fault)) = outcome {
                tracing::error!(
                    "policy: the changed rules are not taken, those before stay in force: {fault}"
                );
            }
        }
    }

    /// Whether the files say something else than what is in force, because what they say is broken.
    pub(crate) fn is_outdated(&self) -> bool {
        self.0.is_outdated.load(Ordering::Relaxed)
    }
}
