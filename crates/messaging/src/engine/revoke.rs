//! A right ends.
//!
//! The races it must win: a decision that is being made while the right ends must not outlive it, and a subscription
//! that is being made must not slip through. So generations change first; then subscriptions are looked for
//! (`subscribe.rs` looks at the generations after it has made one; `publish.rs` before it uses a decision). Publishers
//! ask again with their next message; subscriptions are asked about here, at once, and those that no longer hold end.
//! If the gate cannot answer, the right is taken as lost: the subscription ends and the client is told to come back.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::connect::Aftermath;
use super::link::Close;
use super::publish::Refusal;
use super::registry;
use super::room::Room;
use super::session::Session;
use super::{Core, Engine};
use crate::gate::{Action, Identity, IdentityKey, Revocation};
use crate::store::Change;
use crate::wire::ReasonCode;

/// How long the gate may be asked about one subscription: less than the second within which a right must end.
const PATIENCE: Duration = Duration::from_millis(700);
/// Pause before a gate that could not answer is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// Questions that are open at a time.
const AT_ONCE: usize = 64;

impl Engine {
    /// Drops the decisions that a change has made doubtful. Returns at once; running subscriptions are asked about in
    /// the background, without waiting for a message.
    pub fn revoke(&self, revocation: Revocation) {
        let core = &self.0;
        match revocation {
            Revocation::Client(client) => core.revoke_identity(IdentityKey::Client(client)),
            Revocation::User(user) => core.revoke_identity(IdentityKey::User(user)),
            Revocation::ClientGone(client) => core.banish(IdentityKey::Client(client), |_| true),
            Revocation::UserGone(user) => core.banish(IdentityKey::User(user), |_| true),
            Revocation::Credential(user, shown) => {
                core.banish(IdentityKey::User(user), |identity| identity.revocable() == Some(shown));
            }
            Revocation::ClientSecret(client) => {
                core.registry.revoke_credentials();
                for session in core.registry.of(IdentityKey::Client(client)) {
                    close(&session, ReasonCode::ADMINISTRATIVE_ACTION);
                }
            }
            Revocation::Channel(channel) => {
                core.revoke_rooms(core.rooms.get(channel).into_iter().collect(), |_| true);
            }
            Revocation::ChannelGone(channel) => {
                if let Some(room) = core.rooms.get(channel) {
                    core.close_room(&room);
                }
                if let Some(committer) = &core.shared.committer {
                    committer.note(Change::CloseChannel { channel });
                }
            }
            Revocation::Domain(domain) => {
                core.revoke_rooms(core.rooms.all(|room| room.domain == domain), |_| true);
            }
            Revocation::UsersIn(domain) => {
                let is_user = |session: &Session| matches!(session.identity, IdentityKey::User(_));
                core.revoke_rooms(core.rooms.all(|room| room.domain == domain), is_user);
            }
            Revocation::Everything => {
                core.registry.revoke_credentials();
                let mut rooms = core.rooms.all(|_| true);
                rooms.push(Arc::clone(&core.figures));
                core.revoke_rooms(rooms, |_| true);
            }
        }
    }
}

impl Core {
    fn revoke_identity(&self, identity: IdentityKey) {
        let mut doubtful = Vec::new();
        for session in self.registry.of(identity) {
            session.outdate();
            let mut rooms: Vec<Arc<Room>> =
                session.state.lock().subscriptions.iter().map(|held| Arc::clone(&held.room)).collect();
            rooms.sort_unstable_by_key(|room| room.channel);
            rooms.dedup_by_key(|room| room.channel);
            doubtful.extend(rooms.into_iter().map(|room| (Arc::clone(&session), room)));
        }
        self.verify(doubtful);
    }

    /// Of the subscriptions, only those of `whose` sessions are asked about.
    fn revoke_rooms(&self, rooms: Vec<Arc<Room>>, whose: impl Fn(&Session) -> bool) {
        let mut doubtful = Vec::new();
        for room in rooms {
            room.outdate();
            let subscribers = room.subscribers().into_iter().filter(|session| whose(session));
            doubtful.extend(subscribers.map(|session| (session, Arc::clone(&room))));
        }
        self.verify(doubtful);
    }

    /// Ends everything in a channel that is no more.
    fn close_room(&self, room: &Room) {
        room.outdate();
        room.close(&self.shared.stats);
        for session in room.subscribers() {
            let lost = self.drop_channel(&session, room.channel);
            self.shared.stats.subscriptions_revoked.fetch_add(lost as u64, Relaxed);
        }
    }

    /// Ends everything that belongs to an identity and was last entered as `which` says.
    fn banish(&self, identity: IdentityKey, which: impl Fn(&Identity) -> bool) {
        self.registry.revoke_credentials();
        for session in self.registry.of(identity) {
            session.outdate();
            let mut aftermath = Aftermath::default();
            {
                let mut shard = self.registry.shard(identity).lock();
                let mut state = session.state.lock();
                if !which(&state.identity) {
                    continue;
                }
                if !state.ended {
                    registry::remove(&mut shard, &session);
                    state.will = None;
                    let held = session.end(&mut state);
                    aftermath.ended.push((Arc::clone(&session), held));
                }
            }
            self.settle(aftermath);
            close(&session, ReasonCode::NOT_AUTHORIZED);
        }
    }

    /// Asks about subscriptions in a task of its own, and ends those that do not hold.
    fn verify(&self, doubtful: Vec<(Arc<Session>, Arc<Room>)>) {
        let Some(core) = self.myself.upgrade().filter(|_| !doubtful.is_empty()) else { return };
        tokio::spawn(async move {
            let core = &core;
            stream::iter(doubtful)
                .for_each_concurrent(AT_ONCE, |(session, room)| async move {
                    core.verify_one(&session, &room).await;
                })
                .await;
        });
    }

    async fn verify_one(&self, session: &Arc<Session>, room: &Room) {
        let answer = timeout(PATIENCE, self.ask_again(session, room)).await;
        let Err(refusal) = answer.unwrap_or(Err(Refusal::Unavailable)) else { return };
        let lost = self.drop_channel(session, room.channel);
        self.shared.stats.subscriptions_revoked.fetch_add(lost as u64, Relaxed);
        if refusal == Refusal::Unavailable {
            close(session, ReasonCode::SERVER_BUSY);
        }
    }
}

impl Core {
    /// Asks until there is an answer.
    pub(crate) async fn ask_again(&self, session: &Session, room: &Room) -> Result<(), Refusal> {
        let identity = session.state.lock().identity.clone();
        loop {
            let answer = self.authorize(&identity, room, Action::Subscribe).await;
            if answer != Err(Refusal::Unavailable) {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn close(session: &Session, reason: ReasonCode) {
    if let Some(link) = session.link() {
        link.close(Close::Told(reason));
    }
}
