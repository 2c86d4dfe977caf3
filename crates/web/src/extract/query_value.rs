//! One query parameter as serde sees it: text that becomes whatever the field's type asks for.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{
    Deserializer,
    de::{self, IntoDeserializer, Visitor, value::StringDeserializer},
    forward_to_deserialize_any,
};

/// The values of one key; nearly always one.
pub(super) struct Value<'q> {
    pub(super) values: Vec<Cow<'q, str>>,
    /// Whether an optional field is left out where there is but an empty value.
    pub(super) may_be_empty: bool,
}

impl<'q> Value<'q> {
    pub(super) fn one(text: Cow<'q, str>) -> Self {
        Self { values: vec![text], may_be_empty: true }
    }

    /// The only value; more than one is an error.
    fn only(self) -> Result<Cow<'q, str>, QueryError> {
        let mut values = self.values.into_iter();
        match (values.next(), values.next()) {
            (Some(text), None) => Ok(text),
            _ => Err(QueryError::Malformed(None)),
        }
    }

    fn number<N: FromStr>(self) -> Result<N, QueryError> {
        self.only()?.parse().map_err(|_| QueryError::Malformed(None))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
            visitor.$visit(self.number()?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = QueryError;

    numbers! {
        deserialize_i8 visit_i8;
        deserialize_i16 visit_i16;
        deserialize_i32 visit_i32;
        deserialize_i64 visit_i64;
        deserialize_u8 visit_u8;
        deserialize_u16 visit_u16;
        deserialize_u32 visit_u32;
        deserialize_u64 visit_u64;
        deserialize_f32 visit_f32;
        deserialize_f64 visit_f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.only()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    /// The spellings of reference 01 §1.2.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.only()?.as_ref() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => visitor.visit_bool(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => visitor.visit_bool(false),
            _ => Err(QueryError::Malformed(None)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.values.as_slice() {
            [value] if value.is_empty() && self.may_be_empty => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        let name: StringDeserializer<QueryError> = self.only()?.into_owned().into_deserializer();
        visitor.visit_enum(name)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_seq(de::value::SeqDeserializer::new(self.values.into_iter().map(Element)))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}

/// One of several values of a list.
struct Element<'q>(Cow<'q, str>);

impl<'de> IntoDeserializer<'de, QueryError> for Element<'de> {
    type Deserializer = Value<'de>;

    fn into_deserializer(self) -> Value<'de> {
        Value::one(self.0)
    }
}

/// Why a query is no `T`.
#[derive(Debug)]
pub(super) enum QueryError {
    /// A type's own check refused a value; its message is for the caller.
    Refused(String),
    /// A value cannot be read as what the field is, or comes more than once; with its key once that is known.
    Malformed(Option<String>),
}

impl QueryError {
    pub(super) fn at(self, key: &str) -> Self {
        match self {
            Self::Malformed(None) => Self::Malformed(Some(key.to_owned())),
            known => known,
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(message) => f.write_str(message),
            Self::Malformed(_) => f.write_str("invalid query parameters"),
        }
    }
}

impl std::error::Error for QueryError {}

/// Serde reports its own findings through the named methods; only a type's own check calls `custom`.
impl de::Error for QueryError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Refused(message.to_string())
    }

    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::Malformed(None)
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::Malformed(None)
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self::Malformed(None)
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Malformed(None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Malformed(Some(field.to_owned()))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Malformed(Some(field.to_owned()))
    }
}
