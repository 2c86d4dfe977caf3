//! Reading without a buffer per connection.
//!
//! Each thread has one large buffer. A read fills it, the packets of the read are slices of it, and when they are
//! gone its memory is used again. A connection keeps only the beginning of a packet whose end has not come yet.

use std::{cell::RefCell, io};

use bytes::{Bytes, BytesMut};
use tokio::{io::Interest, net::TcpStream};

/// Size of the shared buffer, and the least room that a read is given.
const BUFFER: usize = 64 << 10;
const LEAST_ROOM: usize = 16 << 10;
/// A longer beginning of a packet stays in the buffer that it was read into; a shorter one is copied out.
const COPIED: usize = 8 << 10;

thread_local! {
    static SCRATCH: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// What is left of a read: the beginning of a packet.
#[derive(Debug, Default)]
pub(super) struct Rest(BytesMut);

impl Rest {
    /// Keeps the part of `input` that was not decoded.
    pub(super) fn keep(&mut self, input: Bytes) {
        if input.len() <= COPIED {
            self.0 = BytesMut::from(&*input);
        } else {
            self.0 = input.try_into_mut().unwrap_or_else(|input| BytesMut::from(&*input));
        }
    }

    /// Reads what is there now behind what was left; empty at the end of the stream. `fill` appends to the buffer and
    /// says how much.
    ///
    /// # Errors
    ///
    /// Those of `fill`; `WouldBlock` when there is nothing to read.
    pub(super) fn read(
        &mut self,
        fill: impl FnOnce(&mut BytesMut) -> io::Result<usize>,
    ) -> io::Result<Bytes> {
        if self.0.len() > COPIED {
            self.0.reserve(BUFFER);
            let count = fill(&mut self.0)?;
            return Ok(if count == 0 { Bytes::new() } else { std::mem::take(&mut self.0).freeze() });
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.capacity() < LEAST_ROOM + self.0.len() {
                scratch.reserve(BUFFER);
            }
            scratch.extend_from_slice(&self.0);
            match fill(scratch) {
                Ok(0) => {
                    scratch.clear();
                    Ok(Bytes::new())
                }
                Ok(_) => {
                    self.0 = BytesMut::new();
                    Ok(scratch.split().freeze())
                }
                Err(error) => {
                    scratch.clear();
                    Err(error)
                }
            }
        })
    }
}

/// Reads once from a plain socket. A read that leaves room in the buffer has emptied the socket: the socket then counts as not readable
/// until the operating system says otherwise, which saves the read that would find nothing.
///
/// INVARIANT: `try_io` notes the readiness before the read and takes back only that one, so that bytes that arrive in
/// between are not overlooked.
pub(super) fn read_into(stream: &TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    let room = buffer.capacity() - buffer.len();
    let mut last = None;
    let outcome = stream.try_io(Interest::READABLE, || match stream.try_read_buf(buffer) {
        Ok(count) if count > 0 && count < room => {
            last = Some(count);
            Err(io::ErrorKind::WouldBlock.into())
        }
        other => other,
    });
    last.map_or(outcome, Ok)
}
