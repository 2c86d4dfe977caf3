//! What stands in the slots of a configuration.

use std::str::FromStr;

use certs::model::Serial;
use kernel::{ChannelId, ClientId, Error, Result, Secret, Timestamp};
use serde_json::{Map, Value};

/// The kinds of things that a slot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// A client.
    Client,
    /// A channel.
    Channel,
    /// A certificate.
    Certificate,
}

impl ResourceKind {
    /// The word in JSON and in the database.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Channel => "channel",
            Self::Certificate => "cert",
        }
    }
}

impl FromStr for ResourceKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "client" => Ok(Self::Client),
            "channel" => Ok(Self::Channel),
            "cert" => Ok(Self::Certificate),
            _ => Err(Error::invalid("invalid binding type, use client, channel or cert")),
        }
    }
}

/// A thing in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A client.
    Client(ClientId),
    /// A channel.
    Channel(ChannelId),
    /// A certificate.
    Certificate(Serial),
}

impl Resource {
    /// The thing of this kind with this id.
    pub fn parse(kind: ResourceKind, id: &str) -> Result<Self> {
        Ok(match kind {
            ResourceKind::Client => Self::Client(id.parse()?),
            ResourceKind::Channel => Self::Channel(id.parse()?),
            ResourceKind::Certificate => Self::Certificate(id.parse()?),
        })
    }

    /// Its kind.
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::Client(_) => ResourceKind::Client,
            Self::Channel(_) => ResourceKind::Channel,
            Self::Certificate(_) => ResourceKind::Certificate,
        }
    }

    /// Its id as text; that of a certificate is its serial number.
    pub fn id(&self) -> String {
        match self {
            Self::Client(id) => id.to_string(),
            Self::Channel(id) => id.to_string(),
            Self::Certificate(serial) => serial.to_string(),
        }
    }
}

/// What a caller puts into a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBinding {
    /// The slot.
    pub slot: String,
    /// The thing.
    pub resource: Resource,
}

/// What stands in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The slot.
    pub slot: String,
    /// The thing.
    pub resource: Resource,
    /// When it was put there.
    pub updated_at: Timestamp,
}

/// A slot and what a template knows of the thing in it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The slot.
    pub slot: String,
    /// `client`, `channel` or `cert`.
    pub kind: String,
    /// The thing's id.
    pub id: String,
    /// What is known of it.
    pub known: Map<String, Value>,
    /// Its secret, if it has one; for the device alone.
    pub secret: Option<Secret<String>>,
    /// When it was put there.
    pub updated_at: Timestamp,
}
