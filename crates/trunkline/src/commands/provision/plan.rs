//! The layout file, checked, and as requests bring it along.

use std::fmt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use provision::layout::{File, Layout, unknown};
use serde_json::Value;

use crate::commands::input;

/// What every gateway consists of.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) layout: Layout,
    /// The file as JSON, for requests.
    pub(super) json: Value,
}

impl Plan {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        Self::parse(&input::read(path)?).with_context(|| format!("the layout `{}`", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file = File::parse(text)?;
        let unknown = unknown(text);
        if !unknown.is_empty() {
            bail!("{}", unknown.join("\n"));
        }
        let layout = Layout::of_request(file)?;
        let gateways = layout.clients.iter().filter(|part| part.is_gateway()).count();
        // What was made without an answer is found by the external id alone.
        ensure!(
            gateways == 1 && layout.configuration,
            "one client needs `external_id` in its metadata, with `bootstrap.provision` not switched off: by it a gateway \
             that is made is told from one that is not, and here are {gateways}"
        );
        let mut table: toml::Table = toml::from_str(text)?;
        // Whom the platform's own services log in as is nothing for requests.
        table.remove("server");
        Ok(Self { layout, json: serde_json::to_value(table)? })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clients, channels) = (self.layout.clients.len(), self.layout.channels.len());
        write!(f, "{clients} clients, {channels} channels")?;
        if self.layout.certificates {
            write!(f, ", certificates for {}h", self.layout.ttl().0.as_secs() / 3600)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A client and a channel.
    pub(in crate::commands::provision) fn plan() -> Plan {
        Plan::parse(PARTS).unwrap()
    }

    const PARTS: &str =
        "[[clients]]\nname = \"a\"\n[clients.metadata]\nexternal_id = \"x\"\n[[channels]]\nname = \"b\"\n";

    fn wrong(text: &str) -> String {
        format!("{:#}", Plan::parse(text).unwrap_err())
    }

    #[test]
    fn a_layout_is_sent_without_credentials() {
        let plan = Plan::parse(&format!(
            "{PARTS}[server]\nmg_pass = \"s3cret\"\n[bootstrap]\nx509_provision = true\n"
        ))
        .unwrap();
        assert!(!plan.json.to_string().contains("s3cret"), "{}", plan.json);
        assert_eq!(plan.to_string(), "1 clients, 1 channels, certificates for 2400h");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert!(wrong("[bootstrap\n").contains("line 1, column 11"));
        assert!(wrong(&format!("{PARTS}[cert]\nttl = \"soon\"\n")).contains("line 8, column 7"));
        let both = wrong(&format!("{PARTS}nmae = 1\n[certs]\nttl = \"1h\"\n"));
        assert_eq!(
            both,
            "line 7, column 1: unknown key `channels.nmae`, did you mean `name`?\n\
             line 8, column 2: unknown key `certs`, did you mean `cert`?"
        );
    }

    #[test]
    fn a_gateway_that_cannot_be_found_again_is_not_made() {
        for text in [
            "[[clients]]\nname = \"a\"\n[[channels]]\nname = \"b\"\n".to_owned(),
            format!("{PARTS}[bootstrap]\nprovision = false\n"),
            format!("{PARTS}[[clients]]\n[clients.metadata]\nexternal_id = \"y\"\n"),
        ] {
            assert!(wrong(&text).contains("one client needs `external_id`"), "{}", wrong(&text));
        }
    }
}
