//! The node goes down: nobody new, and everybody gets what was on its way to him.
//!
//! The race it must win: a connection that is let in while the node goes down. The token is set first, and a
//! handshake looks at it after the session is attached, so that a newcomer either sees the token or is seen here.

use tokio::time::timeout;

use super::Engine;
use super::link::Close;
use crate::wire::ReasonCode;

impl Engine {
    /// Closes every connection (MQTT 5: 0x8B) after its last bytes have left, and returns when all are closed, or
    /// after [`Limits::shutdown`](crate::Limits::shutdown). What stored sessions are to keep is stored then, within as long
    /// again.
    pub async fn shutdown(&self) {
        let core = &self.0;
        core.closing.cancel();
        core.connections.close();
        for session in core.registry.all() {
            if let Some(link) = session.link() {
                link.close(Close::Told(ReasonCode::SERVER_SHUTTING_DOWN));
            }
        }
        if timeout(core.shared.limits.shutdown, core.connections.wait()).await.is_err() {
            tracing::warn!(
                open = core.connections.len(),
                "connections did not take their last bytes in time"
            );
        }
        if let Some(committer) = &core.shared.committer
            && timeout(core.shared.limits.shutdown, committer.drained()).await.is_err()
        {
            tracing::warn!("the last changes of sessions could not be stored in time");
        }
        self.leave().await;
    }
}
