//! What the task that writes has to do with other nodes: places for what they have stored, and telling them what has been
//! stored here.
//!
//! INVARIANT: only the node that has a session gives places in its order, in this one task. Other nodes store messages with
//! places below 0; each is given its own behind all that the session had before.

use std::sync::Arc;

use hashbrown::HashMap;
use kernel::Result;

use super::Committer;
use super::orders::Order;
use super::task::Prepared;
use crate::engine::nodes::Nodes;
use crate::engine::room::Room;
use crate::engine::session::Session;
use crate::store::{self, Change, SessionRecord};

/// A topic whose retained message is written as it is after so many changes.
pub(super) struct RetainedTopic {
    pub(super) room: Arc<Room>,
    pub(super) subtopic: Box<str>,
    pub(super) changes: u64,
}

impl Committer {
    /// Gives places to what other nodes have stored for sessions of this one, and lets those know.
    pub(super) async fn settle_places(&self, unplaced: &mut HashMap<u64, Arc<Session>>) {
        unplaced.retain(|_, session| session.is_here() && !session.has_ended());
        if unplaced.is_empty() {
            return;
        }
        match self.place_unplaced(unplaced.values()).await {
            Ok(()) => unplaced.clear(),
            Err(error) => {
                tracing::warn!(cause = %error.chain(), "messages of other nodes could not be given their places");
            }
        }
    }

    async fn place_unplaced(&self, sessions: impl Iterator<Item = &Arc<Session>>) -> Result<()> {
        let mut known = Vec::new();
        for session in sessions {
            self.learn_last(session).await?;
            if let Some(last) = session.last_place() {
                known.push((Arc::clone(session), last));
            }
        }
        let asked: Vec<(u64, u64)> = known.iter().map(|(session, last)| (session.id, *last)).collect();
        let me = self.me();
        let write = self.db.write(move |tx| {
            Box::pin(async move {
                hold(tx, me).await?;
                let mut placed = Vec::new();
                for (session, last) in asked {
                    placed.push(store::place(tx, session, last).await?);
                }
                Ok(placed)
            })
        });
        for ((session, last), (messages, bytes)) in known.into_iter().zip(write.await?) {
            session.placed(
                last + messages,
                usize::try_from(messages).unwrap_or(usize::MAX),
                usize::try_from(bytes).unwrap_or(usize::MAX),
            );
            self.count(&session).await?;
        }
        Ok(())
    }

    /// This node, where there are others.
    pub(super) fn me(&self) -> Option<u64> {
        self.nodes.as_ref().map(|nodes| nodes.me)
    }

    /// Retained messages are stored: the other nodes are to read them.
    pub(super) fn tell_retained(&self, retained: Vec<RetainedTopic>) {
        let Some(nodes) = &self.nodes else { return };
        for RetainedTopic { room, subtopic, changes } in retained {
            room.retained_stored(&subtopic, changes);
            nodes.retained(room.channel, &subtopic);
        }
    }

    /// Tells other nodes what of it concerns them: what their sessions have got, and what the sessions here read.
    pub(super) fn tell_nodes(&self, prepared: &[Prepared]) {
        let Some(nodes) = &self.nodes else { return };
        let mut waiting: HashMap<u64, &Arc<Session>> = HashMap::new();
        let mut changed: Vec<u64> = Vec::new();
        for Prepared { order, .. } in prepared {
            match order {
                Order::Accept { batch, .. } => {
                    waiting.extend(batch.elsewhere.iter().map(|session| (session.id, session)));
                }
                Order::Change { change, .. } => changed.extend(change.concerns_nodes(nodes)),
                _ => {}
            }
        }
        for session in waiting.into_values() {
            if session.is_here() {
                // It has come here while the message was being stored.
                self.place_later(session);
            } else {
                nodes.waits(session);
            }
        }
        changed.sort_unstable();
        changed.dedup();
        nodes.changed(changed);
    }
}

/// Holds the lease of a node that has others.
pub(super) async fn hold(tx: &mut db::Tx, me: Option<u64>) -> Result<()> {
    match me {
        Some(me) => store::hold(tx, me).await,
        None => Ok(()),
    }
}

impl Change {
    /// The session of which other nodes must know that it has changed.
    fn concerns_nodes(&self, nodes: &Nodes) -> Option<u64> {
        match self {
            Self::Subscribe(record) => Some(record.session),
            Self::Unsubscribe { session, .. } | Self::End { session } => Some(*session),
            // Who is in a group is passed over while it has no connection.
            Self::Attach(SessionRecord { id: session, .. }) | Self::Detach { session, .. } => {
                nodes.known(*session).filter(|session| session.is_in_a_group()).map(|session| session.id)
            }
            _ => None,
        }
    }
}
