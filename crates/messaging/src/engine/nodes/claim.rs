//! A client comes to this node, and its session is at another.
//!
//! All nodes are told that it comes. One that has a connection of it closes that (0x8E), and gives a stored session away:
//! what is to be written about it is written first, then its owner. When all have done so, the newcomer reads the session's
//! rows, and it is here.
//!
//! The races it must win. Two connections of one client at two nodes at once: both tell all nodes before either has its
//! session. A node that hears of the other's while its own still waits gives way if the other node has the higher number,
//! so that exactly one is let in. And messages that are stored while the session moves: see `mod.rs`.

use std::sync::{
    Arc,
    atomic::{
        AtomicBool,
        Ordering::{Relaxed, SeqCst},
    },
};
use std::time::Duration;

use kernel::Result;
use tokio::time::Instant;

use super::frame::Frame;
use super::hear::Rest;
use super::{Nodes, shadow};
use crate::engine::Core;
use crate::engine::commit::{self, Committer, Order};
use crate::engine::connect::Aftermath;
use crate::engine::session::Session;
use crate::engine::{registry, takeover};
use crate::gate::{Identity, IdentityKey};
use crate::lock::Lock;
use crate::store;
use crate::wire::{ReasonCode, Text};

/// Who is being let in at this node.
#[derive(Debug, Default)]
pub(super) struct Claims(Lock<Vec<Arc<Claiming>>>);

#[derive(Debug)]
struct Claiming {
    identity: IdentityKey,
    name: Text,
    outdone: AtomicBool,
}

/// The right of a newcomer to its session. To be held until it has it.
#[derive(Debug)]
pub(crate) struct Claim {
    nodes: Arc<Nodes>,
    claiming: Arc<Claiming>,
}

impl Claim {
    /// Whether another connection of the same client was let in at another node meanwhile.
    pub(crate) fn is_outdone(&self) -> bool {
        self.claiming.outdone.load(SeqCst)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.nodes.claims.0.lock().retain(|claiming| !Arc::ptr_eq(claiming, &self.claiming));
    }
}

impl Core {
    /// Gets a client its session from wherever it is; `None`: there is one node only. `anew`: it wants none of before.
    pub(crate) async fn claim(
        &self,
        identity: &Identity,
        name: &Text,
        anew: bool,
    ) -> Result<Option<Claim>, ReasonCode> {
        let Some(nodes) = &self.shared.nodes else { return Ok(None) };
        let (identity_key, name) = (identity.key(), name.detached());
        let claiming =
            Claiming { identity: identity_key, name: name.clone(), outdone: AtomicBool::new(false) };
        let claim = Claim { nodes: Arc::clone(nodes), claiming: Arc::new(claiming) };
        nodes.claims.0.lock().push(Arc::clone(&claim.claiming));
        nodes.members.lock().say(&Frame::Takeover { identity: identity_key, name: name.clone(), anew });
        nodes.settled().await;
        if claim.is_outdone() {
            return Err(ReasonCode::SERVER_BUSY);
        }
        if let Identity::Client { client, .. } = identity
            && self.fetch(*client, &name).await.inspect_err(report).is_err()
        {
            return Err(ReasonCode::SERVER_UNAVAILABLE);
        }
        Ok(Some(claim))
    }

    /// Takes the stored session of a client that comes, if there is one and it is not here.
    async fn fetch(&self, client: kernel::ClientId, name: &Text) -> Result<()> {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return Ok(());
        };
        if self.registry.of(IdentityKey::Client(client)).iter().any(|session| session.client_id == *name) {
            return Ok(());
        }
        all_is_written(committer).await;
        let wanted = name.as_str().to_owned();
        let found =
            committer.db().read(move |tx| Box::pin(async move { store::named(tx, client, &wanted).await }));
        let Some(found) = found.await?.pop() else { return Ok(()) };
        shadow::own(committer, nodes.me, found.id).await?;
        self.take_in(&[found.id], false).await
    }
}

impl Core {
    /// A client has come to another node: whatever this one has of it ends, or is given away.
    pub(super) fn let_go(
        self: Arc<Self>,
        to: u64,
        identity: IdentityKey,
        name: &Text,
        anew: bool,
    ) -> Option<Rest> {
        let (nodes, committer) = self.shared.nodes.clone().zip(self.shared.committer.clone())?;
        for claiming in nodes.claims.0.lock().iter() {
            if to > nodes.me && claiming.identity == identity && claiming.name == *name {
                claiming.outdone.store(true, SeqCst);
            }
        }
        let mut aftermath = Aftermath::default();
        let session = {
            let mut shard = self.registry.shard(identity).lock();
            let Some(session) = shard.get(&identity).and_then(|sessions| sessions.get(name)).cloned() else {
                // One that has just ended may still stand in the tables.
                drop(shard);
                return Some(all_is_written(&committer));
            };
            let mut state = session.state.lock();
            let ends = anew || !session.is_stored() || state.expiry == 0;
            takeover::displace(&session, &mut state, ends, &mut aftermath);
            if !ends {
                let expiry = state.expiry;
                state.will_due = None;
                let lasts = Duration::from_secs(expiry.into());
                state.ends_at.get_or_insert_with(|| Instant::now() + lasts);
                self.store_detached(&session, &state, expiry);
                state.ends_at = None;
                self.deadlines.set(&session, &mut state);
            }
            registry::remove(&mut shard, &session);
            drop(state);
            session
        };
        let ended = !aftermath.ended.is_empty();
        self.settle(aftermath);
        if ended {
            return Some(all_is_written(&committer));
        }
        self.uncount(&session);
        let (done, given) = tokio::sync::oneshot::channel();
        committer.push(Order::Give { session: Arc::clone(&session), to, done });
        Some(Box::pin(async move {
            // It is written, however long that takes; if this node ends first, its place is taken by another.
            if given.await.is_ok() {
                self.read_again(vec![session.id]).await;
            }
        }))
    }

    /// A session is not counted as one of this node any more.
    fn uncount(&self, session: &Session) {
        let subscriptions = session.state.lock().subscriptions.len() as u64;
        self.shared.stats.sessions.fetch_sub(1, Relaxed);
        self.shared.stats.stored_sessions.fetch_sub(1, Relaxed);
        self.shared.stats.subscriptions.fetch_sub(subscriptions, Relaxed);
    }
}

/// Returns when all that was to be written about sessions so far is written, or cannot be.
fn all_is_written(committer: &Committer) -> Rest {
    let written = committer.accept(commit::Batch::default());
    Box::pin(async move {
        let _written = commit::answer(written).await;
    })
}

fn report(error: &kernel::Error) {
    tracing::warn!(cause = %error.chain(), "a client could not be given its session from another node");
}
