//! The domain's gate: who may work in a domain that is disabled or frozen (reference 02 §5.7).

use std::sync::Arc;

use db::{BoxFuture, Db, Tx, params};
use kernel::{DomainId, Result};

use crate::cache::Fresh;

/// The status of a domain, as far as authorization must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Members may work.
    Enabled,
    /// Only the domain's administrators may.
    Disabled,
    /// Only the platform's administrators may.
    Frozen,
    /// Nobody may.
    Deleted,
}

impl Gate {
    /// The number in the database (reference 02 §0.4).
    pub const fn code(self) -> i64 {
        match self {
            Self::Enabled => 0,
            Self::Disabled => 1,
            Self::Frozen => 2,
            Self::Deleted => 3,
        }
    }

    /// The status with this number.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::Enabled),
            1 => Some(Self::Disabled),
            2 => Some(Self::Frozen),
            3 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// Gates by domain, read through a cache.
#[derive(Clone)]
pub struct Gates {
    known: Arc<Fresh<DomainId, Option<Gate>>>,
    /// In stand-alone mode every domain is enabled, known or not.
    all_open: bool,
}

/// How many gates are kept in memory; about 60 bytes each.
const CAPACITY: usize = 50_000;

impl Gates {
    pub(crate) fn new(db: &Db, all_open: bool) -> Self {
        Self { known: Fresh::new(CAPACITY).hearing(db, "gate"), all_open }
    }

    /// The gate of `domain`, if there is such a domain.
    pub async fn get(&self, db: &Db, domain: DomainId) -> Result<Option<Gate>> {
        if self.all_open {
            return Ok(Some(Gate::Enabled));
        }
        self.known.get_or_load(domain, || load(db, domain)).await
    }

    /// Sets the gate of a domain; the domains crate does so together with its own row.
    pub async fn set(&self, tx: &mut Tx, domain: DomainId, gate: Gate) -> Result<()> {
        tx.execute(
            "INSERT INTO domain_gates (domain_id, status) VALUES ($1, $2)
             ON CONFLICT (domain_id) DO UPDATE SET status = excluded.status",
            params![domain, gate.code()],
        )
        .await?;
        self.known.changed(tx, domain);
        Ok(())
    }
}

/// Boxed, so that it is compiled once and takes no room in the futures of those who find a gate in memory.
fn load(db: &Db, domain: DomainId) -> BoxFuture<'_, Result<Option<Gate>>> {
    Box::pin(db.read(move |tx| Box::pin(select(tx, domain))))
}

async fn select(tx: &mut Tx, domain: DomainId) -> Result<Option<Gate>> {
    let row = tx.one_or_none("SELECT status FROM domain_gates WHERE domain_id = $1", params![domain]).await?;
    row.map(|row| {
        let code = row.get("status")?;
        Gate::from_code(code)
            .ok_or_else(|| kernel::Error::internal(format!("domain_gates.status is {code} for {domain}")))
    })
    .transpose()
}
