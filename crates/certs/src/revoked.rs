//! Which certificates were revoked, in memory: what every handshake asks.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use db::{Db, Tx, Word};
use kernel::{Result, Timestamp};
use tokio::sync::watch;

use crate::{model::Serial, store};

/// What nodes tell each other of revoked certificates: a serial and its end.
const TOPIC: &str = "certificate";

/// The serials of revoked certificates, with the end of each, after which its handshake fails anyway. A clone is the same.
#[derive(Clone, Default)]
pub struct Revoked(Arc<Inner>);

#[derive(Default)]
struct Inner {
    held: RwLock<HashMap<Box<str>, Timestamp>>,
    revision: AtomicU64,
    news: watch::Sender<()>,
}

impl Revoked {
    /// Reads them from the database, in place of what is here.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn load(&self, db: &Db, now: Timestamp) -> Result<()> {
        let all = db
            .scan(move |tx| Box::pin(async move { store::certificates::all_revoked(tx, now).await }))
            .await?;
        let mut held = self.0.held.write().unwrap_or_else(PoisonError::into_inner);
        // What was revoked in the meantime is here already, and stays.
        held.retain(|_, end| *end > now);
        let before = held.len();
        held.extend(all.into_iter().map(|(serial, end)| (serial.digits().into(), end)));
        if held.len() != before {
            // Another node has revoked something.
            self.0.revision.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Reads them at the start, and hears from then on what other nodes of the database revoke.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub async fn open(&self, db: &Db, now: Timestamp) -> Result<()> {
        let this = Arc::downgrade(&self.0);
        let again = db.clone();
        let runtime = tokio::runtime::Handle::current();
        db.hear(TOPIC, move |word| {
            let Some(inner) = this.upgrade() else { return };
            let this = Self(inner);
            match word {
                Word::This(word) => this.told(word),
                // It was cut off from the others, and may have missed some.
                Word::Everything => {
                    let db = again.clone();
                    runtime.spawn(async move {
                        if let Err(error) = this.load(&db, Timestamp::from_micros(0)).await {
                            tracing::warn!(
                                causes = error.chain(),
                                "what was revoked could not be read: {error}"
                            );
                        }
                    });
                }
            }
        });
        self.load(db, now).await
    }

    fn told(&self, word: &str) {
        let Some((serial, end)) = word.split_once(' ') else { return };
        let Ok(end) = end.parse() else { return };
        self.add([(serial.into(), Timestamp::from_micros(end))]);
    }

    fn add(&self, revoked: impl IntoIterator<Item = (Box<str>, Timestamp)>) {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner).extend(revoked);
        self.0.revision.fetch_add(1, Ordering::Release);
        self.0.news.send_replace(());
    }

    /// Changes when something is added.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    /// Adds certificates, here and at other nodes, when the transaction that revokes them has committed, before its caller is answered.
    pub(crate) fn add_on_commit(&self, tx: &mut Tx, revoked: Vec<(Serial, Timestamp)>) {
        for (serial, end) in &revoked {
            tx.tell(TOPIC, &format!("{} {}", serial.digits(), end.micros()));
        }
        let this = self.clone();
        tx.on_commit(move || {
            this.add(revoked.into_iter().map(|(serial, end)| (serial.digits().into(), end)));
        });
    }

    /// How often something was added; what was made of an older state is out of date.
    pub(crate) fn revision(&self) -> u64 {
        self.0.revision.load(Ordering::Acquire)
    }

    /// Whether a certificate with this serial, without colons, was revoked.
    pub fn contains(&self, serial: &str) -> bool {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).contains_key(serial)
    }
}

impl tls::Revocations for Revoked {
    fn is_revoked(&self, certificate: &tls::Certificate) -> bool {
        self.contains(&certificate.serial)
    }
}

impl fmt::Debug for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_tuple("Revoked").field(&held).finish()
    }
}
