//! Relation checks: with everything in memory, and with a database that has to be asked.

use std::time::Instant;

use access::Object;
use access::graph::{Graph, Subject};
use anyhow::{Result, ensure};
use db::{Db, params};
use hdrhistogram::Histogram;
use kernel::{ClientId, DomainId, UserId};

use super::cell;
use crate::population::Place;
use crate::report::{Better, Figure, Row, number};
use crate::target::Target;
use crate::tuples::check_costs;

/// Clients that are asked about without anything being known of them.
const CLIENTS: u64 = 2_000;

/// The slowest kind of check when everything is in memory.
pub(super) async fn row() -> Row {
    let measured = tokio::task::spawn_blocking(check_costs).await.unwrap_or_else(|panic| Err(panic.into()));
    Row {
        what: "Relation check, warm, 1 million tuples (slowest kind)".into(),
        unit: "ns",
        better: Better::Less,
        budget: Some(1_000.0),
        cells: vec![(
            Target::Trunkline.to_string(),
            cell(&measured, |(costs, _)| slowest(costs).ok_or_else(|| "nothing measured".to_owned())),
        )],
    }
}

fn slowest(costs: &[(String, f64)]) -> Option<Figure> {
    let slowest = costs.iter().max_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(Figure::of(slowest.1).noting(slowest.0.as_str()))
}

/// Times in ns of a check of which nothing but the domain is known: by a user with a role on the client, and by one whom
/// no group further up lets in.
pub(super) struct Cold {
    owner: Histogram<u64>,
    stranger: Histogram<u64>,
}

impl Cold {
    /// The slower kind.
    pub(super) fn figure(&self) -> Figure {
        let half = |times: &Histogram<u64>| times.value_at_quantile(0.5) as f64 / 1e3;
        let (owner, stranger) = (half(&self.owner), half(&self.stranger));
        let note = format!("half; by a role on the client {}, denied {}", number(owner), number(stranger));
        Figure::of(owner.max(stranger)).noting(note)
    }
}

/// Asks about clients of a domain with very many of them, about each once and with an engine that begins empty.
pub(super) async fn cold(db: &Db, place: &Place) -> Result<Cold> {
    let domain: DomainId = place.domain.parse()?;
    let (owner, viewer): (UserId, UserId) = (place.owner.parse()?, place.viewer.parse()?);
    let graph = Graph::open(db.clone())?;
    let mut cold = Cold { owner: times()?, stranger: times()? };
    for (number, client) in some_clients(db, domain).await?.into_iter().enumerate() {
        let user = if number % 2 == 0 { owner } else { viewer };
        let (subject, client) = (Subject::Member(domain, user), Object::client(domain, client));
        let begin = Instant::now();
        let allowed = graph.check(subject, "delete_permission", client).await?;
        let took = begin.elapsed().as_nanos() as u64;
        ensure!(allowed == (user == owner), "an unexpected answer about {client}");
        let times = if user == owner { &mut cold.owner } else { &mut cold.stranger };
        times.saturating_record(took);
    }
    Ok(cold)
}

/// For times in ns of up to a minute.
fn times() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// Clients from all over the domain: ids are random.
async fn some_clients(db: &Db, domain: DomainId) -> Result<Vec<ClientId>> {
    let job = db.read(move |tx| {
        Box::pin(async move {
            let sql = "SELECT id FROM clients WHERE domain_id = $1 ORDER BY id LIMIT $2";
            tx.all(sql, params![domain, CLIENTS]).await?.iter().map(|row| row.get("id")).collect()
        })
    });
    Ok(job.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cold_times_are_shown_in_microseconds() {
        let mut cold = Cold { owner: times().unwrap(), stranger: times().unwrap() };
        cold.owner.saturating_record(250_000);
        cold.stranger.saturating_record(125_000);
        assert!((cold.figure().value - 250.0).abs() < 1.0, "{:?}", cold.figure());
    }

    #[test]
    fn the_slowest_kind_is_shown() {
        let costs = [("one".to_owned(), 65.0), ("denied".to_owned(), 980.0), ("domain".to_owned(), 562.0)];
        assert_eq!(slowest(&costs), Some(Figure::of(980.0).noting("denied")));
        assert_eq!(slowest(&[]), None);
    }
}
