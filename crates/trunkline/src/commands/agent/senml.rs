//! What a device says and is told: measurements and commands as SenML (RFC 8428).

use std::f64::consts::TAU;
use std::time::Duration;

use kernel::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// What can be asked of it.
const COMMANDS: &str = "ping; help; config view; config interval,SECONDS; exec echo,TEXT; reset";
/// How many measurements a day of the simulated temperature has.
const DAY: f64 = 144.0;

/// One measurement of everything.
pub(super) fn measurement(client: &str, at: Timestamp, number: u64) -> String {
    let time = at.micros() as f64 / 1e6;
    // A warm day and a cool night.
    let temperature = 20.0 + 5.0 * (TAU * (number as f64) / DAY).sin();
    json!([
        {"bn": format!("{client}:"), "bt": time, "n": "temperature", "u": "Cel", "v": (temperature * 100.0).round() / 100.0},
        {"n": "sequence", "v": number},
    ])
    .to_string()
}

/// A record of a command.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    bn: String,
    n: String,
    vs: String,
}

/// What a command makes a device do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing else than to answer.
    Answer,
    /// Measure at another interval.
    Interval(Duration),
    /// Connect anew.
    Reset,
}

/// The answer to a command, and what to do. None for what is no command.
pub(super) fn obey(payload: &[u8], interval: Duration, at: Timestamp) -> Option<(String, String, Act)> {
    let records: Vec<Record> = serde_json::from_slice(payload).ok()?;
    let Record { bn, n, vs } = records.into_iter().next().filter(|record| !record.n.is_empty())?;
    let (word, rest) = vs.split_once(',').unwrap_or((vs.as_str(), ""));
    let seconds = rest.parse().ok().filter(|seconds| (1..=86_400).contains(seconds)).map(Duration::from_secs);
    let (said, act) = match (n.as_str(), word, seconds) {
        ("ping", _, _) => ("pong".to_owned(), Act::Answer),
        ("help", _, _) => (COMMANDS.to_owned(), Act::Answer),
        ("config", "view", _) => (json!({"interval": interval.as_secs()}).to_string(), Act::Answer),
        ("config", "interval", Some(new)) => (format!("interval {} s", new.as_secs()), Act::Interval(new)),
        ("exec", "echo", _) => (rest.to_owned(), Act::Answer),
        // Whoever may send commands to a device need not be one who may run programs on this machine.
        ("exec", _, _) => ("refused: a simulated device runs nothing but echo".to_owned(), Act::Answer),
        ("reset", _, _) => ("connecting anew".to_owned(), Act::Reset),
        _ => (format!("refused: not understood; there are: {COMMANDS}"), Act::Answer),
    };
    let time = at.micros() as f64 / 1e6;
    let answer: Value = json!([{"bn": bn, "n": n, "t": time, "vs": said}]);
    Some((n, answer.to_string(), act))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::parse("2026-01-02T03:04:05Z").unwrap()
    }

    fn told(command: &str) -> Option<(String, Act)> {
        let (_, answer, act) = obey(command.as_bytes(), Duration::from_secs(10), at())?;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer[0]["bn"], &answer[0]["t"]), (&json!("u-1:"), &json!(1_767_323_045.0)));
        Some((answer[0]["vs"].as_str().unwrap().to_owned(), act))
    }

    #[test]
    fn commands_are_answered_under_their_own_name() {
        for (name, value, said, act) in [
            ("ping", "", "pong", Act::Answer),
            ("config", "view", r#"{"interval":10}"#, Act::Answer),
            ("config", "interval,5", "interval 5 s", Act::Interval(Duration::from_secs(5))),
            ("exec", "echo,hello, you", "hello, you", Act::Answer),
            ("reset", "", "connecting anew", Act::Reset),
        ] {
            let command = format!(r#"[{{"bn":"u-1:","n":"{name}","vs":"{value}"}}]"#);
            assert_eq!(told(&command), Some((said.to_owned(), act)), "{command}");
        }
    }

    #[test]
    fn nothing_is_run_and_what_is_no_command_is_passed_over() {
        for value in ["rm,-rf /", "sh,-c,reboot", "config interval,0"] {
            let (said, act) = told(&format!(r#"[{{"bn":"u-1:","n":"exec","vs":"{value}"}}]"#)).unwrap();
            assert!(said.starts_with("refused") && act == Act::Answer, "{said}");
        }
        let (said, _) = told(r#"[{"bn":"u-1:","n":"config","vs":"interval,0"}]"#).unwrap();
        assert!(said.starts_with("refused"), "{said}");
        for other in ["", "no json", "[]", "{}", r#"[{"n":""}]"#, r#"[{"vs":"ping"}]"#] {
            assert_eq!(told(other), None, "{other}");
        }
    }

    #[test]
    fn a_measurement_says_whose_it_is_and_when_it_was() {
        let senml: Value = serde_json::from_str(&measurement("c-1", at(), 36)).unwrap();
        assert_eq!(
            senml,
            json!([
                {"bn": "c-1:", "bt": 1_767_323_045.0, "n": "temperature", "u": "Cel", "v": 25.0},
                {"n": "sequence", "v": 36},
            ])
        );
    }
}
