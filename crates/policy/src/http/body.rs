//! What brokers send, in whatever form they send it (reference 08 §3.2).

use std::{borrow::Cow, fmt};

use http::{HeaderMap, header};
use serde::{Deserialize, Deserializer, de};

/// The fields of a question. What is not said is empty.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    #[serde(deserialize_with = "text")]
    pub(crate) username: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) password: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) clientid: Option<String>,
    #[serde(deserialize_with = "text")]
    pub(crate) topic: Option<String>,
    #[serde(deserialize_with = "number")]
    pub(crate) acc: Option<i64>,
}

impl Fields {
    /// Reads the body; what it does not say is taken from the query.
    pub(crate) fn read(headers: &HeaderMap, query: &str, body: &[u8]) -> Result<Self, &'static str> {
        let mut fields = match form_of(headers, body) {
            Form::Nothing => Self::default(),
            // Serde would fill the fields from a list, too.
            Form::Json if body.trim_ascii_start().first() == Some(&b'[') => {
                return Err("the body is a list, send an object");
            }
            Form::Json => match serde_json::from_slice::<Option<Self>>(body) {
                Ok(fields) => fields.unwrap_or_default(),
                Err(_) => return Err("the body is no JSON object with texts, or a field stands in it twice"),
            },
            Form::Fields => {
                let body = std::str::from_utf8(body).map_err(|_| "the body is no form")?;
                let mut fields = Self::default();
                fields.fill(body)?;
                fields
            }
        };
        if !query.is_empty() {
            let mut more = Self::default();
            more.fill(query)?;
            fields.username = fields.username.or(more.username);
            fields.password = fields.password.or(more.password);
            fields.clientid = fields.clientid.or(more.clientid);
            fields.topic = fields.topic.or(more.topic);
            fields.acc = fields.acc.or(more.acc);
        }
        Ok(fields)
    }

    fn fill(&mut self, form: &str) -> Result<(), &'static str> {
        for (name, value) in web::form_fields(form) {
            let place = match &*name {
                "username" => &mut self.username,
                "password" => &mut self.password,
                "clientid" => &mut self.clientid,
                "topic" => &mut self.topic,
                "acc" => {
                    let acc = value.parse().map_err(|_| "`acc` is no number")?;
                    if self.acc.replace(acc).is_some() {
                        return Err("a field stands in the form twice");
                    }
                    continue;
                }
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err("a field stands in the form twice");
            }
        }
        Ok(())
    }
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Nothing,
    Json,
    Fields,
}

/// What the content type says, unless the body says otherwise: plain `curl -d` calls everything a form.
pub(crate) fn form_of(headers: &HeaderMap, body: &[u8]) -> Form {
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let says = |word: &str| {
        content_type
            .as_ref()
            .is_some_and(|given| given.windows(word.len()).any(|part| part == word.as_bytes()))
    };
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Form::Nothing,
        Some(b'{') => Form::Json,
        Some(_) if says("json") => Form::Json,
        Some(_) if says("x-www-form-urlencoded") => Form::Fields,
        Some(b'[' | b'"') => Form::Json,
        Some(_) if body.trim_ascii() == b"null" => Form::Nothing,
        Some(_) => Form::Fields,
    }
}

/// A text, or null for none.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<Cow<'de, str>>::deserialize(deserializer).map(|text| text.map(Cow::into_owned))
}

/// A whole number, as a number or as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Number;
    impl de::Visitor<'_> for Number {
        type Value = Option<i64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(Some(number))
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(Some(i64::try_from(number).unwrap_or(i64::MAX)))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.parse().map(Some).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Number)
}

/// The token in the `Authorization` header, whatever the case of its scheme; other schemes are somebody else's.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, query: &str, body: &str) -> Result<Fields, &'static str> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        Fields::read(&headers, query, body.as_bytes())
    }

    fn acl(topic: &str, acc: i64) -> Fields {
        Fields { topic: Some(topic.to_owned()), acc: Some(acc), ..Fields::default() }
    }

    #[test]
    fn json_forms_and_nothing_are_read_whatever_they_are_called() {
        const JSON: &str = "application/json; charset=utf-8";
        const FORM: &str = "application/x-www-form-urlencoded";
        for content_type in ["", JSON, FORM, "text/plain"] {
            for empty in ["", "  \n", "null"] {
                assert_eq!(read(content_type, "", empty), Ok(Fields::default()), "{content_type} {empty}");
            }
            assert_eq!(
                read(content_type, "", r#" {"topic":"a/b","acc":2}"#),
                Ok(acl("a/b", 2)),
                "{content_type}"
            );
        }
        assert_eq!(read(FORM, "", "acc=2&topic=a%2Fb+c%2B"), Ok(acl("a/b c+", 2)));
        assert_eq!(read("", "", "acc=2&topic=a%2Fb"), Ok(acl("a/b", 2)));
        assert_eq!(read(JSON, "", r#"{"topic":"a","acc":"4","other":[1],"clientid":null}"#), Ok(acl("a", 4)));
    }

    #[test]
    fn the_query_says_what_the_body_does_not() {
        let both = read("", "topic=q&acc=1&response=text", r#"{"topic":"b"}"#);
        assert_eq!(both, Ok(acl("b", 1)));
    }

    #[test]
    fn what_cannot_be_read_or_is_said_twice_is_refused() {
        for (content_type, body) in [
            ("application/json", r#"{"topic":"#),
            ("application/json", r#"{"topic":1}"#),
            ("application/json", r#"{"topic":"a","topic":"b"}"#),
            ("application/json", r#"{"acc":"x"}"#),
            ("application/json", r#"{"acc":1.5}"#),
            ("application/json", "topic=a"),
            ("application/json", "[]"),
            ("", "acc=x"),
            ("", "topic=a&topic=b"),
            ("", "acc=1&acc=2"),
        ] {
            assert!(read(content_type, "", body).is_err(), "{content_type} {body}");
        }
    }

    #[test]
    fn a_bearer_token_is_found_in_any_spelling() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(of("bearer   T ").as_deref(), Some("T"));
        assert_eq!(of("Bearer T").as_deref(), Some("T"));
        for none in ["Basic abc", "T", "Bearer ", "Bearer"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
