//! Values on their way into the database.

use kernel::{
    ChannelId, ClientId, ConfigId, DomainId, Error, GroupId, Metadata, Name, ProfileId, Result, RoleId,
    Route, Status, Tags, Timestamp, UserId,
    id::{KeyId, PatId},
};

/// A value for a placeholder.
#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    /// No value, of any type.
    Null,
    /// A number.
    Int(i64),
    /// A truth value; 0 or 1 where the column is a number.
    Bool(bool),
    /// Text.
    Text(String),
    /// A JSON document, as text.
    Json(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A floating-point number.
    Real(f64),
}

/// The values for `$1`, `$2`, …, in order: `params![id, name, created_at]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::Val::from($value)),*] as &[$crate::Val] };
}

/// Fails for text with the character U+0000, which PostgreSQL cannot store; refused on SQLite as well, so that a
/// database can move from one to the other.
pub(crate) fn storable(params: &[Val]) -> Result<()> {
    let bad = params.iter().any(|value| match value {
        Val::Text(text) => text.as_bytes().contains(&0),
        Val::Json(text) => text.as_bytes().contains(&0) || has_null_escape(text),
        Val::Null | Val::Int(_) | Val::Bool(_) | Val::Bytes(_) | Val::Real(_) => false,
    });
    if bad { Err(Error::invalid("text must not contain the character U+0000")) } else { Ok(()) }
}

/// Whether JSON text holds the escape of U+0000, and not a backslash that is followed by those letters.
fn has_null_escape(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes().get(..at).unwrap_or_default();
        before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0
    })
}

macro_rules! from {
    ($($type:ty => |$value:pat_param| $make:expr;)*) => {$(
        impl From<$type> for Val {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )*};
}

from! {
    i64 => |number| Self::Int(number);
    i32 => |number| Self::Int(number.into());
    u32 => |number| Self::Int(number.into());
    u16 => |number| Self::Int(number.into());
    u8 => |number| Self::Int(number.into());
    // Counts and sizes; neither engine has a number beyond i64::MAX to compare with.
    u64 => |number| Self::Int(i64::try_from(number).unwrap_or(i64::MAX));
    usize => |number| Self::Int(i64::try_from(number).unwrap_or(i64::MAX));
    f64 => |number| Self::Real(number);
    bool => |truth| Self::Bool(truth);
    String => |text| Self::Text(text);
    &str => |text| Self::Text(text.to_owned());
    &String => |text| Self::Text(text.clone());
    Box<str> => |text| Self::Text(text.into());
    std::borrow::Cow<'_, str> => |text| Self::Text(text.into_owned());
    std::sync::Arc<str> => |text| Self::Text(text.as_ref().to_owned());
    Vec<u8> => |bytes| Self::Bytes(bytes);
    &[u8] => |bytes| Self::Bytes(bytes.to_vec());
    &Vec<u8> => |bytes| Self::Bytes(bytes.clone());
    Timestamp => |time| Self::Int(time.micros());
    Status => |status| Self::Int(status.code());
    Name => |name| Self::Text(name.as_str().to_owned());
    &Name => |name| Self::Text(name.as_str().to_owned());
    Route => |route| Self::Text(route.as_str().to_owned());
    &Route => |route| Self::Text(route.as_str().to_owned());
    RoleId => |id| Self::Text(id.as_str().to_owned());
    &RoleId => |id| Self::Text(id.as_str().to_owned());
    Metadata => |metadata| Self::Json(metadata.to_json());
    &Metadata => |metadata| Self::Json(metadata.to_json());
    Tags => |tags| Self::Json(tags.to_json());
    &Tags => |tags| Self::Json(tags.to_json());
    serde_json::Value => |json| Self::Json(json.to_string());
    &serde_json::Value => |json| Self::Json(json.to_string());
    &Val => |value| value.clone();
}

macro_rules! from_ids {
    ($($id:ty)*) => {$(
        impl From<$id> for Val {
            fn from(id: $id) -> Self {
                Self::Text(id.to_string())
            }
        }

        impl From<&$id> for Val {
            fn from(id: &$id) -> Self {
                Self::Text(id.to_string())
            }
        }
    )*};
}

from_ids!(UserId DomainId GroupId ClientId ChannelId PatId KeyId ConfigId ProfileId);

impl<const N: usize> From<&[u8; N]> for Val {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Val {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_character_is_refused_however_it_is_written() {
        for bad in
            [Val::from("a\0b"), Val::Json("{\"a\":\"\\u0000\"}".into()), Val::Json("\"\\\\\\u0000\"".into())]
        {
            assert!(storable(&[bad]).is_err());
        }
        for good in [Val::from("a\\u0000"), Val::Json("\"\\\\u0000\"".into()), Val::Bytes(vec![0]), Val::Null]
        {
            assert!(storable(&[good]).is_ok());
        }
    }

    #[test]
    fn an_option_is_null_or_its_value() {
        assert_eq!(Val::from(None::<i64>), Val::Null);
        assert_eq!(Val::from(Some("x")), Val::Text("x".to_owned()));
        assert_eq!(params![1_i64, true], &[Val::Int(1), Val::Bool(true)]);
    }
}
