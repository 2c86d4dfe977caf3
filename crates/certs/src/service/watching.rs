//! What happens by itself: the ends of certificates are announced, authorities are replaced in time.

use std::time::Duration;

use kernel::Result;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Certs;
use crate::{events, store};

/// How often it is looked for what ends.
const BEAT: Duration = Duration::from_secs(600);
/// How many ends are announced in one transaction.
const AT_ONCE: i64 = 500;

impl Certs {
    /// Watches until `shutdown`.
    pub async fn watch(self, shutdown: CancellationToken) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(beat.tick()).await.is_some() {
            if let Err(error) = self.look().await {
                tracing::warn!(causes = error.chain(), "certificates could not be watched: {error}");
            }
        }
    }

    /// Looks once: announces certificates that end soon, each once, and counts; reads again what was revoked, and
    /// replaces an authority that ends too soon. Emits `certificate.expiring`, or `certificate.expired` for one that
    /// ended while nobody watched.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn look(&self) -> Result<()> {
        let now = self.access.clock().now();
        let until = now.after(self.settings.warn_before);
        loop {
            let access = self.access.clone();
            let write = self.access.db().write(move |tx| {
                Box::pin(async move {
                    let ending = store::certificates::ending(tx, until, AT_ONCE).await?;
                    for (serial, client, domain, end) in &ending {
                        // Another node may have announced it.
                        if store::certificates::warned(tx, serial, now).await? {
                            access.emit(tx, events::ending((serial, *client, *domain), *end, now)).await?;
                        }
                    }
                    Ok(i64::try_from(ending.len()).unwrap_or(i64::MAX))
                })
            });
            if write.await? < AT_ONCE {
                break;
            }
        }
        let count = self
            .access
            .db()
            .scan(move |tx| Box::pin(async move { store::certificates::counts(tx, now, until).await }));
        let counts = count.await?;
        self.authority.refresh(&self.access).await?;
        self.revoked.load(self.access.db(), now).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        {
            metrics::gauge!("certs_valid").set(counts.valid as f64);
            metrics::gauge!("certs_expiring").set(counts.ending as f64);
            metrics::gauge!("certs_revoked").set(counts.revoked as f64);
        }
        // One outside may not have been reached yet.
        if let Ok(end) = self.authority.not_after() {
            metrics::gauge!("certs_authority_seconds_left").set(end.since(now).as_secs_f64());
        }
        Ok(())
    }
}
