//! What people give: JSON, files, many things at once.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::Args;
use kernel::{Metadata, Tags};
use serde_json::{Map, Value};

/// The largest file that is read.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// What anything may be given when it is made or changed.
#[derive(Debug, Args)]
pub(crate) struct Described {
    /// Metadata: a JSON object, or @FILE
    #[arg(long, value_name = "JSON")]
    pub(crate) metadata: Option<String>,
    /// A tag; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl Described {
    pub(crate) fn metadata(&self) -> anyhow::Result<Metadata> {
        Ok(self.metadata.as_deref().map(metadata).transpose()?.unwrap_or_default())
    }

    pub(crate) fn tags(&self) -> Tags {
        self.tags.iter().cloned().collect()
    }
}

/// A JSON object, or the one in the file after `@`.
pub(crate) fn metadata(given: &str) -> anyhow::Result<Metadata> {
    let text = match given.strip_prefix('@') {
        Some(file) => read(Path::new(file))?,
        None => given.to_owned(),
    };
    let object: Map<String, Value> = serde_json::from_str(&text)
        .with_context(|| format!("`{given}` is not a JSON object such as '{{\"floor\": 2}}'"))?;
    Ok(Metadata::from(object))
}

/// The same as text on one line.
pub(crate) fn metadata_text(given: &str) -> anyhow::Result<String> {
    metadata(given).map(|metadata| metadata.to_json())
}

/// The rows of a file: a JSON array of objects, or CSV whose first line names the columns. A CSV without such a line is one
/// name per line.
pub(crate) fn rows(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let text = read(path)?;
    let shown = path.display();
    let rows = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).with_context(|| format!("`{shown}` is not a JSON array of objects"))?
    } else {
        csv_rows(&text).with_context(|| format!("`{shown}`"))?
    };
    ensure!(!rows.is_empty(), "there is nothing in `{shown}`");
    Ok(rows)
}

/// The members of a row that are texts; what is not known is an error, so that a misspelt column is not lost.
pub(crate) fn columns<const N: usize>(
    row: &mut Map<String, Value>,
    names: [&str; N],
) -> anyhow::Result<[Option<String>; N]> {
    let mut values = [const { None }; N];
    for (slot, name) in values.iter_mut().zip(names) {
        *slot = match row.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
            Some(other) => bail!("`{name}` is {other}, but has to be a text"),
        };
    }
    Ok(values)
}

/// Tags of a row: an array, or a text with `;` between them.
pub(crate) fn row_tags(row: &mut Map<String, Value>) -> anyhow::Result<Tags> {
    Ok(match row.remove("tags") {
        None | Some(Value::Null) => Tags::default(),
        Some(Value::String(text)) => text.split(';').map(str::trim).filter(|tag| !tag.is_empty()).collect(),
        Some(other) => serde_json::from_value(other).context("`tags` is not a list of texts")?,
    })
}

/// Metadata of a row: an object, or its text.
pub(crate) fn row_metadata(row: &mut Map<String, Value>) -> anyhow::Result<Metadata> {
    Ok(match row.remove("metadata") {
        None | Some(Value::Null) => Metadata::default(),
        Some(Value::String(text)) if text.is_empty() => Metadata::default(),
        Some(Value::String(text)) => metadata(&text)?,
        Some(Value::Object(object)) => Metadata::from(object),
        Some(other) => bail!("`metadata` is {other}, but has to be an object"),
    })
}

/// Fails for a column that nobody has read.
pub(crate) fn nothing_left(row: &Map<String, Value>, known: &str) -> anyhow::Result<()> {
    match row.keys().next() {
        Some(name) => bail!("there is no column `{name}`; there are: {known}"),
        None => Ok(()),
    }
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let wrong = || format!("cannot read `{}`", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(wrong)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(wrong)?;
    ensure!(text.len() as u64 <= MAX_FILE, "`{}` is larger than 64 MiB", path.display());
    Ok(text)
}

fn csv_rows(text: &str) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut lines = csv(text)?.into_iter().map(|line| line.fields).peekable();
    let header = match lines.peek() {
        Some(first) if first.iter().any(|name| name == "name") => lines.next().unwrap_or_default(),
        _ => vec!["name".to_owned()],
    };
    let mut rows = Vec::new();
    for (number, line) in lines.enumerate() {
        ensure!(line.len() <= header.len(), "row {} has more columns than there are names", number + 1);
        let row = header.iter().cloned().zip(line.into_iter().map(Value::String)).collect();
        rows.push(row);
    }
    Ok(rows)
}

/// A line of a CSV file, which may go over several lines of text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it begins, counted from 1.
    pub(crate) number: usize,
    /// What stands between the commas, without blanks around it.
    pub(crate) fields: Vec<String>,
}

/// Lines of fields (RFC 4180): commas between them, quotes around what has commas, quotes or line ends in it. Lines without
/// anything are left out.
pub(crate) fn csv(text: &str) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let (mut line, mut field, mut quoted) = (Line { number: 1, ..Line::default() }, String::new(), false);
    let mut next = 1;
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = characters.next() {
        next += usize::from(c == '\n');
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => line.fields.push(std::mem::take(&mut field).trim().to_owned()),
            '\n' if !quoted => {
                line.fields.push(std::mem::take(&mut field).trim().to_owned());
                lines.push(std::mem::replace(&mut line, Line { number: next, fields: Vec::new() }));
            }
            c => field.push(c),
        }
    }
    ensure!(!quoted, "line {}: a quote that is opened is not closed", line.number);
    line.fields.push(field.trim().to_owned());
    lines.push(line);
    lines.retain(|line| line.fields.iter().any(|field| !field.is_empty()));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn from_csv(text: &str) -> Value {
        json!(csv_rows(text).unwrap())
    }

    #[test]
    fn a_list_of_names_needs_no_header() {
        assert_eq!(
            from_csv("one\ntwo\n\nthree"),
            json!([{"name": "one"}, {"name": "two"}, {"name": "three"}])
        );
    }

    #[test]
    fn a_header_names_the_columns_and_quotes_keep_commas_and_line_ends() {
        assert_eq!(
            from_csv(
                "name,identity,metadata\r\nboiler, sn-1 ,\"{\"\"a\"\": 1,\n\"\"b\"\": 2}\"\r\npump,,\r\n"
            ),
            json!([
                {"name": "boiler", "identity": "sn-1", "metadata": "{\"a\": 1,\n\"b\": 2}"},
                {"name": "pump", "identity": "", "metadata": ""},
            ])
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (text, error) in [
            ("name\na,b", "row 1 has more columns than there are names"),
            ("name\n\"a", "line 2: a quote that is opened is not closed"),
        ] {
            assert_eq!(csv_rows(text).unwrap_err().to_string(), error);
        }
        let mut row = Map::from_iter([("nmae".to_owned(), json!("x"))]);
        assert_eq!(columns(&mut row, ["name"]).unwrap(), [None]);
        let error = nothing_left(&row, "name, tags").unwrap_err().to_string();
        assert_eq!(error, "there is no column `nmae`; there are: name, tags");
    }

    #[test]
    fn metadata_is_an_object_or_a_file_with_one() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("m.json");
        std::fs::write(&file, "{\n  \"floor\": 2\n}").unwrap();
        assert_eq!(metadata_text(&format!("@{}", file.display())).unwrap(), r#"{"floor":2}"#);
        assert_eq!(metadata_text(r#"{"floor":2}"#).unwrap(), r#"{"floor":2}"#);
        for wrong in ["[]", "floor", "@/no/such/file"] {
            assert!(
                metadata(wrong).unwrap_err().to_string().contains(wrong.trim_start_matches('@')),
                "{wrong}"
            );
        }
    }
}
