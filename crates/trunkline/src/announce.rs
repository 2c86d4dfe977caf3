//! What the program says on standard output: where it listens, and that it is ready.
//!
//! Scripts read the lines `listening <what> <address>` and `ready`, each alone on its line; the text around them is for
//! people and may change.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;

use kernel::Secret;

use crate::config::Settings;
use crate::{build_info, quickstart};

/// What a newcomer needs to know.
pub(crate) struct Welcome<'a> {
    /// The program as it can be called again.
    pub(crate) program: String,
    /// The settings in force.
    pub(crate) settings: &'a Settings,
    /// The front door.
    pub(crate) http: SocketAddr,
    /// The ports of the separate services that are open.
    pub(crate) compat: Vec<SocketAddr>,
    /// HTTPS alone, where there is a certificate.
    pub(crate) https: Option<SocketAddr>,
    /// Where MQTT is spoken without TLS; none where this node does not.
    pub(crate) mqtt: Option<SocketAddr>,
    /// Where CoAP is spoken; none where this node does not.
    pub(crate) coap: Option<SocketAddr>,
    /// Where MQTT is spoken over TLS.
    pub(crate) mqtts: Option<SocketAddr>,
    /// Where CoAP is spoken over DTLS; none where this node does not.
    pub(crate) coaps: Option<SocketAddr>,
    /// Where gRPC is spoken.
    pub(crate) grpc: Vec<SocketAddr>,
    /// Where other brokers ask the policy service.
    pub(crate) policy: Vec<SocketAddr>,
    /// The administrator's password, if this start has made it up.
    pub(crate) generated_password: Option<&'a Secret<String>>,
}

impl Welcome<'_> {
    /// Prints it. A closed standard output is no reason to stop serving.
    pub(crate) fn print(&self) {
        let mut out = io::stdout().lock();
        let _ = write!(out, "{self}").and_then(|()| out.flush());
    }
}

impl Welcome<'_> {
    /// The command that takes the tour of this node; what are its defaults is left out.
    fn quickstart(&self, url: &str) -> String {
        let mut command = format!("{} quickstart", self.program);
        if url != quickstart::DEFAULT_URL {
            command.push_str(&format!(" --url {url}"));
        }
        if let Some(mqtt) = self.mqtt.filter(|mqtt| mqtt.port() != quickstart::DEFAULT_MQTT_PORT) {
            command.push_str(&format!(" --mqtt {}", reachable(mqtt)));
        }
        if self.settings.admin.username.as_str() != "admin" {
            command.push_str(&format!(" --username {}", self.settings.admin.username));
        }
        command
    }
}

/// What this program was called as, where that was a path; otherwise its name finds it.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = called.to_string_lossy();
    if called.contains('/') { called.into_owned() } else { "trunkline".to_owned() }
}

/// An address as one would type it on this machine.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}

impl Welcome<'_> {
    /// Who may come in, and what they try first.
    fn who(&self, f: &mut fmt::Formatter<'_>, url: &str) -> fmt::Result {
        // Nobody logs in to take the tour.
        if let Some(user) = &self.settings.auth.standalone_id {
            writeln!(f, "  Stand-alone     user {}, who comes with `auth.standalone_token`", user.0)?;
            return writeln!(f, "                  there are no logins\n");
        }
        writeln!(f, "  Administrator   {}", self.settings.admin.username)?;
        if let Some(password) = self.generated_password {
            writeln!(f, "  Password        {}", password.expose())?;
            writeln!(f, "                  made up at this first start and not shown again")?;
        }
        writeln!(f, "\n  See it work:    {}\n", self.quickstart(url))
    }
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format!("http://{}", reachable(self.http));
        writeln!(f, "Trunkline {}\n", build_info::version())?;
        writeln!(f, "  API             {url}")?;
        writeln!(f, "  Documentation   {url}/docs")?;
        if let Some(mqtt) = self.mqtt {
            writeln!(f, "  MQTT            mqtt://{}", reachable(mqtt))?;
        }
        if let Some(coap) = self.coap {
            writeln!(f, "  CoAP            coap://{}", reachable(coap))?;
        }
        if let Some(coaps) = self.coaps {
            writeln!(f, "  CoAP over DTLS  coaps://{}", reachable(coaps))?;
        }
        writeln!(f, "  Data            {}", self.settings.node.data_dir.display())?;
        self.who(f, &url)?;
        writeln!(f, "listening http {}", self.http)?;
        for (name, address) in [("https", self.https), ("mqtts", self.mqtts)] {
            if let Some(address) = address {
                writeln!(f, "listening {name} {address}")?;
            }
        }
        for compat in &self.compat {
            writeln!(f, "listening compat {compat}")?;
        }
        if let Some(mqtt) = self.mqtt {
            writeln!(f, "listening mqtt {mqtt}")?;
        }
        if let Some(coap) = self.coap {
            writeln!(f, "listening coap {coap}")?;
        }
        if let Some(coaps) = self.coaps {
            writeln!(f, "listening coaps {coaps}")?;
        }
        for grpc in &self.grpc {
            writeln!(f, "listening grpc {grpc}")?;
        }
        for policy in &self.policy {
            writeln!(f, "listening policy {policy}")?;
        }
        writeln!(f, "ready")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Layers};

    #[test]
    fn in_stand_alone_mode_nobody_is_named_who_cannot_log_in() {
        let mut settings = config::load(&Layers::default()).unwrap().settings;
        let id = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
        settings.auth.standalone_id = Some(config::StandaloneUser(id.parse().unwrap()));
        settings.auth.standalone_token = Some(Secret::new("tell-nobody".to_owned()));
        let welcome = Welcome {
            program: "trunkline".to_owned(),
            settings: &settings,
            http: "127.0.0.1:8080".parse().unwrap(),
            compat: Vec::new(),
            https: None,
            mqtts: None,
            mqtt: None,
            coap: None,
            coaps: None,
            grpc: Vec::new(),
            policy: Vec::new(),
            generated_password: None,
        };
        let text = welcome.to_string();
        assert!(text.contains(id) && text.ends_with("\nready\n"), "{text}");
        for absent in ["Administrator", "quickstart", "tell-nobody"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
    }

    #[test]
    fn scripts_find_each_listener_and_the_password_is_shown_only_when_it_was_made_up() {
        let settings = config::load(&Layers::default()).unwrap().settings;
        let password = Secret::new("made-up".to_owned());
        let mut welcome = Welcome {
            program: "target/release/trunkline".to_owned(),
            settings: &settings,
            http: "0.0.0.0:8080".parse().unwrap(),
            compat: vec!["0.0.0.0:9001".parse().unwrap()],
            https: Some("127.0.0.1:8443".parse().unwrap()),
            mqtts: Some("127.0.0.1:8883".parse().unwrap()),
            mqtt: Some("127.0.0.1:1883".parse().unwrap()),
            coap: Some("0.0.0.0:5683".parse().unwrap()),
            coaps: Some("0.0.0.0:5684".parse().unwrap()),
            grpc: vec!["127.0.0.1:7001".parse().unwrap()],
            policy: vec!["127.0.0.1:8009".parse().unwrap()],
            generated_password: Some(&password),
        };
        let text = welcome.to_string();
        assert!(text.ends_with(
            "\nlistening http 0.0.0.0:8080\nlistening https 127.0.0.1:8443\nlistening mqtts 127.0.0.1:8883\nlistening compat 0.0.0.0:9001\nlistening mqtt 127.0.0.1:1883\nlistening coap 0.0.0.0:5683\nlistening coaps 0.0.0.0:5684\nlistening grpc 127.0.0.1:7001\nlistening policy 127.0.0.1:8009\nready\n"
        ));
        assert!(text.contains("http://localhost:8080/docs"), "{text}");
        assert!(text.contains("made-up"), "{text}");

        assert!(text.contains(" target/release/trunkline quickstart\n"), "{text}");

        welcome.mqtt = Some("127.0.0.1:1884".parse().unwrap());
        assert!(welcome.to_string().contains("trunkline quickstart --mqtt 127.0.0.1:1884\n"), "{welcome}");

        welcome.generated_password = None;
        welcome.mqtt = None;
        welcome.mqtts = None;
        let text = welcome.to_string();
        assert!(!text.contains("Password") && !text.contains("mqtt"), "{text}");
    }
}
