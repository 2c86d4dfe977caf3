//! The keys that sign tokens: another one on demand, and what time asks for.

use std::time::Duration;

use access::{Context, identity::keys::KeySet};
use kernel::Result;

use super::events;
use crate::Auth;

/// How often files and times are looked at.
const EVERY: Duration = Duration::from_secs(60);

impl Auth {
    /// Lets another key sign from now on; the one before verifies until what it has signed has expired. For administrators
    /// of the platform. Emits `key.rotate`; gives the public keys.
    ///
    /// Unprocessable where the operator keeps the key, in a file or as a secret.
    pub async fn rotate_keys(&self, cx: &Context) -> Result<KeySet> {
        let permit = cx.authorize_platform_admin().await?;
        let (access, request) = (self.access.clone(), cx.request().id.clone());
        let change = access.tokens().keys().rotation(permit.at()).await?;
        cx.write(move |tx| {
            Box::pin(async move {
                let event = change.kid().map(|kid| events::rotated(kid, &permit, &request));
                change.apply(tx, permit.at()).await?;
                match event {
                    Some(event) => access.emit(tx, event).await,
                    None => Ok(()),
                }
            })
        })
        .await?;
        Ok(self.access.tokens().public_keys())
    }

    /// Looks after the keys for as long as the program runs.
    pub async fn tend_keys_for_ever(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.access.tokens().keys().tend(self.access.clock().now()).await {
                tracing::warn!(%error, cause = error.chain(), "signing keys could not be looked after");
            }
        }
    }
}
