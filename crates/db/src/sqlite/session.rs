//! One SQLite connection and the statements it knows.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use kernel::{Error, Result};
use rusqlite::{
    Connection, Statement, ToSql,
    types::{ToSqlOutput, Value, ValueRef},
};

use crate::{Row, Val, error, row::Source, sqlite::watch::Watch};

/// A connection with its statement texts.
pub(crate) struct Session {
    connection: Connection,
    texts: HashMap<Box<str>, Arc<Text>>,
    watch: Option<Watch>,
}

/// A statement as SQLite reads it, and its columns, once they are known.
struct Text {
    sql: String,
    columns: OnceLock<Arc<[Box<str>]>>,
}

/// Texts that are remembered; list queries come in many forms, but not in thousands.
const TEXTS: usize = 2048;

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, texts: HashMap::new(), watch: None }
    }

    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) const fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// From here on each statement of a read first asks whether it may run.
    pub(super) fn set_watch(&mut self, watch: Option<Watch>) {
        self.watch = watch;
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Val]) -> Result<u64> {
        let text = self.text(sql);
        let changed = self
            .connection
            .prepare_cached(&text.sql)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(params)))
            .map_err(|error| self.explain(sql, &error))?;
        u64::try_from(changed).map_err(Error::internal)
    }

    /// For a statement that will not come again in this form.
    pub(crate) fn execute_once(&mut self, sql: &str, params: &[Val]) -> Result<u64> {
        let changed = self
            .connection
            .prepare(&with_numbered_placeholders(sql))
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(params)))
            .map_err(|error| self.explain(sql, &error))?;
        u64::try_from(changed).map_err(Error::internal)
    }

    pub(crate) fn all(&mut self, sql: &str, params: &[Val]) -> Result<Vec<Row>> {
        self.watch.as_ref().map_or(Ok(()), Watch::check)?;
        let text = self.text(sql);
        self.connection
            .prepare_cached(&text.sql)
            .and_then(|mut statement| rows(&mut statement, &text, params))
            .map_err(|error| self.explain(sql, &error))
    }

    /// Runs a statement of transaction control.
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<()> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|error| error::sqlite(sql, &error))
    }

    fn text(&mut self, sql: &str) -> Arc<Text> {
        if let Some(text) = self.texts.get(sql) {
            return Arc::clone(text);
        }
        if self.texts.len() >= TEXTS {
            self.texts.clear();
        }
        let text = Arc::new(Text { sql: with_numbered_placeholders(sql), columns: OnceLock::new() });
        self.texts.insert(sql.into(), Arc::clone(&text));
        text
    }

    fn explain(&self, sql: &str, error: &rusqlite::Error) -> Error {
        self.taken_key(error).map_or_else(|| error::sqlite(sql, error), error::taken)
    }

    /// The name of the unique key that an error is about.
    ///
    /// SQLite says `UNIQUE constraint failed: t.a, t.b`, or `: index 'name'` for an index over expressions; the name
    /// is looked up by the columns.
    fn taken_key(&self, error: &rusqlite::Error) -> Option<String> {
        let rusqlite::Error::SqliteFailure(_, Some(message)) = error else { return None };
        let key = message.strip_prefix("UNIQUE constraint failed: ")?;
        if let Some(name) = key.strip_prefix("index '") {
            return Some(name.trim_end_matches('\'').to_owned());
        }
        let columns: Vec<(&str, &str)> =
            key.split(", ").filter_map(|column| column.split_once('.')).collect();
        let (table, _) = *columns.first()?;
        let columns = columns.into_iter().map(|(_, column)| column).collect::<Vec<_>>().join(",");
        let found = self.connection.query_row(
            "SELECT list.name, list.origin
               FROM pragma_index_list(?1) AS list
              WHERE list.\"unique\"
                AND (SELECT group_concat(info.name, ',' ORDER BY info.seqno) FROM pragma_index_info(list.name) AS info)
                    = ?2
              ORDER BY list.origin
              LIMIT 1",
            [table, &columns],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        );
        Some(match found {
            Ok((name, origin)) if origin == "c" => name,
            Ok((_, origin)) if origin == "u" => format!("{table}_{}_key", columns.replace(',', "_")),
            // A primary key, which for an INTEGER is the table itself and no index.
            _ => format!("{table}_pkey"),
        })
    }
}

fn rows(statement: &mut Statement<'_>, text: &Text, params: &[Val]) -> rusqlite::Result<Vec<Row>> {
    let width = statement.column_count();
    let mut answer = Vec::new();
    // After a change of the schema `SELECT *` may have other columns than the ones remembered.
    let columns = match text.columns.get() {
        Some(columns) if columns.len() == width => Arc::clone(columns),
        _ => {
            let names: Arc<[Box<str>]> = statement.column_names().map(Into::into).collect();
            Arc::clone(text.columns.get_or_init(|| names))
        }
    };
    let mut cursor = statement.query(rusqlite::params_from_iter(params))?;
    while let Some(row) = cursor.next()? {
        let mut values = Vec::with_capacity(width);
        for at in 0..width {
            values.push(row.get::<_, Value>(at)?);
        }
        answer.push(Row(Source::Sqlite { columns: Arc::clone(&columns), values }));
    }
    Ok(answer)
}

impl ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Bool(truth) => ValueRef::Integer((*truth).into()),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) | Self::Json(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// `$1` becomes `?1`, outside of quotes and comments: SQLite would number `$2, $1` by first appearance.
fn with_numbered_placeholders(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find(['$', '\'', '"', '-']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let end = if from.starts_with('$') {
            text.push('?');
            rest = from.get(1..).unwrap_or_default();
            continue;
        } else if from.starts_with("--") {
            from.find('\n')
        } else if let Some(quote) = from.chars().next().filter(|c| *c != '-') {
            // A doubled quote ends one quotation and begins the next: the same to us.
            from.get(1..).and_then(|inside| inside.find(quote)).map(|length| length + 2)
        } else {
            Some(1)
        };
        let (skipped, after) = from.split_at(end.unwrap_or(from.len()));
        text.push_str(skipped);
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_where_they_are_placeholders() {
        assert_eq!(
            with_numbered_placeholders("SELECT $2, $1, '$3', \"$4\", a-$5 -- $6\n, 'it''s $7', $8"),
            "SELECT ?2, ?1, '$3', \"$4\", a-?5 -- $6\n, 'it''s $7', ?8"
        );
    }

    #[test]
    fn values_bind_by_number_and_not_by_appearance() {
        let mut session = Session::new(Connection::open_in_memory().unwrap());
        let rows = session.all("SELECT $2 AS b, $1 AS a", &[Val::from("a"), Val::from("b")]).unwrap();
        assert_eq!(rows[0].get::<String>("a").unwrap(), "a");
        assert_eq!(rows[0].get::<String>("b").unwrap(), "b");
    }
}
