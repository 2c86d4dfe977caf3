//! Sends what waits in the queue.

use std::{sync::Arc, time::Duration};

use access::identity::{
    accounts::{Account, Accounts},
    tokens::{Grant, Purpose},
};
use db::Tx;
use kernel::{Result, Status, Timestamp};

use super::{
    Kind, Post,
    queue::{self, Notice, Outgoing, Waiting},
};
use crate::{
    Users, events,
    model::User,
    service::{recovery, verification},
    store,
};

/// How long a mail is tried for; whoever still wants it asks again.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long after an attempt whose end nobody saw, a crash, the mail is sent again.
const LEASE: Duration = Duration::from_secs(120);

/// How long to wait after each failed attempt; the last one again and again.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1800),
];

/// How long the deliveries rest after a failure of the database.
const REST: Duration = Duration::from_secs(5);

/// What became of the mail that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// The mail server has taken it.
    Sent,
    /// Nobody wants it: the address belongs to no account that could use it, or the mail server has refused it for good.
    Dropped,
    /// The mail server did not take it; it is tried again later.
    PutOff,
    /// No mail is due.
    Nothing,
}

impl Users {
    /// Sends the mail that is due next, if there is one.
    ///
    /// The token is made here, for whoever has the address now (reference 01 §5.6).
    pub async fn deliver(&self) -> Result<Delivered> {
        let Some(post) = &self.settings.mail else { return Ok(Delivered::Nothing) };
        let now = self.access.clock().now();
        let db = self.access.db();
        let taken = db.write(move |tx| {
            Box::pin(async move {
                store::settle(tx, now).await?;
                queue::forget_counts(tx, now).await?;
                queue::take(tx, now, LEASE).await
            })
        });
        let waiting = taken.await?;
        let Some(waiting) = waiting else { return Ok(Delivered::Nothing) };
        match self.send(post, &waiting).await {
            Ok(sent) => {
                self.finished(waiting, sent).await?;
                Ok(if sent { Delivered::Sent } else { Delivered::Dropped })
            }
            Err(error) if error.kind() == kernel::Kind::Unprocessable => {
                tracing::warn!(%error, cause = error.chain(), "a mail is dropped");
                self.finished(waiting, false).await?;
                Ok(Delivered::Dropped)
            }
            Err(error) if now.since(waiting.created_at) >= KEPT => {
                tracing::error!(%error, cause = error.chain(), attempts = waiting.attempts, "a mail is given up");
                self.finished(waiting, false).await?;
                Ok(Delivered::Dropped)
            }
            Err(error) => {
                tracing::warn!(%error, cause = error.chain(), attempts = waiting.attempts, "a mail could not be sent yet");
                let made = usize::try_from(waiting.attempts).unwrap_or_default().saturating_sub(1);
                let pause = PAUSES.get(made).or(PAUSES.last()).copied().unwrap_or(REST);
                let due_at = self.access.clock().now().after(pause);
                db.write(move |tx| Box::pin(async move { queue::put_off(tx, &waiting.id, due_at).await }))
                    .await?;
                Ok(Delivered::PutOff)
            }
        }
    }

    /// Sends one mail; false where the address belongs to no account that could use it.
    async fn send(&self, post: &Post, waiting: &Waiting) -> Result<bool> {
        let Some((user, account)) = self.recipient(waiting).await? else { return Ok(false) };
        let to = match (waiting.kind, &waiting.notice) {
            (Kind::Reset, _) => user.recovery.email.clone(),
            (Kind::Verification, _) => user.email.clone(),
            (Kind::Notice, Some(notice)) => notice.recipient.clone(),
            (Kind::Notice, None) => return Ok(false),
        };
        let token = match waiting.kind {
            Kind::Reset if user.provider.is_some() => return Ok(false),
            Kind::Reset => {
                let id = recovery::token_id(&self.access, &to);
                let grant = Grant {
                    user: user.id,
                    role: user.role.claimed(),
                    verified: account.verified,
                    generation: account.generation,
                    id: Some(&id),
                };
                let now = self.access.clock().now();
                Some(self.access.tokens().issue(Purpose::Recovery, grant, now, recovery::TOKEN_LIFE)?)
            }
            Kind::Verification if user.verified_at.is_some() => return Ok(false),
            Kind::Verification => Some(verification::issue(&self.access, &user).await?),
            Kind::Notice => None,
        };
        post.send(waiting.kind, to.as_str(), user.username.as_str(), token.as_ref()).await?;
        Ok(true)
    }

    /// Who the mail is for, and the account as it was before; none where that is nobody who may log in.
    async fn recipient(&self, waiting: &Waiting) -> Result<Option<(User, Account)>> {
        let (kind, key) = (waiting.kind, waiting.email_key.clone());
        let told = waiting.notice.as_ref().map(|notice| notice.user);
        let known = self
            .access
            .db()
            .read(move |tx| {
                Box::pin(async move {
                    let id = match kind {
                        Kind::Reset => store::id_by_recovery(tx, &key).await?,
                        Kind::Verification => store::id_by_login(tx, &key).await?,
                        Kind::Notice => told,
                    };
                    let Some(id) = id else { return Ok(None) };
                    let Some(account) = Accounts::read(tx, id).await? else { return Ok(None) };
                    Ok(store::get(tx, id).await?.map(|user| (user, account)))
                })
            })
            .await?;
        Ok(known.filter(|(user, _)| user.status == Status::Enabled))
    }

    async fn finished(&self, waiting: Waiting, sent: bool) -> Result<()> {
        let access = self.access.clone();
        let now = access.clock().now();
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    queue::delete(tx, &waiting.id).await?;
                    if !sent || waiting.kind != Kind::Reset {
                        return Ok(());
                    }
                    access.emit(tx, events::reset_sent(&waiting.email_key, now, &waiting.request)).await
                })
            })
            .await
    }

    /// Sends what waits for as long as the program runs.
    pub(crate) async fn deliver_for_ever(self) {
        // One node uses a database at a time: what an earlier run was at when it ended is in nobody's hands.
        let now = self.access.clock().now();
        let resumed = self.access.db().write(move |tx| Box::pin(queue::resume(tx, now))).await;
        if let Err(error) = resumed {
            tracing::warn!(%error, cause = error.chain(), "mails of an earlier run wait for their time");
        }
        loop {
            let pause = match self.deliver().await {
                Ok(Delivered::Nothing) => self.until_next_mail().await,
                Ok(_) => Some(Duration::ZERO),
                Err(error) => {
                    tracing::warn!(%error, cause = error.chain(), "mails could not be looked after");
                    Some(REST)
                }
            };
            match pause {
                Some(Duration::ZERO) => {}
                // The end of the time is as good a reason as a new mail.
                Some(pause) => drop(tokio::time::timeout(pause, self.mailed.notified()).await),
                None => self.mailed.notified().await,
            }
        }
    }

    /// How long until the next mail is due; none where no mail waits.
    async fn until_next_mail(&self) -> Option<Duration> {
        match self.access.db().read(|tx| Box::pin(queue::next_due(tx))).await {
            Ok(due_at) => {
                due_at.map(|due_at| due_at.since(self.access.clock().now()).max(Duration::from_millis(100)))
            }
            Err(error) => {
                tracing::warn!(%error, cause = error.chain(), "mails could not be looked after");
                Some(REST)
            }
        }
    }

    /// Leaves a mail in the queue, and wakes the deliveries once it is committed; false where the address has had enough of
    /// them, or one waits already.
    pub(crate) async fn leave_mail(&self, kind: Kind, email_key: String, request: Arc<str>) -> Result<bool> {
        let (id, now) = (self.access.rng().uuid().to_string(), self.access.clock().now());
        let (mail, mailed) =
            (Outgoing { id, kind, email_key, notice: None, request }, Arc::clone(&self.mailed));
        self.access
            .db()
            .write(move |tx| {
                Box::pin(async move {
                    let left = queue::push(tx, &mail, now).await?;
                    tx.on_commit(move || mailed.notify_one());
                    Ok(left)
                })
            })
            .await
    }

    /// Tells the address that a user has left, in the transaction in which it is left.
    pub(crate) async fn leave_notice(
        &self,
        tx: &mut Tx,
        notice: Notice,
        request: &Arc<str>,
        now: Timestamp,
    ) -> Result<()> {
        if self.settings.mail.is_none() {
            self.say_once_that_there_is_no_mail();
            return Ok(());
        }
        let mail = Outgoing {
            id: self.access.rng().uuid().to_string(),
            kind: Kind::Notice,
            email_key: notice.recipient.key(),
            notice: Some(notice),
            request: Arc::clone(request),
        };
        queue::push(tx, &mail, now).await?;
        let mailed = Arc::clone(&self.mailed);
        tx.on_commit(move || mailed.notify_one());
        Ok(())
    }
}
