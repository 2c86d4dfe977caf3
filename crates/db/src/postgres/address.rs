//! Where the server is and how to speak with it.

use std::{future::poll_fn, str::FromStr, time::Duration};

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use kernel::{Error, Result};
use tokio::task::JoinHandle;
use tokio_postgres::{
    AsyncMessage, Client, Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{error, postgres::tls::Trust};

/// A server's address, with the TLS that is spoken there, if any.
pub(super) struct Address {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Address {
    /// Reads the URL; `wait` is how long the making of a connection may take.
    pub(super) fn read(url: &str, wait: Duration) -> Result<Self> {
        let (url, trust) = Trust::split_from(url)?;
        // The driver's error may repeat the URL's parts, and one of them is the password.
        let mut config = Config::from_str(&url).map_err(|_| {
            Error::invalid(
                "the database URL cannot be read: expected `postgres://user:password@host:port/name`",
            )
        })?;
        config.ssl_mode(trust.mode()).connect_timeout(wait);
        if config.get_application_name().is_none() {
            config.application_name("trunkline");
        }
        Ok(Self { config, tls: trust.client_config()?.map(MakeRustlsConnect::new) })
    }

    /// What makes the connections of a pool.
    pub(super) fn manager(&self) -> Manager {
        let (config, how) = (self.config.clone(), ManagerConfig { recycling_method: RecyclingMethod::Fast });
        match &self.tls {
            None => Manager::from_config(config, NoTls, how),
            Some(tls) => Manager::from_config(config, tls.clone(), how),
        }
    }

    /// One connection outside of any pool, and the task that ends when it is lost: at the latest `silence` after the
    /// server was last heard. `notified` is called with the payload of each notification.
    pub(super) async fn connect(
        &self,
        silence: Duration,
        notified: impl FnMut(&str) + Send + 'static,
    ) -> Result<(Client, JoinHandle<()>)> {
        let mut config = self.config.clone();
        config.keepalives_idle(silence / 2).keepalives_interval(silence / 6).keepalives_retries(3);
        config.tcp_user_timeout(silence);
        match &self.tls {
            None => connect(&config, NoTls, notified).await,
            Some(tls) => connect(&config, tls.clone(), notified).await,
        }
    }
}

async fn connect<T>(
    config: &Config,
    tls: T,
    mut notified: impl FnMut(&str) + Send + 'static,
) -> Result<(Client, JoinHandle<()>)>
where
    T: MakeTlsConnect<Socket>,
    T::TlsConnect: Send,
    T::Stream: Send + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) =
        config.connect(tls).await.map_err(|error| error::postgres("connect to PostgreSQL", &error))?;
    let ended = tokio::spawn(async move {
        loop {
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(one))) => notified(one.payload()),
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    tracing::info!(%notice, "PostgreSQL has something to say");
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection to PostgreSQL has ended");
                    return;
                }
                None => return,
            }
        }
    });
    Ok((client, ended))
}
