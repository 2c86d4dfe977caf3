//! The configuration file: TOML with the sections and names of the table, nothing else.

use std::collections::HashMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::resolve::Given;
use super::setting::Setting;
use super::source::Source;
use super::value::Form;

/// What a file gives: for each setting its text, and for each secret the file that holds it.
#[derive(Debug, Default)]
pub(super) struct FileLayer(HashMap<&'static str, Given>);

impl FileLayer {
    /// What the file says about a setting.
    pub(super) fn get(&self, setting: &Setting) -> Option<&Given> {
        self.0.get(setting.key)
    }

    /// Reads the file at `path`; what is wrong in it goes to `problems`.
    pub(super) fn read(path: &Path, table: &[&'static Setting], problems: &mut Vec<Problem>) -> Self {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &shown, table, problems),
            Err(cause) => {
                let what = "the configuration file".to_owned();
                problems.push(Problem::Unreadable { what, path: shown, cause });
                Self::default()
            }
        }
    }

    pub(super) fn parse(
        text: &str,
        path: &str,
        table: &[&'static Setting],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let root = match DeTable::parse(text) {
            Ok(root) => root,
            Err(error) => {
                let line = line_of(text, error.span().map_or(0, |span| span.start));
                let reason = error.message().to_owned();
                problems.push(Problem::NotToml { path: path.to_owned(), line, reason });
                return Self::default();
            }
        };
        let mut reader = Reader { text, path, table, problems: Vec::new(), layer: Self::default() };
        reader.section("", root.get_ref());
        reader.problems.sort_by_key(|(line, _)| *line);
        problems.extend(reader.problems.into_iter().map(|(_, problem)| problem));
        reader.layer
    }
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// One walk through a parsed file.
struct Reader<'a> {
    text: &'a str,
    path: &'a str,
    table: &'a [&'static Setting],
    /// With the line of each, since the parsed file is in alphabetical order.
    problems: Vec<(usize, Problem)>,
    layer: FileLayer,
}

impl Reader<'_> {
    fn section(&mut self, prefix: &str, section: &DeTable<'_>) {
        for (name, value) in section {
            let key = format!("{prefix}{}", name.get_ref());
            let line = line_of(self.text, name.span().start);
            let is_section = self.table.iter().any(|setting| setting.section() == key);
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.section(&format!("{key}."), inner),
                found if is_section => {
                    let expected = format!("a section `[{key}]`");
                    let (place, found) = (self.place(line), kind_of(found));
                    self.problems.push((line, Problem::WrongShape { place, key, found, expected }));
                }
                _ => self.setting(key, line, value),
            }
        }
    }

    fn place(&self, line: usize) -> Source {
        Source::File { path: self.path.to_owned(), line }
    }

    fn setting(&mut self, key: String, line: usize, value: &Spanned<DeValue<'_>>) {
        let place = self.place(line);
        if let Some(setting) = self.table.iter().find(|setting| setting.key == key) {
            match plain_text(setting, value.get_ref()) {
                Some(text) if text.is_empty() => {}
                Some(text) => {
                    self.layer.0.insert(setting.key, Given::value(text, place));
                }
                None => {
                    let found = kind_of(value.get_ref());
                    let expected = setting.expected.to_owned();
                    self.problems.push((line, Problem::WrongShape { place, key, found, expected }));
                }
            }
            return;
        }
        let secret = |setting: &&&Setting| setting.secret && key == format!("{}_file", setting.key);
        match (self.table.iter().find(secret), value.get_ref()) {
            (Some(setting), DeValue::String(path)) => {
                if !path.is_empty() {
                    self.layer.0.entry(setting.key).or_insert_with(|| Given::in_file(path, place));
                }
            }
            (Some(_), found) => {
                let (found, expected) = (kind_of(found), "a path".to_owned());
                self.problems.push((line, Problem::WrongShape { place, key, found, expected }));
            }
            (None, _) => {
                let nearest = nearest_key(&key, self.table);
                self.problems.push((line, Problem::UnknownKey { place, key, nearest }));
            }
        }
    }
}

/// The key that was probably meant: in the same section, or of the same name in another one. A section that does not
/// exist is compared as a whole.
fn nearest_key(key: &str, table: &[&'static Setting]) -> Option<String> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let siblings = || table.iter().filter(|setting| setting.section() == section);
    if siblings().next().is_none() {
        return kernel::nearest(key, table.iter().map(|setting| setting.key));
    }
    let sibling = kernel::nearest(name, siblings().map(|setting| setting.name()))
        .and_then(|name| siblings().find(|setting| setting.name() == name));
    let namesake = || table.iter().find(|setting| setting.name() == name);
    sibling.or_else(namesake).map(|setting| setting.key.to_owned())
}

/// The value as the text that the other layers would give; `None` if a value of this form cannot be meant.
fn plain_text(setting: &Setting, value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Array(items) if matches!(setting.form, Form::Numbers | Form::Words) => {
            let items: Option<Vec<String>> = items.iter().map(|item| list_item(item.get_ref())).collect();
            items.map(|items| if items.is_empty() { "none".to_owned() } else { items.join(",") })
        }
        _ => None,
    }
}

fn list_item(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        _ => None,
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
