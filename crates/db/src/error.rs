//! From the drivers' errors to ours.
//!
//! Out of reach, overloaded or full is Unavailable; a unique key that is taken is a Conflict whose key [`violated`]
//! names; all else is our own mistake. The SQL text goes into the cause, the bound values never do.

use std::error::Error as StdError;

use kernel::{Error, Kind};
use tokio_postgres::error::SqlState;

/// The message where a store does not map a taken key to words of its own.
const TAKEN: &str = "entity already exists";

/// The name of the unique index, primary key or UNIQUE constraint that an error is about, the same on both engines.
///
/// An index has the name that its `CREATE UNIQUE INDEX` gives it, a primary key is `<table>_pkey`, and a constraint
/// without a name of its own is `<table>_<columns>_key`. Where a row breaks several at once, it is the engine's choice
/// which one it names.
pub fn violated(error: &Error) -> Option<&str> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(violation) = cause.downcast_ref::<Violation>() {
            return Some(&violation.key);
        }
        next = cause.source();
    }
    None
}

/// A unique key is taken.
#[derive(Debug)]
struct Violation {
    key: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the unique key `{}` is taken", self.key)
    }
}

impl StdError for Violation {}

/// The error for a unique key that is taken.
pub(crate) fn taken(key: impl Into<String>) -> Error {
    Error::new(Kind::Conflict, TAKEN).cause(Violation { key: key.into() })
}

/// The error for a database that cannot be opened: whoever starts the program is told why.
pub(crate) fn opening(error: &Error) -> Error {
    Error::new(error.kind(), format!("the database cannot be opened: {}", error.chain()))
}

/// The error for a failure of SQLite while it did `what`.
pub(crate) fn sqlite(what: &str, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let cause = format!("{what}: {error}");
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OperationInterrupted,
        ) => Error::unavailable(cause),
        Some(ErrorCode::TooBig) => {
            Error::new(Kind::TooLarge, "the value is too large to be stored").cause(cause)
        }
        _ => Error::internal(cause),
    }
}

/// The error for a failure of PostgreSQL, or of the way to it, while it did `what`.
pub(crate) fn postgres(what: &str, error: &tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        let cause = format!("{what}: {}", with_sources(error));
        return if is_mismatch(error) { Error::internal(cause) } else { Error::unavailable(cause) };
    };
    if *db.code() == SqlState::UNIQUE_VIOLATION
        && let Some(key) = db.constraint()
    {
        return taken(key);
    }
    let cause = format!("{what}: {} ({})", db.message(), db.code().code());
    match db.code().code().get(..2) {
        // Connection exception, operator intervention (shutdown, cancelled by a time limit), insufficient resources,
        // transaction rollback (serialization, deadlock), lock not available, invalid authorization, no such database.
        Some("08" | "57" | "53" | "40" | "55" | "28" | "3D") => Error::unavailable(cause),
        Some("25") if *db.code() == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
            Error::unavailable(cause)
        }
        Some("54") => Error::new(Kind::TooLarge, "the value is too large to be stored").cause(cause),
        _ => Error::internal(cause),
    }
}

/// The error for a pool that gave no connection.
pub(crate) fn pool(error: &deadpool_postgres::PoolError) -> Error {
    match error {
        deadpool_postgres::PoolError::Backend(error) => postgres("connect to PostgreSQL", error),
        other => Error::unavailable(format!("take a connection to PostgreSQL: {}", with_sources(other))),
    }
}

/// Whether an error that did not come from the server is one between our statement and our values. All others are about
/// the connection: its making, its TLS, its authentication, its end. The driver tells its kinds apart by text only.
fn is_mismatch(error: &tokio_postgres::Error) -> bool {
    const MISMATCHES: [&str; 5] =
        ["error serializing", "error deserializing", "invalid column", "query returned", "expected "];
    let text = error.to_string();
    MISMATCHES.iter().any(|start| text.starts_with(start))
}

fn with_sources(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
