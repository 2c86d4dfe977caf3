//! Is it alive (reference 07 §7.1).

use serde::Deserialize;

/// What a service says about itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Health {
    /// `pass`.
    pub status: String,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
    /// Commit that it was built from.
    #[serde(default)]
    pub commit: String,
    /// Which service answers.
    #[serde(default)]
    pub description: String,
    /// When it was built.
    #[serde(default)]
    pub build_time: String,
    /// Which process answers.
    #[serde(default)]
    pub instance_id: String,
}
