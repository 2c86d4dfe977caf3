//! How the tour speaks: a numbered title, the command to copy, the answer.

use std::io::{self, Write};

/// Prints the tour.
pub(super) struct Narrator<W> {
    out: W,
    steps: usize,
}

impl<W: Write> Narrator<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, steps: 0 }
    }

    /// Text between the steps.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) -> io::Result<()> {
        self.steps += 1;
        let number = self.steps;
        self.say(&format!("\n{number}. {title}"))
    }

    /// A command to copy.
    pub(super) fn command(&mut self, command: &str) -> io::Result<()> {
        self.say(&format!("   $ {}", command.replace('\n', "\n     ")))
    }

    /// What came back.
    pub(super) fn answer(&mut self, answer: &str) -> io::Result<()> {
        self.say(&format!("   → {answer}"))
    }
}

/// A text as one word of a shell command.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | ':' | '.' | ',' | '_' | '-' | '=' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A curl command in the making.
pub(super) struct Curl {
    start: String,
    headers: Vec<String>,
    body: Option<String>,
}

impl Curl {
    pub(super) fn new(method: &str, url: &str) -> Self {
        let method = if method == "GET" { String::new() } else { format!(" -X {method}") };
        Self { start: format!("curl -s{method} {}", quoted(url)), headers: Vec::new(), body: None }
    }

    /// As the user whose token is in the variable TOKEN.
    pub(super) fn with_token(self) -> Self {
        self.with_token_in("TOKEN")
    }

    pub(super) fn with_token_in(mut self, variable: &str) -> Self {
        self.headers.push(format!("-H \"Authorization: Bearer ${variable}\""));
        self
    }

    pub(super) fn header(mut self, header: &str) -> Self {
        self.headers.push(format!("-H {}", quoted(header)));
        self
    }

    pub(super) fn json(self, body: &serde_json::Value) -> Self {
        self.header("Content-Type: application/json").data(&body.to_string())
    }

    pub(super) fn data(self, body: &str) -> Self {
        let body = quoted(body);
        self.quoted_data(body)
    }

    /// A body that is a word of the shell already.
    pub(super) fn quoted_data(mut self, word: String) -> Self {
        self.body = Some(word);
        self
    }

    /// The command, on a line each for the address, the headers and the body.
    pub(super) fn text(&self) -> String {
        let mut text = self.start.clone();
        if !self.headers.is_empty() {
            text.push_str(&format!(" \\\n  {}", self.headers.join(" ")));
        }
        if let Some(body) = &self.body {
            text.push_str(&format!(" \\\n  -d {body}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_printed_so_that_a_shell_reads_it_back() {
        assert_eq!(quoted("http://localhost:8080/domains"), "http://localhost:8080/domains");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
        let curl = Curl::new("POST", "http://h/domains").with_token().json(&json!({"name": "it's"}));
        assert_eq!(
            curl.text(),
            "curl -s -X POST http://h/domains \\\n  -H \"Authorization: Bearer $TOKEN\" \
             -H 'Content-Type: application/json' \\\n  -d '{\"name\":\"it'\\''s\"}'"
        );
    }

    #[test]
    fn steps_are_numbered_and_commands_stand_apart_from_answers() {
        let mut narrator = Narrator::new(Vec::new());
        narrator.step("Log in").unwrap();
        narrator.command("curl x \\\n  -d y").unwrap();
        narrator.answer("a token").unwrap();
        narrator.step("Go on").unwrap();
        let said = String::from_utf8(narrator.out).unwrap();
        assert_eq!(said, "\n1. Log in\n   $ curl x \\\n       -d y\n   → a token\n\n2. Go on\n");
    }
}
