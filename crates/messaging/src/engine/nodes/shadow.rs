//! What this node knows of sessions that are elsewhere, and how one comes here.
//!
//! A shadow is a session without a connection that stands in its rooms like any other, so that messages for it are found.
//! What is known of it is what its rows say; who changes them tells all nodes, and they read again. The race it must win: rows
//! that are read while they change. They are read by one at a time, and whatever changes them is said after its COMMIT, so
//! that the last reading is never older than the last change.
//!
//! A session comes here in one step for those who look at it ([`Session::come_here`]), and keeps its place in its rooms.

use std::{sync::Arc, time::Duration};

use hashbrown::HashMap;
use kernel::{ChannelId, ClientId, Error, Result};
use tokio::time::sleep;

use super::Nodes;
use super::frame::Member;
use super::hear::Rest;
use crate::engine::commit::{self, Committer, Moment};
use crate::engine::room::Room;
use crate::engine::session::Session;
use crate::engine::subscribe::Held;
use crate::engine::{Core, Engine};
use crate::gate::Identity;
use crate::store::{self, SessionRecord, SubscriptionRecord};
use crate::wire::{SubscriptionOptions, Text};

/// Pause after the database has failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The rows of some sessions.
struct Rows {
    sessions: Vec<SessionRecord>,
    subscriptions: HashMap<u64, Vec<SubscriptionRecord>>,
    unreleased: Vec<(u64, u16)>,
}

/// Deletes the node.
pub(super) async fn leave(committer: &Committer, me: u64) -> Result<()> {
    committer.db().write(move |tx| Box::pin(store::leave(tx, me))).await
}

/// Makes a session this node's, if it is so already or no living node's.
pub(super) async fn own(committer: &Committer, me: u64, session: u64) -> Result<()> {
    let owned = committer.db().write(move |tx| {
        Box::pin(async move {
            store::hold(tx, me).await?;
            store::own(tx, me, session).await
        })
    });
    if owned.await? { Ok(()) } else { Err(Error::unavailable("the session is at another node")) }
}

async fn rows(committer: &Committer, sessions: &[u64]) -> Result<Rows> {
    let ids = sessions.to_vec();
    let read = committer.db().read(move |tx| {
        Box::pin(async move {
            let sessions = store::sessions_of(tx, &ids).await?;
            let subscriptions = store::subscriptions_of(tx, &ids).await?;
            Ok((sessions, subscriptions, store::unreleased_of(tx, &ids).await?))
        })
    });
    let (sessions, all, unreleased) = read.await?;
    Ok(Rows { sessions, subscriptions: by_session(all), unreleased })
}

/// Subscriptions, by the number of their session.
pub(in crate::engine) fn by_session(
    subscriptions: Vec<SubscriptionRecord>,
) -> HashMap<u64, Vec<SubscriptionRecord>> {
    let mut by_session: HashMap<u64, Vec<SubscriptionRecord>> = HashMap::new();
    for subscription in subscriptions {
        by_session.entry(subscription.session).or_default().push(subscription);
    }
    by_session
}

impl Engine {
    /// Begins to take part: takes the sessions that no living node has, and learns of all others.
    pub(in crate::engine) async fn take_part(&self) -> Result<()> {
        let core = &self.0;
        let Some((nodes, committer)) = core.shared.nodes.as_ref().zip(core.shared.committer.as_ref()) else {
            return Ok(());
        };
        let adopted = adopt(committer, nodes.me).await?;
        {
            let _turn = nodes.rereading.lock().await;
            let found = committer.find().await?;
            core.restore(committer, found);
        }
        nodes.changed(adopted);
        nodes.settled().await;
        core.place_what_waits().await
    }
}

async fn adopt(committer: &Committer, me: u64) -> Result<Vec<u64>> {
    let adopted = committer.db().write(move |tx| {
        Box::pin(async move {
            store::hold(tx, me).await?;
            store::adopt(tx, me).await
        })
    });
    adopted.await
}

impl Core {
    /// Reads the rows of these sessions, however long it takes.
    pub(super) async fn read_again(&self, sessions: Vec<u64>) {
        while let Err(error) = self.read_into_shadows(&sessions).await {
            tracing::warn!(cause = %error.chain(), "what other nodes' sessions read could not be looked up");
            if !self.has_patience().await {
                return;
            }
        }
    }

    /// Waits a little; `false`: the node has no place any more.
    async fn has_patience(&self) -> bool {
        let Some(nodes) = &self.shared.nodes else { return false };
        nodes.lost.run_until_cancelled(sleep(PAUSE)).await.is_some()
    }

    async fn read_into_shadows(&self, sessions: &[u64]) -> Result<()> {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return Ok(());
        };
        let _turn = nodes.rereading.lock().await;
        let mut rows = rows(committer, sessions).await?;
        for &id in sessions {
            let record = rows.sessions.iter().find(|record| record.id == id);
            match record {
                Some(record) if record.owner == Some(nodes.me) => {}
                Some(record) => self.shadow(nodes, record, rows.subscriptions.remove(&id)),
                None => self.drop_shadow(nodes, id),
            }
        }
        Ok(())
    }

    /// Knows a session that is elsewhere as its rows say.
    pub(in crate::engine) fn shadow(
        &self,
        nodes: &Nodes,
        record: &SessionRecord,
        subscriptions: Option<Vec<SubscriptionRecord>>,
    ) {
        let session = nodes.known(record.id).unwrap_or_else(|| self.unsettled(record));
        if session.is_here() && nodes.known(record.id).is_some() {
            // It is on its way: its node is written last.
            return;
        }
        session.be_at(record.owner.unwrap_or(0), record.ends_at.is_none());
        nodes.know(&session);
        self.put_subscriptions(&session, subscriptions.unwrap_or_default());
    }

    fn drop_shadow(&self, nodes: &Nodes, id: u64) {
        let Some(session) = nodes.known(id).filter(|session| !session.is_here()) else { return };
        nodes.forget(id);
        let held = {
            let mut state = session.state.lock();
            state.ended = true;
            std::mem::take(&mut state.subscriptions)
        };
        held.iter().for_each(|held| held.leave(&session));
        session.is_said_to_be_full(false);
    }

    /// Makes these sessions live here, if their rows say that they are this node's. With `doubtful` their rights are asked
    /// about: nobody may have looked at them for a while.
    pub(super) async fn take_in(&self, sessions: &[u64], doubtful: bool) -> Result<()> {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return Ok(());
        };
        let mut in_doubt = Vec::new();
        {
            let _turn = nodes.rereading.lock().await;
            let mut rows = rows(committer, sessions).await?;
            let moment = Moment::now(&self.clock);
            for record in rows.sessions.iter().filter(|record| record.owner == Some(nodes.me)) {
                let subscriptions = rows.subscriptions.remove(&record.id).unwrap_or_default();
                let unreleased = &rows.unreleased;
                let (session, rooms) =
                    self.settle_found(committer, record, subscriptions, unreleased, &moment);
                in_doubt.extend(rooms.into_iter().map(|room| (Arc::clone(&session), room)));
            }
        }
        nodes.changed(sessions.iter().copied());
        nodes.settled().await;
        for session in sessions.iter().filter_map(|&id| nodes.known(id)) {
            committer.place_later(&session);
        }
        if doubtful {
            self.verify_found(in_doubt);
        }
        Ok(())
    }

    /// Gives places to what has been stored for sessions here and has none.
    pub(super) async fn place_what_waits(&self) -> Result<()> {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return Ok(());
        };
        let waiting = committer.db().scan(|tx| Box::pin(store::unplaced(tx))).await?;
        for session in waiting.into_iter().filter_map(|id| nodes.known(id)) {
            if session.is_here() {
                committer.place_later(&session);
            }
        }
        Ok(())
    }

    /// Nodes are no more: their sessions go on somewhere, and what they have stored or changed last without saying so is
    /// looked for.
    pub(super) async fn take_the_place_of_the_dead(&self) {
        while let Err(error) = self.inherit().await {
            tracing::warn!(cause = %error.chain(), "the sessions of a node that has gone could not be taken");
            if !self.has_patience().await {
                return;
            }
        }
    }

    async fn inherit(&self) -> Result<()> {
        let Some((nodes, committer)) = self.shared.nodes.as_ref().zip(self.shared.committer.as_ref()) else {
            return Ok(());
        };
        let adopted = adopt(committer, nodes.me).await?;
        if !adopted.is_empty() {
            tracing::info!(sessions = adopted.len(), "took the sessions of a node that has gone");
        }
        self.take_in(&adopted, true).await?;
        for room in self.rooms.all(Room::has_its_retained) {
            let found = committer.retained_of(&room).await?;
            room.replace_retained(found, &self.shared.stats);
        }
        self.place_what_waits().await
    }

    /// The retained message of a topic has changed at another node.
    pub(super) fn read_retained_again(self: Arc<Self>, channel: ChannelId, subtopic: Text) -> Option<Rest> {
        let room = self.rooms.get(channel).filter(|room| room.has_its_retained())?;
        let committer = self.shared.committer.clone()?;
        Some(Box::pin(async move {
            loop {
                match committer.retained_at(channel, subtopic.as_str()).await {
                    Ok(found) => {
                        return room.replace_retained_at(subtopic.as_str(), found, &self.shared.stats);
                    }
                    Err(error) => {
                        tracing::warn!(cause = %error.chain(), "a retained message could not be read");
                        if !self.has_patience().await {
                            return;
                        }
                    }
                }
            }
        }))
    }
}

impl Core {
    /// A session that is not stored has come into a group at another node, or left it.
    pub(super) fn hear_member(&self, node: u64, member: &Member) {
        let Some(nodes) = &self.shared.nodes else { return };
        let Some(room) = self.rooms.open(member.domain, member.channel) else { return };
        let held = Held::of_group(&member.subtopic, &member.spelling, &member.group, room);
        if member.comes {
            let session = nodes.known(member.session).unwrap_or_else(|| self.stranger(member));
            session.be_at(node, true);
            nodes.know(&session);
            let options = SubscriptionOptions { qos: member.qos, ..SubscriptionOptions::default() };
            held.enter(&session, options, None);
            session.state.lock().subscriptions.push(held);
        } else if let Some(session) = nodes.known(member.session) {
            let is_last = {
                let mut state = session.state.lock();
                if let Some(at) = state.subscriptions.iter().position(|known| known.means_the_same_as(&held))
                {
                    state.subscriptions.swap_remove(at);
                }
                state.subscriptions.is_empty()
            };
            held.leave(&session);
            if is_last {
                nodes.forget(member.session);
            }
        }
    }

    /// Stands for a connection of another node. Who it is, is that node's affair.
    fn stranger(&self, member: &Member) -> Arc<Session> {
        let identity =
            Identity::Client { client: ClientId::from_uuid(uuid::Uuid::nil()), domain: member.domain };
        let shared = Arc::clone(&self.shared);
        Arc::new(Session::new(member.session, &identity, Text::default(), shared, None))
    }

    /// A node is no more: nobody is connected there.
    pub(super) fn forget_members_of(&self, nodes: &Nodes, node: u64) {
        let of_node: Vec<Arc<Session>> =
            nodes.known.lock().values().filter(|session| session.owner() == Some(node)).cloned().collect();
        for session in of_node {
            session.be_at(node, false);
            if !session.is_stored() {
                self.drop_shadow(nodes, session.id);
            }
        }
    }
}

impl Committer {
    /// The retained message of one topic.
    async fn retained_at(
        &self,
        channel: ChannelId,
        subtopic: &str,
    ) -> Result<Option<crate::engine::retain::Retained>> {
        let (moment, subtopic) = (Moment::now(self.clock()), subtopic.to_owned());
        let found = self
            .db()
            .read(move |tx| Box::pin(async move { store::retained_at(tx, channel, &subtopic).await }));
        Ok(found.await?.map(|record| commit::retained(record, &moment).1))
    }
}
