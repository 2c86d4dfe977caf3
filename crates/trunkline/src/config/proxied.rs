//! Ports behind proxies that speak the PROXY protocol.

use super::value::{Form, Value};

/// A kind of port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedPort {
    /// The front door.
    Http,
    /// HTTPS alone.
    Https,
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
    /// The ports of the separate services.
    Compat,
}

const NAMES: [(&str, ProxiedPort); 5] = [
    ("http", ProxiedPort::Http),
    ("https", ProxiedPort::Https),
    ("mqtt", ProxiedPort::Mqtt),
    ("mqtts", ProxiedPort::Mqtts),
    ("compat", ProxiedPort::Compat),
];

/// Those on which connections of proxies begin with a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedPorts(Vec<ProxiedPort>);

impl ProxiedPorts {
    /// Whether a port is one of them.
    pub fn has(&self, port: ProxiedPort) -> bool {
        self.0.contains(&port)
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value for ProxiedPorts {
    const EXPECTED: &'static str =
        "`http`, `https`, `mqtt`, `mqtts`, `compat` with commas between them, `all` or `none`";
    const FORM: Form = Form::Words;

    fn parse(text: &str) -> Option<Self> {
        let named = |word: &str| {
            NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word.trim())).map(|(_, port)| *port)
        };
        match text.trim() {
            "none" | "" => Some(Self(Vec::new())),
            "all" => Some(Self(NAMES.map(|(_, port)| port).to_vec())),
            words => words.split(',').map(named).collect::<Option<_>>().map(Self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_one_by_one_or_all_at_once() {
        let ports = ProxiedPorts::parse("mqtt, HTTPS").unwrap();
        assert!(ports.has(ProxiedPort::Mqtt) && ports.has(ProxiedPort::Https));
        assert!(!ports.has(ProxiedPort::Http));
        assert!(ProxiedPorts::parse("all").unwrap().has(ProxiedPort::Compat));
        assert!(ProxiedPorts::parse("none").unwrap().is_empty());
        assert_eq!(ProxiedPorts::parse("mqtt,udp"), None);
    }
}
