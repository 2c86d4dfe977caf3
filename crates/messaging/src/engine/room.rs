//! A room is a channel while anybody uses it: its subscriptions and its retained messages.
//!
//! Publishers hold on to a room and to the list of targets that it gave them; one comparison of a number tells
//! whether the list still holds, so a message to a known topic asks nobody. The race it must win: a subscriber that
//! has its SUBACK gets every later message. The number changes under the lock of the room before the SUBACK is
//! written, and publishers read it for each message.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Release, SeqCst},
        },
    },
};

use hashbrown::HashMap;
use kernel::{ChannelId, DomainId};
use tokio::time::Instant;

use super::message::SubscriptionIds;
use super::nodes::{Nodes, Post};
use super::retain::{Retained, RetainedSet, Step};
use super::session::Session;
use super::shared::ShareGroup;
use super::tree::FilterTree;
use crate::limits::Limits;
use crate::lock::Lock;
use crate::stats::Stats;
use crate::topic_map::spelling::expanded;
use crate::wire::{QoS, SubscriptionId, SubscriptionOptions, Text};

/// Subtopics of one room whose targets are remembered.
const REMEMBERED: usize = 1_024;

/// One subscription in the tree.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) session: Arc<Session>,
    /// The text up to the channel, as the subscriber wrote it, or the way back to a mapped name.
    pub(crate) spelling: Text,
    pub(crate) group: Option<Box<str>>,
    pub(crate) options: SubscriptionOptions,
    pub(crate) id: Option<SubscriptionId>,
    /// The session is at this node.
    pub(crate) here: bool,
}

impl Entry {
    /// Whether other nodes must send their messages here because of it.
    const fn reads(&self) -> bool {
        self.here && self.group.is_none()
    }

    /// Whether only this node knows that it is in its group.
    fn is_told_as_member(&self) -> bool {
        self.here && self.group.is_some() && !self.session.is_stored()
    }

    /// Whether both come from the same filter of the same session.
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session)
            && self.spelling == other.spelling
            && self.group == other.group
    }
}

/// Somebody who gets a message, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) session: Arc<Session>,
    /// The whole topic in the subscriber's spelling; shared by all who use that spelling.
    pub(crate) topic: Text,
    pub(crate) qos: QoS,
    no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: SubscriptionIds,
    /// How the session gets its own messages, when only some of its overlapping subscriptions want them.
    own: Option<Box<Self>>,
}

/// Everybody who gets a message with one subtopic.
#[derive(Debug)]
pub(crate) struct Targets {
    version: u64,
    /// Other nodes that have somebody who may get it.
    pub(crate) nodes: Vec<Arc<Post>>,
    pub(crate) each: Vec<Target>,
    pub(crate) groups: Vec<ShareGroup>,
}

/// A channel in use.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) domain: DomainId,
    pub(crate) channel: ChannelId,
    /// Changes when decisions about the channel must be asked again; see `revoke.rs`.
    generation: AtomicU64,
    /// Changes with every subscription.
    version: AtomicU64,
    /// The retained messages of earlier are here.
    read: AtomicBool,
    /// The other nodes; `None`: there are none.
    nodes: Option<Arc<Nodes>>,
    state: Lock<RoomState>,
}

#[derive(Debug, Default)]
struct RoomState {
    /// Entries because of which other nodes send their messages here.
    readers: usize,
    filters: FilterTree<Entry>,
    retained: RetainedSet,
    remembered: HashMap<Box<str>, Arc<Targets>>,
}

impl Room {
    pub(crate) fn new(domain: DomainId, channel: ChannelId, nodes: Option<Arc<Nodes>>) -> Self {
        Self {
            domain,
            channel,
            generation: AtomicU64::new(0),
            version: AtomicU64::new(0),
            read: AtomicBool::new(false),
            nodes,
            state: Lock::default(),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Makes every decision about the channel stale.
    pub(crate) fn outdate(&self) {
        self.generation.fetch_add(1, SeqCst);
    }

    /// Whether a list of targets is the one that [`Room::targets`] would give.
    pub(crate) fn is_current(&self, targets: &Targets) -> bool {
        targets.version == self.version.load(Acquire)
    }

    /// Everybody who gets a message with this subtopic.
    pub(crate) fn targets(&self, subtopic: &str) -> Arc<Targets> {
        let mut state = self.state.lock();
        if let Some(targets) = state.remembered.get(subtopic) {
            return Arc::clone(targets);
        }
        let version = self.version.load(Acquire);
        let nodes = self.nodes.as_ref().map(|nodes| nodes.readers(self.channel)).unwrap_or_default();
        let targets = Arc::new(state.collect(subtopic, version, nodes));
        if state.remembered.len() >= REMEMBERED {
            state.remembered.clear();
        }
        state.remembered.insert(subtopic.into(), Arc::clone(&targets));
        targets
    }

    /// Adds or renews a subscription.
    pub(crate) fn subscribe(&self, filter: &str, entry: Entry) {
        let mut state = self.state.lock();
        if let Some(nodes) = self.nodes.as_ref().filter(|_| entry.is_told_as_member()) {
            nodes.in_group(self, filter, &entry, true);
        }
        let reads = entry.reads();
        let entries = state.filters.entry(filter);
        let read = match entries.iter_mut().find(|old| old.is_same(&entry)) {
            Some(old) => std::mem::replace(old, entry).reads(),
            None => {
                entries.push(entry);
                false
            }
        };
        self.count_readers(&mut state, usize::from(reads), usize::from(read));
        self.changed(&mut state);
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&self, filter: &str, session: &Session, spelling: &Text, group: Option<&str>) {
        let mut state = self.state.lock();
        let read = Cell::new(0);
        state.filters.remove(filter, |entry| {
            let gone = entry.session.id == session.id
                && entry.spelling == *spelling
                && entry.group.as_deref() == group;
            if gone && let Some(nodes) = self.nodes.as_ref().filter(|_| entry.is_told_as_member()) {
                nodes.in_group(self, filter, entry, false);
            }
            read.set(read.get() + usize::from(gone && entry.reads()));
            gone
        });
        self.count_readers(&mut state, 0, read.get());
        self.changed(&mut state);
    }

    /// Tells the other nodes when the first one comes who reads, and when the last one goes.
    fn count_readers(&self, state: &mut RoomState, come: usize, gone: usize) {
        let before = state.readers;
        state.readers = (before + come).saturating_sub(gone);
        if let Some(nodes) = &self.nodes
            && (before == 0) != (state.readers == 0)
        {
            nodes.reads(self.channel, state.readers > 0);
        }
    }

    /// Other nodes have come to read the channel, or have gone.
    pub(crate) fn readers_changed(&self) {
        self.changed(&mut self.state.lock());
    }

    /// The other nodes, if there are any.
    pub(crate) const fn nodes(&self) -> Option<&Arc<Nodes>> {
        self.nodes.as_ref()
    }

    fn changed(&self, state: &mut RoomState) {
        state.remembered.clear();
        self.version.fetch_add(1, Release);
    }

    /// Every session of this node with a subscription here, once.
    pub(crate) fn subscribers(&self) -> Vec<Arc<Session>> {
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        self.state.lock().filters.each(|entry| sessions.push(Arc::clone(&entry.session)));
        sessions.retain(|session| session.is_here());
        sessions.sort_unstable_by_key(|session| session.id);
        sessions.dedup_by_key(|session| session.id);
        sessions
    }

    /// Keeps a message, or removes the kept one when the payload is empty.
    pub(crate) fn retain(&self, subtopic: &str, retained: Retained, limits: &Limits, stats: &Stats) {
        let mut state = self.state.lock();
        if self.nodes.is_some() {
            state.retained.mark(subtopic);
        }
        state.retained.store(subtopic, retained, limits, stats);
    }

    /// How often the retained message of a subtopic has changed since it was stored; 0: not at all.
    pub(crate) fn retained_changes(&self, subtopic: &str) -> u64 {
        self.state.lock().retained.marks(subtopic)
    }

    /// The retained message of a subtopic is stored, as it was after so many changes.
    pub(crate) fn retained_stored(&self, subtopic: &str, changes: u64) {
        self.state.lock().retained.unmark(subtopic, changes);
    }

    /// The retained message of a subtopic, as it is stored. What has changed here since is the later word.
    pub(crate) fn replace_retained_at(&self, subtopic: &str, found: Option<Retained>, stats: &Stats) {
        self.state.lock().retained.replace(subtopic, found, stats);
    }

    /// All retained messages, as they are stored.
    pub(crate) fn replace_retained(&self, found: Vec<(Box<str>, Retained)>, stats: &Stats) {
        self.state.lock().retained.replace_all(found, stats);
    }

    /// The kept message of a subtopic, and what it counts.
    pub(crate) fn retained_at(&self, subtopic: &str) -> Option<(Retained, u64)> {
        self.state.lock().retained.at(subtopic)
    }

    /// Whether the retained messages of earlier have been read, if any are stored.
    pub(crate) fn has_its_retained(&self) -> bool {
        self.read.load(Acquire)
    }

    /// The retained messages of earlier, as they are stored. Whoever reads them second is too late.
    pub(crate) fn put_retained(&self, found: Vec<(Box<str>, Retained)>) {
        let mut state = self.state.lock();
        if !self.read.swap(true, Release) {
            state.retained.put(found);
        }
    }

    /// Drops the retained messages and keeps no more: the channel is gone.
    pub(crate) fn close(&self, stats: &Stats) {
        self.state.lock().retained.close(stats);
    }

    /// The next retained messages that match a filter.
    pub(crate) fn retained(&self, filter: &str, after: Option<&str>, now: Instant) -> Step {
        self.state.lock().retained.matching(filter, after, now)
    }

    /// Drops expired retained messages; whether nothing is left that needs the room.
    fn expire(&self, now: Instant, stats: &Stats) -> bool {
        let mut state = self.state.lock();
        state.retained.expire(now, stats);
        state.filters.is_empty() && state.retained.is_empty()
    }
}

impl RoomState {
    fn collect(&self, subtopic: &str, version: u64, nodes: Vec<Arc<Post>>) -> Targets {
        let mut entries: Vec<&Entry> = Vec::new();
        let mut groups: Vec<ShareGroup> = Vec::new();
        let mut topics = Topics { subtopic, known: Vec::new() };
        self.filters.matching(subtopic, |entry| match &entry.group {
            None => entries.push(entry),
            Some(name) => {
                let target = topics.target(entry);
                match groups.iter_mut().find(|group| group.name == *name) {
                    Some(group) => group.members.push(target),
                    None => {
                        let mut group = ShareGroup::new(name.clone());
                        group.members.push(target);
                        groups.push(group);
                    }
                }
            }
        });
        // Those without "no local" come first: `Target::merge` relies on it.
        entries.sort_by_key(|entry| (&entry.spelling, entry.session.id, entry.options.no_local));
        let mut each: Vec<Target> = Vec::with_capacity(entries.len());
        for entry in entries {
            let target = topics.target(entry);
            match each.last_mut() {
                Some(last) if Arc::ptr_eq(&last.session, &target.session) && last.topic == target.topic => {
                    last.merge(target);
                }
                _ => each.push(target),
            }
        }
        Targets { version, nodes, each, groups }
    }
}

impl Target {
    /// Overlapping subscriptions of one session deliver a message once, with the highest QoS and all identifiers
    /// (MQTT 5.0 §3.3.4); its own message only those that want it ([MQTT-3.8.3-3]).
    fn merge(&mut self, other: Self) {
        if other.no_local && !self.no_local && self.own.is_none() {
            self.own = Some(Box::new(self.clone()));
        }
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        self.subscription_ids.extend(other.subscription_ids);
    }

    /// How a message of this session gets to it; `None`: it wants none of its own.
    pub(crate) fn for_message_of(&self, publisher: Option<u64>) -> Option<&Self> {
        match &self.own {
            _ if publisher != Some(self.session.id) => Some(self),
            Some(own) => Some(own),
            None => (!self.no_local).then_some(self),
        }
    }
}

/// Joins spellings with one subtopic, each once.
struct Topics<'a> {
    subtopic: &'a str,
    known: Vec<(Text, Text)>,
}

impl Topics<'_> {
    fn target(&mut self, entry: &Entry) -> Target {
        Target {
            session: Arc::clone(&entry.session),
            topic: self.topic(&entry.spelling),
            qos: entry.options.qos,
            no_local: entry.options.no_local,
            retain_as_published: entry.options.retain_as_published,
            subscription_ids: entry.id.into_iter().collect(),
            own: None,
        }
    }

    fn topic(&mut self, spelling: &Text) -> Text {
        if let Some((_, topic)) = self.known.iter().find(|(known, _)| known == spelling) {
            return topic.clone();
        }
        let topic = spelled(spelling, self.subtopic);
        self.known.push((spelling.clone(), topic.clone()));
        topic
    }
}

/// A topic in a subscriber's spelling.
pub(crate) fn spelled(spelling: &Text, subtopic: &str) -> Text {
    match expanded(spelling.as_str(), subtopic) {
        Some(topic) => Text::from(topic),
        None if subtopic.is_empty() => spelling.clone(),
        None => Text::from(format!("{spelling}/{subtopic}")),
    }
}

/// The rooms of the node.
#[derive(Debug)]
pub(crate) struct Rooms {
    by_channel: Lock<HashMap<ChannelId, Arc<Room>>>,
    nodes: Option<Arc<Nodes>>,
}

impl Rooms {
    /// Those of a node with others.
    pub(crate) fn new(nodes: Option<Arc<Nodes>>) -> Self {
        Self { by_channel: Lock::default(), nodes }
    }

    /// The room of a channel, opened if nobody has used it yet. To be called only once the gate has said yes to
    /// domain and channel together. `None`: the channel is in use in another domain, so this is not its own.
    pub(crate) fn open(&self, domain: DomainId, channel: ChannelId) -> Option<Arc<Room>> {
        let mut rooms = self.by_channel.lock();
        let room =
            rooms.entry(channel).or_insert_with(|| Arc::new(Room::new(domain, channel, self.nodes.clone())));
        (room.domain == domain).then(|| Arc::clone(room))
    }

    /// The room of a channel, if it is open.
    pub(crate) fn get(&self, channel: ChannelId) -> Option<Arc<Room>> {
        self.by_channel.lock().get(&channel).cloned()
    }

    /// The open rooms for which `wanted` holds.
    pub(crate) fn all(&self, wanted: impl Fn(&Room) -> bool) -> Vec<Arc<Room>> {
        self.by_channel.lock().values().filter(|room| wanted(room)).cloned().collect()
    }

    /// Closes the rooms that nobody uses. Nobody can begin to use one meanwhile: rooms are handed out under the
    /// same lock.
    pub(crate) fn sweep(&self, now: Instant, stats: &Stats) {
        self.by_channel.lock().retain(|_, room| {
            let unused = room.expire(now, stats);
            !unused || Arc::strong_count(room) > 1
        });
    }
}
