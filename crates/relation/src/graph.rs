//! The graph in memory: a bounded cache of nodes that never serves what was true before the last commit.
//!
//! The store is outside and asynchronous, so a question is asked in rounds. The engine answers from memory or says which
//! nodes it lacks; the caller reads those in one query and asks again:
//!
//! ```text
//! let mut loaded = Loaded::default();
//! loop {
//!     match graph.check(&ask, &loaded)? {
//!         Outcome::Decided(allowed) => return Ok(allowed),
//!         Outcome::Need(keys) => {
//!             let ticket = graph.ticket();                       // before the database is read
//!             for fact in database.read(&keys).await? {          // one fact for every key
//!                 graph.insert(ticket, fact, &mut loaded);
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! A writer calls [`Graph::invalidate`] with the nodes of all tuples that it wrote or removed, after its commit and
//! before it answers its own caller. The race to win: a reader reads the old rows, the writer commits and invalidates,
//! and only then the reader inserts. Each key belongs to a slot that remembers the time (a counter) of its last
//! invalidation; a fact is kept only if its ticket is not older than that, and comparing and keeping happen under the
//! slot's lock. What is not kept, be it raced or too large, still serves the question that loaded it, through
//! [`Loaded`]: that question began before the write was answered. So every question gets an end, and
//!
//! INVARIANT: a question that starts after `invalidate` has returned sees nothing older than that commit.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use hashbrown::HashMap;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{
    schema::Schema,
    tuple::{Edge, Fact, Node, NodeKey, RelationSet},
};

/// A write makes loads in progress of 1 key in 1024 not be kept, no more.
const SLOTS: usize = 1024;

/// What the cache itself needs per entry: links, state, and its share of the hash table (measured with
/// `examples/check_cost.rs`).
const OVERHEAD: usize = 32;

/// The cache of nodes, shared by all threads.
#[derive(Debug)]
pub struct Graph {
    schema: Arc<Schema>,
    nodes: Cache<NodeKey, Node, Weight, foldhash::fast::RandomState>,
    /// Counts invalidations.
    clock: AtomicU64,
    /// When a key of the slot was last invalidated.
    slots: Box<[Mutex<u64>]>,
    slot_hasher: foldhash::fast::RandomState,
}

/// When a read of the store began.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

/// What was loaded for one question. Not for a second one: it may be older than a commit in between.
#[derive(Debug, Default)]
pub struct Loaded(HashMap<NodeKey, Node, foldhash::fast::RandomState>);

impl Loaded {
    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing had to be loaded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An answer, or what must be loaded to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The answer.
    Decided(T),
    /// These nodes are missing: load each, [`Graph::insert`] it, and ask again. Without repetition, never empty.
    Need(Vec<NodeKey>),
}

/// Bytes of an entry.
#[derive(Debug, Clone, Copy)]
struct Weight;

impl Weighter<NodeKey, Node> for Weight {
    fn weight(&self, _key: &NodeKey, node: &Node) -> u64 {
        let edges = match node {
            Node::Edges(edges) | Node::Members(edges) => {
                2 * size_of::<usize>() + size_of_val::<[Edge]>(edges)
            }
            Node::Pair(_) => 0,
        };
        (OVERHEAD + size_of::<NodeKey>() + size_of::<Node>() + edges) as u64
    }
}

impl Graph {
    /// An empty graph of at most `capacity` bytes.
    pub fn new(schema: Arc<Schema>, capacity: u64) -> Self {
        // A typical entry is an object with two or three edges; the estimate only sizes the table at first.
        let estimate = usize::try_from(capacity / 256).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        let hasher = foldhash::fast::RandomState::default();
        Self {
            schema,
            nodes: Cache::with(estimate, capacity, Weight, hasher.clone(), DefaultLifecycle::default()),
            clock: AtomicU64::new(0),
            slots: (0..SLOTS).map(|_| Mutex::new(0)).collect(),
            slot_hasher: hasher,
        }
    }

    /// The schema.
    pub const fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The bytes in use, by the same account as the capacity.
    pub fn bytes(&self) -> u64 {
        self.nodes.weight()
    }

    /// The time at which a read of the store begins. Take it before the read; one will do for several keys.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.clock.load(Ordering::SeqCst))
    }

    /// Gives the running question what it asked for, and keeps it for others unless its key was invalidated since the
    /// ticket was taken.
    pub fn insert(&self, ticket: Ticket, fact: Fact, loaded: &mut Loaded) {
        let Fact { key, node } = fact;
        if !matches!(key, NodeKey::Members(_)) {
            self.slot(&key, |invalidated| {
                if *invalidated <= ticket.0 {
                    self.nodes.insert(key, node.clone());
                }
            });
        }
        loaded.0.insert(key, node);
    }

    /// Forgets nodes of tuples that were written or removed; see the module's text for when.
    pub fn invalidate(&self, keys: impl IntoIterator<Item = NodeKey>) {
        for key in keys {
            self.slot(&key, |invalidated| {
                // Under the lock, so that a slot's times only rise.
                *invalidated = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
                self.nodes.remove(&key);
            });
        }
    }

    /// Forgets everything: for when it is not known what was written, as after a lost connection to the bus.
    pub fn invalidate_all(&self) {
        for slot in &self.slots {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) =
                self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        }
        // Nothing that was read before can be inserted any more; what already is, goes.
        self.nodes.clear();
    }

    pub(crate) fn edges(&self, key: &NodeKey, loaded: &Loaded) -> Option<Arc<[Edge]>> {
        match self.nodes.get(key).or_else(|| loaded.0.get(key).cloned())? {
            Node::Edges(edges) | Node::Members(edges) => Some(edges),
            Node::Pair(_) => None,
        }
    }

    pub(crate) fn pair(&self, key: &NodeKey, loaded: &Loaded) -> Option<RelationSet> {
        match self.nodes.get(key).or_else(|| loaded.0.get(key).cloned())? {
            Node::Pair(relations) => Some(relations),
            Node::Edges(_) | Node::Members(_) => None,
        }
    }

    fn slot(&self, key: &NodeKey, act: impl FnOnce(&mut u64)) {
        use std::hash::BuildHasher;
        let hash = usize::try_from(self.slot_hasher.hash_one(key) % SLOTS as u64).unwrap_or_default();
        if let Some(slot) = self.slots.get(hash) {
            act(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
