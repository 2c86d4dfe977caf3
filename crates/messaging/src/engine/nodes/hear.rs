//! What is done with what other nodes say.
//!
//! Frames of one node are taken in their order by one task, which never waits: what takes time (a commit, room in a queue,
//! rows to be read) goes on beside it, and the message that they came in counts as processed when all of it is done.

use std::sync::{Arc, Weak, atomic::Ordering::SeqCst};

use bytes::Bytes;
use cluster::Incoming;
use futures_util::future::{BoxFuture, join_all};
use kernel::ChannelId;
use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use super::frame::{Frame, Message};
use super::post::Post;
use crate::engine::Core;
use crate::engine::commit;
use crate::engine::fanout::{Fanout, Work};
use crate::protocol::Protocol;
use crate::wire::{MessageProperties, Publish};

/// What is left to be done.
pub(super) type Rest = BoxFuture<'static, ()>;

/// Takes what a node says until it is no more.
pub(super) async fn hear(core: Weak<Core>, post: Arc<Post>, mut inbox: mpsc::Receiver<Incoming>) {
    while let Some(incoming) = inbox.recv().await {
        let Some(core) = core.upgrade() else { return };
        let rest = core.heard(&core, &post, incoming.message.clone());
        if rest.is_empty() {
            incoming.done();
        } else {
            tokio::spawn(async move {
                join_all(rest).await;
                incoming.done();
            });
        }
    }
}

impl Core {
    fn heard(&self, core: &Arc<Self>, post: &Arc<Post>, mut bytes: Bytes) -> Vec<Rest> {
        let Some(nodes) = &self.shared.nodes else { return Vec::new() };
        let (mut rest, mut changed) = (Vec::new(), Vec::new());
        // Nothing is received here: the origin has counted it.
        let mut work = Work::begin(Protocol::Mqtt);
        loop {
            match Frame::take(&mut bytes) {
                Ok(None) => break,
                Ok(Some(frame)) => match frame {
                    Frame::Hello => {
                        post.greeted.store(true, SeqCst);
                        // Behind all that was said before the other node is waited for.
                        post.say(&Frame::Welcome);
                        nodes.changed_members.notify_waiters();
                    }
                    Frame::Welcome => {
                        post.welcomed.store(true, SeqCst);
                        nodes.changed_members.notify_waiters();
                    }
                    Frame::Interest { channel, wanted } => self.hear_interest(post, channel, wanted),
                    Frame::Message(message) => self.hear_message(&message, &mut work),
                    Frame::Changed { session } => changed.push(session),
                    Frame::Waits { session } => self.place_waiting(session),
                    Frame::Full { session, full } => {
                        if let Some(session) = nodes.known(session).filter(|session| !session.is_here()) {
                            session.is_said_to_be_full(full);
                        }
                    }
                    Frame::Takeover { identity, name, anew } => {
                        let node = post.node.0;
                        rest.extend(Arc::clone(core).let_go(node, identity, &name, anew));
                    }
                    Frame::Retained { channel, subtopic } => {
                        rest.extend(Arc::clone(core).read_retained_again(channel, subtopic));
                    }
                    Frame::Member(member) => self.hear_member(post.node.0, &member),
                },
                Err(error) => {
                    tracing::error!(node = %post.node, %error, "do all nodes run the same version?");
                    break;
                }
            }
        }
        rest.extend(self.finish_foreign(core, work));
        if !changed.is_empty() {
            let core = Arc::clone(core);
            rest.push(Box::pin(async move { core.read_again(changed).await }));
        }
        rest
    }

    /// Writes what other nodes' messages have caused, and leaves what they have to wait for.
    fn finish_foreign(&self, core: &Arc<Self>, mut work: Work) -> Option<Rest> {
        work.flush();
        work.settle(&self.shared.stats);
        let (mut full, batch) = (std::mem::take(&mut work.full), std::mem::take(&mut work.batch));
        let stored = self.store(batch);
        if full.is_empty() && stored.is_none() {
            return None;
        }
        let core = Arc::clone(core);
        Some(Box::pin(async move {
            if let Some(stored) = stored {
                // Whoever subscribes while a message comes has no SUBACK yet: nothing is promised.
                full.extend(commit::answer(stored).await.unwrap_or_default());
            }
            let patience: Duration = core.shared.limits.slow_subscriber * 2;
            let _has_room = timeout(patience, core.wait_for_room(full)).await;
        }))
    }

    fn hear_interest(&self, post: &Arc<Post>, channel: ChannelId, wanted: bool) {
        let Some(nodes) = &self.shared.nodes else { return };
        {
            let mut readers = nodes.readers.lock();
            let posts = readers.entry(channel).or_default();
            posts.retain(|known| known.node != post.node);
            if wanted {
                posts.push(Arc::clone(post));
            }
            if posts.is_empty() {
                readers.remove(&channel);
            }
        }
        if let Some(room) = self.rooms.get(channel) {
            room.readers_changed();
        }
    }

    /// A message that another node has taken: it is for those who are here.
    fn hear_message(&self, message: &Message, work: &mut Work) {
        let Some(room) = self.rooms.get(message.channel).filter(|room| room.domain == message.domain) else {
            return;
        };
        let publish = Publish {
            qos: message.qos,
            retain: message.retain,
            payload: message.payload.clone(),
            message_expiry: message.expiry,
            properties: MessageProperties::from_encoded(&message.properties),
            ..Publish::default()
        };
        let targets = room.targets(message.subtopic.as_str());
        let fanout = Fanout::new(&publish, &room, message.subtopic.as_str(), message.origin, work.now);
        match &message.group {
            None => fanout.deliver_here(&targets, &message.sessions, work),
            Some(group) => fanout.deliver_to_member(&targets, group.as_str(), &message.sessions, work),
        }
    }

    /// Messages have been stored for a session. If it is here no longer, its new node has looked for them itself.
    fn place_waiting(&self, session: u64) {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return;
        };
        match nodes.known(session).filter(|session| session.is_here()) {
            // Nobody here has looked at the bound for it.
            Some(session) if session.is_full_and_absent() => self.end_overflowing_one(&session),
            Some(session) => committer.place_later(&session),
            None => {}
        }
    }
}
