//! Who is there: a node joins, shows that it is alive, and takes the place of those that are dead.
//!
//! The race it must win: a node that was taken for dead and is not. It loses its lease by a DELETE that waits for whatever
//! the node is writing, and every later transaction of the node finds that it has none. The node itself takes its lease for
//! lost when it could not renew it for so long, and closes its connections, because others answer for it from then on.
//!
//! Two nodes that see each other for the first time each tell the other what they read, at the beginning of their link and
//! before anything else, and then say Hello. Who hears a Hello waits for that node from then on, and says Welcome behind all
//! that it has said before. A newcomer lets nobody in before all others have said both; until then nobody waits for it, so
//! that one which cannot be reached holds up nobody.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use cluster::{Bounds, Network, NodeId, Peers};
use db::{Db, Tx};
use kernel::{Kind, Result, Secret};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::frame::Frame;
use super::hear::hear;
use super::post::Post;
use super::{Nodes, shadow};
use crate::engine::link::Close;
use crate::engine::{Core, Engine};
use crate::limits::Limits;
use crate::store;
use crate::wire::ReasonCode;

/// How often a lease is renewed in its life.
const RENEWALS: u32 = 5;
/// How long a newcomer waits for others before it says whom it waits for.
const REPORT: Duration = Duration::from_secs(5);

/// How a node takes part in a cluster.
pub struct Setup {
    /// The way to the other nodes.
    pub network: Arc<dyn Network>,
    /// What all nodes have and nobody else.
    pub key: Secret<[u8; 32]>,
    /// After this long without a sign of life a node is dead. At least a second.
    pub lease: Duration,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A node that has joined and does not take part yet.
pub(in crate::engine) struct Joined {
    pub(in crate::engine) nodes: Arc<Nodes>,
    db: Db,
    lease: Duration,
    since: Instant,
    wake: Arc<Notify>,
    listening: cluster::Listening,
}

/// What a renewal has found.
enum Renewed {
    /// The nodes that there are.
    Among(Vec<u64>),
    /// The lease is lost.
    Lost,
}

impl Joined {
    /// Makes a node, which others see from now on.
    pub(in crate::engine) async fn join(db: Db, limits: &Limits, setup: Setup) -> Result<Self> {
        let lease = setup.lease.max(Duration::from_secs(1));
        let since = Instant::now();
        let me = db.write(|tx| Box::pin(store::join(tx))).await?;
        let packet = usize::try_from(limits.packet_bytes).unwrap_or(usize::MAX);
        let bounds = Bounds::default();
        // A frame holds a packet and little besides.
        let bounds = Bounds { message: bounds.message.max(packet.saturating_add(1 << 20)), ..bounds };
        let peers = Peers::new(NodeId(me), bounds, setup.key.expose(), setup.network.transport());
        let listening = setup.network.listen(NodeId(me), peers.clone()).await?;
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        db.hear_late(store::NODES, move |_| woken.notify_one());
        Ok(Self { nodes: Arc::new(Nodes::new(me, peers)), db, lease, since, wake, listening })
    }

    /// Takes part: from now on the node shows that it is alive, and hears what others say. Returns when all others know of
    /// it, and it of them.
    pub(in crate::engine) async fn begin(self, core: &Arc<Core>) {
        let nodes = Arc::clone(&self.nodes);
        tokio::spawn(self.keep(Arc::downgrade(core)));
        let mut reported = Instant::now();
        loop {
            let mut changed = std::pin::pin!(nodes.changed_members.notified());
            changed.as_mut().enable();
            if nodes.all_know() {
                return;
            }
            let _woken = timeout(REPORT, changed).await;
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                let waiting = nodes.strangers();
                tracing::warn!(nodes = ?waiting, "waiting for other nodes; they are reached over NATS");
            }
        }
    }

    async fn keep(self, core: Weak<Core>) {
        let Self { nodes, db, lease, mut since, wake, listening } = self;
        let me = nodes.me;
        loop {
            let began = Instant::now();
            let renewal = db.write(move |tx| Box::pin(renew(tx, me, lease)));
            let renewed = timeout_at(since + lease, renewal).await;
            let Some(core) = core.upgrade() else { return };
            match renewed {
                Ok(Ok(Renewed::Among(others))) => {
                    since = began;
                    core.members_are(&others);
                }
                Ok(Ok(Renewed::Lost)) => return core.is_expelled("other nodes took this one for dead"),
                Ok(Err(error)) if error.kind() == Kind::Unprocessable => {
                    return core.is_expelled("other nodes took this one for dead");
                }
                Ok(Err(error)) => {
                    tracing::warn!(cause = %error.chain(), "the lease of this node could not be renewed");
                }
                Err(_) => {}
            }
            if since.elapsed() >= lease {
                return core.is_expelled("the database did not answer for as long as a lease lasts");
            }
            drop(core);
            tokio::select! {
                () = nodes.lost.cancelled() => break,
                () = sleep(lease / RENEWALS) => {}
                () = wake.notified() => {}
            }
        }
        drop(listening);
    }
}

/// Renews the lease, deletes those that have run out, and looks who is there.
async fn renew(tx: &mut Tx, me: u64, lease: Duration) -> Result<Renewed> {
    if !store::renew(tx, me).await? {
        return Ok(Renewed::Lost);
    }
    store::bury(tx, me, lease).await?;
    let mut nodes = store::nodes(tx).await?;
    nodes.retain(|&node| node != me);
    Ok(Renewed::Among(nodes))
}

impl Nodes {
    /// Whether this node knows all others, and they it.
    fn all_know(&self) -> bool {
        let members = self.members.lock();
        members.seen && members.posts.values().all(|post| post.knows())
    }

    fn strangers(&self) -> Vec<u64> {
        let members = self.members.lock();
        members.posts.values().filter(|post| !post.knows()).map(|post| post.node.0).collect()
    }

    /// Begins to speak with a node, and tells it what it must know first.
    fn admit(&self, core: &Weak<Core>, node: u64) {
        let Some(inbox) = self.peers.admit(NodeId(node)) else { return };
        tracing::info!(node, "another node is there");
        let post = Arc::new(Post::new(NodeId(node)));
        {
            let mut members = self.members.lock();
            for &channel in &members.read {
                post.say(&Frame::Interest { channel, wanted: true });
            }
            for member in &members.in_groups {
                post.say(&Frame::Member(Box::new(member.clone())));
            }
            post.say(&Frame::Hello);
            members.posts.insert(node, Arc::clone(&post));
        }
        tokio::spawn(Arc::clone(&post).run(self.peers.clone()));
        tokio::spawn(hear(Weak::clone(core), post, inbox));
    }
}

impl Core {
    /// The other nodes are these.
    fn members_are(&self, others: &[u64]) {
        let Some(nodes) = &self.shared.nodes else { return };
        let known: Vec<u64> = nodes.members.lock().posts.keys().copied().collect();
        for node in others.iter().filter(|node| !known.contains(node)) {
            nodes.admit(&self.myself, *node);
        }
        let gone: Vec<u64> = known.into_iter().filter(|node| !others.contains(node)).collect();
        for &node in &gone {
            tracing::warn!(node, "another node has gone");
            self.dismiss(nodes, node);
        }
        nodes.members.lock().seen = true;
        nodes.changed_members.notify_waiters();
        if let Some(core) = self.myself.upgrade().filter(|_| !gone.is_empty()) {
            tokio::spawn(async move { core.take_the_place_of_the_dead().await });
        }
    }

    fn dismiss(&self, nodes: &Nodes, node: u64) {
        nodes.peers.dismiss(NodeId(node));
        let Some(post) = nodes.members.lock().posts.remove(&node) else { return };
        post.close();
        let mut channels = Vec::new();
        nodes.readers.lock().retain(|channel, posts| {
            let before = posts.len();
            posts.retain(|post| post.node.0 != node);
            if posts.len() < before {
                channels.push(*channel);
            }
            !posts.is_empty()
        });
        for room in channels.into_iter().filter_map(|channel| self.rooms.get(channel)) {
            room.readers_changed();
        }
        self.forget_members_of(nodes, node);
    }

    /// The node is none any more: its connections end.
    fn is_expelled(&self, why: &'static str) {
        tracing::error!("{why}: this node closes its connections and ends");
        self.closing.cancel();
        for session in self.registry.all() {
            if let Some(link) = session.link() {
                link.close(Close::Told(ReasonCode::SERVER_SHUTTING_DOWN));
            }
        }
        if let Some(nodes) = &self.shared.nodes {
            nodes.lost.cancel();
        }
    }
}

impl Engine {
    /// Returns when the node has lost its place in the cluster; it serves nobody any more then. Never on a node that is
    /// alone.
    pub async fn expelled(&self) {
        match &self.0.shared.nodes {
            Some(nodes) => nodes.lost.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Leaves the cluster, so that others take the node's place at once.
    pub(in crate::engine) async fn leave(&self) {
        let Some((nodes, committer)) = self.0.shared.nodes.as_ref().zip(self.0.shared.committer.as_ref())
        else {
            return;
        };
        if let Err(error) = shadow::leave(committer, nodes.me).await {
            tracing::warn!(cause = %error.chain(), "other nodes could not be told that this one goes");
        }
        nodes.lost.cancel();
    }
}
