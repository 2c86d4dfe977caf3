//! A broker that lets everybody in and everything through, for measuring the engine alone.
//!
//! `cargo run --release -p trunkline-messaging --example open_broker -- --listen 127.0.0.1:1883`
//!
//! Domains and channels need not exist: a segment that is no id stands for an id made from its text.

#![expect(clippy::print_stdout, reason = "it tells the address that it listens on")]

use std::{error::Error, net::SocketAddr, sync::Arc};

use futures_util::future::{BoxFuture, ready};
use kernel::{ChannelId, ClientId, Clock, DomainId, Result, Rng};
use messaging::{Action, Credentials, Engine, Gate, Identity, Limits, mqtt::Listener};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Lets everybody in.
struct Open;

/// The seed of an identifier made from text (FNV-1a).
fn seed(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

impl Gate for Open {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
        _peer: std::net::IpAddr,
    ) -> BoxFuture<'a, Result<Identity>> {
        let name = match credentials {
            Credentials::Password { user_name, .. } => user_name,
            Credentials::Basic { id, .. } => id,
            Credentials::Secret { secret, .. } => secret,
            Credentials::Bearer { token, .. } => token,
            Credentials::Certificate { certificate, .. } => &certificate.common_name,
        };
        let client = name.parse().unwrap_or_else(|_| ClientId::generate(&Rng::seeded(seed(name.as_bytes()))));
        let domain = DomainId::generate(&Rng::seeded(0));
        Box::pin(ready(Ok(Identity::Client { client, domain })))
    }

    fn resolve<'a>(
        &'a self,
        domain: &'a str,
        channel: &'a str,
    ) -> BoxFuture<'a, Result<Option<(DomainId, ChannelId)>>> {
        let channel =
            channel.parse().unwrap_or_else(|_| ChannelId::generate(&Rng::seeded(seed(channel.as_bytes()))));
        let domain = domain.parse().unwrap_or_else(|_| DomainId::generate(&Rng::seeded(0)));
        Box::pin(ready(Ok(Some((domain, channel)))))
    }

    fn resolve_domain<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Option<DomainId>>> {
        let domain = domain.parse().unwrap_or_else(|_| DomainId::generate(&Rng::seeded(0)));
        Box::pin(ready(Ok(Some(domain))))
    }

    fn authorize<'a>(
        &'a self,
        _identity: &'a Identity,
        _domain: DomainId,
        _channel: ChannelId,
        _action: Action,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(ready(Ok(true)))
    }
}

/// The address after `--listen`; port 1883 of this machine without it.
fn listen_address() -> std::result::Result<SocketAddr, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(SocketAddr::from(([127, 0, 0, 1], 1883))),
        (Some("--listen"), Some(address)) => Ok(address.parse()?),
        _ => Err("usage: open_broker [--listen ADDRESS:PORT]".into()),
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let engine = Engine::new(Arc::new(Open), Clock::system(), Limits::default());
    let listener = Listener::bind(listen_address()?)?;
    println!("listening on {}", listener.local_addr());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(engine.clone(), stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    engine.shutdown().await;
    serving.await?;
    Ok(())
}
