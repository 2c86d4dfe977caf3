//! The parameters after the question mark, read as the contract says rather than as forms are.

use std::{borrow::Cow, fmt, str::FromStr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};

use super::query_value::{QueryError, Value};
use crate::Error;

/// The query as a `T` (reference 01 §1.2).
///
/// Every key may come once, else 400 `invalid query parameters`; only a field that is a list takes several. Numbers and
/// bools (`1 t T TRUE true True 0 f F FALSE false False`) that do not parse are the same error. An empty value is an
/// optional field left out, but for `offset` and `limit`, and for what is read with [`present`]. Unknown keys are
/// ignored. A value that a type of the kernel refuses is a 400 with that type's message; [`parsed`] brings in types that
/// are read with `FromStr`. A second `?` before a `key=` counts as `&` (reference 07 §10.1).
///
/// `#[serde(flatten)]` works for text alone: serde loses the type of flattened numbers and bools.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> Query<T> {
    /// From a text of that form that came in another way, such as the body of a form.
    pub fn of(text: &str) -> Result<Self, Error> {
        parse(text).map(Self)
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query parameter with `FromStr`, so that its message reaches the caller: for
/// `#[serde(default, deserialize_with = "web::parsed")]` on an `Option<T>`. Empty is left out.
pub fn parsed<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
}

/// As [`parsed`], where the empty value means something of its own (`group=`, reference 03 §5.3).
pub fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

/// Reads a query parameter that is JSON in text, such as `metadata`: for
/// `#[serde(default, deserialize_with = "web::json_value")]` on an `Option<T>`. Empty is left out.
pub fn json_value<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| de::Error::custom(INVALID))).transpose()
}

const INVALID: &str = "invalid query parameters";

/// The numbers of the page, which are refused when empty (reference 01 §1.2).
const NEVER_EMPTY: [&str; 2] = ["offset", "limit"];

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    T::deserialize(Fields(group(query))).map_err(|error| match error {
        QueryError::Refused(message) => kernel::Error::invalid(message).into(),
        QueryError::Malformed(Some(key)) => {
            Error::from(kernel::Error::invalid(INVALID)).detail(format!("`{key}` cannot be read"))
        }
        QueryError::Malformed(None) => kernel::Error::invalid(INVALID).into(),
    })
}

/// One key with all its values, in the order of first appearance.
type Field<'q> = (Cow<'q, str>, Vec<Cow<'q, str>>);

/// Beyond this many keys no caller is honest, and looking each one up would cost more than it should.
const MAX_KEYS: usize = 64;

fn group(query: &str) -> Vec<Field<'_>> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    for (key, value) in pairs(query) {
        if let Some((_, values)) = fields.iter_mut().find(|(known, _)| *known == key) {
            values.push(value);
        } else if fields.len() < MAX_KEYS {
            fields.push((key, vec![value]));
        }
    }
    fields
}

fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let parts = query.split('&').flat_map(split_second_question_mark).filter(|part| !part.is_empty());
    parts.map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    })
}

/// The fields of a form (`application/x-www-form-urlencoded`) in their order, decoded.
pub fn form_fields(form: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(key), decode(value))
    })
}

/// The SDK appends `?roles=true` to whatever is there (reference 07 §10.1). A `?` that no `key=` follows is text.
fn split_second_question_mark(part: &str) -> impl Iterator<Item = &str> {
    let starts_a_pair = |after: &str| {
        after.split_once('=').is_some_and(|(key, _)| {
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        })
    };
    let (first, second) = match part.rsplit_once('?') {
        Some((before, after)) if starts_a_pair(after) => (before, Some(after)),
        _ => (part, None),
    };
    std::iter::once(first).chain(second)
}

/// Undoes percent-encoding and `+`; what is not valid stays as it is, bad UTF-8 becomes the replacement character.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match (byte, after) {
            (b'%', &[high, low, ..]) => hex(high).zip(hex(low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(
        String::from_utf8(decoded).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
    )
}

/// The whole query as a serde map.
struct Fields<'q>(Vec<Field<'q>>);

impl<'de> Deserializer<'de> for Fields<'de> {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_map(Entries { fields: self.0.into_iter(), next: None })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'q> {
    fields: std::vec::IntoIter<Field<'q>>,
    next: Option<Field<'q>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = QueryError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, QueryError> {
        self.next = self.fields.next();
        let Some((key, _)) = &self.next else { return Ok(None) };
        seed.deserialize(Value::one(key.clone())).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, QueryError> {
        let Some((key, values)) = self.next.take() else { return Err(QueryError::Malformed(None)) };
        let value = Value { values, may_be_empty: !NEVER_EMPTY.contains(&key.as_ref()) };
        seed.deserialize(value).map_err(|error| error.at(&key))
    }
}

#[cfg(test)]
mod tests {
    use kernel::{ClientId, page::Order, status::StatusFilter};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct List {
        offset: Option<u64>,
        limit: Option<u64>,
        name: Option<String>,
        only_total: bool,
        client: Option<ClientId>,
        #[serde(deserialize_with = "parsed")]
        order: Option<Order>,
        #[serde(deserialize_with = "parsed")]
        status: Option<StatusFilter>,
        #[serde(deserialize_with = "json_value")]
        metadata: Option<kernel::Metadata>,
        #[serde(deserialize_with = "present")]
        place: Option<String>,
        dns_names: Vec<String>,
    }

    fn refused(query: &str) -> String {
        parse::<List>(query).unwrap_err().public().to_owned()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let list: List = parse(
            "offset=20&limit=5&name=b%C3%B6iler+1&only_total=T&order=name&status=all&metadata=%7B%22a%22%3A1%7D\
             &client=5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11&dns_names=a&dns_names=b&with_attributes=false",
        )
        .unwrap();
        assert_eq!((list.offset, list.limit, list.only_total), (Some(20), Some(5), true));
        assert_eq!(list.name.as_deref(), Some("böiler 1"));
        assert_eq!((list.order, list.status), (Some(Order::Name), Some(StatusFilter::All)));
        assert_eq!(list.metadata.unwrap().to_json(), r#"{"a":1}"#);
        assert_eq!(list.dns_names, ["a", "b"]);
        assert!(list.client.is_some());
        assert_eq!(parse::<List>("").unwrap(), List::default());
        parse::<()>("a=1").unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_the_contracts_words() {
        for query in [
            "limit=1&limit=2",
            "limit=",
            "limit=x",
            "limit=-1",
            "only_total=yes",
            "only_total",
            "metadata=%7B",
            "name=a&name=b",
        ] {
            assert_eq!(refused(query), "invalid query parameters", "{query}");
        }
        assert_eq!(refused("order=owner"), "invalid list order provided");
        assert_eq!(refused("status=gone"), "invalid status");
        assert_eq!(refused("client=x"), "invalid id format provided");
    }

    #[test]
    fn an_empty_value_is_left_out_unless_it_means_something() {
        let list: List = parse("name=&order=&status=&client=&metadata=").unwrap();
        assert_eq!(list, List::default());
        assert_eq!(parse::<List>("place=").unwrap().place.as_deref(), Some(""));
    }

    #[test]
    fn unknown_keys_are_ignored_even_when_repeated() {
        assert_eq!(parse::<List>("x=1&x=2&&=3").unwrap(), List::default());
    }

    #[test]
    fn a_second_question_mark_is_an_ampersand_only_before_a_key() {
        let list: List = parse("name=a?only_total=true").unwrap();
        assert_eq!((list.name.as_deref(), list.only_total), (Some("a"), true));
        assert_eq!(parse::<List>("name=who?").unwrap().name.as_deref(), Some("who?"));
    }

    #[test]
    fn bad_escapes_stay_text() {
        for (text, want) in
            [("100%", "100%"), ("%zz", "%zz"), ("%2", "%2"), ("%2B+", "+ "), ("%ff", "\u{fffd}")]
        {
            assert_eq!(decode(text), want);
        }
    }
}
