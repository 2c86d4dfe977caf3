//! The broker engine: sessions, routing, delivery. It knows no protocol beyond the words of MQTT, in which every
//! other protocol can be said.
//!
//! One walk of a message, by file: a connection's task reads packets (`mqtt/connection.rs`), a PUBLISH gets its
//! ticket (`publish.rs`), is kept if it is retained (`retain.rs`), and is copied to its subscribers (`fanout.rs`): into
//! the output of each (`output.rs`) or, with QoS 1 and 2, through its window (`inflight.rs`) or queue (`session.rs`).
//! At the end of the batch each output is written once.
//!
//! Those who do not speak MQTT read through a [`Reader`] (`reader.rs`) and publish with [`Engine::publish`].
//!
//! The rules that must hold:
//! - A QoS 1 or 2 message that was acknowledged to its publisher is in the window or the queue of every subscriber,
//!   until that subscriber acknowledges it, it expires, or the session ends.
//! - Every queue has a bound; only QoS 0 is dropped at it, everything else makes the publisher wait. A session that is
//!   over its bound and has no connection ends.
//! - A right that was revoked is not used again (`revoke.rs`).
//! - What is said about a stored session, and about a message to one, comes after its COMMIT (`commit`, `stored.rs`).
//! - No lock is held across an await or a system call (`lock.rs`).

pub(crate) mod commit;
pub(crate) mod connect;
mod depths;
pub(crate) mod disconnect;
mod expiry;
pub(crate) mod fanout;
pub(crate) mod figures;
pub(crate) mod handshakes;
pub(crate) mod inflight;
pub(crate) mod link;
mod mapping;
pub(crate) mod message;
mod nodes;
pub(crate) mod output;
mod overflow;
pub(crate) mod publish;
pub(crate) mod rate;
mod reader;
mod registry;
mod retain;
mod revoke;
mod room;
pub(crate) mod session;
mod shared;
mod shutdown;
mod stored;
pub(crate) mod subscribe;
mod takeover;
mod tree;
pub(crate) mod will;

use std::{
    fmt,
    sync::{Arc, Weak},
};

use db::Db;
use kernel::{ChannelId, Clock, DomainId, Result, Rng};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::nodes::Setup;
pub use self::reader::{Ended, Epoch, Publisher, Reader, Reading};

use self::commit::{Committer, Last};
use self::expiry::Deadlines;
use self::handshakes::Handshakes;
use self::nodes::{Joined, Nodes};
use self::publish::Origin;
use self::rate::Meters;
use self::registry::Registry;
use self::room::{Room, Rooms};
use self::session::Shared;
use crate::gate::{Gate, Identity, IdentityKey};
use crate::limits::Limits;
use crate::lock::Lock;
use crate::observer::{Event, Observer};
use crate::protocol::Protocol;
use crate::stats::Stats;
use crate::topic_map::TopicMap;
use crate::wire::Publish;

/// The engine. A clone is the same engine.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Core>);

/// What the clones share.
pub(crate) struct Core {
    /// For tasks that outlive the call that starts them.
    pub(crate) myself: Weak<Self>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    pub(crate) shared: Arc<Shared>,
    observer: Option<Arc<dyn Observer>>,
    pub(crate) observes_messages: bool,
    registry: Registry,
    rooms: Rooms,
    /// Where figures of the node are read.
    pub(crate) figures: Arc<Room>,
    pub(crate) started: Instant,
    /// Where topics lead that are not the platform's.
    topic_map: Lock<Arc<TopicMap>>,
    deadlines: Deadlines,
    /// Rates of those who publish without a connection, and of domains.
    callers: Meters<IdentityKey>,
    domains: Meters<DomainId>,
    /// Set when the node goes down.
    pub(crate) closing: CancellationToken,
    /// The tasks of the connections.
    pub(crate) connections: TaskTracker,
    /// Room for connections that have not got their CONNACK yet.
    pub(crate) handshakes: Arc<Handshakes>,
}

impl Engine {
    /// An engine without sessions. Must be called within a Tokio runtime: it keeps time in a task of its own.
    pub fn new(gate: Arc<dyn Gate>, clock: Clock, limits: Limits) -> Self {
        Self::build(gate, clock, limits, None, None, None)
    }

    /// An engine that tells an observer what happens.
    pub fn observed(gate: Arc<dyn Gate>, clock: Clock, limits: Limits, observer: Arc<dyn Observer>) -> Self {
        Self::build(gate, clock, limits, Some(observer), None, None)
    }

    /// An engine whose sessions and retained messages outlive it, in a database that has the tables of
    /// [`MIGRATIONS`](crate::MIGRATIONS): it goes on with what an earlier one has left there.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database cannot be read.
    pub async fn stored(
        gate: Arc<dyn Gate>,
        clock: Clock,
        limits: Limits,
        observer: Option<Arc<dyn Observer>>,
        db: Db,
    ) -> Result<Self> {
        let last = Last::find(&db).await?;
        let committer = Arc::new(Committer::new(db, clock.clone(), &last, None));
        let found = committer.find().await?;
        let engine = Self::build(gate, clock, limits, observer, Some((Arc::clone(&committer), last)), None);
        engine.0.restore(&committer, found);
        Ok(engine)
    }

    /// An engine that is one broker together with those of other nodes, over one database. Returns when all of them know of
    /// it, and it of them.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database or the network cannot be used.
    pub async fn clustered(
        gate: Arc<dyn Gate>,
        clock: Clock,
        limits: Limits,
        observer: Option<Arc<dyn Observer>>,
        db: Db,
        setup: Setup,
    ) -> Result<Self> {
        let joined = Joined::join(db.clone(), &limits, setup).await?;
        let nodes = Arc::clone(&joined.nodes);
        let last = Last::of(&nodes);
        let committer = Arc::new(Committer::new(db, clock.clone(), &last, Some(Arc::clone(&nodes))));
        let engine = Self::build(gate, clock, limits, observer, Some((committer, last)), Some(nodes));
        joined.begin(&engine.0).await;
        engine.take_part().await?;
        Ok(engine)
    }

    fn build(
        gate: Arc<dyn Gate>,
        clock: Clock,
        limits: Limits,
        observer: Option<Arc<dyn Observer>>,
        stored: Option<(Arc<Committer>, Last)>,
        nodes: Option<Arc<Nodes>>,
    ) -> Self {
        let handshakes = Arc::new(Handshakes::new(limits.handshakes, limits.handshakes_per_address));
        let (committer, last) = stored.unzip();
        let last_session = last.map_or(0, |last| last.session);
        let (callers, domains) = (Meters::new(limits.rate), Meters::new(limits.domain_rate));
        let rooms = Rooms::new(nodes.clone());
        let (stats, stored) = (Stats::default(), committer.clone());
        let shared = Arc::new(Shared { limits, stats, committer: stored, nodes });
        let rng = Rng::system();
        // Ids that no channel has, and that nobody knows. Other nodes have figures of their own.
        let figures = Arc::new(Room::new(DomainId::generate(&rng), ChannelId::generate(&rng), None));
        let core = Arc::new_cyclic(|myself| Core {
            myself: Weak::clone(myself),
            gate,
            clock,
            rng,
            shared,
            observes_messages: observer.as_ref().is_some_and(|observer| observer.wants_messages()),
            observer,
            registry: Registry::after(last_session),
            rooms,
            figures,
            started: Instant::now(),
            topic_map: Lock::default(),
            deadlines: Deadlines::default(),
            callers,
            domains,
            closing: CancellationToken::new(),
            connections: TaskTracker::new(),
            handshakes,
        });
        tokio::spawn(expiry::keep_time(Arc::downgrade(&core)));
        tokio::spawn(figures::tell(Arc::downgrade(&core)));
        if let Some(committer) = committer {
            tokio::spawn(commit::run(committer, Arc::clone(&core.shared)));
            tokio::spawn(retain::count_stored(Arc::downgrade(&core)));
        }
        Self(core)
    }

    /// Publishes one message of somebody who has no session: HTTP, and what the platform itself has to say.
    ///
    /// Returns when the message is with its subscribers and none of their queues is over its bound, or after twice
    /// [`Limits::slow_subscriber`]. `protocol` is the way it came.
    ///
    /// # Errors
    ///
    /// `Invalid` for a topic that is none or leads nowhere, `Denied` without the right to publish,
    /// `Limited` above a rate, `Unavailable` when the gate cannot answer.
    pub async fn publish(&self, identity: &Identity, protocol: Protocol, publish: &Publish) -> Result<()> {
        let origin = Origin { identity, session: None, protocol };
        Ok(self.0.publish_metered(origin, publish).await?)
    }

    /// What has been counted so far.
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// The gate that was given.
    pub fn gate(&self) -> &dyn Gate {
        &*self.0.gate
    }

    /// The bounds that were given.
    pub fn limits(&self) -> &Limits {
        &self.0.shared.limits
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Drop for Core {
    /// Sessions that wait to be stored know the committer, and it them.
    fn drop(&mut self) {
        if let Some(committer) = &self.shared.committer {
            committer.close();
        }
    }
}

impl Core {
    /// When the identity's token ends.
    pub(crate) fn expiry_of(&self, identity: &Identity) -> Option<Instant> {
        match identity {
            Identity::User { expires_at: Some(at), .. } => Some(Instant::now() + at.since(self.clock.now())),
            _ => None,
        }
    }

    /// Tells the observer, if there is one.
    pub(crate) fn observe<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if let Some(observer) = &self.observer {
            observer.observe(event());
        }
    }
}
