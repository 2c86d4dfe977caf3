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

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{
    id::Object,
    schema::Schema,
    tuple::{Edge, Fact, Node, NodeKey, RelationSet},
};

/// A write makes loads in progress of 1 key in 1024 not be kept, no more.
const SLOTS: usize = 1024;

/// What an entry costs beside itself: links, state, its share of the hash table, room for growth and the allocator's
/// rounding. Chosen so that our account is near the resident memory with a million tuples.
const OVERHEAD: usize = 64;

/// The cache of nodes, shared by all threads.
#[derive(Debug)]
pub struct Graph {
    schema: Arc<Schema>,
    /// Two caches, so that an entry of either is a cache line or two.
    edges: Cache<Object, Arc<[Edge]>, Weight, RandomState>,
    pairs: Cache<(Object, Object), RelationSet, Weight, RandomState>,
    /// Counts invalidations.
    clock: AtomicU64,
    /// When a key of the slot was last invalidated.
    slots: Box<[Mutex<u64>]>,
    slot_hasher: RandomState,
}

/// When a read of the store began.
#[derive(Debug, Clone, Copy)]
pub struct Ticket(u64);

/// What was loaded for one question. Not for a second one: it may be older than a commit in between.
#[derive(Debug, Default)]
pub struct Loaded(HashMap<NodeKey, Node, RandomState>);

impl Loaded {
    /// How many facts there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing had to be loaded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn edges(&self, key: &NodeKey) -> Option<Arc<[Edge]>> {
        match self.0.get(key)? {
            Node::Edges(edges) | Node::Members(edges) => Some(Arc::clone(edges)),
            Node::Pair(_) => None,
        }
    }

    fn pair(&self, key: &NodeKey) -> Option<RelationSet> {
        match self.0.get(key)? {
            Node::Pair(relations) => Some(*relations),
            Node::Edges(_) | Node::Members(_) => None,
        }
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

impl Weighter<Object, Arc<[Edge]>> for Weight {
    fn weight(&self, _key: &Object, edges: &Arc<[Edge]>) -> u64 {
        let counters = 2 * size_of::<usize>();
        (OVERHEAD + size_of::<(Object, Arc<[Edge]>)>() + counters + size_of_val::<[Edge]>(edges)) as u64
    }
}

impl Weighter<(Object, Object), RelationSet> for Weight {
    fn weight(&self, _key: &(Object, Object), _relations: &RelationSet) -> u64 {
        (OVERHEAD + size_of::<((Object, Object), RelationSet)>()) as u64
    }
}

impl Graph {
    /// An empty graph of at most `capacity` bytes.
    pub fn new(schema: Arc<Schema>, capacity: u64) -> Self {
        // An object with its three or four edges takes twice the room of the one or two pairs that go with it.
        let pairs = capacity / 3;
        let edges = capacity - pairs;
        // These only size the tables at first.
        let estimate = |bytes: u64| usize::try_from(bytes / 256).unwrap_or(usize::MAX).clamp(64, 1 << 20);
        let hasher = RandomState::default();
        Self {
            schema,
            edges: Cache::with(estimate(edges), edges, Weight, hasher.clone(), DefaultLifecycle::default()),
            pairs: Cache::with(estimate(pairs), pairs, Weight, hasher.clone(), DefaultLifecycle::default()),
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
        self.edges.weight() + self.pairs.weight()
    }

    /// The time at which a read of the store begins. Take it before the read; one will do for several keys.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.clock.load(Ordering::SeqCst))
    }

    /// Gives the running question what it asked for, and keeps it for others unless its key was invalidated since the
    /// ticket was taken.
    pub fn insert(&self, ticket: Ticket, fact: Fact, loaded: &mut Loaded) {
        let Fact { key, node } = fact;
        self.slot(&key, |invalidated| {
            if *invalidated > ticket.0 {
                return;
            }
            match (key, &node) {
                (NodeKey::Edges(object), Node::Edges(edges)) => self.edges.insert(object, Arc::clone(edges)),
                (NodeKey::Pair(object, subject), Node::Pair(set)) => {
                    self.pairs.insert((object, subject), *set);
                }
                _ => {}
            }
        });
        loaded.0.insert(key, node);
    }

    /// Forgets nodes of tuples that were written or removed; see the module's text for when.
    pub fn invalidate(&self, keys: impl IntoIterator<Item = NodeKey>) {
        for key in keys {
            self.slot(&key, |invalidated| {
                // Under the lock, so that a slot's times only rise.
                *invalidated = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
                match key {
                    NodeKey::Edges(object) => _ = self.edges.remove(&object),
                    NodeKey::Pair(object, subject) => _ = self.pairs.remove(&(object, subject)),
                    NodeKey::Members(_) => {}
                }
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
        self.edges.clear();
        self.pairs.clear();
    }

    pub(crate) fn edges(&self, object: Object, loaded: &Loaded) -> Option<Arc<[Edge]>> {
        self.edges.get(&object).or_else(|| loaded.edges(&NodeKey::Edges(object)))
    }

    pub(crate) fn pair(&self, object: Object, subject: Object, loaded: &Loaded) -> Option<RelationSet> {
        self.pairs.get(&(object, subject)).or_else(|| loaded.pair(&NodeKey::Pair(object, subject)))
    }

    fn slot(&self, key: &NodeKey, act: impl FnOnce(&mut u64)) {
        use std::hash::BuildHasher;
        let hash = usize::try_from(self.slot_hasher.hash_one(key) % SLOTS as u64).unwrap_or_default();
        if let Some(slot) = self.slots.get(hash) {
            act(&mut slot.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{Id, Subject, memory::Tuples};

    fn graph(capacity: u64) -> Graph {
        Graph::new(Arc::new(Schema::platform().unwrap()), capacity)
    }

    fn number(graph: &Graph, kind: &str, id: u128) -> Object {
        Object::new(graph.schema().kind(kind).unwrap(), Id::uuid(id))
    }

    #[test]
    fn a_load_that_raced_with_a_commit_serves_its_own_question_and_is_not_kept() {
        let graph = graph(1 << 20);
        let (role, user) = (number(&graph, "role", 1), number(&graph, "user", 1));
        let key = NodeKey::Pair(role, user);
        let member = graph.schema().relation_set(role.kind(), ["member"]).unwrap();

        let ticket = graph.ticket();
        graph.invalidate([key]);
        let mut loaded = Loaded::default();
        graph.insert(ticket, Fact::pair(role, user, member), &mut loaded);
        assert_eq!(graph.pair(role, user, &loaded), Some(member));
        assert_eq!(graph.pair(role, user, &Loaded::default()), None);

        graph.insert(graph.ticket(), Fact::pair(role, user, RelationSet::EMPTY), &mut Loaded::default());
        assert_eq!(graph.pair(role, user, &Loaded::default()), Some(RelationSet::EMPTY));
        assert_eq!(
            graph.pair(role, user, &loaded),
            Some(RelationSet::EMPTY),
            "what is kept is newer than what was loaded"
        );
    }

    #[test]
    fn a_write_elsewhere_does_not_hinder_keeping() {
        let graph = graph(1 << 20);
        let ticket = graph.ticket();
        graph.invalidate([NodeKey::Edges(number(&graph, "client", 1))]);
        // One of these may share the slot of client 1, not all of them.
        for id in 2..20 {
            graph.insert(ticket, Fact::edges(number(&graph, "client", id), []), &mut Loaded::default());
        }
        let kept =
            (2..20).filter(|id| graph.edges(number(&graph, "client", *id), &Loaded::default()).is_some());
        assert!(kept.count() >= 15);
    }

    #[test]
    fn forgetting_everything_also_refuses_loads_in_progress() {
        let graph = graph(1 << 20);
        let object = number(&graph, "client", 1);
        let ticket = graph.ticket();
        graph.insert(ticket, Fact::edges(object, []), &mut Loaded::default());
        graph.invalidate_all();
        graph.insert(ticket, Fact::edges(object, []), &mut Loaded::default());
        assert!(graph.edges(object, &Loaded::default()).is_none());
        assert_eq!(graph.bytes(), 0);
    }

    #[test]
    fn the_bytes_stay_within_the_capacity() {
        let capacity = 1 << 20;
        let graph = graph(capacity);
        let subject = Subject::from(number(&graph, "domain", 1));
        let relations = graph.schema().relation_set(number(&graph, "client", 1).kind(), ["domain"]).unwrap();
        for id in 0..50_000 {
            let object = number(&graph, "client", id);
            graph.insert(
                graph.ticket(),
                Fact::edges(object, [Edge { subject, relations }]),
                &mut Loaded::default(),
            );
        }
        assert!(graph.bytes() <= capacity, "{}", graph.bytes());
        assert!(graph.bytes() > capacity / 2, "{}", graph.bytes());
    }

    /// What may happen between a reader and writers, one atomic step at a time.
    #[derive(Debug, Clone)]
    enum Event {
        /// A reader takes a ticket and starts to read a client's domain.
        Start { reader: usize, client: u128 },
        /// It reads the database.
        Read { reader: usize },
        /// It gives the graph what it read.
        Finish { reader: usize },
        /// A writer commits: the client is in another domain now.
        Commit { client: u128 },
        /// It tells the graph and answers its caller.
        Answer { client: u128 },
        /// Everything is forgotten.
        ForgetAll,
    }

    fn event() -> impl Strategy<Value = Event> {
        let (reader, client) = (0..3usize, 0..2u128);
        prop_oneof![
            3 => (reader.clone(), client.clone()).prop_map(|(reader, client)| Event::Start { reader, client }),
            3 => reader.clone().prop_map(|reader| Event::Read { reader }),
            3 => reader.prop_map(|reader| Event::Finish { reader }),
            3 => client.clone().prop_map(|client| Event::Commit { client }),
            3 => client.prop_map(|client| Event::Answer { client }),
            1 => Just(Event::ForgetAll),
        ]
    }

    /// A load on its way.
    #[derive(Default, Clone)]
    struct Reader {
        started: Option<(Ticket, u128)>,
        read: Option<Fact>,
    }

    proptest! {
        #[test]
        fn no_order_of_events_leaves_in_memory_what_was_true_before_an_answered_write(events in vec(event(), 0..60)) {
            let graph = graph(1 << 20);
            let mut database = Tuples::new(Arc::clone(graph.schema()));
            let client = graph.schema().kind("client").unwrap();
            let domain = graph.schema().relation(client, "domain").unwrap();
            // The domain of each client is the number of commits on it.
            let mut commits = [0u128; 2];
            let mut answered = [0u128; 2];
            let mut readers = vec![Reader::default(); 3];
            for event in events {
                match event {
                    Event::Start { reader, client } => {
                        readers[reader] = Reader { started: Some((graph.ticket(), client)), read: None };
                    }
                    Event::Read { reader } => {
                        let started = readers[reader].started;
                        readers[reader].read =
                            started.map(|(_, id)| database.fact(&NodeKey::Edges(Object::new(client, Id::uuid(id)))));
                    }
                    Event::Finish { reader } => {
                        if let Reader { started: Some((ticket, _)), read: Some(fact) } = std::mem::take(&mut readers[reader]) {
                            graph.insert(ticket, fact, &mut Loaded::default());
                        }
                    }
                    Event::Commit { client: id } => {
                        let object = Object::new(client, Id::uuid(id));
                        let at = |commit| Subject::from(number(&graph, "domain", commit));
                        let count = &mut commits[usize::try_from(id).unwrap()];
                        database.remove(&graph.schema().tuple(object, domain, at(*count)).unwrap());
                        *count += 1;
                        database.insert(&graph.schema().tuple(object, domain, at(*count)).unwrap());
                    }
                    Event::Answer { client: id } => {
                        graph.invalidate([NodeKey::Edges(Object::new(client, Id::uuid(id)))]);
                        answered[usize::try_from(id).unwrap()] = commits[usize::try_from(id).unwrap()];
                    }
                    Event::ForgetAll => {
                        graph.invalidate_all();
                        answered = commits;
                    }
                }
                for id in 0..2u128 {
                    let object: Object = Object::new(client, Id::uuid(id));
                    if let Some(edges) = graph.edges(object, &Loaded::default()) {
                        let seen = edges.first().and_then(|edge| edge.subject.object.id().as_uuid()).unwrap_or(0);
                        let least = answered[usize::try_from(id).unwrap()];
                        prop_assert!(seen >= least, "client {id} is seen in {seen}, after {least} was answered");
                    }
                }
            }
        }
    }

    #[test]
    fn threads_that_read_and_write_at_once_never_see_an_answered_write_undone() {
        let graph = graph(1 << 20);
        let (role, user) = (number(&graph, "role", 1), number(&graph, "user", 1));
        let key = NodeKey::Pair(role, user);
        // The database: a number that only rises, stored as the bits of a relation set.
        let stored = AtomicU64::new(0);
        let answered = AtomicU64::new(0);
        let bits = |count: u64| {
            (0..7).filter(|bit| count >> bit & 1 == 1).map(crate::RelationId).collect::<RelationSet>()
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let least = answered.load(Ordering::SeqCst);
                        let seen = graph.pair(role, user, &Loaded::default());
                        if let Some(seen) = seen {
                            let newest = stored.load(Ordering::SeqCst);
                            let possible = (least..=newest).any(|count| bits(count) == seen);
                            assert!(possible, "{seen:?} was gone before the read began");
                        } else {
                            let ticket = graph.ticket();
                            let count = stored.load(Ordering::SeqCst);
                            graph.insert(ticket, Fact::pair(role, user, bits(count)), &mut Loaded::default());
                        }
                    }
                });
            }
            scope.spawn(|| {
                for count in 1..128 {
                    stored.store(count, Ordering::SeqCst);
                    graph.invalidate([key]);
                    answered.store(count, Ordering::SeqCst);
                    std::thread::yield_now();
                }
            });
        });
    }
}
