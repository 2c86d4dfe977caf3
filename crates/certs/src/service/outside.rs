//! An authority outside, which signs in place of ours: what is told to it, and learned from it.

use tokio_util::sync::CancellationToken;

use kernel::{Kind, Result};

use super::Certs;
use crate::{openbao::AGAIN, store};

/// How many revocations are told before it is looked again.
const AT_ONCE: i64 = 100;
/// How often it is asked for its certificates, which it may have replaced.
const BEAT: std::time::Duration = std::time::Duration::from_secs(600);

impl Certs {
    /// Tells OpenBao what was revoked, and trusts its authority, until `shutdown`; nothing where there is none.
    pub async fn tend_outside(self, shutdown: CancellationToken) {
        if self.outside.is_none() {
            return;
        }
        let mut news = self.revoked.news();
        loop {
            let pause = match self.look_outside().await {
                Ok(()) => BEAT,
                Err(error) => {
                    tracing::warn!(causes = error.chain(), "OpenBao will be asked again: {error}");
                    AGAIN
                }
            };
            let waiting = async {
                tokio::select! {
                    _ = news.changed() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            };
            if shutdown.run_until_cancelled(waiting).await.is_none() {
                return;
            }
        }
    }

    /// Asks and tells once; nothing where nobody else signs.
    ///
    /// # Errors
    ///
    /// Those of the database, and `Unavailable` where OpenBao cannot be asked.
    pub async fn look_outside(&self) -> Result<()> {
        let Some(outside) = &self.outside else { return Ok(()) };
        self.authority.signed_by(outside.above().await?);
        let db = self.access.db();
        loop {
            let read = db.read(|tx| Box::pin(async move { store::certificates::untold(tx, AT_ONCE).await }));
            let untold = read.await?;
            let last = untold.is_empty();
            for serial in untold {
                match outside.revoke(&serial).await {
                    Ok(()) => {}
                    // Said once is said: asking again would change nothing, and hold up those that follow.
                    Err(error) if error.kind() == Kind::Unprocessable => {
                        tracing::warn!(%serial, "OpenBao does not revoke a certificate: {error}");
                    }
                    Err(error) => return Err(error),
                }
                let at = self.access.clock().now();
                let write = db.write(move |tx| {
                    Box::pin(async move { store::certificates::told(tx, &serial, at).await })
                });
                write.await?;
            }
            if last {
                return Ok(());
            }
        }
    }
}
