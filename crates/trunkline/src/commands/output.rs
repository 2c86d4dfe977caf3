//! How answers are shown: tables for people, the API's JSON for programs, ids alone for scripts.
//!
//! Boxes and wrapped cells are for a terminal; elsewhere each row is a line, so that `grep` and `awk` find it. Text from the
//! platform is made harmless first: a name may hold what moves the cursor.

use std::io::{self, Write};

use comfy_table::presets::{NOTHING, UTF8_FULL_CONDENSED};
use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use serde_json::Value;

use super::terminal;

/// A time that never was (reference 01 §1.3).
const NEVER: &str = "0001-01-01T00:00:00Z";

/// How a kind of thing is shown.
pub(crate) struct Shape {
    /// Where its list stands in an answer.
    pub(crate) list: &'static str,
    /// What names one of them, as a JSON pointer: what `--quiet` prints.
    pub(crate) id: &'static str,
    /// The columns of a list: title and JSON pointer.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// What stands first when one is shown: title and JSON pointer. The rest of the answer follows.
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Somebody at a terminal so many columns wide, or at the end of a pipe.
    Person(Option<u16>),
    /// A program that wants what the API said.
    Program,
    /// A script that wants ids.
    Script,
}

/// Where answers go.
pub(crate) struct Output<W> {
    reader: Reader,
    out: W,
}

impl Output<io::Stdout> {
    /// Standard output, as the flags say.
    pub(crate) fn standard(json: bool, quiet: bool) -> Self {
        let reader = match (json, quiet) {
            (true, _) => Reader::Program,
            (false, true) => Reader::Script,
            (false, false) => Reader::Person(terminal::width()),
        };
        Self { reader, out: io::stdout() }
    }
}

impl<W: Write> Output<W> {
    /// Shows some of many.
    pub(crate) fn list(&mut self, shape: &Shape, answer: &Value) -> io::Result<()> {
        let rows = answer.get(shape.list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        match self.reader {
            Reader::Program => return self.json(answer),
            Reader::Script => {
                for row in rows {
                    writeln!(self.out, "{}", cell(row.pointer(shape.id).unwrap_or(row)))?;
                }
            }
            Reader::Person(width) => {
                let mut table = table(width);
                table.set_header(shape.columns.iter().map(|(title, _)| *title));
                for row in rows {
                    table.add_row(shape.columns.iter().map(|(_, pointer)| at(row, pointer)));
                }
                keep_whole(&mut table, shape.columns.iter().map(|(title, _)| *title));
                self.table(table, width.is_some())?;
                self.note_rest(answer, rows.len())?;
            }
        }
        self.out.flush()
    }

    /// Shows one.
    pub(crate) fn one(&mut self, shape: &Shape, answer: &Value) -> io::Result<()> {
        match self.reader {
            Reader::Program => return self.json(answer),
            Reader::Script => writeln!(self.out, "{}", at(answer, shape.id))?,
            Reader::Person(_) => {
                // Without a box: a token is longer than a line, and has to be copied in one piece.
                let mut table = table(None);
                for (title, value) in fields(shape, answer) {
                    table.add_row([title, value]);
                }
                self.table(table, false)?;
            }
        }
        self.out.flush()
    }

    /// Shows an answer that is a list of words.
    pub(crate) fn words(&mut self, answer: &Value, words: &[String]) -> io::Result<()> {
        if self.reader == Reader::Program {
            return self.json(answer);
        }
        for word in words {
            writeln!(self.out, "{}", harmless(word))?;
        }
        self.out.flush()
    }

    /// Says to a person that it is done, where the API answers with nothing.
    pub(crate) fn done(&mut self, sentence: &str) -> io::Result<()> {
        if matches!(self.reader, Reader::Person(_)) {
            writeln!(self.out, "{}", harmless(sentence))?;
        }
        self.out.flush()
    }

    /// Shows a text that is laid out already.
    pub(crate) fn text(&mut self, answer: &Value, text: &str) -> io::Result<()> {
        if self.reader == Reader::Program {
            return self.json(answer);
        }
        write!(self.out, "{text}")?;
        self.out.flush()
    }

    fn json(&mut self, answer: &Value) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, answer)?;
        writeln!(self.out)?;
        self.out.flush()
    }

    fn table(&mut self, mut table: Table, boxed: bool) -> io::Result<()> {
        for column in table.column_iter_mut().filter(|_| !boxed) {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Tells a person at a terminal that there is more.
    fn note_rest(&mut self, answer: &Value, shown: usize) -> io::Result<()> {
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (total, next) = (number("total"), number("offset") + shown as u64);
        if next >= total || self.reader == Reader::Person(None) {
            return Ok(());
        }
        writeln!(self.out, "{shown} of {total}; --offset {next} for the next, --all for all")
    }
}

fn table(width: Option<u16>) -> Table {
    let mut table = Table::new();
    match width {
        Some(width) => {
            table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

/// Half an id or a secret in each of two lines cannot be copied.
fn keep_whole<'a>(table: &mut Table, titles: impl Iterator<Item = &'a str>) {
    for (index, title) in titles.enumerate() {
        if let (true, Some(column)) = (matches!(title, "ID" | "SECRET"), table.column_mut(index)) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// What an answer says, the well-known first, without what is empty.
fn fields(shape: &Shape, answer: &Value) -> Vec<(String, String)> {
    let mut fields: Vec<_> =
        shape.fields.iter().map(|(title, pointer)| ((*title).to_owned(), at(answer, pointer))).collect();
    let known = |name: &str| {
        shape.fields.iter().any(|(_, pointer)| pointer.split('/').nth(1).is_some_and(|first| first == name))
    };
    let rest = answer.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
    fields.extend(rest.map(|(name, value)| (harmless(name), cell(value))));
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

fn at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(cell).unwrap_or_default()
}

/// A value as one line of text.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text == NEVER => String::new(),
        Value::String(text) => harmless(text),
        Value::Array(values) if values.iter().all(|value| !value.is_object() || role(value).is_some()) => {
            values.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) if members.is_empty() => String::new(),
        Value::Object(_) if role(value).is_some() => role(value).unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            harmless(&value.to_string())
        }
    }
}

/// One of the roles through which somebody reaches a thing, and by which way.
fn role(value: &Value) -> Option<String> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let way = match (text("access_type")?, text("access_provider_id")) {
        (way, Some(provider)) => format!("{way} {provider}"),
        (way, None) => way.to_owned(),
    };
    Some(harmless(&format!("{} ({way})", text("role_name")?)))
}

/// Text in which nothing moves the cursor or changes the direction of writing.
pub(crate) fn harmless(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    if !text.contains(is_harmful) {
        return text.to_owned();
    }
    let mut harmless = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_harmful(c) {
            harmless.extend(c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHAPE: Shape = Shape {
        list: "clients",
        id: "/id",
        columns: &[("ID", "/id"), ("NAME", "/name"), ("TAGS", "/tags")],
        fields: &[("ID", "/id"), ("Name", "/name"), ("Identity", "/credentials/identity")],
    };

    fn shown(reader: Reader, show: impl FnOnce(&mut Output<&mut Vec<u8>>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        show(&mut Output { reader, out: &mut bytes }).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn page() -> Value {
        json!({"total": 3, "clients": [
            {"id": "1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22", "name": "boiler", "tags": ["hot", "big"]},
            {"id": "5d0e6f6a-3a44-4f0a-9c40-4b1d9a8e7c33", "name": "\u{1b}[2Jpump\n"},
        ]})
    }

    #[test]
    fn a_person_at_a_terminal_sees_a_box_and_what_to_do_for_the_rest() {
        insta::assert_snapshot!(shown(Reader::Person(Some(72)), |out| out.list(&SHAPE, &page())));
    }

    #[test]
    fn a_pipe_gets_a_line_per_row() {
        insta::assert_snapshot!(shown(Reader::Person(None), |out| out.list(&SHAPE, &page())));
    }

    #[test]
    fn a_narrow_terminal_wraps_names_but_not_ids() {
        let table = shown(Reader::Person(Some(50)), |out| out.list(&SHAPE, &page()));
        assert!(table.contains("1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22"), "{table}");
    }

    #[test]
    fn a_program_gets_the_answer_and_a_script_the_ids() {
        let answer = shown(Reader::Program, |out| out.list(&SHAPE, &page()));
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), page());
        assert_eq!(
            shown(Reader::Script, |out| out.list(&SHAPE, &page())),
            "1b6a8c0e-0a5d-4a51-8b0f-6f2f7c1a9d22\n5d0e6f6a-3a44-4f0a-9c40-4b1d9a8e7c33\n"
        );
        assert_eq!(shown(Reader::Script, |out| out.done("the client is gone")), "");
        assert_eq!(shown(Reader::Program, |out| out.done("the client is gone")), "");
    }

    #[test]
    fn one_thing_is_shown_with_all_that_the_answer_says_but_nothing_empty() {
        let client = json!({"id": "c", "name": "boiler", "credentials": {"identity": "sn-1"}, "tags": [],
            "roles": [{"role_id": "r", "role_name": "operators", "actions": ["read"], "access_type": "direct"},
                {"role_id": "s", "role_name": "admin", "access_type": "domain", "access_provider_id": "d"}],
            "updated_at": NEVER, "metadata": {"floor": 2}, "something_new": true});
        insta::assert_snapshot!(shown(Reader::Person(None), |out| out.one(&SHAPE, &client)));
    }

    #[test]
    fn a_token_can_be_copied_from_a_terminal_in_one_piece() {
        let token = "x".repeat(149);
        let shown =
            shown(Reader::Person(Some(60)), |out| out.one(&SHAPE, &json!({"id": "p", "secret": token})));
        assert!(shown.contains(&token), "{shown}");
    }

    #[test]
    fn nothing_from_the_platform_moves_the_cursor_or_turns_the_writing_round() {
        assert_eq!(harmless("a\u{1b}[2J\u{202e}b\u{9b}"), r"a\u{1b}[2J\u{202e}b\u{9b}");
        assert_eq!(harmless("Gerät 東"), "Gerät 東");
    }
}
