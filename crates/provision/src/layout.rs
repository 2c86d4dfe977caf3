//! What every gateway consists of, as an operator writes it in TOML (reference 04 §2.2).

use std::time::Duration;

use certs::model::Ttl;
use kernel::{Error, Metadata, ProfileId, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How long a certificate is valid where nobody says: 2400 hours.
const DEFAULT_TTL: Ttl = Ttl(Duration::from_secs(2400 * 3600));

/// One client or channel of every gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Its name; follows the name of the gateway.
    pub name: String,
    /// Its metadata. A client with `external_id` is the gateway itself; `type` says what a channel is for.
    pub metadata: Metadata,
}

impl Part {
    /// Whether this client is the gateway, which fetches a configuration.
    pub fn is_gateway(&self) -> bool {
        self.metadata.as_map().contains_key("external_id")
    }
}

/// What every gateway consists of.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its clients.
    pub clients: Vec<Part>,
    /// Its channels.
    pub channels: Vec<Part>,
    /// Whether each client gets a certificate.
    pub certificates: bool,
    /// Whether the gateway gets a bootstrap configuration.
    pub configuration: bool,
    /// Whether the configuration is taken into use and the clients are connected to the channels.
    pub whitelist: bool,
    /// The profile of the configuration.
    pub profile: Option<ProfileId>,
    /// What the configuration holds.
    pub content: Option<Map<String, Value>>,
    /// Values for the profile's template.
    pub render_context: Metadata,
    /// How long certificates are valid.
    pub ttl: Ttl,
}

/// What is set beside the file; the file wins, apart from switches that it cannot switch off.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// As [`Layout::certificates`].
    pub certificates: bool,
    /// As [`Layout::configuration`].
    pub configuration: bool,
    /// As [`Layout::whitelist`].
    pub whitelist: bool,
    /// As [`Layout::profile`]; empty is none.
    pub profile: String,
    /// As [`Layout::content`], a JSON object; empty is none. With a file it is not used.
    pub content: String,
    /// As [`Layout::ttl`]; empty is 2400 hours.
    pub ttl: String,
}

/// The file. Unknown keys are ignored, as files of older generations have many.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    bootstrap: OfBootstrap,
    clients: Vec<Part>,
    channels: Vec<Part>,
    cert: OfCertificates,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfBootstrap {
    x509_provision: bool,
    provision: bool,
    autowhite_list: bool,
    profile_id: String,
    content: Option<Map<String, Value>>,
    render_context: Metadata,
    bindings: Vec<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OfCertificates {
    ttl: String,
}

impl Layout {
    /// What upstream makes where nothing is set.
    pub fn usual() -> Self {
        let part = |name: &str, (key, value): (&str, &str)| Part {
            name: name.to_owned(),
            metadata: Map::from_iter([(key.to_owned(), json!(value))]).into(),
        };
        Self {
            clients: vec![part("client", ("external_id", "xxxxxx"))],
            channels: vec![
                part("control-channel", ("type", "control")),
                part("data-channel", ("type", "data")),
            ],
            certificates: false,
            configuration: true,
            whitelist: true,
            profile: None,
            content: None,
            render_context: Metadata::default(),
            ttl: DEFAULT_TTL,
        }
    }

    /// The layout where there is no file: one client, a channel for commands and one for data.
    ///
    /// # Errors
    ///
    /// Invalid for settings that are wrong or do not go together.
    pub fn built_in(beside: &Beside) -> Result<Self> {
        let content = match beside.content.trim() {
            "" => None,
            text => Some(serde_json::from_str(text).map_err(|error| {
                Error::invalid(format!("the content of the configuration is no JSON object: {error}"))
            })?),
        };
        let usual = Self::usual();
        let file = File {
            bootstrap: OfBootstrap { content, ..OfBootstrap::default() },
            clients: usual.clients,
            channels: usual.channels,
            cert: OfCertificates::default(),
        };
        Self::merged(file, beside)
    }

    /// The layout of a file.
    ///
    /// # Errors
    ///
    /// Invalid, with line and column, for what is no TOML or has a value of the wrong kind; for settings that do not go
    /// together; and for what the platform does not do.
    pub fn parse(text: &str, beside: &Beside) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| Error::invalid(error.to_string()))?;
        if !file.bootstrap.bindings.is_empty() {
            return Err(Error::invalid(
                "`bootstrap.bindings` is not supported, bind clients and channels after provisioning",
            ));
        }
        Self::merged(file, beside)
    }

    fn merged(file: File, beside: &Beside) -> Result<Self> {
        let File { bootstrap, clients, channels, cert } = file;
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let (configuration, whitelist) =
            (bootstrap.provision || beside.configuration, bootstrap.autowhite_list || beside.whitelist);
        if whitelist && !configuration {
            return Err(Error::invalid("Can't auto whitelist if auto config save is off"));
        }
        let profile = or(bootstrap.profile_id, &beside.profile);
        let profile = Some(profile).filter(|id| !id.is_empty()).map(|id| id.parse()).transpose()?;
        let ttl = or(cert.ttl, &beside.ttl);
        let ttl = if ttl.is_empty() { DEFAULT_TTL } else { ttl.parse()? };
        Ok(Self {
            clients,
            channels,
            certificates: bootstrap.x509_provision || beside.certificates,
            configuration,
            whitelist,
            profile,
            content: bootstrap.content,
            render_context: bootstrap.render_context,
            ttl,
        })
    }

    /// The content as a configuration keeps it.
    pub(crate) fn content_text(&self) -> Result<String> {
        serde_json::to_string(&self.content).map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Beside {
        Beside { configuration: true, whitelist: true, ..Beside::default() }
    }

    #[test]
    fn without_a_file_a_gateway_has_a_client_and_two_channels() {
        let layout = Layout::built_in(&Beside { content: "{\"a\":1}".to_owned(), ..on() }).unwrap();
        assert!(layout.clients[0].is_gateway());
        let types: Vec<_> = layout.channels.iter().map(|c| &c.metadata.as_map()["type"]).collect();
        assert_eq!(types, ["control", "data"]);
        assert_eq!(layout.content_text().unwrap(), "{\"a\":1}");
        assert!(layout.whitelist && layout.configuration && !layout.certificates);
    }

    #[test]
    fn a_file_wins_but_switches_nothing_off() {
        let text = "[bootstrap]\nx509_provision = true\nprovision = false\n[bootstrap.content.agent.log]\nlevel = \"info\"\n\
                    [[clients]]\nname = \"gw\"\n[clients.metadata]\nexternal_id = \"x\"\n[cert]\nttl = \"10h\"\nunknown = 1";
        let beside = Beside { content: "{\"not\":1}".to_owned(), ttl: "1h".to_owned(), ..on() };
        let layout = Layout::parse(text, &beside).unwrap();
        assert!(layout.configuration && layout.certificates);
        assert_eq!(layout.content_text().unwrap(), "{\"agent\":{\"log\":{\"level\":\"info\"}}}");
        assert_eq!(layout.ttl, "10h".parse().unwrap());
        assert!(layout.channels.is_empty());
        assert_eq!(Layout::parse("", &on()).unwrap().content_text().unwrap(), "null");
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, place) in [
            ("[bootstrap]\ncontent = \"\"\n", "line 2, column 11"),
            ("[[clients]]\nname = 7\n", "line 2, column 8"),
            ("[bootstrap\n", "line 1, column 11"),
        ] {
            let error = Layout::parse(text, &on()).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
        let bound = "[[bootstrap.bindings]]\nslot = \"a\"\n";
        assert!(Layout::parse(bound, &on()).unwrap_err().to_string().contains("bootstrap.bindings"));
        for beside in [
            Beside { whitelist: true, ..Beside::default() },
            Beside { content: "[]".to_owned(), ..on() },
            Beside { ttl: "soon".to_owned(), ..on() },
            Beside { profile: "p".to_owned(), ..on() },
        ] {
            assert!(Layout::built_in(&beside).is_err(), "{beside:?}");
        }
    }
}
