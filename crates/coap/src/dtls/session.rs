//! One DTLS session, as `dimpl` keeps it: the only file that uses that crate.
//!
//! Two things reach it by the thread, since it asks for them while it works on a datagram and cannot wait: the cookie
//! that the address has returned already, and the key that was looked up already.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use dimpl::crypto::{CryptoProvider, Dtls12CipherSuite, HmacProvider, aws_lc_rs as library};
use dimpl::{Config, CryptoError, Dtls, HashAlgorithm, Output, PskResolver};
use kernel::{Error, Result};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::cookie::Cookie;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Largest datagram that is sent.
const LARGEST: usize = 1_400;

/// A pre-shared key.
pub(crate) type Key = Zeroizing<Vec<u8>>;

thread_local! {
    static COOKIE: Cell<Option<Cookie>> = const { Cell::new(None) };
    static KEY: RefCell<Option<Key>> = const { RefCell::new(None) };
}

/// HMAC, except that the cookie which is asked for is the one that was checked already. In version 1.2 nothing but the
/// cookie is computed by this provider, and only while a hello is worked on there is one to give.
#[derive(Debug)]
struct Checked;

static CHECKED: Checked = Checked;

impl HmacProvider for Checked {
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> std::result::Result<[u8; 32], CryptoError> {
        if let Some(cookie) = COOKIE.get() {
            return Ok(cookie);
        }
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
        Ok(tag.as_ref().try_into().unwrap_or_default())
    }

    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> std::result::Result<usize, CryptoError> {
        library::default_provider().hmac_provider.hmac(hash, key, data, out)
    }
}

/// Gives the key that was looked up for the datagram which is worked on. None: the handshake goes on with a random key and
/// fails at its end, like one with a wrong key.
struct LookedUp;

impl PskResolver for LookedUp {
    fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
        KEY.with_borrow_mut(Option::take).map(|key| key.to_vec())
    }
}

/// What all sessions have in common.
#[derive(Clone)]
pub(crate) struct Common(Arc<Config>);

impl Common {
    /// # Errors
    ///
    /// `Internal`: the library does not take what it is given.
    pub(crate) fn new() -> Result<Self> {
        let provider = CryptoProvider { hmac_provider: &CHECKED, ..library::default_provider() };
        let config = Config::builder()
            .with_crypto_provider(provider)
            .with_psk_server(None, Arc::new(LookedUp))
            .dtls12_cipher_suites(&[Dtls12CipherSuite::PSK_AES128_CCM_8])
            .dtls13_cipher_suites(&[])
            .mtu(LARGEST)
            .handshake_timeout(HANDSHAKE)
            .build();
        config.map(|config| Self(Arc::new(config))).map_err(Error::internal)
    }
}

/// What a session has to say.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Datagrams for the peer.
    pub(crate) packets: Vec<Vec<u8>>,
    /// What the peer has sent.
    pub(crate) data: Vec<Vec<u8>>,
    /// The handshake is complete.
    pub(crate) is_connected: bool,
    /// The session is over.
    pub(crate) is_over: bool,
    /// When it wants to be asked again.
    pub(crate) due: Option<Instant>,
}

/// One session.
pub(crate) struct Session(Dtls);

impl Session {
    /// A session whose peer has returned this cookie.
    pub(crate) fn new(common: &Common, without_cookie: &[u8], hello: &[u8], cookie: Cookie) -> (Self, Said) {
        let now = Instant::now();
        let mut session = Self(Dtls::new_12_psk(Arc::clone(&common.0), now.into_std()));
        COOKIE.set(Some(cookie));
        // It wants to have asked for the cookie itself.
        let asked = session.take(without_cookie, None, now);
        let said = if asked.is_over { asked } else { session.take(hello, None, now) };
        COOKIE.set(None);
        (session, said)
    }

    /// Takes a datagram; `key` is the one that it names.
    pub(crate) fn take(&mut self, datagram: &[u8], key: Option<Key>, now: Instant) -> Said {
        KEY.set(key);
        let done = self.0.handle_timeout(now.into_std()).and_then(|()| self.0.handle_packet(datagram));
        KEY.set(None);
        self.said(done.is_ok())
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) -> Said {
        let done = self.0.handle_timeout(now.into_std());
        self.said(done.is_ok())
    }

    /// Sends something to the peer.
    pub(crate) fn send(&mut self, bytes: &[u8], now: Instant) -> Said {
        let done = self
            .0
            .handle_timeout(now.into_std())
            .and_then(|()| self.0.send_application_data(bytes).map(|_| ()));
        self.said(done.is_ok())
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) -> Said {
        let done = self.0.close();
        Said { is_over: true, ..self.said(done.is_ok()) }
    }

    fn said(&mut self, is_alive: bool) -> Said {
        let mut said = Said { is_over: !is_alive, ..Said::default() };
        let mut buffer = vec![0; 2_048];
        loop {
            match self.0.poll_output(&mut buffer) {
                Output::Packet(packet) => said.packets.push(packet.to_vec()),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::ApplicationData(data) => said.data.push(data.to_vec()),
                Output::Connected => said.is_connected = true,
                Output::CloseNotify => said.is_over = true,
                Output::Timeout(at) => {
                    said.due = Some(Instant::from_std(at));
                    return said;
                }
                _ => {}
            }
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
