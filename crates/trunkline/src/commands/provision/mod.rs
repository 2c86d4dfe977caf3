//! `trunkline provision`: many gateways from a list, each with all that belongs to it.
//!
//! The list and the layout are checked as a whole before anything is asked of the platform ([`list`], [`plan`]). Several
//! requests are in flight at a time ([`making`]); what the platform answered is on disk in the results ([`results`]) before
//! it counts as made. Whoever runs the command again with the same files goes on where it ended, however it ended: what is
//! in the results is passed over, and what the platform has made without its answer having arrived is asked for
//! ([`recovery`]).

mod list;
mod making;
mod plan;
mod progress;
mod recovery;
mod results;

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use self::{list::Row, making::Maker, plan::Plan, results::Results};
use super::session::{InDomain, Remote, Session};

#[derive(Debug, Args)]
pub(crate) struct ProvisionArgs {
    #[command(flatten)]
    pub(super) remote: Remote,
    #[command(flatten)]
    pub(super) domain: InDomain,
    /// TOML file that says what every gateway consists of
    #[arg(long, value_name = "FILE")]
    layout: PathBuf,
    /// CSV file with a gateway per line, below a line of column names: external_id, external_key, name; further columns
    /// go into the metadata and are there for the template
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// File for what was made, keys included; without it the CSV file's name with `.results.jsonl`
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Requests in flight at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Seconds to go on trying while the platform does not answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    /// Only check both files
    #[arg(long)]
    dry_run: bool,
}

impl ProvisionArgs {
    fn results(&self) -> PathBuf {
        self.results.clone().unwrap_or_else(|| self.from.with_extension("results.jsonl"))
    }

    /// Both files, checked.
    fn read(&self) -> anyhow::Result<(Plan, Vec<Row>)> {
        let plan = Plan::read(&self.layout)?;
        let rows = list::read(&self.from, &plan)?;
        Ok((plan, rows))
    }
}

/// Whether the command needs no platform.
pub(super) const fn is_dry(args: &ProvisionArgs) -> bool {
    args.dry_run
}

/// Checks both files and says what they hold.
pub(super) fn check(args: &ProvisionArgs) -> anyhow::Result<()> {
    let (plan, rows) = args.read()?;
    let said = format!("both files are right: {} gateways, each with {plan}\n", rows.len());
    Ok(super::output::Output::standard(args.remote.json, args.remote.quiet)
        .text(&json!({ "gateways": rows.len() }), &said)?)
}

/// Makes what is not made yet.
pub(super) async fn run(session: &Session, args: &ProvisionArgs) -> anyhow::Result<()> {
    let (plan, rows) = args.read()?;
    let domain = session.domain().await?;
    session.aim(("domains", "create_clients"), format!("domain:{domain}"), Some(domain));
    let path = args.results();
    let results = Results::open(&path, domain, &plan)?;
    let total = rows.len();
    let left: Vec<_> = rows.into_iter().filter(|row| !results.has(&row.external_id)).collect();
    let there = total - left.len();
    let maker = Maker::new(session, domain, plan, results.seed(), args.patience);
    let outcome = making::all(&maker, left, results, usize::from(args.parallel), (there, total)).await?;

    let summary = json!({
        "made": outcome.made, "recovered": outcome.recovered, "there_before": there, "failed": outcome.failed,
        "not_tried": total - there - outcome.made - outcome.recovered - outcome.failed, "results": path,
    });
    let text = format!(
        "{} gateways made, {} found made, {there} there before, {} failed; keys and certificates are in `{}`\n",
        outcome.made,
        outcome.recovered,
        outcome.failed,
        path.display()
    );
    session.told(&summary, &text)?;
    match outcome.stopped {
        Some(error) => Err(error.context("stopped; the same command goes on from here")),
        None if outcome.failed > 0 => {
            bail!("{} of {total} gateways were not made; mend what was said and run it again", outcome.failed)
        }
        None => Ok(()),
    }
}
