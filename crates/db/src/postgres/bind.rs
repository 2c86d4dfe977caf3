//! Values to and from PostgreSQL's binary format, by the type that the server says each has.

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::{Cell, Val};

type AnyError = Box<dyn std::error::Error + Sync + Send>;

/// The values in the form that the driver takes.
pub(super) fn arguments(params: &[Val]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// The first byte of every `jsonb` value: the version of its format.
const JSONB_VERSION: u8 = 1;

impl ToSql for Val {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => int(*number, ty, out),
            Self::Bool(truth) if *ty == Type::BOOL => truth.to_sql(ty, out),
            Self::Bool(truth) => int((*truth).into(), ty, out),
            Self::Real(number) if *ty == Type::FLOAT8 => number.to_sql(ty, out),
            Self::Bytes(bytes) if *ty == Type::BYTEA => bytes.to_sql(ty, out),
            Self::Text(text) | Self::Json(text) => text_or_json(text, ty, out),
            Self::Real(_) | Self::Bytes(_) => Err(unfit(self, ty)),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn int(number: i64, ty: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
    match *ty {
        Type::INT8 => number.to_sql(ty, out),
        Type::INT4 => i32::try_from(number)?.to_sql(ty, out),
        Type::INT2 => i16::try_from(number)?.to_sql(ty, out),
        Type::BOOL => (number != 0).to_sql(ty, out),
        _ => Err(unfit(&Val::Int(number), ty)),
    }
}

fn text_or_json(text: &str, ty: &Type, out: &mut BytesMut) -> Result<IsNull, AnyError> {
    match *ty {
        Type::JSONB => {
            out.put_u8(JSONB_VERSION);
            out.put_slice(text.as_bytes());
            Ok(IsNull::No)
        }
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            out.put_slice(text.as_bytes());
            Ok(IsNull::No)
        }
        _ => Err(format!("text does not fit a placeholder of the type {ty}").into()),
    }
}

fn unfit(value: &Val, ty: &Type) -> AnyError {
    let kind = match value {
        Val::Int(_) => "a number",
        Val::Real(_) => "a floating-point number",
        _ => "the value",
    };
    format!("{kind} does not fit a placeholder of the type {ty}").into()
}

/// A stored value of any type that our schemas use.
pub(crate) struct StoredCell<'a>(pub(crate) Cell<'a>);

impl<'a> FromSql<'a> for StoredCell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, AnyError> {
        Ok(Self(match *ty {
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Cell::Int(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::FLOAT8 => Cell::Real(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Cell::Real(f32::from_sql(ty, raw)?.into()),
            Type::BYTEA => Cell::Bytes(raw),
            Type::JSONB => match raw.split_first() {
                Some((&JSONB_VERSION, text)) => Cell::Text(std::str::from_utf8(text)?),
                _ => return Err("a jsonb value of an unknown version".into()),
            },
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
                Cell::Text(std::str::from_utf8(raw)?)
            }
            _ => return Err(format!("the type {ty} is none that we read; cast it in the statement").into()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, AnyError> {
        Ok(Self(Cell::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
