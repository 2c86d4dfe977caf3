//! Handshakes, with the certificates of the moment.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use kernel::{Error, Result};
use rustls::{
    HandshakeKind, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, ProducesTickets, danger::ClientCertVerifier},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{Certificate, Loaded, Revocations, Tls, tickets::Tickets, verifier::Verifier};

/// An encrypted connection.
pub type Stream<IO> = TlsStream<IO>;

/// What a handshake may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the first byte to the last of the handshake; 10 s.
    pub handshake: Duration,
    /// Handshakes at a time; further ones wait, within their time. 256: each costs up to a millisecond of a core.
    pub at_once: usize,
    /// How often the files are looked at; 10 s.
    pub reload: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), at_once: 256, reload: Duration::from_secs(10) }
    }
}

/// The server's side of TLS for one or more listeners. A clone is the same.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    tls: Tls,
    protocols: Vec<Vec<u8>>,
    revocations: Option<Arc<dyn Revocations>>,
    bounds: Bounds,
    turns: Semaphore,
    tickets: Arc<Tickets>,
    /// PEM of further authorities of clients. Whoever puts something else into use holds it.
    trusted: Mutex<Option<Arc<str>>>,
    current: ArcSwap<Current>,
    renewals: watch::Sender<()>,
}

/// What handshakes go by.
struct Current {
    loaded: Loaded,
    config: Arc<ServerConfig>,
    /// None: clients are asked for nothing.
    verifier: Option<Arc<Verifier>>,
}

impl Server {
    /// Reads the files, which must be good. `protocols` are offered by ALPN, the preferred one first; without any a
    /// client may ask for what it likes.
    ///
    /// # Errors
    ///
    /// `Invalid`, saying what is wrong with which text.
    pub async fn load(
        tls: Tls,
        protocols: &[&str],
        revocations: Option<Arc<dyn Revocations>>,
        bounds: Bounds,
    ) -> Result<Self> {
        let protocols: Vec<Vec<u8>> = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let loaded = tls.load().await?;
        let tickets = Arc::new(Tickets::new()?);
        let current = current(&tls, loaded, &protocols, None, (revocations.clone(), &tickets))?;
        Ok(Self(Arc::new(Inner {
            tls,
            protocols,
            revocations,
            turns: Semaphore::new(bounds.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            bounds,
            tickets,
            trusted: Mutex::default(),
            current: ArcSwap::from_pointee(current),
            renewals: watch::Sender::new(()),
        })))
    }

    /// Trusts the clients of further authorities (PEM), such as the platform's own, beside those of the files.
    ///
    /// # Errors
    ///
    /// `Invalid` where one is no certificate.
    pub fn trust(&self, authorities: &str) -> Result<()> {
        let mut trusted = self.0.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.0.current.load().loaded.clone();
        self.renew(loaded, Some(authorities))?;
        *trusted = Some(authorities.into());
        Ok(())
    }

    /// Puts texts into use.
    fn renew(&self, loaded: Loaded, trusted: Option<&str>) -> Result<()> {
        let inner = &self.0;
        let asked = (inner.revocations.clone(), &inner.tickets);
        let new = current(&inner.tls, loaded, &inner.protocols, trusted, asked)?;
        inner.current.store(Arc::new(new));
        inner.renewals.send_replace(());
        Ok(())
    }

    /// Changes whenever other certificates are in use.
    pub fn renewals(&self) -> watch::Receiver<()> {
        self.0.renewals.subscribe()
    }

    /// Trusts what is told, as [`Server::trust`] does, and whatever takes its place until `shutdown`.
    ///
    /// # Errors
    ///
    /// `Invalid` where what is told first is no certificate; what is told later is then passed over.
    pub fn follow(
        &self,
        mut told: watch::Receiver<Arc<str>>,
        shutdown: CancellationToken,
    ) -> Result<impl Future<Output = ()> + Send + 'static> {
        self.trust(&told.borrow_and_update().clone())?;
        let this = self.clone();
        Ok(async move {
            while let Some(Ok(())) = shutdown.run_until_cancelled(told.changed()).await {
                let authorities = told.borrow_and_update().clone();
                if let Err(error) = this.trust(&authorities) {
                    tracing::error!(causes = error.chain(), "new authorities are not trusted: {error}");
                }
            }
        })
    }

    /// Whether a client without a certificate is refused.
    pub fn requires_certificates(&self) -> bool {
        self.0.tls.clients == crate::Clients::Required
    }

    /// Makes the handshake. The certificate is the client's, if it has shown one.
    ///
    /// A session that is resumed brings the certificate of its beginning along, without the checks of a handshake: they
    /// are made up for here.
    ///
    /// # Errors
    ///
    /// Those of the handshake, `TimedOut`, and `PermissionDenied` where a certificate is required and no authority is
    /// trusted yet, or that of a resumed session is not good any more.
    pub async fn accept<IO>(&self, io: IO) -> io::Result<(Stream<IO>, Option<Arc<Certificate>>)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let inner = &self.0;
        let shaking = async {
            let _turn = inner.turns.acquire().await.map_err(io::Error::other)?;
            let current = inner.current.load_full();
            let stream = TlsAcceptor::from(Arc::clone(&current.config)).accept(io).await?;
            Ok::<_, io::Error>((stream, current))
        };
        let (stream, current) = timeout(inner.bounds.handshake, shaking)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"))??;
        let connection = stream.get_ref().1;
        let mut shown = None;
        if let (Some([own, above @ ..]), Some(verifier)) = (connection.peer_certificates(), &current.verifier)
        {
            let is_resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
            if is_resumed && verifier.verify_client_cert(own, above, UnixTime::now()).is_err() {
                // So that the client begins anew instead of coming back with another ticket.
                inner.tickets.forget();
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            shown = Some(own);
        }
        if shown.is_none() && self.requires_certificates() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let certificate = match shown {
            // A certificate that passed the handshake was read there already.
            Some(der) => Some(Arc::new(Certificate::read(der).ok_or(io::ErrorKind::InvalidData)?)),
            None => None,
        };
        Ok((stream, certificate))
    }

    /// Looks for new files until `shutdown`. Connections that are open keep what they have.
    pub async fn tend(self, shutdown: CancellationToken) {
        let inner = &self.0;
        let mut beat = interval(inner.bounds.reload);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refused = None;
        while shutdown.run_until_cancelled(beat.tick()).await.is_some() {
            // Files that are being replaced may be away for a moment.
            let Ok(loaded) = inner.tls.load().await else { continue };
            if loaded == inner.current.load().loaded || refused.as_ref() == Some(&loaded) {
                continue;
            }
            let trusted = inner.trusted.lock().unwrap_or_else(PoisonError::into_inner);
            match self.renew(loaded.clone(), trusted.as_deref()) {
                Ok(()) => tracing::info!("new certificates are in use"),
                // Certificate and key may not have been replaced both yet.
                Err(error) => {
                    tracing::warn!(causes = error.chain(), "the new certificates are not used: {error}");
                    refused = Some(loaded);
                }
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("tls::Server").field(&self.0.tls).finish()
    }
}

fn current(
    tls: &Tls,
    loaded: Loaded,
    protocols: &[Vec<u8>],
    trusted: Option<&str>,
    (revocations, tickets): (Option<Arc<dyn Revocations>>, &Arc<Tickets>),
) -> Result<Current> {
    let chain = certificates(&loaded.certificate, "the server's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(loaded.key.as_bytes()).map_err(|error| {
        Error::invalid("the server's private key is not PEM of a private key").cause(error)
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS cannot be set up").cause(error))?;
    let own = loaded.client_authorities.as_deref();
    let all: Vec<&str> = own.into_iter().chain(trusted).collect();
    let verifier = match all.as_slice() {
        [] => None,
        _ => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(&all.join("\n"), "the authorities of clients")? {
                roots.add(authority).map_err(|error| {
                    Error::invalid("an authority of clients is not a good certificate").cause(error)
                })?;
            }
            let verifier = Verifier::new(roots, tls.clients, revocations).map_err(|error| {
                Error::invalid("the authorities of clients are not good certificates").cause(error)
            })?;
            Some(Arc::new(verifier))
        }
    };
    let builder = match &verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => {
            builder.with_client_cert_verifier(Arc::clone(verifier) as Arc<dyn ClientCertVerifier>)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        Error::invalid("the server's certificate and its private key do not belong together, or are not good")
            .cause(error)
    })?;
    config.alpn_protocols = protocols.to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::clone(tickets) as Arc<dyn ProducesTickets>;
    // It holds the client's certificates, and one is enough to come back once.
    config.send_tls13_tickets = 1;
    Ok(Current { loaded, config: Arc::new(config), verifier })
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.map_err(|error| Error::invalid(format!("{what}: not PEM of certificates")).cause(error))?;
    if all.is_empty() {
        return Err(Error::invalid(format!("{what}: the PEM holds no certificate")));
    }
    Ok(all)
}
