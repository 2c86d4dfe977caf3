//! Lists come in pages (reference 07 §8.4).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which rows of a list are wanted; what is absent has the API's default.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Query {
    /// Rows to pass over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Rows on a page, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// `name`, `created_at` or `updated_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// `asc` or `desc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Part of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `enabled`, `disabled`, `deleted` or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `a,b`: any of the tags; `a+b`: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

/// Some rows of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// How many rows the whole list has.
    pub total: u64,
    /// How many rows were passed over.
    pub offset: u64,
    /// How many rows a page has at the most; 0 where the platform does not say.
    pub limit: u64,
    /// The rows.
    pub items: Vec<T>,
}

/// The envelope as it is sent; the name of the list depends on what is listed.
#[derive(Deserialize)]
pub(crate) struct Envelope {
    #[serde(default)]
    total: u64,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    limit: u64,
    #[serde(flatten)]
    lists: Map<String, Value>,
}

impl Envelope {
    /// The page whose rows stand under `list`. An empty list may be absent (reference 03 §5.3).
    pub(crate) fn page<T: DeserializeOwned>(mut self, list: &str) -> serde_json::Result<Page<T>> {
        let items = match self.lists.remove(list) {
            None | Some(Value::Null) => Vec::new(),
            Some(items) => serde_json::from_value(items)?,
        };
        Ok(Page { total: self.total, offset: self.offset, limit: self.limit, items })
    }
}
