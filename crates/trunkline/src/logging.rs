//! The log: one line per event on standard error, as text for people or as JSON for programs.
//!
//! Standard output is left to what the program announces. JSON lines have `time` (RFC 3339), `level`, `msg` and then the
//! fields of the event and of the spans around it, flat (reference 07 §7.4).

use std::fmt;
use std::io::{IsTerminal, Write};

use kernel::Clock;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as text};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Libraries whose `debug` says nothing to users of this program.
const CHATTY: &[&str] = &["h2", "hyper", "hyper_util", "reqwest", "rustls", "tokio_postgres"];

/// Sends the log of this process to standard error. A second call changes nothing.
pub(crate) fn start(settings: &LogSettings) {
    let level = match settings.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let chatty = CHATTY.iter().map(|&library| (library, level.min(LevelFilter::INFO)));
    let filter = Targets::new().with_default(level).with_targets(chatty);
    let registry = tracing_subscriber::registry();
    // An error means that a subscriber is set already, which only tests do.
    let _ = match settings.format {
        LogFormat::Json => registry
            .with(JsonLines { write: write_stderr, clock: Clock::system() }.with_filter(filter))
            .try_init(),
        LogFormat::Text => {
            let is_terminal = std::io::stderr().is_terminal();
            let lines = text::layer().with_writer(std::io::stderr).with_ansi(is_terminal).with_target(false);
            registry.with(lines.with_filter(filter)).try_init()
        }
    };
}

fn write_stderr(line: &[u8]) {
    // There is no other place to say that the log is gone.
    let _ = std::io::stderr().lock().write_all(line);
}

/// Writes events as JSON objects.
struct JsonLines<W> {
    write: W,
    clock: Clock,
}

/// The fields of a span, kept until an event inside it is written.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(kept) = span.extensions_mut().get_mut::<SpanFields>()
        {
            let mut fields = Fields::default();
            record.record(&mut fields);
            kept.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(kept) = span.extensions().get::<SpanFields>() {
                fields.0.extend(kept.0.clone());
            }
        }
        event.record(&mut fields);
        let level = level_word(*event.metadata().level());
        (self.write)(json_line(&self.clock.now().to_string(), level, fields.0).as_bytes());
    }
}

/// One line; the three fixed members come first, so that people find them too.
fn json_line(time: &str, level: &str, mut fields: Map<String, Value>) -> String {
    let message = fields.remove("message").unwrap_or_else(|| json!(""));
    let mut line = format!("{{\"time\":\"{time}\",\"level\":\"{level}\",\"msg\":{message}");
    for (name, value) in fields {
        line.push_str(&format!(",{}:{value}", json!(name)));
    }
    line.push_str("}\n");
    line
}

/// The words of reference 07 §7.4, which knows no TRACE.
fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

/// Collects fields as JSON values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kernel::Timestamp;

    use super::*;

    #[test]
    fn a_json_line_has_time_level_msg_and_the_fields_of_event_and_spans() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let write = {
            let lines = Arc::clone(&lines);
            move |line: &[u8]| lines.lock().unwrap().extend_from_slice(line)
        };
        let clock = Clock::manual(Timestamp::from_micros(1_500_000));
        let subscriber = tracing_subscriber::registry().with(JsonLines { write, clock });
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request", request_id = "r-1", status = tracing::field::Empty);
            let _inside = span.enter();
            span.record("status", 201_u16);
            tracing::warn!(duration_ms = 1.5, client.id = %"c-1", "a \"quoted\" text");
        });
        assert_eq!(
            String::from_utf8(lines.lock().unwrap().clone()).unwrap(),
            "{\"time\":\"1970-01-01T00:00:01.5Z\",\"level\":\"WARN\",\"msg\":\"a \\\"quoted\\\" text\",\
             \"client.id\":\"c-1\",\"duration_ms\":1.5,\"request_id\":\"r-1\",\"status\":201}\n"
        );
    }
}
