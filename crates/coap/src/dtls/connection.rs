//! One connection: its session, and the key that its handshake waits for.

use messaging::{Epoch, Identity, SharedKey};
use tokio::time::Instant;

use super::hello;
use super::session::{Said, Session};

/// Datagrams that are held while a key is looked up: what a client sends of one flight.
const HELD: usize = 4;

/// The key of a connection.
#[derive(Debug)]
enum Keying {
    /// The client has not named it yet.
    Unnamed,
    /// It is being looked up; what has come since waits.
    Asked(Vec<Vec<u8>>),
    /// Nobody has it, or it has been used.
    Settled,
    /// The handshake goes on with it.
    Found(Epoch, Box<SharedKey>),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Tells it from an earlier one of the same address.
    pub(crate) number: u64,
    /// The client's random number, by which a repeated hello is known.
    pub(crate) random: Vec<u8>,
    pub(crate) heard: Instant,
    pub(crate) is_connected: bool,
    session: Session,
    keying: Keying,
}

/// What has come of a datagram.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The session says something.
    Said(Said),
    /// The key of this name must be looked up.
    Asks(String),
    /// Nothing.
    Waits,
}

impl Connection {
    pub(crate) fn new(number: u64, random: Vec<u8>, session: Session, now: Instant) -> Self {
        Self { number, random, heard: now, is_connected: false, session, keying: Keying::Unnamed }
    }

    /// Takes a datagram.
    pub(crate) fn take(&mut self, datagram: &[u8], now: Instant) -> Taken {
        self.heard = now;
        if let Keying::Asked(held) = &mut self.keying {
            if held.len() < HELD {
                held.push(datagram.to_vec());
            }
            return Taken::Waits;
        }
        if let (Keying::Unnamed, Some(name)) = (&self.keying, hello::key_name(datagram)) {
            self.keying = Keying::Asked(vec![datagram.to_vec()]);
            return Taken::Asks(String::from_utf8_lossy(name).into_owned());
        }
        Taken::Said(self.session.take(datagram, None, now))
    }

    /// Goes on with the key, or without one.
    pub(crate) fn go_on(&mut self, found: Option<(Epoch, SharedKey)>, now: Instant) -> Vec<Said> {
        let Keying::Asked(held) = std::mem::replace(&mut self.keying, Keying::Settled) else {
            return Vec::new();
        };
        let mut key = found.as_ref().map(|(_, found)| found.key.expose().as_bytes().to_vec().into());
        if let Some((epoch, found)) = found {
            self.keying = Keying::Found(epoch, Box::new(found));
        }
        held.iter().map(|datagram| self.session.take(datagram, key.take(), now)).collect()
    }

    /// The handshake is complete: who is there.
    pub(crate) fn connect(&mut self) -> Option<(Epoch, Identity)> {
        self.is_connected = true;
        match std::mem::replace(&mut self.keying, Keying::Settled) {
            Keying::Found(epoch, found) => {
                let SharedKey { identity, attempt, .. } = *found;
                attempt.succeeded();
                Some((epoch, identity))
            }
            Keying::Unnamed | Keying::Asked(_) | Keying::Settled => None,
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8], now: Instant) -> Said {
        self.session.send(bytes, now)
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Said {
        self.session.tick(now)
    }

    pub(crate) fn close(&mut self) -> Said {
        self.session.close()
    }
}
