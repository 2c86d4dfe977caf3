//! How many things of a kind a domain holds: kept in the transactions that change it, so that lists need not count.
//!
//! A transaction touches at most one stripe per status, in the order of the statuses, and after the rows that it
//! counts; so two of them never wait for each other in a circle.

use kernel::{DomainId, Result, Status, status::StatusFilter};

use crate::{Tx, Val, params};

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
    let stripe = i64::try_from(seed % STRIPES).unwrap_or_default();
    changes.sort_by_key(|(status, _)| status.code());
    for (status, by) in changes {
        tx.execute_later(
            "INSERT INTO tallies (kind, domain_id, status, stripe, n) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (kind, domain_id, status, stripe) DO UPDATE SET n = tallies.n + excluded.n",
            params![kind, domain, status, stripe, by],
        )
        .await?;
    }
    Ok(())
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

/// How many there are.
pub async fn sum(tx: &mut Tx, kind: &'static str, domain: DomainId, status: StatusFilter) -> Result<u64> {
    let sql = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) AS n FROM tallies
                WHERE kind = $1 AND domain_id = $2 AND (status = $3 OR $4)";
    let all = status.code().is_none();
    let row = tx
        .one(sql, &[kind.into(), domain.into(), Val::Int(status.code().unwrap_or(0)), Val::Bool(all)])
        .await?;
    row.get("n")
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
            assert_eq!(sums, [99, 1, 100, 0]);
        }
    }
}
