//! Bytes on their way into one connection.
//!
//! Whoever publishes appends to the buffers of the subscribers under the lock of their session and, once per batch,
//! writes each buffer to its socket without waiting. The race it must win: bytes leave in the order they were
//! appended although any task may write. A buffer is *taken* by one writer at a time; others append to a fresh one
//! and go on, and the writer comes back for it. When the socket takes no more, the rest waits for the task that owns
//! the connection, which alone waits for the socket.

mod alias;
mod sample;

use std::{cell::RefCell, io, sync::Arc};

use tokio::net::TcpStream;
use tokio::time::Instant;

use self::alias::{Alias, Aliases};
use self::sample::Sample;
use crate::wire::{Delivery, PacketId, Text};

/// Where the bytes of a connection go.
pub(crate) trait Pipe: Send + Sync + 'static {
    /// Writes what can be written now. `WouldBlock`: nothing; the owner of the connection will try again when it
    /// can. A transport that only its owner can write to always says so.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// A pipe that only the owner of the connection writes to; see [`Pipe::try_write`].
pub(crate) struct OwnerOnly;

impl Pipe for OwnerOnly {
    fn try_write(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Pipe for TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }
}

impl<P: Pipe> Pipe for Arc<P> {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        P::try_write(self, bytes)
    }
}

/// Buffers kept by each thread for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES: usize = 256 << 10;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives an empty buffer back for reuse.
pub(crate) fn recycle(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > SPARE_BYTES {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
    });
}

/// What has not left yet. Holds no memory while there is nothing.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// How much of the buffer has been written already.
    written: usize,
    /// Bytes in the buffer that a writer has taken; `None` when nobody has.
    taken: Option<usize>,
    /// The socket is full: only the owner of the connection goes on.
    pub(crate) blocked: bool,
    /// Since when the socket has taken nothing, while it is full.
    pub(crate) stuck_since: Option<Instant>,
    /// Somebody has promised to flush.
    pub(crate) promised: bool,
    /// Something has left, and that began with the CONNACK.
    begun: bool,
    /// The last packet of the connection has been appended: no message may follow.
    pub(crate) sealed: bool,
    /// Topics that the client knows under a number.
    aliases: Aliases,
    /// How long messages are on their way.
    sample: Sample,
}

impl Output {
    /// For a connection whose client accepts this many topic aliases.
    pub(crate) fn accepting(topic_aliases: u16) -> Self {
        Self { aliases: Aliases::new(topic_aliases), ..Self::default() }
    }

    /// Whether messages may come under topic aliases, and so are written by [`Output::append`].
    pub(crate) const fn has_aliases(&self) -> bool {
        self.aliases.are_accepted()
    }

    /// Bytes that have not left yet.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written + self.taken.unwrap_or(0)
    }

    /// Whether everything that was appended has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether what has left begins with a CONNACK ([MQTT-3.14.0-1]) and ends with a whole packet, so that another
    /// may be written past the buffer.
    pub(crate) fn is_between_packets(&self) -> bool {
        self.begun && self.written == 0 && self.taken.is_none()
    }

    /// The buffer to append to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        &mut self.buffer
    }

    /// Appends a message, its topic under an alias where there is one. `false`: it is larger than the client accepts.
    pub(crate) fn append(
        &mut self,
        delivery: &Delivery<'_>,
        topic: &Text,
        packet_id: Option<PacketId>,
        largest: usize,
    ) -> bool {
        let alias = self.aliases.of(topic);
        let (number, name) = match alias {
            Alias::None => (None, delivery.topic),
            Alias::New(number) => (Some(number), delivery.topic),
            Alias::Known(number) => (Some(number), &[][..]),
        };
        let aliased = Delivery { topic: name, topic_alias: number, ..*delivery };
        let fits = |delivery: &Delivery<'_>| delivery.encoded_len().is_ok_and(|length| length <= largest);
        if !fits(&aliased) {
            // A new alias needs some bytes more than the topic alone.
            return fits(delivery) && delivery.append_to(packet_id, self.buffer()).is_ok();
        }
        let written = aliased.append_to(packet_id, self.buffer()).is_ok();
        if let Alias::New(number) = alias
            && written
        {
            self.aliases.learn(topic, number);
        }
        written
    }

    /// Takes the buffer for writing; `None`: there is nothing, or it is somebody else's turn.
    pub(crate) fn take(&mut self) -> Option<(Vec<u8>, usize)> {
        self.promised = false;
        if self.blocked || self.taken.is_some() || self.buffer.len() == self.written {
            return None;
        }
        self.taken = Some(self.buffer.len() - self.written);
        self.sample.taken();
        Some((std::mem::take(&mut self.buffer), std::mem::take(&mut self.written)))
    }

    /// Leaves the rest to the owner of the connection, because the socket takes no more.
    pub(crate) fn block(&mut self, now: Instant) {
        self.blocked = true;
        self.stuck_since.get_or_insert(now);
    }

    /// A message that was accepted at this moment comes into the buffer.
    pub(crate) fn carries(&mut self, accepted: Instant) {
        self.sample.carries(accepted);
    }

    /// Ends a turn: what was not written goes back in front of what has been appended since. When a message was accepted
    /// that has left now, if it is one of the sample.
    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>, written: usize) -> Option<Instant> {
        if self.taken.take() != Some(buffer.len() - written) {
            self.stuck_since = None;
            self.begun = true;
        }
        if written == buffer.len() {
            recycle(buffer);
            return self.sample.left();
        }
        if !self.buffer.is_empty() {
            buffer.extend_from_slice(&self.buffer);
        }
        recycle(std::mem::replace(&mut self.buffer, buffer));
        self.written = written;
        None
    }
}

/// How an attempt to write ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Everything is out.
    All,
    /// The socket is full.
    Blocked,
    /// The connection is gone.
    Broken,
}

/// Writes from `*written` on, until all is out or the socket is full.
pub(crate) fn write_out(pipe: &dyn Pipe, buffer: &[u8], written: &mut usize) -> Written {
    while let Some(rest) = buffer.get(*written..).filter(|rest| !rest.is_empty()) {
        match pipe.try_write(rest) {
            Ok(0) => return Written::Broken,
            Ok(count) => *written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Written::Blocked,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Written::Broken,
        }
    }
    Written::All
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    /// Takes up to `room` bytes, and then no more.
    struct Narrow {
        room: Lock<usize>,
        out: Lock<Vec<u8>>,
    }

    impl Pipe for Narrow {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock();
            let count = bytes.len().min(*room).min(3);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= count;
            self.out.lock().extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }

    #[test]
    fn bytes_leave_in_order_across_a_full_socket_and_appends_meanwhile() {
        let pipe = Narrow { room: Lock::new(5), out: Lock::default() };
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"12345678");

        let (buffer, mut written) = output.take().unwrap();
        assert!(output.take().is_none(), "one writer at a time");
        output.buffer().extend_from_slice(b"9abc");
        assert_eq!(output.len(), 12);
        assert_eq!(write_out(&pipe, &buffer, &mut written), Written::Blocked);
        output.give_back(buffer, written);
        let first = Instant::now();
        output.block(first);
        assert_eq!(output.len(), 7);
        assert!(!output.is_between_packets());

        output.blocked = false;
        let (buffer, mut written) = output.take().unwrap();
        assert_eq!(write_out(&pipe, &buffer, &mut written), Written::Blocked);
        output.give_back(buffer, written);
        output.block(first + std::time::Duration::from_secs(1));
        assert_eq!(output.stuck_since, Some(first), "nothing was taken since");

        *pipe.room.lock() = 100;
        output.blocked = false;
        let (buffer, mut written) = output.take().unwrap();
        assert_eq!(write_out(&pipe, &buffer, &mut written), Written::All);
        output.give_back(buffer, written);
        assert_eq!(*pipe.out.lock(), b"123456789abc");
        assert_eq!(output.stuck_since, None);
        assert!(output.is_empty() && output.is_between_packets());
    }

    #[test]
    fn nothing_is_said_past_the_buffer_before_the_connack_has_left() {
        let mut output = Output::default();
        output.buffer().extend_from_slice(b"connack");
        assert!(!output.is_between_packets(), "it is still here");
        let (buffer, _) = output.take().unwrap();
        assert!(!output.is_between_packets(), "somebody writes");
        output.give_back(buffer, 3);
        assert!(!output.is_between_packets(), "half of it has left");
        let (buffer, _) = output.take().unwrap();
        output.give_back(buffer, 7);
        assert!(output.is_between_packets());
        output.buffer().extend_from_slice(b"more");
        assert!(output.is_between_packets(), "nothing of what is new has left");
    }
}
