//! Sessions, their subscriptions and the QoS 2 messages that their clients have not released.

use db::{Filter, Row, Tx, Val, params};
use kernel::{ChannelId, ClientId, DomainId, Result, Timestamp};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRecord {
    pub(crate) id: u64,
    pub(crate) client: ClientId,
    pub(crate) domain: DomainId,
    /// The client identifier of MQTT.
    pub(crate) name: String,
    /// Seconds that it outlives its connection.
    pub(crate) expiry: u32,
    /// `None` while it has a connection.
    pub(crate) ends_at: Option<Timestamp>,
    /// Messages up to this seq have been sent. Holds only while there is no connection.
    pub(crate) sent: u64,
    pub(crate) will: Option<WillRecord>,
    /// The node that has it; `None`: no node in particular.
    pub(crate) owner: Option<u64>,
}

/// A will as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WillRecord {
    /// PUBLISH of MQTT 5.
    pub(crate) publish: Vec<u8>,
    /// Seconds.
    pub(crate) delay: u32,
    pub(crate) due: Option<Timestamp>,
}

/// A subscription as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionRecord {
    pub(crate) session: u64,
    /// As it was written.
    pub(crate) filter: String,
    pub(crate) domain: DomainId,
    pub(crate) channel: ChannelId,
    /// The filter below the channel, and up to it.
    pub(crate) subtopic: String,
    pub(crate) spelling: String,
    /// Group of a shared subscription.
    pub(crate) share: Option<String>,
    /// The byte of SUBSCRIBE.
    pub(crate) options: u8,
    pub(crate) identifier: Option<u32>,
}

pub(super) async fn attach(tx: &mut Tx, record: &SessionRecord) -> Result<()> {
    let (publish, delay) = match &record.will {
        Some(will) => (Val::from(&will.publish), will.delay),
        None => (Val::Null, 0),
    };
    let due = record.will.as_ref().and_then(|will| will.due);
    tx.execute_later(
        "INSERT INTO mqtt_sessions
                (id, client_id, domain_id, name, expiry, ends_at, sent, will, will_delay, will_due, owner)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (id) DO UPDATE
            SET expiry = excluded.expiry, ends_at = excluded.ends_at, will = excluded.will,
                will_delay = excluded.will_delay, will_due = excluded.will_due",
        params![
            record.id,
            record.client,
            record.domain,
            &record.name,
            record.expiry,
            record.ends_at,
            record.sent,
            publish,
            delay,
            due,
            record.owner
        ],
    )
    .await
}

pub(super) async fn detach(
    tx: &mut Tx,
    session: u64,
    expiry: u32,
    ends_at: Timestamp,
    sent: u64,
    will_due: Option<Timestamp>,
) -> Result<()> {
    tx.execute_later(
        "UPDATE mqtt_sessions
            SET expiry = $2, ends_at = $3, sent = $4, will_due = $5,
                will = CASE WHEN $6 THEN will ELSE NULL END
          WHERE id = $1",
        params![session, expiry, ends_at, sent, will_due, will_due.is_some()],
    )
    .await
}

pub(super) async fn drop_will(tx: &mut Tx, session: u64) -> Result<()> {
    tx.execute_later(
        "UPDATE mqtt_sessions
            SET will = NULL, will_due = NULL
          WHERE id = $1",
        params![session],
    )
    .await
}

pub(super) async fn end(tx: &mut Tx, session: u64) -> Result<()> {
    for sql in [
        "DELETE FROM mqtt_unreleased WHERE session_id = $1",
        "DELETE FROM mqtt_subscriptions WHERE session_id = $1",
        "DELETE FROM mqtt_sessions WHERE id = $1",
    ] {
        tx.execute_later(sql, params![session]).await?;
    }
    Ok(())
}

pub(super) async fn subscribe(tx: &mut Tx, record: &SubscriptionRecord) -> Result<()> {
    tx.execute_later(
        "INSERT INTO mqtt_subscriptions
                (session_id, filter, domain_id, channel_id, subtopic, spelling, share, options, identifier)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (session_id, filter) DO UPDATE
            SET domain_id = excluded.domain_id, channel_id = excluded.channel_id,
                subtopic = excluded.subtopic, spelling = excluded.spelling, share = excluded.share,
                options = excluded.options, identifier = excluded.identifier",
        params![
            record.session,
            &record.filter,
            record.domain,
            record.channel,
            &record.subtopic,
            &record.spelling,
            record.share.as_deref(),
            record.options,
            record.identifier
        ],
    )
    .await
}

pub(super) async fn unsubscribe(tx: &mut Tx, session: u64, filter: &str) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_subscriptions WHERE session_id = $1 AND filter = $2",
        params![session, filter],
    )
    .await
}

pub(super) async fn hold(tx: &mut Tx, session: u64, packet_id: u16) -> Result<()> {
    tx.execute_later(
        "INSERT INTO mqtt_unreleased (session_id, packet_id)
         VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
        params![session, packet_id],
    )
    .await
}

pub(super) async fn release(tx: &mut Tx, session: u64, packet_id: u16) -> Result<()> {
    tx.execute_later(
        "DELETE FROM mqtt_unreleased WHERE session_id = $1 AND packet_id = $2",
        params![session, packet_id],
    )
    .await
}

const SESSIONS: &str =
    "SELECT id, client_id, domain_id, name, expiry, ends_at, sent, will, will_delay, will_due, owner
                          FROM mqtt_sessions";

/// All sessions.
pub(crate) async fn sessions(tx: &mut Tx) -> Result<Vec<SessionRecord>> {
    let rows = tx.all(&format!("{SESSIONS} ORDER BY id"), &[]).await?;
    rows.iter().map(session).collect()
}

/// Those of the sessions with these numbers that there are.
pub(crate) async fn sessions_of(tx: &mut Tx, ids: &[u64]) -> Result<Vec<SessionRecord>> {
    let mut found = Vec::new();
    for ids in ids.chunks(AT_A_TIME) {
        let filter = Filter::new().and_in("id", values(ids));
        let rows = tx.all(&format!("{SESSIONS}{} ORDER BY id", filter.sql()), filter.params()).await?;
        for row in &rows {
            found.push(session(row)?);
        }
    }
    Ok(found)
}

/// The sessions of a client with this client identifier: one, or two where its client was let in at two nodes at once.
pub(crate) async fn named(tx: &mut Tx, client: ClientId, name: &str) -> Result<Vec<SessionRecord>> {
    let sql = format!("{SESSIONS} WHERE client_id = $1 AND name = $2 ORDER BY id");
    let rows = tx.all(&sql, params![client, name]).await?;
    rows.iter().map(session).collect()
}

fn session(row: &Row) -> Result<SessionRecord> {
    let (delay, due) = (row.get("will_delay")?, row.get("will_due")?);
    let will = row.get::<Option<Vec<u8>>>("will")?.map(|publish| WillRecord { publish, delay, due });
    Ok(SessionRecord {
        id: row.get("id")?,
        client: row.get("client_id")?,
        domain: row.get("domain_id")?,
        name: row.get("name")?,
        expiry: row.get("expiry")?,
        ends_at: row.get("ends_at")?,
        sent: row.get("sent")?,
        will,
        owner: row.get("owner")?,
    })
}

const SUBSCRIPTIONS: &str =
    "SELECT session_id, filter, domain_id, channel_id, subtopic, spelling, share, options, identifier
       FROM mqtt_subscriptions";

/// All subscriptions.
pub(crate) async fn subscriptions(tx: &mut Tx) -> Result<Vec<SubscriptionRecord>> {
    let rows = tx.all(&format!("{SUBSCRIPTIONS} ORDER BY session_id, filter"), &[]).await?;
    rows.iter().map(subscription).collect()
}

/// Those of these sessions.
pub(crate) async fn subscriptions_of(tx: &mut Tx, sessions: &[u64]) -> Result<Vec<SubscriptionRecord>> {
    let mut found = Vec::new();
    for sessions in sessions.chunks(AT_A_TIME) {
        let filter = Filter::new().and_in("session_id", values(sessions));
        let sql = format!("{SUBSCRIPTIONS}{} ORDER BY session_id, filter", filter.sql());
        for row in &tx.all(&sql, filter.params()).await? {
            found.push(subscription(row)?);
        }
    }
    Ok(found)
}

fn subscription(row: &Row) -> Result<SubscriptionRecord> {
    Ok(SubscriptionRecord {
        session: row.get("session_id")?,
        filter: row.get("filter")?,
        domain: row.get("domain_id")?,
        channel: row.get("channel_id")?,
        subtopic: row.get("subtopic")?,
        spelling: row.get("spelling")?,
        share: row.get("share")?,
        options: row.get("options")?,
        identifier: row.get("identifier")?,
    })
}

/// Sessions that one statement names.
const AT_A_TIME: usize = 500;

fn values(ids: &[u64]) -> impl Iterator<Item = Val> {
    ids.iter().map(|id| Val::from(*id))
}

/// What the clients of these sessions have sent and not released.
pub(crate) async fn unreleased_of(tx: &mut Tx, sessions: &[u64]) -> Result<Vec<(u64, u16)>> {
    let mut found = Vec::new();
    for sessions in sessions.chunks(AT_A_TIME) {
        let filter = Filter::new().and_in("session_id", values(sessions));
        let sql = format!("SELECT session_id, packet_id FROM mqtt_unreleased{}", filter.sql());
        for row in &tx.all(&sql, filter.params()).await? {
            found.push((row.get("session_id")?, row.get("packet_id")?));
        }
    }
    Ok(found)
}

/// Every message that a client has sent and not released: session and packet identifier.
pub(crate) async fn unreleased(tx: &mut Tx) -> Result<Vec<(u64, u16)>> {
    let rows = tx.all("SELECT session_id, packet_id FROM mqtt_unreleased", &[]).await?;
    rows.iter().map(|row| Ok((row.get("session_id")?, row.get("packet_id")?))).collect()
}

/// The highest number that a session has.
pub(crate) async fn last_session(tx: &mut Tx) -> Result<u64> {
    let row = tx.one("SELECT COALESCE(MAX(id), 0) AS last FROM mqtt_sessions", &[]).await?;
    row.get("last")
}
