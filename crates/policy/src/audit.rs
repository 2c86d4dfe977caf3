//! The record of every decision: a line of JSON in a file, or a line of the log (reference 08 §9).
//!
//! A record names the subject and never holds a token or password. A file that is slow slows decisions down; nothing is
//! left out.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kernel::{Error, Result, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::Subject;

/// Records that wait for the file.
const QUEUE: usize = 8192;

/// Where records go.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// Whether decisions are recorded.
    pub enabled: bool,
    /// The file; without it the log.
    pub file: Option<PathBuf>,
    /// Whether a record holds what the decision was made of: the subject with its groups, scopes and kept claims.
    pub inputs: bool,
}

/// What was decided, about whom and what.
#[derive(Debug, Serialize)]
pub(crate) struct Record<'a> {
    pub(crate) event: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) allowed: bool,
    pub(crate) policy: &'a str,
    pub(crate) reason: &'a str,
    #[serde(serialize_with = "two_decimals")]
    pub(crate) latency_ms: f64,
    pub(crate) cached: bool,
    pub(crate) subject_id: Option<&'a str>,
    pub(crate) subject_type: Option<String>,
    pub(crate) resource_type: &'a str,
    pub(crate) resource_id: &'a str,
    pub(crate) action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source_service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<Value>,
    pub(crate) level: &'static str,
    pub(crate) timestamp: Timestamp,
}

fn two_decimals<S: serde::Serializer>(value: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_f64((value * 100.0).round() / 100.0)
}

/// How much of a topic is recorded: whoever asks chooses it.
const MAX_TEXT: usize = 4096;

/// A text of somebody else's, cut to what a record holds.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text)
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Audit {
    sink: Sink,
    inputs: bool,
}

#[derive(Debug)]
enum Sink {
    Off,
    Log,
    File(mpsc::Sender<Vec<u8>>),
}

impl Audit {
    pub(crate) fn open(options: &AuditOptions) -> Result<Self> {
        let sink = match (&options.file, options.enabled) {
            (_, false) => Sink::Off,
            (None, true) => Sink::Log,
            (Some(path), true) => Sink::File(writer(path)?),
        };
        Ok(Self { sink, inputs: options.inputs })
    }

    pub(crate) const fn is_on(&self) -> bool {
        !matches!(self.sink, Sink::Off)
    }

    /// What a record says about what a decision was made of.
    pub(crate) fn input(&self, subject: Option<&Subject>) -> Option<Value> {
        let subject = subject.filter(|_| self.inputs)?;
        Some(serde_json::json!({ "subject": subject }))
    }

    pub(crate) async fn write(&self, record: &Record<'_>) {
        match &self.sink {
            Sink::Off => {}
            Sink::Log => log(record),
            Sink::File(queue) => {
                let mut line = serde_json::to_vec(record).unwrap_or_default();
                line.push(b'\n');
                // It ends with the process alone.
                let _ = queue.send(line).await;
            }
        }
    }
}

fn log(record: &Record<'_>) {
    let Record { request_id, allowed, policy, reason, cached, resource_id, action, .. } = record;
    let latency_ms = (record.latency_ms * 100.0).round() / 100.0;
    let subject_id = record.subject_id.unwrap_or_default();
    let subject_type = record.subject_type.as_deref().unwrap_or_default();
    let (resource_type, source_service) = (record.resource_type, record.source_service.unwrap_or_default());
    let input = record.input.as_ref().map(ToString::to_string);
    if *allowed {
        tracing::info!(
            target: "audit", request_id, allowed, policy, reason, latency_ms, cached, subject_id, subject_type,
            resource_type, resource_id, action, source_service, input, "policy_decision"
        );
    } else {
        tracing::warn!(
            target: "audit", request_id, allowed, policy, reason, latency_ms, cached, subject_id, subject_type,
            resource_type, resource_id, action, source_service, input, "policy_decision"
        );
    }
}

/// A thread that brings lines to the file, many at a time under load.
fn writer(path: &Path) -> Result<mpsc::Sender<Vec<u8>>> {
    let refused = |error: std::io::Error| {
        Error::invalid(format!("the audit file `{}` cannot be written ({error})", path.display()))
    };
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(refused)?;
    let (queue, lines) = mpsc::channel(QUEUE);
    let name = path.display().to_string();
    std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || write_all(&name, BufWriter::new(file), lines))
        .map_err(refused)?;
    Ok(queue)
}

fn write_all(name: &str, mut out: BufWriter<File>, mut lines: mpsc::Receiver<Vec<u8>>) {
    let mut is_failing = false;
    while let Some(line) = lines.blocking_recv() {
        let mut written = out.write_all(&line);
        while let (Ok(()), Ok(line)) = (&written, lines.try_recv()) {
            written = out.write_all(&line);
        }
        match written.and_then(|()| out.flush()) {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(file = name, %error, "decisions are made that the audit file does not hold");
            }
            Err(_) => {}
        }
    }
}

/// Milliseconds, as records give them.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
