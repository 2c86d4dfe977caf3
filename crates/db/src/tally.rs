//! How many things of a kind a domain holds: kept in the transactions that change it, so that lists need not count.
//!
//! A transaction touches at most one stripe per status, in the order of the statuses, and after the rows that it
//! counts; so two of them never wait for each other in a circle.
//!
//! With each change of a count, and with each change that [`touch`] notes, the version goes up. Where it has not
//! changed, a list without further conditions has the same rows in the same order.

use kernel::{DomainId, Result, Status, status::StatusFilter};

use crate::{Tx, Val, params};

/// What a list is told of all the rows that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many there are.
    pub rows: u64,
    /// Higher after every change of one of them, and of others of the kind in the domain; never lower.
    pub version: u64,
}

/// Stripes of one count.
const STRIPES: u128 = 32;

/// Adds to the counts of several statuses at once. `seed` chooses the stripe; take the id of one of the things.
pub async fn add(
    tx: &mut Tx,
    kind: &'static str,
    domain: DomainId,
    seed: u128,
    mut changes: Vec<(Status, i64)>,
) -> Result<()> {
    changes.sort_by_key(|(status, _)| status.code());
    for (status, by) in changes {
        tx.execute_later(
            "INSERT INTO tallies (kind, domain_id, status, stripe, n, version) VALUES ($1, $2, $3, $4, $5, 1)
             ON CONFLICT (kind, domain_id, status, stripe)
             DO UPDATE SET n = tallies.n + excluded.n, version = tallies.version + 1",
            params![kind, domain, status, stripe(seed), by],
        )
        .await?;
    }
    Ok(())
}

/// Notes that a thing has another name or another time of change; called once in a transaction, after its row and with
/// the same `seed` as [`add`], before that.
pub async fn touch(tx: &mut Tx, kind: &'static str, domain: DomainId, seed: u128) -> Result<()> {
    // Whatever the thing's status: so whoever touches and then adds goes through the statuses in their order.
    add(tx, kind, domain, seed, vec![(Status::Enabled, 0)]).await
}

fn stripe(seed: u128) -> i64 {
    i64::try_from(seed % STRIPES).unwrap_or_default()
}

/// The change that so many new things with these statuses make.
pub fn per_status(statuses: impl Iterator<Item = Status>) -> Vec<(Status, i64)> {
    let mut changes: Vec<(Status, i64)> = Vec::new();
    for status in statuses {
        match changes.iter_mut().find(|change| change.0 == status) {
            Some(change) => change.1 += 1,
            None => changes.push((status, 1)),
        }
    }
    changes
}

/// How many there are, as of which version.
pub async fn sum(tx: &mut Tx, kind: &'static str, domain: DomainId, status: StatusFilter) -> Result<Tally> {
    let sql = "SELECT CAST(coalesce(sum(CASE WHEN status = $3 OR $4 THEN n ELSE 0 END), 0) AS BIGINT) AS n,
                      CAST(coalesce(sum(version), 0) AS BIGINT) AS version
                 FROM tallies
                WHERE kind = $1 AND domain_id = $2";
    let all = status.code().is_none();
    let row = tx
        .one(sql, &[kind.into(), domain.into(), Val::Int(status.code().unwrap_or(0)), Val::Bool(all)])
        .await?;
    Ok(Tally { rows: row.get("n")?, version: row.get("version")? })
}

#[cfg(test)]
mod tests {
    use kernel::Rng;

    use super::*;
    use crate::{both_databases, testing::TestDb};

    both_databases! {
        async fn a_sum_is_what_was_added_whatever_the_stripe(db: TestDb) {
            db.migrate(&[]).await.unwrap();
            let domain = DomainId::generate(&Rng::seeded(1));
            let sums = db.db().write(move |tx| Box::pin(async move {
                for seed in 0..100 {
                    add(tx, "client", domain, seed, vec![(Status::Enabled, 1)]).await?;
                }
                add(tx, "client", domain, 3, vec![(Status::Disabled, 1), (Status::Enabled, -1)]).await?;
                Ok([
                    sum(tx, "client", domain, StatusFilter::Only(Status::Enabled)).await?,
                    sum(tx, "client", domain, StatusFilter::Only(Status::Disabled)).await?,
                    sum(tx, "client", domain, StatusFilter::All).await?,
                    sum(tx, "channel", domain, StatusFilter::All).await?,
                ])
            })).await.unwrap();
            assert_eq!(sums.map(|sum| sum.rows), [99, 1, 100, 0]);
        }

        async fn every_change_raises_the_version_whichever_status_is_asked_for(db: TestDb) {
            db.migrate(&[]).await.unwrap();
            let domain = DomainId::generate(&Rng::seeded(1));
            let versions = db.db().write(move |tx| Box::pin(async move {
                let mut versions = Vec::new();
                for status in [StatusFilter::All, StatusFilter::Only(Status::Disabled)] {
                    versions.push(sum(tx, "client", domain, status).await?.version);
                    add(tx, "client", domain, 1, vec![(Status::Enabled, 1)]).await?;
                    versions.push(sum(tx, "client", domain, status).await?.version);
                    touch(tx, "client", domain, 40).await?;
                    versions.push(sum(tx, "client", domain, status).await?.version);
                    add(tx, "client", domain, 1, vec![(Status::Enabled, -1)]).await?;
                }
                touch(tx, "channel", domain, 1).await?;
                versions.push(sum(tx, "client", domain, StatusFilter::All).await?.version);
                Ok(versions)
            })).await.unwrap();
            assert_eq!(versions, [0, 1, 2, 3, 4, 5, 6]);
        }
    }
}
