//! The rows of the table, each from the load to its figures.

use clap::ValueEnum;

use crate::Bench;
use crate::report::{Cell, Row};
use crate::target::{Build, Server, Target};

mod connections;
mod listing;
mod messages;
mod policy;
mod relation;
mod requests;
mod start;

/// What `--only` chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowName {
    /// QoS 0, ten pairs.
    Qos0Pairs,
    /// QoS 0, one publisher and fifty subscribers.
    Qos0FanOut,
    /// QoS 1, ten pairs.
    Qos1Pairs,
    /// QoS 1, fifty publishers and one subscriber.
    Qos1FanIn,
    /// QoS 1 to sessions that outlive their connections.
    Qos1Durable,
    /// QoS 0 over TLS.
    Tls,
    /// QoS 0 over WebSocket.
    WebSocket,
    /// Messages over CoAP.
    Coap,
    /// Latency at a steady pace.
    Latency,
    /// Connections made with a client's secret.
    Connect,
    /// Memory of a connection that does nothing.
    Idle,
    /// A relation check.
    Relation,
    /// Creation of a client.
    Create,
    /// View of a client.
    View,
    /// Pages of a long list.
    Listing,
    /// Decisions of the policy service.
    Policy,
    /// Start, memory and size.
    Start,
}

impl RowName {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 17] = [
        Self::Qos0Pairs,
        Self::Qos0FanOut,
        Self::Qos1Pairs,
        Self::Qos1FanIn,
        Self::Qos1Durable,
        Self::Tls,
        Self::WebSocket,
        Self::Coap,
        Self::Latency,
        Self::Connect,
        Self::Idle,
        Self::Relation,
        Self::Create,
        Self::View,
        Self::Listing,
        Self::Policy,
        Self::Start,
    ];
}

/// Measures the rows of that name. What fails is said in the cell where the figure would be.
///
/// Rows that no peer has are left out of a run without Trunkline.
pub(crate) async fn measure(name: RowName, bench: &Bench) -> Vec<Row> {
    let ours_alone = matches!(
        name,
        RowName::Qos1Durable
            | RowName::Tls
            | RowName::WebSocket
            | RowName::Coap
            | RowName::Relation
            | RowName::Create
            | RowName::View
            | RowName::Listing
            | RowName::Policy
    );
    if ours_alone && !bench.targets.contains(&Target::Trunkline) {
        return Vec::new();
    }
    match name {
        RowName::Qos0Pairs => vec![messages::row(bench, &messages::QOS0_PAIRS).await],
        RowName::Qos0FanOut => vec![messages::row(bench, &messages::QOS0_FAN_OUT).await],
        RowName::Qos1Pairs => vec![messages::row(bench, &messages::QOS1_PAIRS).await],
        RowName::Qos1FanIn => vec![messages::row(bench, &messages::QOS1_FAN_IN).await],
        RowName::Qos1Durable => vec![messages::row(bench, &messages::QOS1_DURABLE).await],
        RowName::Tls => vec![messages::row(bench, &messages::TLS_PAIRS).await],
        RowName::WebSocket => vec![messages::row(bench, &messages::WEBSOCKET_PAIRS).await],
        RowName::Coap => vec![messages::coap_row(bench).await],
        RowName::Latency => messages::latency_rows(bench).await,
        RowName::Connect => connections::connect_rows(bench).await,
        RowName::Idle => connections::idle_rows(bench).await,
        RowName::Relation => vec![relation::row().await],
        RowName::Create => requests::create_rows(bench).await,
        RowName::View => vec![requests::view_row(bench).await],
        RowName::Listing => listing::rows(bench).await,
        RowName::Policy => policy::rows(bench).await,
        RowName::Start => start::rows(bench).await,
    }
}

/// Starts a server and prepares it for loads.
async fn prepared(target: &Target, build: &Build) -> anyhow::Result<Server> {
    let mut server = target.start(build).await?;
    server.prepare().await?;
    Ok(server)
}

/// The words of an error for a cell.
fn words(error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}");
    const LONGEST: usize = 160;
    if let Some((cut, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// A cell of what was measured.
fn cell<T>(measured: &anyhow::Result<T>, figure: impl FnOnce(&T) -> Cell) -> Cell {
    measured.as_ref().map_err(words).and_then(figure)
}
