//! The record of every decision: a line of JSON in a file, or a line of the log (reference 08 §9).
//!
//! A record names the subject and never holds a token or password. A file that is slow slows decisions down; nothing is
//! left out while the process lives, and what waits when it is told to end is written first.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kernel::{Error, Result, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::Subject;

/// Records that wait for the file.
const QUEUE: usize = 8192;
/// How long the end of the process waits for it.
const SETTLING: Duration = Duration::from_secs(5);

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
    File(mpsc::Sender<Job>),
}

/// What the writer is to do.
#[derive(Debug)]
enum Job {
    Write(Vec<u8>),
    /// Say when all before this is in the file.
    Settle(oneshot::Sender<()>),
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
                let _ = queue.send(Job::Write(line)).await;
            }
        }
    }

    /// Waits until what was recorded is in the file; [`SETTLING`] at most, as a file may take nothing any more.
    pub(crate) async fn settle(&self) {
        let Sink::File(queue) = &self.sink else { return };
        let (done, settled) = oneshot::channel();
        let settling = async {
            if queue.send(Job::Settle(done)).await.is_ok() {
                let _ = settled.await;
            }
        };
        if tokio::time::timeout(SETTLING, settling).await.is_err() {
            tracing::error!("the audit file takes nothing: its last records are lost");
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
fn writer(path: &Path) -> Result<mpsc::Sender<Job>> {
    let refused = |error: std::io::Error| {
        Error::invalid(format!("the audit file `{}` cannot be written ({error})", path.display()))
    };
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(refused)?;
    end_line(path, &mut file).map_err(refused)?;
    let (queue, lines) = mpsc::channel(QUEUE);
    let name = path.display().to_string();
    std::thread::Builder::new()
        .name("audit".to_owned())
        .spawn(move || write_all(&name, BufWriter::new(file), lines))
        .map_err(refused)?;
    Ok(queue)
}

/// A crash may have cut the last line; the next one is not to be its end.
fn end_line(path: &Path, file: &mut File) -> std::io::Result<()> {
    // What is no file, such as a pipe, is not read.
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(());
    }
    let (mut written, mut last) = (File::open(path)?, [0]);
    written.seek(SeekFrom::End(-1))?;
    written.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

fn write_all(name: &str, mut out: BufWriter<File>, mut jobs: mpsc::Receiver<Job>) {
    let mut is_failing = false;
    while let Some(job) = jobs.blocking_recv() {
        let (mut written, mut waiting) = (Ok(()), Vec::new());
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                Job::Write(line) => written = written.and_then(|()| out.write_all(&line)),
                Job::Settle(done) => waiting.push(done),
            }
            next = jobs.try_recv().ok();
        }
        match written.and_then(|()| out.flush()) {
            Ok(()) => is_failing = false,
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(file = name, %error, "decisions are made that the audit file does not hold");
            }
            Err(_) => {}
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}

/// Milliseconds, as records give them.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
