//! Tickets by which a client resumes a session: nothing is kept of it here.

use std::sync::Arc;

use arc_swap::ArcSwap;
use kernel::{Error, Result};
use rustls::{crypto::aws_lc_rs::Ticketer, server::ProducesTickets};

/// Makes tickets, of which all can be forgotten at once.
#[derive(Debug)]
pub(crate) struct Tickets(ArcSwap<Arc<dyn ProducesTickets>>);

impl Tickets {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(ArcSwap::from_pointee(ticketer()?)))
    }

    /// No ticket that was made before is good any more. Its client makes a whole handshake.
    pub(crate) fn forget(&self) {
        match ticketer() {
            Ok(new) => self.0.store(Arc::new(new)),
            Err(error) => tracing::error!(causes = error.chain(), "tickets could not be forgotten: {error}"),
        }
    }
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>> {
    Ticketer::new().map_err(|error| Error::internal("TLS cannot make tickets").cause(error))
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.0.load().lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.load().encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.load().decrypt(cipher)
    }
}
