//! From a port to the services: who may be served at all, bounds, TLS, and an end in good order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use kernel::{Error, Result};
use tls::{Bounds, Clients, Revocations, Tls};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{service::Routes, transport::Server};
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
#[derive(Clone)]
pub struct ListenerOptions {
    /// The service whose port this is; for the log.
    pub service: &'static str,
    /// Certificates; without them nothing is encrypted. Those of clients are demanded where their authorities are named.
    pub tls: Option<Tls>,
    /// Which certificates of clients do not pass although their authority is named, asked at every handshake.
    pub callers: Option<Arc<dyn Revocations>>,
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
            callers: None,
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
    tls: Option<tls::Server>,
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
        let tls = match options.tls.clone() {
            Some(shown) => Some(encryption(shown, &options).await.map_err(invalid)?),
            None => None,
        };
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket: Arc::new(socket), address, options, tls })
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
        if let Some(tls) = self.tls.clone() {
            serving.spawn(tls.tend(shutdown.clone()));
        }
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

    /// Serves until `shutdown`. When certificates change, clients of the old are asked to come again.
    async fn run<H: Health>(
        self,
        routes: Routes,
        health: HealthServer<H>,
        serving: &TaskTracker,
        shutdown: &CancellationToken,
        cut: &CancellationToken,
    ) {
        let routes = routes.add_service(health.max_decoding_message_size(MAX_MESSAGE));
        let most = self.options.max_connections;
        let slots = Arc::new(Semaphore::new(most));
        let keep_alive = self.options.keep_alive;
        let patience = Patience { first: self.options.handshake, then: keep_alive * 2 };
        let mut renewals = self.tls.as_ref().map(tls::Server::renewals);
        loop {
            let until = shutdown.child_token();
            let opened =
                incoming::opened(Arc::clone(&self.socket), Arc::clone(&slots), patience, cut.clone());
            let incoming = incoming::connections(opened, self.tls.clone(), most);
            let server = server(&self.options).add_routes(routes.clone());
            let end = until.clone().cancelled_owned();
            serving.spawn(async move {
                if let Err(error) = server.serve_with_incoming_shutdown(incoming, end).await {
                    tracing::error!(%error, "a gRPC server ended");
                }
            });
            let renewed = async {
                match &mut renewals {
                    Some(renewals) => renewals.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            match shutdown.run_until_cancelled(renewed).await {
                Some(true) => until.cancel(),
                Some(false) | None => return,
            }
        }
    }
}

async fn report(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// What bounds each connection.
fn server(options: &ListenerOptions) -> Server {
    Server::builder()
        .timeout(options.request_timeout)
        .concurrency_limit_per_connection(CALLS as usize)
        .max_concurrent_streams(CALLS)
        .http2_max_header_list_size(MAX_HEAD)
        .http2_keepalive_interval(Some(options.keep_alive))
        .http2_keepalive_timeout(Some(options.keep_alive / 2))
}

/// Invalid where the certificates are not good.
async fn encryption(shown: Tls, options: &ListenerOptions) -> Result<tls::Server> {
    let clients = if shown.client_authorities.is_some() { Clients::Required } else { Clients::Optional };
    let shown = Tls { clients, ..shown };
    let bounds = Bounds { handshake: options.handshake, reload: options.reload, ..Bounds::default() };
    tls::Server::load(shown, &["h2"], options.callers.clone(), bounds).await.map_err(|error| {
        Error::invalid(
            "`grpc.server_cert`, `grpc.server_key` or `grpc.client_ca_certs` is not good, each is PEM or the path of a \
             PEM file",
        )
        .cause(error)
    })
}

#[cfg(test)]
mod tests;
