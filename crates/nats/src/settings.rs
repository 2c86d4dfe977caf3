//! Where NATS is, and what it is told.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};
use kernel::{Error, Result};

/// The address of one server: `nats://[user:password@]host[:4222]`, or `tls://…`. `Display` and `Debug` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(ServerAddr);

impl FromStr for NatsUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("not the address of a NATS, which looks like nats://localhost:4222");
        let address: ServerAddr = text.parse().map_err(|_| wrong())?;
        // WebSockets are not built in.
        if address.host().is_empty() || address.is_websocket() {
            return Err(wrong());
        }
        Ok(Self(address))
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.tls_required() { "tls" } else { "nats" };
        write!(f, "{scheme}://{}:{}", self.0.host(), self.0.port())
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a node is told about its NATS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Servers of one cluster.
    pub urls: Vec<NatsUrl>,
    /// A `.creds` file with a user's JWT and key.
    pub credentials: Option<PathBuf>,
    /// Authorities of the servers' certificates, in PEM; the system's without it.
    pub ca_certs: Option<PathBuf>,
    /// What the names of streams begin with: `magistrala.` or `supermq.`.
    pub event_prefix: String,
    /// Which node this is, in events of the message plane.
    pub instance: String,
    /// Messages and events of the message plane that wait while NATS is slow or away.
    pub queue_messages: usize,
    /// Bytes that wait, likewise.
    pub queue_bytes: usize,
    /// How long a confirmation may take before something is sent again.
    pub ack_timeout: Duration,
}

impl Settings {
    pub(crate) fn urls(&self) -> Vec<ServerAddr> {
        self.urls.iter().map(|url| url.0.clone()).collect()
    }

    pub(crate) fn options(&self) -> Result<ConnectOptions> {
        let mut options = ConnectOptions::new()
            .name("trunkline")
            .retry_on_initial_connect()
            .connection_timeout(Duration::from_secs(5))
            .event_callback(|event| async move { report(&event) });
        if let Some(path) = &self.ca_certs {
            options = options.add_root_certificates(path.clone());
        }
        if let Some(path) = &self.credentials {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::invalid(format!("cannot read the NATS credentials `{}`: {error}", path.display()))
            })?;
            options = options
                .credentials(&text)
                .map_err(|_| Error::invalid(format!("`{}` holds no NATS credentials", path.display())))?;
        }
        Ok(options)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(NatsUrl::to_string).collect();
        f.write_str(&urls.join(","))
    }
}

fn report(event: &async_nats::Event) {
    use async_nats::Event;
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("lost the connection to NATS"),
        Event::ServerError(error) => tracing::warn!(%error, "NATS reports an error"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS is not reached"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url: NatsUrl = "nats://user:hunter2@example.org:4223".parse().unwrap();
        assert_eq!(url.to_string(), "nats://example.org:4223");
        assert_eq!(format!("{url:?}"), "nats://example.org:4223");
        assert_eq!("tls://example.org".parse::<NatsUrl>().unwrap().to_string(), "tls://example.org:4222");
    }

    #[test]
    fn what_is_no_address_of_a_nats_is_refused() {
        for text in ["", "amqp://guest@localhost:5682/", "ws://localhost:8080", "nats://", "http://x"] {
            let error = text.parse::<NatsUrl>().unwrap_err();
            assert!(error.to_string().contains("nats://localhost:4222"), "{text}: {error}");
        }
    }
}
