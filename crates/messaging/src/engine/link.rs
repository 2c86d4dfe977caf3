//! A connection as its session sees it.
//!
//! The task of the connection owns the socket and ends the connection; everybody else may only write into it without
//! waiting, or ask for its end with [`Link::close`]. The first reason given counts.

use std::{fmt, sync::OnceLock};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::output::Pipe;
use crate::protocol::Protocol;
use crate::wire::{ReasonCode, Version};

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The socket cannot be written to, or what waits for it may not be written any more.
    Broken,
    /// Another connection has the session. `farewell`: nothing was half written, so a DISCONNECT can still be.
    TakenOver { farewell: bool },
    /// The server wants it so, and says why.
    Told(ReasonCode),
}

/// A connection.
pub(crate) struct Link {
    pub(crate) pipe: Box<dyn Pipe>,
    pub(crate) version: Version,
    /// Largest packet that the client accepts, in bytes.
    pub(crate) maximum_packet_size: usize,
    /// Topic aliases that the client accepts.
    pub(crate) topic_alias_maximum: u16,
    /// Wakes the task of the connection: the output is blocked, or the connection must end.
    pub(crate) wake: Notify,
    /// How the client is connected.
    pub(crate) protocol: Protocol,
    /// When it was made.
    pub(crate) since: Instant,
    closing: OnceLock<Close>,
}

impl Link {
    pub(crate) fn new(pipe: Box<dyn Pipe>, version: Version, maximum_packet_size: usize) -> Self {
        let (wake, closing) = (Notify::new(), OnceLock::new());
        let (topic_alias_maximum, protocol, since) = (0, Protocol::Mqtt, Instant::now());
        Self { pipe, version, maximum_packet_size, topic_alias_maximum, wake, protocol, since, closing }
    }

    /// Whether it is that of a reader inside the process (`reader.rs`): it is nothing but its subscriptions, so it ends
    /// when it loses the right to one.
    pub(crate) fn is_inside(&self) -> bool {
        self.protocol != Protocol::Mqtt
    }

    /// Asks for the end of the connection.
    pub(crate) fn close(&self, close: Close) {
        // A second reason comes too late to be told.
        let _first = self.closing.set(close);
        self.wake.notify_one();
    }

    /// Why the connection must end, if it must.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.closing.get().copied()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link of {:?}", self.version)
    }
}
