//! Values on their way out of the database.

use std::{fmt, sync::Arc};

use kernel::{
    ChannelId, ClientId, ConfigId, DomainId, EntityId, Error, GroupId, Metadata, Name, ProfileId, Result,
    RoleId, Route, Status, Tags, Timestamp, UserId,
    id::{KeyId, PatId},
};

use crate::{Val, postgres};

/// One row of an answer.
pub struct Row(pub(crate) Source);

pub(crate) enum Source {
    Sqlite { columns: Arc<[Box<str>]>, values: Vec<rusqlite::types::Value> },
    Postgres(tokio_postgres::Row),
}

/// A stored value, borrowed from its row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A number, or a truth value on SQLite.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A floating-point number.
    Real(f64),
    /// Text, or a JSON document as text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// Which column of a row: its name or its position from 0.
pub trait Column: fmt::Display + Copy {
    /// The position among these names.
    fn position<'n>(self, names: impl Iterator<Item = &'n str>) -> Option<usize>;
}

impl Column for &str {
    fn position<'n>(self, mut names: impl Iterator<Item = &'n str>) -> Option<usize> {
        names.position(|name| name == self)
    }
}

impl Column for usize {
    fn position<'n>(self, _: impl Iterator<Item = &'n str>) -> Option<usize> {
        Some(self)
    }
}

impl Row {
    /// The value of a column. Internal, with the column's name, where there is no such column or its value is not a
    /// `T`: a row that does not fit the program is our fault.
    pub fn get<T: FromVal>(&self, column: impl Column) -> Result<T> {
        let cell = self.cell(column)?;
        T::from_val(cell).ok_or_else(|| {
            Error::internal(format!(
                "column `{column}` holds {}, which is not a {}",
                cell.kind(),
                std::any::type_name::<T>()
            ))
        })
    }

    /// The value of a column as it is stored.
    pub fn cell(&self, column: impl Column) -> Result<Cell<'_>> {
        let unknown = || Error::internal(format!("the answer has no column `{column}`"));
        match &self.0 {
            Source::Sqlite { columns, values } => {
                let at = column.position(columns.iter().map(AsRef::as_ref)).ok_or_else(unknown)?;
                values.get(at).map(Cell::from).ok_or_else(unknown)
            }
            Source::Postgres(row) => {
                let names = row.columns().iter().map(tokio_postgres::Column::name);
                let at = column.position(names).filter(|at| *at < row.len()).ok_or_else(unknown)?;
                row.try_get::<_, postgres::StoredCell<'_>>(at)
                    .map(|cell| cell.0)
                    .map_err(|error| Error::internal(format!("column `{column}`: {error}")))
            }
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values may be secrets; the names are not.
        match &self.0 {
            Source::Sqlite { columns, .. } => f.debug_list().entries(columns.iter()).finish(),
            Source::Postgres(row) => {
                f.debug_list().entries(row.columns().iter().map(tokio_postgres::Column::name)).finish()
            }
        }
    }
}

impl Cell<'_> {
    const fn kind(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Real(_) => "a floating-point number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}

impl<'a> From<&'a rusqlite::types::Value> for Cell<'a> {
    fn from(value: &'a rusqlite::types::Value) -> Self {
        use rusqlite::types::Value;
        match value {
            Value::Null => Self::Null,
            Value::Integer(number) => Self::Int(*number),
            Value::Real(number) => Self::Real(*number),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Bytes(bytes),
        }
    }
}

/// What a column can be read as.
pub trait FromVal: Sized {
    /// The value, or nothing where the cell does not hold one of this type.
    fn from_val(cell: Cell<'_>) -> Option<Self>;
}

impl FromVal for i64 {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(number) => Some(number),
            Cell::Bool(truth) => Some(truth.into()),
            _ => None,
        }
    }
}

impl FromVal for bool {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bool(truth) => Some(truth),
            Cell::Int(0) => Some(false),
            Cell::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromVal for f64 {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Real(number) => Some(number),
            _ => None,
        }
    }
}

/// The value as it was, to be bound again.
impl FromVal for Val {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        Some(match cell {
            Cell::Null => Self::Null,
            Cell::Int(number) => Self::Int(number),
            Cell::Bool(truth) => Self::Bool(truth),
            Cell::Real(number) => Self::Real(number),
            Cell::Text(text) => Self::Text(text.to_owned()),
            Cell::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        })
    }
}

impl FromVal for String {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        text(cell).map(str::to_owned)
    }
}

impl FromVal for Box<str> {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        text(cell).map(Into::into)
    }
}

impl FromVal for Vec<u8> {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    }
}

impl<T: FromVal> FromVal for Option<T> {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            _ => T::from_val(cell).map(Some),
        }
    }
}

impl FromVal for Timestamp {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        i64::from_val(cell).map(Self::from_micros)
    }
}

impl FromVal for Status {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        i64::from_val(cell).and_then(Self::from_code)
    }
}

impl FromVal for Metadata {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        Self::from_json(text(cell)?).ok()
    }
}

impl FromVal for Tags {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        Self::from_json(text(cell)?).ok()
    }
}

impl FromVal for serde_json::Value {
    fn from_val(cell: Cell<'_>) -> Option<Self> {
        serde_json::from_str(text(cell)?).ok()
    }
}

macro_rules! whole_numbers {
    ($($number:ty)*) => {$(
        impl FromVal for $number {
            fn from_val(cell: Cell<'_>) -> Option<Self> {
                i64::from_val(cell)?.try_into().ok()
            }
        }
    )*};
}

whole_numbers!(u64 u32 u16 u8 i32 usize);

macro_rules! parsed_from_text {
    ($($type:ty)*) => {$(
        impl FromVal for $type {
            fn from_val(cell: Cell<'_>) -> Option<Self> {
                text(cell)?.parse().ok()
            }
        }
    )*};
}

parsed_from_text!(UserId DomainId GroupId ClientId ChannelId EntityId PatId KeyId ConfigId ProfileId RoleId Name Route);

const fn text(cell: Cell<'_>) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}
