//! One device's configuration.

use std::str::FromStr;

use kernel::{
    ChannelId, ClientId, ConfigId, DomainId, Error, Metadata, Name, Page, PageRequest, ProfileId, Result,
    Secret, Status, Timestamp, status::StatusFilter,
};

/// What a device calls itself: a serial number, a MAC address. One in the whole installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalId(String);

impl ExternalId {
    /// The longest id in bytes.
    pub const MAX_LEN: usize = 254;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "" => Err(Error::invalid("missing entity id")),
            _ if text.len() > Self::MAX_LEN || text.chars().any(char::is_control) => {
                Err(Error::invalid("invalid external id, at most 254 bytes without control characters"))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// The longest external key in bytes. Upstream takes 72, because of its hash.
const KEY_MAX_LEN: usize = 1024;

/// An external key as a caller gives it.
pub fn external_key(key: Secret<String>) -> Result<Secret<String>> {
    match key.expose().len() {
        0 => Err(Error::invalid("missing or invalid bearer entity key")),
        1..=KEY_MAX_LEN => Ok(key),
        _ => Err(Error::invalid("invalid external key, at most 1024 bytes")),
    }
}

/// The longest content, template or certificate in bytes.
const TEXT_MAX_LEN: usize = 256 * 1024;

/// A text that devices get; Invalid where it is too long. `what` names it.
pub fn text(what: &str, text: String) -> Result<String> {
    match text.len() {
        0..=TEXT_MAX_LEN => Ok(text),
        _ => Err(Error::invalid(format!("the {what} is too large, at most 256 KiB"))),
    }
}

/// Certificates for mutual TLS, each in PEM or empty.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// The device's.
    pub client_cert: String,
    /// Its private key.
    pub client_key: Option<Secret<String>>,
    /// The authorities'.
    pub ca_cert: String,
}

impl Certificates {
    /// Fails where one is too large.
    pub fn checked(self) -> Result<Self> {
        let client_key = self.client_key.filter(|key| !key.expose().is_empty());
        if client_key.as_ref().is_some_and(|key| key.expose().len() > TEXT_MAX_LEN) {
            return Err(Error::invalid("the private key is too large, at most 256 KiB"));
        }
        Ok(Self {
            client_cert: text("certificate", self.client_cert)?,
            client_key,
            ca_cert: text("certificate of the authority", self.ca_cert)?,
        })
    }
}

/// What waits for a device.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its id; the client's, where it knows one.
    pub id: ConfigId,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it; empty or one in the domain.
    pub name: Name,
    /// What the device calls itself.
    pub external_id: ExternalId,
    /// What the device gets where there is no profile.
    pub content: String,
    /// The device's certificate in PEM, or empty.
    pub client_cert: String,
    /// The authorities' certificates in PEM, or empty.
    pub ca_cert: String,
    /// Whether it is in use. One that knows its client is connected while it is.
    pub status: Status,
    /// The profile whose template is rendered for the device.
    pub profile: Option<ProfileId>,
    /// Values for the template.
    pub render_context: Metadata,
    /// The client that the device is.
    pub client: Option<ClientId>,
    /// The channels of the client.
    pub channels: Vec<ChannelId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// The client of a new configuration.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// The client; made where there is none.
    pub client: Option<ClientId>,
    /// The channels that it is to be connected to.
    pub channels: Vec<ChannelId>,
}

/// What a caller gives to make a configuration.
#[derive(Debug, Clone)]
pub struct NewConfig {
    /// What people call it; may be empty.
    pub name: Name,
    /// What the device calls itself.
    pub external_id: ExternalId,
    /// What the device proves itself with.
    pub external_key: Secret<String>,
    /// What the device gets where there is no profile.
    pub content: String,
    /// For mutual TLS.
    pub certificates: Certificates,
    /// The profile to assign.
    pub profile: Option<ProfileId>,
    /// Values for the template.
    pub render_context: Metadata,
    /// The client, for a configuration that knows one.
    pub device: Option<NewDevice>,
}

/// A client as its own configuration shows it.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client.
    pub id: ClientId,
    /// Its secret.
    pub secret: Secret<String>,
}

/// A channel as a configuration shows it.
#[derive(Debug, Clone)]
pub struct BoundChannel {
    /// The channel.
    pub id: ChannelId,
    /// What people call it.
    pub name: Name,
    /// The user's own data.
    pub metadata: Metadata,
}

/// What a device gets.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its configuration.
    pub config: Config,
    /// The content, rendered where there is a profile.
    pub content: String,
    /// Its private key.
    pub client_key: Option<Secret<String>>,
    /// The client that it is.
    pub client: Option<Client>,
    /// The channels of that client.
    pub channels: Vec<BoundChannel>,
}

/// Which configurations are asked for.
#[derive(Debug, Clone)]
pub struct ConfigQuery {
    /// The page.
    pub page: PageRequest,
    /// In use or not.
    pub status: StatusFilter,
    /// Exactly this one.
    pub id: Option<ConfigId>,
    /// Exactly this device.
    pub external_id: Option<String>,
    /// Exactly this client's.
    pub client: Option<ClientId>,
    /// Part of the name, whatever the case.
    pub name: Option<String>,
}

/// A page of configurations.
pub type ConfigPage = Page<Config>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_ids_are_what_devices_call_themselves() {
        for good in ["33:52:77:99:43", "a", "sn/0017 (left)", &"x".repeat(254)] {
            assert_eq!(good.parse::<ExternalId>().unwrap().as_str(), good);
        }
        assert_eq!("".parse::<ExternalId>().unwrap_err().to_string(), "missing entity id");
        assert!("x".repeat(255).parse::<ExternalId>().is_err());
        assert!("a\nb".parse::<ExternalId>().is_err());
    }

    #[test]
    fn a_key_is_bounded_and_not_empty() {
        assert!(external_key(Secret::new(String::new())).is_err());
        assert!(external_key(Secret::new("k".repeat(1025))).is_err());
        assert!(external_key(Secret::new("k".to_owned())).is_ok());
    }
}
