//! The list of gateways: CSV with a line of column names.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use bootstrap::model::{ExternalId, external_key};
use kernel::{Metadata, Name, Secret};
use serde_json::{Map, Value};

use super::plan::Plan;
use crate::commands::input::{self, Line};

/// What the platform writes into a gateway's metadata itself (reference 04 §2.4).
const TAKEN: [&str; 5] = ["type", "cfg_id", "ctrl_channel_id", "data_channel_id", "export_channel_id"];
/// Mistakes that are told at a time.
const TOLD: usize = 20;

/// One gateway.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it stands, counted from 1.
    pub(super) line: usize,
    pub(super) external_id: String,
    /// None where the command is to make one.
    pub(super) external_key: Option<Secret<String>>,
    pub(super) name: String,
    pub(super) metadata: Metadata,
}

/// Reads the list. Fails with all that is wrong in it, each with its line.
pub(super) fn read(path: &Path, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let text = input::read(path)?;
    parse(&text, plan).with_context(|| format!("the list `{}`", path.display()))
}

fn parse(text: &str, plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let mut lines = input::csv(text)?.into_iter();
    let header = lines.next().context("is empty; its first line names the columns: external_id, …")?;
    let columns = columns(header)?;
    let mut reader = Reader { columns, plan, ids: HashMap::new(), names: HashMap::new() };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for line in lines {
        let number = line.number;
        match reader.row(line) {
            Ok(row) => rows.push(row),
            Err(error) => wrong.push(format!("line {number}: {error:#}")),
        }
    }
    if wrong.is_empty() {
        ensure!(!rows.is_empty(), "there is no gateway in it");
        return Ok(rows);
    }
    let more = wrong.len().saturating_sub(TOLD);
    wrong.truncate(TOLD);
    if more > 0 {
        wrong.push(format!("and {more} more"));
    }
    bail!("{}", wrong.join("\n"))
}

/// The names of the columns.
fn columns(header: Line) -> anyhow::Result<Vec<String>> {
    let columns = header.fields;
    for (index, name) in columns.iter().enumerate() {
        ensure!(!name.is_empty(), "line {}: column {} has no name", header.number, index + 1);
        ensure!(
            !columns.iter().take(index).any(|other| other == name),
            "line {}: two columns are called `{name}`",
            header.number
        );
        ensure!(
            !TAKEN.contains(&name.as_str()),
            "line {}: the platform itself writes `{name}` into the metadata, call the column something else",
            header.number
        );
    }
    ensure!(
        columns.iter().any(|name| name == "external_id"),
        "line {}: no column is called `external_id`; the first line names the columns",
        header.number
    );
    Ok(columns)
}

struct Reader<'a> {
    columns: Vec<String>,
    plan: &'a Plan,
    /// The line in which each stands.
    ids: HashMap<String, usize>,
    names: HashMap<String, usize>,
}

impl Reader<'_> {
    fn row(&mut self, line: Line) -> anyhow::Result<Row> {
        let Line { number, fields } = line;
        ensure!(
            fields.len() == self.columns.len(),
            "{} fields, but the first line names {} columns",
            fields.len(),
            self.columns.len()
        );
        let (mut id, mut key, mut name) = (String::new(), None, String::new());
        let mut metadata = Map::new();
        for (column, field) in self.columns.iter().zip(fields) {
            match column.as_str() {
                _ if field.is_empty() => {}
                "external_id" => id = field,
                "external_key" => key = Some(external_key(Secret::new(field))?),
                "name" => name = field,
                other => {
                    metadata.insert(other.to_owned(), Value::String(field));
                }
            }
        }
        ensure!(!id.is_empty(), "`external_id` is empty");
        let id: ExternalId = id.parse()?;
        let external_id = id.as_str().to_owned();
        let name = if name.is_empty() { external_id.clone() } else { name };
        let parts = self.plan.layout.clients.iter().chain(&self.plan.layout.channels);
        for part in parts {
            let name: Result<Name, _> = format!("{name}_{}", part.name).parse();
            name.context("the name is too long or has control characters")?;
        }
        for (seen, what, text) in
            [(&mut self.ids, "external_id", &external_id), (&mut self.names, "name", &name)]
        {
            if let Some(first) = seen.insert(text.clone(), number) {
                bail!("the {what} `{text}` stands in line {first}, too");
            }
        }
        let metadata = Metadata::from(metadata).checked()?;
        Ok(Row { line: number, external_id, external_key: key, name, metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::provision::plan::tests::plan;

    fn wrong(text: &str) -> String {
        format!("{:#}", parse(text, &plan()).unwrap_err())
    }

    #[test]
    fn further_columns_are_metadata_and_the_name_is_the_id_without_one() {
        let rows = parse(
            "\u{feff}external_id,name,floor,external_key\n33:52,gateway a,3,k\n\n\"sn 2\",,,\n",
            &plan(),
        )
        .unwrap();
        let first = &rows[0];
        assert_eq!((first.line, &*first.external_id, &*first.name), (2, "33:52", "gateway a"));
        assert_eq!(first.metadata.to_json(), r#"{"floor":"3"}"#);
        assert_eq!(first.external_key.as_ref().unwrap().expose(), "k");
        let second = &rows[1];
        assert_eq!((second.line, &*second.external_id, &*second.name), (4, "sn 2", "sn 2"));
        assert!(second.metadata.is_empty() && second.external_key.is_none());
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "external_id,external_key,name\n1,k,a\n,k,b\n3,k\n1,k,c\n5,k,a\n6,k,\"x\ny\"\n8,k,z";
        assert_eq!(
            wrong(text),
            "line 3: `external_id` is empty\n\
             line 4: 2 fields, but the first line names 3 columns\n\
             line 5: the external_id `1` stands in line 2, too\n\
             line 6: the name `a` stands in line 2, too\n\
             line 7: the name is too long or has control characters: invalid name size"
        );
        let long = format!("external_id,external_key\n1,{}\n", "k".repeat(1025));
        assert_eq!(wrong(&long), "line 2: invalid external key, at most 1024 bytes");
        let many: String =
            std::iter::once("external_id\n".to_owned()).chain((0..30).map(|_| "same\n".to_owned())).collect();
        assert!(wrong(&many).ends_with("\nand 9 more"), "{}", wrong(&many));
    }

    #[test]
    fn the_first_line_names_the_columns() {
        for (text, error) in [
            ("", "is empty"),
            ("1,2\n", "line 1: no column is called `external_id`"),
            ("external_id,,b\n", "line 1: column 2 has no name"),
            ("external_id,a,a\n", "line 1: two columns are called `a`"),
            ("external_id,type\n", "line 1: the platform itself writes `type`"),
            ("external_id\n", "there is no gateway in it"),
            ("external_id\n\"a\n", "a quote that is opened is not closed"),
        ] {
            assert!(wrong(text).contains(error), "{text}: {}", wrong(text));
        }
    }
}
