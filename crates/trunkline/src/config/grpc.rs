//! What the settings of gRPC have of their own: hosts, certificates, and which ports are open.

use std::net::IpAddr;
use std::path::PathBuf;

use super::environment::Environment;
use super::resolve::Values;
use super::setting::Group;
use super::settings::{CompatPortSettings, GrpcSettings, NodeSettings};
use super::source::Source;
use super::value::{Address, Capability, Value};

/// A name or an IP address to listen on; an IPv6 address without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// With a port.
    pub fn with_port(&self, port: u16) -> Address {
        Address { host: self.0.clone(), port }
    }
}

impl Value for Host {
    const EXPECTED: &'static str = "a host such as `127.0.0.1`, `::1` or `localhost`";

    fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_ip = text.parse::<IpAddr>().is_ok();
        (is_ip || (!text.is_empty() && text.chars().all(plain))).then(|| Self(text.to_owned()))
    }
}

/// Certificates or a key: PEM, or the path of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pem(::tls::Pem);

impl Pem {
    /// As listeners take it.
    pub fn source(&self) -> &::tls::Pem {
        &self.0
    }
}

/// How every text in PEM begins.
const PEM_BEGINS: &str = "-----BEGIN ";

impl Value for Pem {
    const EXPECTED: &'static str = "the path of a PEM file, or PEM itself";

    fn parse(text: &str) -> Option<Self> {
        if text.contains(PEM_BEGINS) {
            return Some(Self(::tls::Pem::Text(text.to_owned())));
        }
        (!text.contains('\n')).then(|| Self(::tls::Pem::File(PathBuf::from(text))))
    }

    /// A key must not be shown, the path of one may.
    fn shown(text: &str) -> String {
        if text.contains(PEM_BEGINS) { "(PEM)".to_owned() } else { text.to_owned() }
    }
}

impl GrpcSettings {
    /// What to say where gRPC was set up but nobody has decided whether it is on: the names of older generations, which
    /// every installation of them has set, do not open a port by which one can be any user.
    pub(super) fn set_but_off(values: &Values) -> Option<String> {
        let given = |key: &str| Some(values.source(key)).filter(|source| *source != Source::Default);
        if given("grpc.enabled").is_some() {
            return None;
        }
        let (key, source) =
            Self::TABLE.iter().find_map(|setting| Some((setting.key, given(setting.key)?)))?;
        Some(format!(
            "{source}: `{key}` is set, but gRPC is off; whoever reaches its ports can act as any user, so set \
             `grpc.enabled = true` (TRUNKLINE_GRPC_ENABLED=true) to open them, or `false` to hear no more of it"
        ))
    }

    /// What to say where certificates of clients seem to be wanted, by a name that upstream's servers took for that; here
    /// it names, as for upstream's callers, who has signed the server's certificate (reference 07 §6).
    pub(super) fn authorities_of_the_other_side(&self, environment: &Environment) -> Option<String> {
        if !self.enabled || self.client_ca_certs.is_some() {
            return None;
        }
        let services = ["AUTH", "USERS", "DOMAINS", "GROUPS", "CHANNELS", "CLIENTS"];
        let names = ["MG", "SMQ"].into_iter().flat_map(|generation| {
            services.map(|service| format!("{generation}_{service}_GRPC_SERVER_CA_CERTS"))
        });
        let name = names.into_iter().find(|name| environment.text(name).is_some())?;
        Some(format!(
            "environment {name} does not make gRPC clients show certificates; `grpc.client_ca_certs` \
             ({}) does",
            name.replace("_SERVER_CA_", "_CLIENT_CA_")
        ))
    }

    /// The ports of the separate services, each with the service's name; none when switched off.
    pub fn ports(&self, node: &NodeSettings, compat: &CompatPortSettings) -> Vec<(&'static str, u16)> {
        let services = [
            ("auth", &self.auth, node.only.serves(Capability::Auth)),
            ("users", &self.users, node.only.serves(Capability::Users)),
            ("domains", &self.domains, node.only.serves(Capability::Domains)),
            ("groups", &self.groups, node.only.serves_all()),
            ("channels", &self.channels, node.only.serves(Capability::Channels)),
            ("clients", &self.clients, node.only.serves(Capability::Clients)),
            ("certs", &self.certs, node.only.serves(Capability::Certs)),
        ];
        let open = services.into_iter().filter(|(.., serves)| self.enabled && compat.enabled && *serves);
        open.flat_map(|(name, ports, _)| ports.0.iter().map(move |&port| (name, port))).collect()
    }
}
