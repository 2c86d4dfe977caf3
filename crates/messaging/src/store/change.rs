//! What can change in the tables.

use db::Tx;
use kernel::{ChannelId, Result, Timestamp};

use super::nodes;
use super::queue::{self, MessageRecord, QueueRecord};
use super::retained::{self, RetainedRecord};
use super::sessions::{self, SessionRecord, SubscriptionRecord};

/// Rows that one INSERT takes: so few on SQLite that each of these texts is kept prepared.
const SQLITE_ROWS: usize = 16;
const POSTGRES_ROWS: usize = 500;

/// One change. Sessions go by their number.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A session has a connection: it is new, or its row is written anew.
    Attach(SessionRecord),
    /// A session has lost its connection.
    Detach {
        session: u64,
        expiry: u32,
        ends_at: Timestamp,
        /// Messages up to this seq have been sent.
        sent: u64,
        /// When its will is due; `None`: it has none any more.
        will_due: Option<Timestamp>,
    },
    /// A session goes to a node.
    Give { session: u64, owner: u64 },
    /// The will of a session has been published.
    DropWill { session: u64 },
    /// A session is over: everything of it goes.
    End { session: u64 },
    /// A subscription is made or renewed.
    Subscribe(SubscriptionRecord),
    /// A subscription ends.
    Unsubscribe { session: u64, filter: String },
    /// A message that several sessions are to have.
    Message(MessageRecord),
    /// A message waits for a session.
    Enqueue(QueueRecord),
    /// A QoS 2 message has reached its subscriber.
    Received { session: u64, seq: u64 },
    /// The messages from `first` to `last` are with the subscriber, and no longer needed.
    Finished { session: u64, first: u64, last: u64 },
    /// Messages that may wait for nobody any more.
    Unneeded { messages: Vec<u64> },
    /// Messages of several sessions that nobody needs: two nodes that finish with one at once both see the other's.
    SweepMessages,
    /// What waits from a channel is gone.
    Forget { session: u64, channel: ChannelId },
    /// A QoS 2 message has come from the session's client.
    Hold { session: u64, packet_id: u16 },
    /// It has been released.
    Release { session: u64, packet_id: u16 },
    /// A retained message takes the place of an earlier one.
    Retain(RetainedRecord),
    /// A topic has no retained message any more.
    Unretain { channel: ChannelId, subtopic: String },
    /// A channel is gone, and its retained messages.
    CloseChannel { channel: ChannelId },
    /// Retained messages that are not worth delivering any more.
    ExpireRetained { now: Timestamp },
}

/// Makes the changes, in their order.
pub(crate) async fn apply(tx: &mut Tx, changes: &[Change]) -> Result<()> {
    let most = match tx.engine() {
        db::Engine::Sqlite => SQLITE_ROWS,
        db::Engine::Postgres => POSTGRES_ROWS,
    };
    let mut rest = changes;
    while let Some((first, others)) = rest.split_first() {
        let records: Vec<&QueueRecord> = rest.iter().map_while(Change::as_enqueue).take(most).collect();
        if records.is_empty() {
            make(tx, first).await?;
            rest = others;
        } else {
            rest = rest.get(records.len()..).unwrap_or_default();
            queue::insert(tx, &records).await?;
        }
    }
    Ok(())
}

async fn make(tx: &mut Tx, change: &Change) -> Result<()> {
    match change {
        Change::Attach(record) => sessions::attach(tx, record).await,
        Change::Detach { session, expiry, ends_at, sent, will_due } => {
            sessions::detach(tx, *session, *expiry, *ends_at, *sent, *will_due).await
        }
        Change::Give { session, owner } => nodes::give(tx, *session, *owner).await,
        Change::DropWill { session } => sessions::drop_will(tx, *session).await,
        Change::End { session } => {
            queue::clear(tx, *session).await?;
            sessions::end(tx, *session).await
        }
        Change::Subscribe(record) => sessions::subscribe(tx, record).await,
        Change::Unsubscribe { session, filter } => sessions::unsubscribe(tx, *session, filter).await,
        Change::Message(record) => queue::insert_message(tx, record).await,
        Change::Enqueue(record) => queue::insert(tx, &[record]).await,
        Change::Received { session, seq } => queue::received(tx, *session, *seq).await,
        Change::Finished { session, first, last } => queue::finished(tx, *session, *first, *last).await,
        Change::Unneeded { messages } => queue::unneeded(tx, messages).await,
        Change::SweepMessages => queue::sweep(tx).await,
        Change::Forget { session, channel } => queue::forget(tx, *session, *channel).await,
        Change::Hold { session, packet_id } => sessions::hold(tx, *session, *packet_id).await,
        Change::Release { session, packet_id } => sessions::release(tx, *session, *packet_id).await,
        Change::Retain(record) => retained::save(tx, record).await,
        Change::Unretain { channel, subtopic } => retained::remove(tx, *channel, subtopic).await,
        Change::CloseChannel { channel } => retained::close(tx, *channel).await,
        Change::ExpireRetained { now } => retained::expire(tx, *now).await,
    }
}

impl Change {
    const fn as_enqueue(&self) -> Option<&QueueRecord> {
        match self {
            Self::Enqueue(record) => Some(record),
            _ => None,
        }
    }
}
