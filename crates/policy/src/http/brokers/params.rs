//! Named texts, from JSON, a form, or the query.

use std::collections::HashMap;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::super::body::{Form, form_of};

/// What a broker says, by name. What is not said is empty.
#[derive(Debug, Default)]
pub(super) struct Params {
    texts: HashMap<String, String>,
    /// What is no plain text: lists of topics.
    pub(super) others: Map<String, Value>,
}

/// More than any broker says.
const MAX: usize = 64;

impl Params {
    /// None if the body cannot be read or says something twice.
    pub(super) fn read(headers: &HeaderMap, query: &str, body: &[u8]) -> Option<Self> {
        let mut params = Self::default();
        match form_of(headers, body) {
            Form::Nothing => {}
            Form::Json => {
                let Value::Object(members) = serde_json::from_slice(body).ok()? else { return None };
                for (name, value) in members {
                    params.member(name, value);
                }
            }
            Form::Fields => params.form(std::str::from_utf8(body).ok()?)?,
        }
        let mut more = Self::default();
        more.form(query)?;
        for (name, text) in more.texts {
            params.texts.entry(name).or_insert(text);
        }
        Some(params)
    }

    fn member(&mut self, name: String, value: Value) {
        match value {
            Value::Null => {}
            Value::String(text) => {
                self.texts.insert(name, text);
            }
            Value::Number(number) => {
                self.texts.insert(name, number.to_string());
            }
            Value::Bool(bool) => {
                self.texts.insert(name, bool.to_string());
            }
            other @ (Value::Array(_) | Value::Object(_)) => {
                self.others.insert(name, other);
            }
        }
    }

    fn form(&mut self, form: &str) -> Option<()> {
        for (name, text) in web::form_fields(form) {
            if self.texts.len() == MAX || self.texts.insert(name.into_owned(), text.into_owned()).is_some() {
                return None;
            }
        }
        Some(())
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.texts.get(name).map(String::as_str).unwrap_or_default()
    }
}
