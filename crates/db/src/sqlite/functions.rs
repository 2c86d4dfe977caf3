//! The SQL functions that PostgreSQL gets from our first migration.

use rusqlite::{
    Connection, Error, Result,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};
use serde_json::Value;

use crate::json;

type Question = fn(&Value, &Value) -> bool;

/// Makes `json_contains`, `tags_any`, `tags_all` and `name_contains` known to a connection. Each answers null where
/// one of its arguments is null.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let questions: [(&str, Question); 3] =
        [("json_contains", json::contains), ("tags_any", json::has_any), ("tags_all", json::has_all)];
    for (name, question) in questions {
        connection.create_scalar_function(name, 2, flags, move |context| ask(context, question))?;
    }
    connection.create_scalar_function("name_contains", 2, flags, |context| {
        let (Some(name), Some(part)) = (text(context, 0)?, text(context, 1)?) else { return Ok(None) };
        Ok(Some(json::name_contains(name, part)))
    })
}

fn ask(context: &Context<'_>, question: Question) -> Result<Option<bool>> {
    let (Some(doc), Some(_)) = (text(context, 0)?, text(context, 1)?) else { return Ok(None) };
    let doc: Value = serde_json::from_str(doc).map_err(user_error)?;
    // What is looked for is the same for every row: parsed once per statement.
    let want = context.get_or_create_aux(1, |value: ValueRef<'_>| {
        value
            .as_str()
            .map_err(user_error)
            .and_then(|text| serde_json::from_str::<Value>(text).map_err(user_error))
    })?;
    Ok(Some(question(&doc, &want)))
}

fn text<'c>(context: &'c Context<'_>, argument: usize) -> Result<Option<&'c str>> {
    match context.get_raw(argument) {
        ValueRef::Null => Ok(None),
        value => value.as_str().map(Some).map_err(user_error),
    }
}

fn user_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::UserFunctionError(Box::new(error))
}
