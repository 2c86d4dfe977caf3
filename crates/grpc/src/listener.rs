//! From a port to the services: who may be served at all, bounds, TLS, and an end in good order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kernel::{Error, Result};
use tls::{Loaded, Tls};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::Routes,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, health_reporter},
};

use crate::{
    Services,
    incoming::{self, Patience},
    services::{HEALTH_NAMES, MAX_MESSAGE},
};

/// What one listener allows.
#[derive(Debug, Clone)]
pub struct ListenerOptions {
    /// The service whose port this is; for the log.
    pub service: &'static str,
    /// Certificates; without them nothing is encrypted.
    pub tls: Option<Tls>,
    /// Serve other machines although no client certificate is required.
    pub insecure: bool,
    /// The most connections at a time; further ones wait in the kernel's queue. 1,000.
    pub max_connections: usize,
    /// How long a client may take to begin, and for the handshake of TLS; 10 s.
    pub handshake: Duration,
    /// How often silent clients are asked whether they are still there; 30 s. One that does not answer is cut.
    pub keep_alive: Duration,
    /// How long an answer may take; 30 s.
    pub request_timeout: Duration,
    /// How often the files of certificates are looked at; 10 s.
    pub reload: Duration,
    /// How long calls in flight may still take after shutdown began; 5 s (reference 07 §6).
    pub grace: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            service: "auth",
            tls: None,
            insecure: false,
            max_connections: 1_000,
            handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            reload: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

impl ListenerOptions {
    /// The words of the start-up line (reference 07 §6).
    const fn mode(&self) -> &'static str {
        match &self.tls {
            None => "without TLS",
            Some(Tls { client_authorities: None, .. }) => "with TLS cert",
            Some(Tls { client_authorities: Some(_), .. }) => "with TLS/mTLS",
        }
    }

    /// Whether everybody who can open a connection may be served. Whoever is served can be any user.
    fn may_serve(&self, address: SocketAddr) -> bool {
        let proves_itself = self.tls.as_ref().is_some_and(|tls| tls.client_authorities.is_some());
        address.ip().is_loopback() || proves_itself || self.insecure
    }
}

/// The most calls at a time on one connection; further ones wait.
const CALLS: u32 = 128;

/// The longest head of a call, in bytes.
const MAX_HEAD: u32 = 16 * 1024;

/// A bound port that serves all services.
pub struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
    options: ListenerOptions,
    loaded: Option<Loaded>,
}

impl Listener {
    /// Binds the address; port 0 takes any free one. Reads the certificates, which must be good.
    ///
    /// `InvalidInput` with what to do where other machines could connect without showing a certificate, and where the
    /// certificates are not good.
    pub async fn bind(address: SocketAddr, options: ListenerOptions) -> io::Result<Self> {
        let invalid = |error: Error| {
            let (message, causes) = (error.to_string(), error.chain());
            let all = if causes.is_empty() { message } else { format!("{message}: {causes}") };
            io::Error::new(io::ErrorKind::InvalidInput, all)
        };
        if !options.may_serve(address) {
            return Err(invalid(Error::invalid(format!(
                "gRPC at {address} could be reached from other machines, and whoever reaches it can act as any user; \
                 require client certificates with `grpc.client_ca_certs`, or listen on a loopback address, or, where \
                 the network itself lets nobody in, set `grpc.insecure = true`"
            ))));
        }
        let loaded = match &options.tls {
            Some(tls) => Some(tls.load().await.map_err(invalid)?),
            None => None,
        };
        server(&options, loaded.as_ref()).map_err(invalid)?;
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket: Arc::new(socket), address, options, loaded })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`. Then the port closes, health says no, calls in flight end within the grace period, and
    /// what is still open after it is cut.
    pub async fn serve(self, services: Services, shutdown: CancellationToken) {
        match services.routes() {
            Ok(routes) => self.serve_routes(routes, shutdown).await,
            Err(error) => tracing::error!(causes = error.chain(), "gRPC cannot serve: {error}"),
        }
    }

    async fn serve_routes(self, routes: Routes, shutdown: CancellationToken) {
        let (service, address) = (self.options.service, self.address);
        tracing::info!("{service} service gRPC server listening at {address} {}", self.options.mode());
        let grace = self.options.grace;
        let (serving, cut) = (TaskTracker::new(), CancellationToken::new());
        let (reporter, health) = health_reporter();
        report(&reporter, ServingStatus::Serving).await;
        self.run(routes, health, &serving, &shutdown, &cut).await;
        report(&reporter, ServingStatus::NotServing).await;
        serving.close();
        if timeout(grace, serving.wait()).await.is_err() {
            tracing::warn!("gRPC connections of {service} outlived the grace period and are cut");
            cut.cancel();
            serving.wait().await;
        }
        tracing::info!("{service} service gRPC server at {address} stopped");
    }

    /// Serves with the certificates of the moment; when they change, new connections get the new ones, and clients of
    /// the old are asked to come again.
    async fn run<H: Health>(
        mut self,
        routes: Routes,
        health: HealthServer<H>,
        serving: &TaskTracker,
        shutdown: &CancellationToken,
        cut: &CancellationToken,
    ) {
        let routes = routes.add_service(health.max_decoding_message_size(MAX_MESSAGE));
        let slots = Arc::new(Semaphore::new(self.options.max_connections));
        let keep_alive = self.options.keep_alive;
        let patience = Patience { first: self.options.handshake, then: keep_alive * 2 };
        loop {
            let server = match server(&self.options, self.loaded.as_ref()) {
                Ok(server) => server,
                Err(error) => {
                    tracing::error!(
                        causes = error.chain(),
                        "gRPC cannot serve with its certificates: {error}"
                    );
                    return;
                }
            };
            let until = shutdown.child_token();
            let (socket, slots) = (Arc::clone(&self.socket), Arc::clone(&slots));
            let incoming = incoming::connections(socket, slots, patience, cut.clone());
            let server = server.clone().add_routes(routes.clone());
            let end = until.clone().cancelled_owned();
            serving.spawn(async move {
                if let Err(error) = server.serve_with_incoming_shutdown(incoming, end).await {
                    tracing::error!(%error, "a gRPC server ended");
                }
            });
            match shutdown.run_until_cancelled(self.renewed()).await {
                Some(loaded) => {
                    self.loaded = Some(loaded);
                    until.cancel();
                }
                None => return,
            }
        }
    }

    /// Waits until the files of the certificates hold other, good ones.
    async fn renewed(&self) -> Loaded {
        let Some(tls) = &self.options.tls else { return std::future::pending().await };
        let mut beat = interval(self.options.reload);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused = None;
        loop {
            beat.tick().await;
            let Ok(loaded) = tls.load().await else { continue };
            if Some(&loaded) == self.loaded.as_ref() || Some(&loaded) == refused.as_ref() {
                continue;
            }
            match server(&self.options, Some(&loaded)) {
                Ok(_) => {
                    tracing::info!("gRPC has new certificates");
                    return loaded;
                }
                // Certificate and key may not have been replaced both yet.
                Err(error) => {
                    tracing::warn!(
                        causes = error.chain(),
                        "the new certificates of gRPC are not used: {error}"
                    );
                    refused = Some(loaded);
                }
            }
        }
    }
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// What bounds each connection. Invalid where the certificates are not good.
fn server(options: &ListenerOptions, loaded: Option<&Loaded>) -> Result<Server> {
    let server = Server::builder()
        .timeout(options.request_timeout)
        .concurrency_limit_per_connection(CALLS as usize)
        .max_concurrent_streams(CALLS)
        .http2_max_header_list_size(MAX_HEAD)
        .http2_keepalive_interval(Some(options.keep_alive))
        .http2_keepalive_timeout(Some(options.keep_alive / 2));
    match loaded {
        None => Ok(server),
        Some(loaded) => server.tls_config(tls_config(loaded, options.handshake)).map_err(|error| {
            Error::invalid(
                "`grpc.server_cert`, `grpc.server_key` or `grpc.client_ca_certs` is not good, each is PEM or the path \
                 of a PEM file",
            )
            .cause(error)
        }),
    }
}

/// For tonic; `handshake` is how long a client may take for it.
fn tls_config(loaded: &Loaded, handshake: Duration) -> ServerTlsConfig {
    let identity = Identity::from_pem(&loaded.certificate, &loaded.key);
    let config = ServerTlsConfig::new().identity(identity).timeout(handshake);
    match &loaded.client_authorities {
        Some(authorities) => config.client_ca_root(Certificate::from_pem(authorities)),
        None => config,
    }
}

#[cfg(test)]
mod tests;
