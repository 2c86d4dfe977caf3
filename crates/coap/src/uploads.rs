//! Bodies that come in blocks (RFC 7959 §2.5): kept in order, in bounds, and only of those whose credentials held.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use coap_lite::{CoapOption, ResponseType};
use tokio::time::Instant;

use crate::block::Block;
use crate::limits::{BLOCK_PATIENCE, Limits};
use crate::request::Request;
use crate::wire::Reply;

/// A body on its way in.
#[derive(Debug)]
struct Upload {
    key: Vec<u8>,
    body: Vec<u8>,
    heard: Instant,
}

/// What a block leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The sender may go on.
    Continue(Block),
    /// The body is complete.
    Complete(Block, Vec<u8>),
}

/// All bodies on their way in.
#[derive(Debug)]
pub(crate) struct Uploads {
    by_peer: HashMap<SocketAddr, Vec<Upload>>,
    bytes: usize,
    limits: Arc<Limits>,
}

impl Uploads {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { by_peer: HashMap::new(), bytes: 0, limits }
    }

    /// Looks at a block before anything is done for it.
    ///
    /// # Errors
    ///
    /// The answer to a block that does not fit its own number, or to a body that announces to be too large.
    pub(crate) fn check(&self, request: &Request, block: Block) -> Result<(), Reply> {
        let len = request.payload.len();
        if len > block.size() || (block.more && len != block.size()) {
            return Err(Reply::text(ResponseType::BadRequest, "the block is not as long as it says"));
        }
        let announced = request.size1.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
        if announced.max(block.offset().saturating_add(len)) > self.limits.message_bytes {
            return Err(self.too_large());
        }
        Ok(())
    }

    /// Keeps the first block of a body, in place of an earlier attempt at the same.
    ///
    /// # Errors
    ///
    /// The answer where there is no room.
    pub(crate) fn begin(
        &mut self,
        peer: SocketAddr,
        request: &Request,
        block: Block,
        now: Instant,
    ) -> Result<Step, Reply> {
        self.drop_one(peer, &request.key);
        let uploads = self.by_peer.entry(peer).or_default();
        if uploads.len() >= self.limits.uploads_per_peer {
            return Err(busy("finish another transfer in blocks first"));
        }
        if self.bytes + request.payload.len() > self.limits.block_bytes {
            return Err(busy("too many transfers in blocks, try again later"));
        }
        self.bytes += request.payload.len();
        uploads.push(Upload { key: request.key.clone(), body: request.payload.to_vec(), heard: now });
        Ok(Step::Continue(block))
    }

    /// Adds a further block.
    ///
    /// # Errors
    ///
    /// The answer to a block that does not follow the last one, or for which there is no room.
    pub(crate) fn add(
        &mut self,
        peer: SocketAddr,
        request: &Request,
        block: Block,
        now: Instant,
    ) -> Result<Step, Reply> {
        let has_room = self.bytes + request.payload.len() <= self.limits.block_bytes;
        let upload = self
            .by_peer
            .get_mut(&peer)
            .and_then(|uploads| uploads.iter_mut().find(|upload| upload.key == request.key))
            .filter(|upload| upload.body.len() == block.offset());
        let Some(upload) = upload else {
            self.drop_one(peer, &request.key);
            return Err(Reply::text(
                ResponseType::RequestEntityIncomplete,
                "blocks are missing, begin again with the first",
            ));
        };
        if !has_room {
            self.drop_one(peer, &request.key);
            return Err(busy("too many transfers in blocks, try again later"));
        }
        upload.body.extend_from_slice(&request.payload);
        upload.heard = now;
        self.bytes += request.payload.len();
        if block.more {
            return Ok(Step::Continue(block));
        }
        Ok(Step::Complete(block, self.drop_one(peer, &request.key).unwrap_or_default()))
    }

    /// Forgets bodies whose next block has not come.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let mut freed = 0;
        self.by_peer.retain(|_, uploads| {
            uploads.retain(|upload| {
                let keep = now.duration_since(upload.heard) < BLOCK_PATIENCE;
                freed += if keep { 0 } else { upload.body.len() };
                keep
            });
            !uploads.is_empty()
        });
        self.bytes -= freed;
    }

    /// Forgets everything of a peer.
    pub(crate) fn forget(&mut self, peer: SocketAddr) {
        let uploads = self.by_peer.remove(&peer).unwrap_or_default();
        self.bytes -= uploads.iter().map(|upload| upload.body.len()).sum::<usize>();
    }

    pub(crate) fn is_used_by(&self, peer: SocketAddr) -> bool {
        self.by_peer.contains_key(&peer)
    }

    fn drop_one(&mut self, peer: SocketAddr, key: &[u8]) -> Option<Vec<u8>> {
        let uploads = self.by_peer.get_mut(&peer)?;
        let at = uploads.iter().position(|upload| upload.key == key);
        let body = at.map(|at| uploads.swap_remove(at).body);
        if uploads.is_empty() {
            self.by_peer.remove(&peer);
        }
        self.bytes -= body.as_ref().map_or(0, Vec::len);
        body
    }

    /// The answer to a body over the bound, which names it (RFC 7959 §2.9.3).
    pub(crate) fn too_large(&self) -> Reply {
        let most = u32::try_from(self.limits.message_bytes).unwrap_or(u32::MAX);
        Reply::text(ResponseType::RequestEntityTooLarge, "the message is too large")
            .with_number(CoapOption::Size1, most)
    }
}

fn busy(text: &str) -> Reply {
    Reply::text(ResponseType::ServiceUnavailable, text).with_number(CoapOption::MaxAge, 5)
}

#[cfg(test)]
#[path = "uploads_tests.rs"]
mod tests;
