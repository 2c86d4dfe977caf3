//! The file of a layout (reference 04 §2.2), which a request may bring along as JSON.

use std::{borrow::Cow, str::FromStr};

use certs::model::Ttl;
use kernel::{Error, Metadata, ProfileId, Result, Secret};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Part;

/// A layout as it is written. Unknown keys are ignored, as files of older generations have many; [`unknown`] names them.
///
/// [`unknown`]: super::unknown()
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct File {
    /// What the service that is replaced needs to find others; of use are the credentials.
    pub server: OfServer,
    pub(super) bootstrap: OfBootstrap,
    pub(super) clients: Vec<Part>,
    pub(super) channels: Vec<Part>,
    pub(super) cert: OfCertificates,
}

/// In whose name requests without a token are carried out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OfServer {
    /// A token; empty is none.
    #[serde(alias = "smq_api_key")]
    pub mg_api_key: Option<Secret<String>>,
    /// A user's name; empty is none.
    #[serde(alias = "smq_username")]
    pub mg_username: String,
    /// Their password; empty is none.
    #[serde(alias = "smq_pass")]
    pub mg_pass: Option<Secret<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfBootstrap {
    pub(super) x509_provision: Option<bool>,
    pub(super) provision: Option<bool>,
    pub(super) autowhite_list: Option<bool>,
    #[serde(deserialize_with = "filled")]
    pub(super) profile_id: Option<ProfileId>,
    pub(super) content: Option<Map<String, Value>>,
    pub(super) render_context: Metadata,
    pub(super) bindings: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OfCertificates {
    #[serde(deserialize_with = "filled")]
    pub(super) ttl: Option<Ttl>,
}

impl File {
    /// From TOML.
    ///
    /// # Errors
    ///
    /// Invalid, with line and column, for what is no TOML or has a value of the wrong kind.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::invalid(error.to_string().trim_end().to_owned()))
    }
}

/// Reads a text; an empty one is none.
fn filled<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Error>,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
