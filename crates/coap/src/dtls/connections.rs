//! All connections of a port.
//!
//! An address gets a connection when it has returned its cookie, so that made-up addresses cost nothing but the
//! computation of one. Handshakes and connections have bounds, for each address too, and whoever is silent for long goes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kernel::Result;
use messaging::{Epoch, Identity, SharedKey};
use tokio::time::Instant;

use super::connection::{Connection, Taken};
use super::cookie::Cookies;
use super::hello::Hello;
use super::session::{Common, Said, Session};
use crate::limits::Limits;
use crate::stats::{Stats, count};

/// What is to be done outside.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Look up the key of this name; the answer goes to [`Connections::go_on`].
    Ask { peer: SocketAddr, number: u64, name: String },
    /// A connection is there.
    Connected { peer: SocketAddr, number: u64, epoch: Epoch, identity: Identity },
    /// It has sent this.
    Data { peer: SocketAddr, data: Vec<u8> },
    /// It is gone.
    Ended { peer: SocketAddr },
}

/// A key that was looked up: when, and what was found.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) peer: SocketAddr,
    pub(crate) number: u64,
    pub(crate) found: Option<(Epoch, SharedKey)>,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Connections {
    common: Common,
    cookies: Cookies,
    by_address: HashMap<SocketAddr, Connection>,
    /// Handshakes under way, in all and by address.
    handshakes: usize,
    handshakes_of: HashMap<IpAddr, usize>,
    last_number: u64,
    /// Datagrams to be sent.
    pub(crate) out: Vec<(SocketAddr, Vec<u8>)>,
    limits: Arc<Limits>,
    stats: Arc<Stats>,
}

impl std::fmt::Debug for Common {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Common")
    }
}

impl Connections {
    /// # Errors
    ///
    /// `Internal`: the library cannot be used as it is meant here.
    pub(crate) fn new(limits: Arc<Limits>, stats: Arc<Stats>) -> Result<Self> {
        Ok(Self {
            common: Common::new()?,
            cookies: Cookies::new(),
            by_address: HashMap::new(),
            handshakes: 0,
            handshakes_of: HashMap::new(),
            last_number: 0,
            out: Vec::new(),
            limits,
            stats,
        })
    }

    /// Takes a datagram.
    pub(crate) fn receive(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Vec<Opened> {
        if let Some(hello) = Hello::read(datagram) {
            return self.greeted(from, &hello, datagram, now);
        }
        let Some(connection) = self.by_address.get_mut(&from) else { return Vec::new() };
        let number = connection.number;
        match connection.take(datagram, now) {
            Taken::Said(said) => self.said(from, said),
            Taken::Asks(name) => vec![Opened::Ask { peer: from, number, name }],
            Taken::Waits => Vec::new(),
        }
    }

    fn greeted(&mut self, from: SocketAddr, hello: &Hello<'_>, datagram: &[u8], now: Instant) -> Vec<Opened> {
        if !self.cookies.hold(from, hello.random, hello.cookie) {
            let cookie = self.cookies.of(from, hello.random);
            self.out.push((from, Hello::verify_request(&cookie)));
            return Vec::new();
        }
        if let Some(connection) = self.by_address.get_mut(&from)
            && connection.random == hello.random
        {
            // It has come again.
            return match connection.take(datagram, now) {
                Taken::Said(said) => self.said(from, said),
                Taken::Asks(_) | Taken::Waits => Vec::new(),
            };
        }
        // The client has begun anew; the cookie shows that it is not somebody else.
        let mut opened = self.end(from);
        let own = self.handshakes_of.get(&from.ip()).copied().unwrap_or(0);
        let is_full = self.by_address.len() >= self.limits.connections
            || self.handshakes >= self.limits.handshakes
            || own >= self.limits.handshakes_per_address;
        if is_full || !hello.offers_psk || !hello.is_second() {
            count(&self.stats.dtls_failures);
            return opened;
        }
        let cookie = self.cookies.of(from, hello.random);
        let (session, said) = Session::new(&self.common, &hello.without_cookie(), datagram, cookie);
        self.last_number += 1;
        let connection = Connection::new(self.last_number, hello.random.to_vec(), session, now);
        self.by_address.insert(from, connection);
        self.handshakes += 1;
        *self.handshakes_of.entry(from.ip()).or_default() += 1;
        opened.extend(self.said(from, said));
        opened
    }

    /// Goes on with a handshake whose key was looked up.
    pub(crate) fn go_on(&mut self, shown: Shown, now: Instant) -> Vec<Opened> {
        let Shown { peer, number, found } = shown;
        let connection = self.by_address.get_mut(&peer).filter(|connection| connection.number == number);
        let said = connection.map(|connection| connection.go_on(found, now)).unwrap_or_default();
        said.into_iter().flat_map(|said| self.said(peer, said)).collect()
    }

    /// Encrypts and sends.
    pub(crate) fn send(&mut self, to: SocketAddr, bytes: &[u8], now: Instant) -> Vec<Opened> {
        let Some(connection) = self.by_address.get_mut(&to).filter(|connection| connection.is_connected)
        else {
            return Vec::new();
        };
        let said = connection.send(bytes, now);
        self.said(to, said)
    }

    /// Repeats what handshakes have not had an answer to.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Opened> {
        if self.handshakes == 0 {
            return Vec::new();
        }
        let waiting = self.by_address.iter_mut().filter(|(_, connection)| !connection.is_connected);
        let said: Vec<_> = waiting.map(|(peer, connection)| (*peer, connection.tick(now))).collect();
        said.into_iter().flat_map(|(peer, said)| self.said(peer, said)).collect()
    }

    /// Ends connections that were silent for long, unless `keep` says that they are waited for.
    pub(crate) fn sweep(&mut self, now: Instant, keep: impl Fn(SocketAddr) -> bool) -> Vec<Opened> {
        let idle = self.limits.idle;
        let silent: Vec<_> = self
            .by_address
            .iter()
            .filter(|(peer, connection)| now.duration_since(connection.heard) >= idle && !keep(**peer))
            .map(|(peer, _)| *peer)
            .collect();
        silent.into_iter().flat_map(|peer| self.close(peer)).collect()
    }

    /// Says goodbye and ends a connection.
    pub(crate) fn close(&mut self, peer: SocketAddr) -> Vec<Opened> {
        let Some(connection) = self.by_address.get_mut(&peer) else { return Vec::new() };
        let said = connection.close();
        self.said(peer, said)
    }

    /// Ends a connection if it is still this one.
    pub(crate) fn close_one(&mut self, peer: SocketAddr, number: u64) -> Vec<Opened> {
        let is_it = self.by_address.get(&peer).is_some_and(|connection| connection.number == number);
        if is_it { self.close(peer) } else { Vec::new() }
    }

    /// Says goodbye to all.
    pub(crate) fn close_all(&mut self) {
        let all: Vec<_> = self.by_address.keys().copied().collect();
        for peer in all {
            self.close(peer);
        }
    }

    fn said(&mut self, peer: SocketAddr, said: Said) -> Vec<Opened> {
        let mut opened = Vec::new();
        self.out.extend(said.packets.into_iter().map(|packet| (peer, packet)));
        if said.is_connected
            && let Some(connection) = self.by_address.get_mut(&peer)
        {
            let (number, shown) = (connection.number, connection.connect());
            self.handshake_ended(peer);
            self.stats.dtls_connections.fetch_add(1, Relaxed);
            match shown {
                Some((epoch, identity)) => {
                    opened.push(Opened::Connected { peer, number, epoch, identity });
                }
                // It cannot be: a handshake without a key does not come to its end.
                None => return self.end(peer),
            }
        }
        opened.extend(said.data.into_iter().map(|data| Opened::Data { peer, data }));
        if said.is_over {
            opened.extend(self.end(peer));
        }
        opened
    }

    fn end(&mut self, peer: SocketAddr) -> Vec<Opened> {
        let Some(connection) = self.by_address.remove(&peer) else { return Vec::new() };
        if connection.is_connected {
            self.stats.dtls_connections.fetch_sub(1, Relaxed);
            return vec![Opened::Ended { peer }];
        }
        count(&self.stats.dtls_failures);
        self.handshake_ended(peer);
        Vec::new()
    }

    fn handshake_ended(&mut self, peer: SocketAddr) {
        self.handshakes = self.handshakes.saturating_sub(1);
        if let Some(own) = self.handshakes_of.get_mut(&peer.ip()) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.handshakes_of.remove(&peer.ip());
            }
        }
    }
}
