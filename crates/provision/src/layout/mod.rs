//! What every gateway consists of, as an operator writes it in TOML (reference 04 §2.2).

mod file;
mod unknown;

use std::time::Duration;

use certs::model::Ttl;
use kernel::{Error, Metadata, ProfileId, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use file::{File, OfServer};
pub use unknown::unknown;

/// How long a certificate is valid where nobody says: 2400 hours.
const DEFAULT_TTL: Ttl = Ttl(Duration::from_secs(2400 * 3600));

/// The most clients and the most channels that a gateway has.
pub const PARTS_MAX: usize = 100;

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
    /// How long certificates are valid; 2400 hours where nothing is said.
    pub ttl: Option<Ttl>,
}

/// What is done for every gateway.
#[derive(Clone, Copy)]
struct Switches {
    certificates: bool,
    configuration: bool,
    whitelist: bool,
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
            ttl: None,
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
        let file = File { clients: usual.clients, channels: usual.channels, ..File::default() };
        Ok(Self { content, ..Self::of_file(file, beside)? })
    }

    /// The layout of a file.
    ///
    /// # Errors
    ///
    /// Invalid for settings that do not go together, and for what the platform does not do.
    pub fn of_file(file: File, beside: &Beside) -> Result<Self> {
        let switches = Switches {
            certificates: file.bootstrap.x509_provision.unwrap_or(false) || beside.certificates,
            configuration: file.bootstrap.provision.unwrap_or(false) || beside.configuration,
            whitelist: file.bootstrap.autowhite_list.unwrap_or(false) || beside.whitelist,
        };
        let profile = Some(&beside.profile).filter(|id| !id.is_empty()).map(|id| id.parse()).transpose()?;
        let ttl = Some(&beside.ttl).filter(|ttl| !ttl.is_empty()).map(|ttl| ttl.parse()).transpose()?;
        let merged = Self::merged(file, switches)?;
        Ok(Self { profile: merged.profile.or(profile), ttl: merged.ttl.or(ttl), ..merged })
    }

    /// The layout that a caller brings along, which counts as it is: here `false` switches off.
    ///
    /// # Errors
    ///
    /// As [`Layout::of_file`]; Invalid, too, where it has no client, no channel, or metadata without bounds.
    pub fn of_request(file: File) -> Result<Self> {
        let switches = Switches {
            certificates: file.bootstrap.x509_provision.unwrap_or(false),
            configuration: file.bootstrap.provision.unwrap_or(true),
            whitelist: file.bootstrap.autowhite_list.or(file.bootstrap.provision).unwrap_or(true),
        };
        let layout = Self::merged(file, switches)?;
        for part in layout.clients.iter().chain(&layout.channels) {
            part.metadata.clone().checked()?;
        }
        layout.render_context.clone().checked()?;
        layout.checked()?;
        Ok(layout)
    }

    fn merged(file: File, switches: Switches) -> Result<Self> {
        let File { bootstrap, clients, channels, cert, server: _ } = file;
        let Switches { certificates, configuration, whitelist } = switches;
        if whitelist && !configuration {
            return Err(Error::invalid("Can't auto whitelist if auto config save is off"));
        }
        if !bootstrap.bindings.is_empty() {
            return Err(Error::invalid(
                "`bootstrap.bindings` is not supported, bind clients and channels after provisioning",
            ));
        }
        for (what, parts) in [("clients", &clients), ("channels", &channels)] {
            if parts.len() > PARTS_MAX {
                return Err(Error::invalid(format!("a gateway has at most {PARTS_MAX} {what}")));
            }
        }
        Ok(Self {
            clients,
            channels,
            certificates,
            configuration,
            whitelist,
            profile: bootstrap.profile_id,
            content: bootstrap.content,
            render_context: bootstrap.render_context,
            ttl: cert.ttl,
        })
    }

    /// Whether a gateway can be made by it.
    ///
    /// # Errors
    ///
    /// Invalid where there is no client or no channel.
    pub fn checked(&self) -> Result<()> {
        if self.clients.is_empty() {
            return Err(Error::invalid("clients list in configuration empty"));
        }
        if self.channels.is_empty() {
            return Err(Error::invalid("channels list in configuration is empty"));
        }
        Ok(())
    }

    /// How long certificates are valid.
    pub fn ttl(&self) -> Ttl {
        self.ttl.unwrap_or(DEFAULT_TTL)
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

    fn parse(text: &str) -> Result<Layout> {
        Layout::of_file(File::parse(text)?, &on())
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
        let layout = Layout::of_file(File::parse(text).unwrap(), &beside).unwrap();
        assert!(layout.configuration && layout.certificates);
        assert_eq!(layout.content_text().unwrap(), "{\"agent\":{\"log\":{\"level\":\"info\"}}}");
        assert_eq!(layout.ttl(), "10h".parse().unwrap());
        assert!(layout.channels.is_empty());
        assert_eq!(parse("").unwrap().content_text().unwrap(), "null");
        let empty = "[bootstrap]\nprofile_id = \"\"\n[cert]\nttl = \"\"\n";
        let layout = Layout::of_file(File::parse(empty).unwrap(), &beside).unwrap();
        assert_eq!(layout.ttl(), "1h".parse().unwrap());
    }

    #[test]
    fn a_layout_in_a_request_counts_as_it_is() {
        let of = |text: &str| Layout::of_request(File::parse(text).unwrap());
        let parts = "[[clients]]\nname = \"a\"\n[[channels]]\nname = \"b\"\n";
        let layout = of(parts).unwrap();
        assert!(layout.configuration && layout.whitelist && !layout.certificates);
        let off = of(&format!("{parts}[bootstrap]\nprovision = false\n")).unwrap();
        assert!(!off.configuration && !off.whitelist);
        assert!(of("[[clients]]\nname = \"a\"\n").unwrap_err().to_string().contains("channels list"));
        let many = "[[clients]]\nname = \"a\"\n".repeat(101);
        assert!(of(&many).unwrap_err().to_string().contains("at most 100 clients"));
        let large = format!("{parts}[channels.metadata]\na = \"{}\"\n", "x".repeat(70_000));
        assert!(of(&large).unwrap_err().to_string().contains("64 KiB"));
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, place) in [
            ("[bootstrap]\ncontent = \"\"\n", "line 2, column 11"),
            ("[[clients]]\nname = 7\n", "line 2, column 8"),
            ("[bootstrap\n", "line 1, column 11"),
            ("[cert]\nttl = \"soon\"\n", "line 2, column 7"),
            ("[bootstrap]\nprofile_id = \"p\"\n", "line 2, column 14"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
        let bound = "[[bootstrap.bindings]]\nslot = \"a\"\n";
        assert!(parse(bound).unwrap_err().to_string().contains("bootstrap.bindings"));
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
