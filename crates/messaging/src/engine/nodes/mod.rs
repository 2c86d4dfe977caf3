//! Several engines over one database, which together are one broker.
//!
//! What lasts is in the database, and one truth for all: sessions of clients that outlive their connection, what waits for
//! them, retained messages. Each session has one node, its *owner*; the others know it as a shadow: who it is, which node
//! has it, and to what it has subscribed. So whichever node takes a message stores it, in the one transaction that it
//! commits before its publisher is answered, for all stored sessions that are to have it, and no node's death loses
//! anything that was acknowledged. The owner gives those messages their places (`commit/task.rs`).
//!
//! What is live only travels over links (`cluster`): messages for connections without such a session and those of QoS 0,
//! for every channel that a node has said it reads ([`Frame::Interest`]). A publisher of QoS 1 or 2 is answered when all of
//! these nodes have routed the message, a SUBSCRIBE when all nodes know of it.
//!
//! The files: `membership.rs` who is there; `shadow.rs` what is known of sessions elsewhere; `claim.rs` how a client gets
//! its session from another node; `hear.rs` what is done with what others say; `post.rs` and `frame.rs` the way there.
//!
//! The rules that must hold:
//! - A node that has lost its lease writes nothing any more ([`Lease::hold`](crate::store::hold) in each transaction), and
//!   closes its connections.
//! - A session's owner is changed in the database, by the owner itself or, when it is no more, by whoever takes its place.
//! - Who becomes the owner tells all others, waits until they know, and then looks for messages without a place: what
//!   another node has stored before it knew is found, and for what it stores later it tells the owner.

mod claim;
mod frame;
mod hear;
mod membership;
mod post;
mod shadow;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use cluster::Peers;
use futures_util::future::join_all;
use hashbrown::HashMap;
use kernel::{ChannelId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(in crate::engine) use membership::Joined;
pub use membership::Setup;
pub(crate) use post::{Post, Told};
pub(in crate::engine) use shadow::by_session;

use self::claim::Claims;
use self::frame::{Frame, Member, Message};
use super::room::{Entry, Room, Target, Targets};
use super::session::Session;
use crate::lock::Lock;
use crate::wire::{Publish, QoS, Text};

/// Bits of a number that tell things of one node apart; the id of the node stands above them. A node starts anew after
/// some million starts of the cluster at the earliest, and has a million million numbers.
const OWN_BITS: u32 = 40;

/// A place below 0 is made of milliseconds since 1970 (42 bits last until 2109), the end of the node's id, and a count.
const NODE_BITS: u32 = 9;
const COUNT_BITS: u32 = 12;

/// The other nodes, and what this one knows of them.
pub(crate) struct Nodes {
    /// This node.
    pub(crate) me: u64,
    peers: Peers,
    members: Lock<Members>,
    /// Which other nodes read a channel.
    readers: Lock<HashMap<ChannelId, Vec<Arc<Post>>>>,
    /// The stored sessions of all nodes, and members of groups on other nodes.
    known: Lock<HashMap<u64, Arc<Session>>>,
    claims: Claims,
    /// Told when nodes come, go, or begin to take part.
    changed_members: Notify,
    /// Held while rows are read into shadows, so that what was read earlier does not come later.
    rereading: tokio::sync::Mutex<()>,
    /// Ends when the lease is lost.
    pub(crate) lost: CancellationToken,
    last_unplaced: AtomicU64,
}

#[derive(Default)]
struct Members {
    /// Whether it has been looked who is there.
    seen: bool,
    posts: BTreeMap<u64, Arc<Post>>,
    /// Channels that this node reads.
    read: HashSet<ChannelId>,
    /// Members of groups that only this node knows.
    in_groups: Vec<Member>,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.me)
    }
}

impl Nodes {
    fn new(me: u64, peers: Peers) -> Self {
        Self {
            me,
            peers,
            members: Lock::default(),
            readers: Lock::default(),
            known: Lock::default(),
            claims: Claims::default(),
            changed_members: Notify::new(),
            rereading: tokio::sync::Mutex::default(),
            lost: CancellationToken::new(),
            last_unplaced: AtomicU64::new(0),
        }
    }

    /// A number after which all are this node's own.
    pub(crate) const fn first_number(&self) -> u64 {
        self.me << OWN_BITS
    }

    /// The place of a message until its session's node gives it one: below 0, the older the nearer, whichever node has
    /// stored it, as far as their clocks agree.
    pub(crate) fn next_unplaced(&self, now: Timestamp) -> i64 {
        let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
        let first = millis << COUNT_BITS;
        // Whatever it was before, there is a later one.
        let next = |last: u64| Some((last + 1).max(first));
        let last = self.last_unplaced.fetch_update(Relaxed, Relaxed, next).unwrap_or(first);
        let number = (last + 1).max(first);
        let node = self.me & ((1 << NODE_BITS) - 1);
        let count = number & ((1 << COUNT_BITS) - 1);
        let place = (number >> COUNT_BITS << (NODE_BITS + COUNT_BITS)) | (node << COUNT_BITS) | count;
        place.cast_signed().saturating_neg()
    }

    /// The other nodes that read a channel.
    pub(crate) fn readers(&self, channel: ChannelId) -> Vec<Arc<Post>> {
        self.readers.lock().get(&channel).cloned().unwrap_or_default()
    }

    /// This node reads a channel from now on, or does not any more. Called under the lock of its room, so that the last
    /// word is the right one.
    pub(crate) fn reads(&self, channel: ChannelId, wanted: bool) {
        let mut members = self.members.lock();
        if wanted {
            members.read.insert(channel)
        } else {
            members.read.remove(&channel)
        };
        members.say(&Frame::Interest { channel, wanted });
    }

    /// A session that is not stored comes into a group, or leaves it; under the lock of the room.
    pub(crate) fn in_group(&self, room: &Room, subtopic: &str, entry: &Entry, comes: bool) {
        let Some(group) = &entry.group else { return };
        let member = Member {
            session: entry.session.id,
            domain: room.domain,
            channel: room.channel,
            subtopic: Text::from(subtopic),
            spelling: entry.spelling.clone(),
            group: Text::from(&**group),
            qos: entry.options.qos,
            comes,
        };
        let mut members = self.members.lock();
        members.in_groups.retain(|known| !known.is_same(&member));
        if comes {
            members.in_groups.push(member.clone());
        }
        members.say(&Frame::Member(Box::new(member)));
    }

    /// Gives a message to the nodes that read its channel. Those that its publisher has to wait for.
    pub(crate) fn publish(
        &self,
        targets: &Targets,
        room: &Room,
        subtopic: &str,
        publish: &Publish,
        origin: Option<u64>,
    ) -> Forwarded {
        let stored = targets.each.iter().filter(|target| !target.session.is_here());
        let stored = stored.filter_map(|target| target.for_message_of(origin));
        let stored = stored.filter(|target| publish.qos.min(target.qos) > QoS::AtMostOnce);
        let sessions = stored.map(|target| target.session.id).collect();
        let frame = Frame::Message(Box::new(message(room, subtopic, publish, origin, None, sessions)));
        let mut forwarded = Forwarded::default();
        for post in &targets.nodes {
            if publish.qos > QoS::AtMostOnce {
                post.say(&frame);
                forwarded.to.push(Arc::clone(post));
            } else if !post.say_perhaps(&frame) {
                forwarded.dropped += 1;
            }
        }
        forwarded
    }

    /// Gives a message to the member of a group that is on another node and not stored.
    pub(crate) fn publish_to_member(
        &self,
        member: &Target,
        group: &str,
        room: &Room,
        subtopic: &str,
        publish: &Publish,
        origin: Option<u64>,
    ) -> Option<Arc<Post>> {
        let post = self.members.lock().posts.get(&member.session.owner()?).cloned()?;
        let sessions = vec![member.session.id];
        let message = message(room, subtopic, publish, origin, Some(Text::from(group)), sessions);
        let frame = Frame::Message(Box::new(message));
        if publish.qos > QoS::AtMostOnce {
            post.say(&frame);
        } else {
            post.say_perhaps(&frame);
        }
        Some(post)
    }

    /// Tells all nodes that the rows of these sessions have changed.
    pub(crate) fn changed(&self, sessions: impl IntoIterator<Item = u64>) {
        let members = self.members.lock();
        for session in sessions {
            members.say(&Frame::Changed { session });
        }
    }

    /// Tells all nodes that the retained message of a topic has changed.
    pub(crate) fn retained(&self, channel: ChannelId, subtopic: &str) {
        self.members.lock().say(&Frame::Retained { channel, subtopic: Text::from(subtopic) });
    }

    /// Tells the node of a session that messages have been stored for it. One that has changed its node meanwhile is looked
    /// after by its new one.
    pub(crate) fn waits(&self, session: &Session) {
        let Some(owner) = session.owner() else { return };
        if let Some(post) = self.members.lock().posts.get(&owner) {
            post.say(&Frame::Waits { session: session.id });
        }
    }

    /// Tells all nodes whether those who publish to a session must wait.
    pub(crate) fn full(&self, session: u64, full: bool) {
        self.members.lock().say(&Frame::Full { session, full });
    }

    /// Waits until all nodes that take part have done what they were told so far.
    pub(crate) async fn settled(&self) {
        let told: Vec<Told> = {
            let members = self.members.lock();
            members.posts.values().filter(|post| post.takes_part()).map(|post| post.told()).collect()
        };
        join_all(told).await;
    }

    /// The session with this number.
    pub(crate) fn known(&self, session: u64) -> Option<Arc<Session>> {
        self.known.lock().get(&session).cloned()
    }

    /// Remembers a session by its number.
    pub(crate) fn know(&self, session: &Arc<Session>) {
        self.known.lock().insert(session.id, Arc::clone(session));
    }

    /// A session is over.
    pub(crate) fn forget(&self, session: u64) -> Option<Arc<Session>> {
        self.known.lock().remove(&session)
    }
}

/// What became of a message on its way to other nodes.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    /// Those that have to take it.
    pub(crate) to: Vec<Arc<Post>>,
    /// To how many it was not sent.
    pub(crate) dropped: u64,
}

impl Members {
    fn say(&self, frame: &Frame) {
        self.posts.values().for_each(|post| post.say(frame));
    }
}

impl Member {
    fn is_same(&self, other: &Self) -> bool {
        self.session == other.session
            && self.channel == other.channel
            && self.subtopic == other.subtopic
            && self.spelling == other.spelling
            && self.group == other.group
    }
}

fn message(
    room: &Room,
    subtopic: &str,
    publish: &Publish,
    origin: Option<u64>,
    group: Option<Text>,
    sessions: Vec<u64>,
) -> Message {
    Message {
        domain: room.domain,
        channel: room.channel,
        subtopic: Text::from(subtopic),
        origin,
        qos: publish.qos,
        retain: publish.retain,
        expiry: publish.message_expiry,
        properties: bytes::Bytes::copy_from_slice(publish.properties.as_encoded()),
        payload: publish.payload.clone(),
        group,
        sessions,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster::{Bounds, NodeId, Transport};
    use futures_util::future::BoxFuture;

    use super::*;

    struct Nowhere;

    impl Transport for Nowhere {
        fn send(&self, _to: NodeId, _datagram: bytes::Bytes) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    fn node(me: u64) -> Nodes {
        Nodes::new(me, Peers::new(NodeId(me), Bounds::default(), b"key", Arc::new(Nowhere)))
    }

    #[test]
    fn what_is_stored_later_has_a_place_further_below_whichever_node_stores_it() {
        let (one, other) = (node(1), node(2));
        let at = |millis: i64| Timestamp::from_micros(1_800_000_000_000_000 + millis * 1_000);
        let places = [
            one.next_unplaced(at(0)),
            other.next_unplaced(at(1)),
            one.next_unplaced(at(2)),
            one.next_unplaced(at(2)),
        ];
        assert!(places.iter().all(|place| *place < 0));
        assert!(places.is_sorted_by(|earlier, later| earlier > later), "{places:?}");
        assert_ne!(one.next_unplaced(at(9)), other.next_unplaced(at(9)));
        // A clock that goes back does not bring a message before an earlier one.
        assert!(one.next_unplaced(at(0)) < places[3]);
        let many: Vec<i64> = (0..10_000).map(|_| one.next_unplaced(at(10))).collect();
        assert!(many.is_sorted_by(|earlier, later| earlier > later));
    }
}
