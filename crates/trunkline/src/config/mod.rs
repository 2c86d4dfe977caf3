//! Configuration: one table of settings, four layers, and errors that say what to do.
//!
//! The table is in `settings.rs`. [`load`] takes the layers (flags, environment, file, defaults; the first that has a
//! setting wins), checks every value, and gives the typed [`Settings`] together with where each value came from.
//! What is wrong is collected, so that one run shows all of it. Names of older generations and the form of values
//! follow reference 07 §1; unknown names are errors with the nearest known one.

mod callouts;
mod certs;
mod environment;
mod error;
mod example;
mod file;
mod grpc;
mod policy;
mod proxied;
mod rate;
mod resolve;
mod setting;
mod settings;
mod show;
mod source;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use access::identity::keys::{KeySettings, SigningAlgorithm};

pub use callouts::{
    ChannelCalloutSettings, ClientCalloutSettings, DomainCalloutSettings, GroupCalloutSettings,
};
pub use environment::Environment;
pub use error::Problems;
pub use example::example;
pub use grpc::{Host, Pem};
pub use policy::{Algorithms, CapabilityRule, DenyRule, PolicyLanguage, PolicySettings, SubjectsBy};
pub use proxied::{ProxiedPort, ProxiedPorts};
pub use rate::PerSecond;
pub(crate) use setting::{Section, Setting};
pub use settings::{
    AdminSettings, AuthSettings, BootstrapSettings, CertsSettings, ClusterSettings, CoapSettings,
    CompatPortSettings, GrpcSettings, LogSettings, MailSettings, MessagingSettings, NatsSettings,
    NodeSettings, OAuthSettings, ProvisionSettings, TlsSettings, UserSettings, WebSettings,
};
pub use show::show;
pub use source::Source;
pub use value::{
    Address, ByteSize, CalloutMethod, Capability, CertsBackend, ClientCertificates, CommonName, Count,
    DatabaseUrl, InstanceId, KeysAlgorithm, LogFormat, LogLevel, MailTls, MasterKey, Only, Pattern, Ports,
    StandaloneUser, TlsMode, Words,
};

use environment::EnvironmentLayer;
use error::Problem;
use file::FileLayer;
use resolve::{Effective, Given, Values};
use setting::Group;

/// The file that is read when none is named, if it is there.
pub(crate) const DEFAULT_FILE: &str = "trunkline.toml";

/// Every setting of the platform, by capability.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data, listeners, process.
    pub node: NodeSettings,
    /// The first administrator.
    pub admin: AdminSettings,
    /// Ports of the separate services.
    pub compat_ports: CompatPortSettings,
    /// TLS of HTTP and MQTT.
    pub tls: TlsSettings,
    /// gRPC.
    pub grpc: GrpcSettings,
    /// CoAP.
    pub coap: CoapSettings,
    /// Tokens and permissions.
    pub auth: AuthSettings,
    /// Certificates of clients.
    pub certs: CertsSettings,
    /// Users.
    pub users: UserSettings,
    /// Mails to users.
    pub mail: MailSettings,
    /// What devices fetch.
    pub bootstrap: BootstrapSettings,
    /// Gateways.
    pub provision: ProvisionSettings,
    /// Logging in with an account of another provider.
    pub oauth: OAuthSettings,
    /// HTTP.
    pub web: WebSettings,
    /// The message engine.
    pub messaging: MessagingSettings,
    /// NATS.
    pub nats: NatsSettings,
    /// Several nodes.
    pub cluster: ClusterSettings,
    /// The callout of domains.
    pub domains_callout: DomainCalloutSettings,
    /// The callout of groups.
    pub groups_callout: GroupCalloutSettings,
    /// The callout of clients.
    pub clients_callout: ClientCalloutSettings,
    /// The callout of channels.
    pub channels_callout: ChannelCalloutSettings,
    /// The policy service for other brokers.
    pub policy: PolicySettings,
    /// The log.
    pub log: LogSettings,
}

/// The sections of the file in their order.
pub(crate) const SECTIONS: &[Section] = &[
    NodeSettings::SECTION,
    AdminSettings::SECTION,
    CompatPortSettings::SECTION,
    TlsSettings::SECTION,
    GrpcSettings::SECTION,
    CoapSettings::SECTION,
    AuthSettings::SECTION,
    CertsSettings::SECTION,
    UserSettings::SECTION,
    MailSettings::SECTION,
    BootstrapSettings::SECTION,
    ProvisionSettings::SECTION,
    OAuthSettings::SECTION,
    WebSettings::SECTION,
    MessagingSettings::SECTION,
    NatsSettings::SECTION,
    ClusterSettings::SECTION,
    DomainCalloutSettings::SECTION,
    GroupCalloutSettings::SECTION,
    ClientCalloutSettings::SECTION,
    ChannelCalloutSettings::SECTION,
    PolicySettings::SECTION,
    LogSettings::SECTION,
];

/// The whole table.
pub(crate) fn table() -> Vec<&'static Setting> {
    SECTIONS.iter().flat_map(|section| section.table).collect()
}

impl Settings {
    fn read(values: &Values) -> Result<Self, Problem> {
        let settings = Self {
            node: Group::read(values)?,
            admin: Group::read(values)?,
            compat_ports: Group::read(values)?,
            tls: Group::read(values)?,
            grpc: Group::read(values)?,
            coap: Group::read(values)?,
            auth: Group::read(values)?,
            certs: Group::read(values)?,
            users: Group::read(values)?,
            mail: Group::read(values)?,
            bootstrap: Group::read(values)?,
            provision: Group::read(values)?,
            oauth: Group::read(values)?,
            web: Group::read(values)?,
            messaging: Group::read(values)?,
            nats: Group::read(values)?,
            cluster: Group::read(values)?,
            domains_callout: Group::read(values)?,
            groups_callout: Group::read(values)?,
            clients_callout: Group::read(values)?,
            channels_callout: Group::read(values)?,
            policy: Group::read(values)?,
            log: Group::read(values)?,
        };
        settings.fit_together(values)?;
        Ok(settings)
    }

    /// What one setting alone cannot tell.
    fn fit_together(&self, values: &Values) -> Result<(), Problem> {
        let conflict = |key, reason| Err(Problem::Conflict { place: values.source(key), key, reason });
        if self.auth.refresh_token_duration < self.auth.access_token_duration {
            return conflict("auth.refresh_token_duration", "is shorter than `auth.access_token_duration`");
        }
        if self.mail.host.is_some() && self.mail.from_address.is_none() {
            return conflict(
                "mail.from_address",
                "is needed with `mail.host`: set the address that mails come from",
            );
        }
        if let Some((key, reason)) = self.cluster_needs() {
            return conflict(key, reason);
        }
        if let Some((key, reason)) = self.tls.contradiction(&self.grpc) {
            return conflict(key, reason);
        }
        if let Some((key, reason)) = self.certs.contradiction() {
            return conflict(key, reason);
        }
        if self.grpc.server_cert.is_some() != self.grpc.server_key.is_some() {
            return conflict("grpc.server_key", "belongs together with `grpc.server_cert`; give both");
        }
        if self.grpc.client_ca_certs.is_some() && self.grpc.server_cert.is_none() {
            return conflict("grpc.client_ca_certs", "needs `grpc.server_cert` and `grpc.server_key` too");
        }
        if self.policy.broker_ca_certs.is_some() && self.tls.server_cert.is_none() {
            return conflict("policy.broker_ca_certs", "needs `tls.server_cert` and `tls.server_key` too");
        }
        if let Err(wrong) = self.auth.signing().check_secret() {
            return conflict("auth.secret_key", wrong);
        }
        let rotation = self.auth.key_rotation;
        if !rotation.is_zero() && rotation < Duration::from_secs(86_400) {
            return conflict("auth.key_rotation", "is shorter than a day; give at least 24h, or 0 for never");
        }
        let (user, token) = (&self.auth.standalone_id, &self.auth.standalone_token);
        if user.is_some() && token.is_none() {
            return conflict(
                "auth.standalone_id",
                "is set without `auth.standalone_token`; set both, or neither",
            );
        }
        if token.is_some() && user.is_none() {
            return conflict(
                "auth.standalone_token",
                "is set without `auth.standalone_id`; set both, or neither",
            );
        }
        let rule = self.users.password_regex.as_str();
        let given = self.admin.password.as_ref().map(kernel::Secret::expose);
        if given.is_some_and(|password| !regex::Regex::new(rule).is_ok_and(|rule| rule.is_match(password))) {
            return conflict("admin.password", "does not match `users.password_regex`; choose another");
        }
        Ok(())
    }

    /// What a node of a cluster lacks.
    fn cluster_needs(&self) -> Option<(&'static str, &'static str)> {
        let nats = self.nats.url.as_ref().is_some_and(|urls| !urls.0.is_empty());
        match self.cluster.enabled {
            false => None,
            true if !self.database_url().is_postgres() => Some((
                "database_url",
                "must be a PostgreSQL with `cluster.enabled`: give the one of all nodes",
            )),
            true if !nats => {
                Some(("nats.url", "is needed with `cluster.enabled`: give the NATS of all nodes"))
            }
            true if self.node.master_key.is_none() => {
                Some(("master_key", "is needed with `cluster.enabled`: give all nodes the same"))
            }
            true if self.cluster.lease < Duration::from_secs(2) => {
                Some(("cluster.lease", "is shorter than two seconds; give at least 2s"))
            }
            true => None,
        }
    }

    /// The callouts, each with the service that asks it.
    pub fn callouts(&self) -> Vec<(&'static str, access::callouts::Settings)> {
        vec![
            ("domains", self.domains_callout.hook()),
            ("groups", self.groups_callout.hook()),
            ("clients", self.clients_callout.hook()),
            ("channels", self.channels_callout.hook()),
        ]
    }

    /// The database: the one that was named, else SQLite in the data directory.
    pub fn database_url(&self) -> DatabaseUrl {
        let embedded = || DatabaseUrl::of_file(&self.node.data_dir.join("trunkline.db"));
        self.node.database_url.clone().unwrap_or_else(embedded)
    }

    /// The ports of the separate services that this node serves, each with the name under which `/health` answers there;
    /// none when switched off.
    pub fn compat_ports(&self) -> Vec<(&'static str, u16)> {
        let (ports, only) = (&self.compat_ports, &self.node.only);
        let services = [
            ("auth", &ports.auth, only.serves(Capability::Auth)),
            ("users", &ports.users, only.serves(Capability::Users)),
            ("domains", &ports.domains, only.serves(Capability::Domains)),
            ("groups", &ports.groups, only.serves(Capability::Groups)),
            ("channels", &ports.channels, only.serves(Capability::Channels)),
            ("clients", &ports.clients, only.serves(Capability::Clients)),
            ("bootstrap", &ports.bootstrap, only.serves(Capability::Bootstrap)),
            ("provision", &ports.provision, only.serves(Capability::Provision)),
            ("certs", &ports.certs, only.serves(Capability::Certs)),
            ("http", &ports.http_adapter, only.serves(Capability::HttpAdapter)),
            ("ws", &ports.ws_adapter, only.serves(Capability::HttpAdapter)),
        ];
        let open = services.into_iter().filter(|(.., serves)| ports.enabled && *serves);
        open.flat_map(|(name, ports, _)| ports.0.iter().map(move |&port| (name, port))).collect()
    }

    /// The ports of the policy service beside the address of its own; none when switched off or not served here.
    pub fn policy_ports(&self) -> Vec<(&'static str, u16)> {
        let is_open = self.compat_ports.enabled
            && self.policy.address.is_none()
            && self.node.only.serves(Capability::Policy);
        let ports = if is_open { self.compat_ports.policy.0.as_slice() } else { &[] };
        ports.iter().map(|&port| ("policy", port)).collect()
    }
}

impl AuthSettings {
    /// What signs tokens.
    pub fn signing(&self) -> KeySettings {
        KeySettings {
            algorithm: match self.keys_algorithm {
                KeysAlgorithm::EdDsa => SigningAlgorithm::EdDsa,
                KeysAlgorithm::Es256 => SigningAlgorithm::Es256,
                KeysAlgorithm::Rs256 => SigningAlgorithm::Rs256,
                KeysAlgorithm::Hs256 => SigningAlgorithm::Hs256,
                KeysAlgorithm::Hs384 => SigningAlgorithm::Hs384,
                KeysAlgorithm::Hs512 => SigningAlgorithm::Hs512,
            },
            secret: self.secret_key.clone(),
            active_file: self.active_key_path.clone(),
            retiring_file: self.retiring_key_path.clone(),
            rotation: self.key_rotation,
        }
    }
}

/// The layers above the defaults.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    flags: BTreeMap<&'static str, Given>,
    environment: Environment,
    file: Option<PathBuf>,
}

impl Layers {
    /// The environment, and the file that it names (`TRUNKLINE_CONFIG`); no flags.
    pub fn new(environment: Environment) -> Self {
        let file = environment.text("TRUNKLINE_CONFIG").map(PathBuf::from);
        Self { flags: BTreeMap::new(), environment, file }
    }

    /// A configuration file that must be there.
    #[must_use]
    pub fn with_file(mut self, file: Option<PathBuf>) -> Self {
        self.file = file.or(self.file);
        self
    }

    /// A flag of the command line that sets `key`.
    #[must_use]
    pub fn with_flag(mut self, key: &'static str, flag: &str, value: Option<String>) -> Self {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.flags.insert(key, Given::value(value, Source::Flag(flag.to_owned())));
        }
        self
    }
}

/// What [`load`] found.
#[derive(Debug)]
pub struct Loaded {
    /// The settings that count.
    pub settings: Settings,
    /// What the user should hear about.
    pub warnings: Vec<String>,
    /// What helps to find a mistake, for the log at debug level.
    pub notes: Vec<String>,
    pub(crate) effective: Vec<Effective>,
}

/// Puts the layers together. All that is wrong is reported at once.
pub fn load(layers: &Layers) -> Result<Loaded, Problems> {
    let table = table();
    let mut problems = Vec::new();
    let environment = EnvironmentLayer::read(&layers.environment, &table, &mut problems);
    let default_file = Path::new(DEFAULT_FILE);
    let file = match &layers.file {
        Some(file) => FileLayer::read(file, &table, &mut problems),
        None if default_file.exists() => FileLayer::read(default_file, &table, &mut problems),
        None => FileLayer::default(),
    };
    let values = Values::resolve(&table, &layers.flags, &environment, &file, &mut problems);
    Problems::check(problems)?;
    let settings = Settings::read(&values)?;
    let mut warnings = environment.warnings;
    warnings.extend(weak_password(&settings));
    warnings.extend(weak_token(&settings));
    warnings.extend(GrpcSettings::set_but_off(&values));
    warnings.extend(settings.grpc.authorities_of_the_other_side(&layers.environment));
    Ok(Loaded { settings, warnings, notes: environment.notes, effective: values.into_effective(&table) })
}

/// A token of stand-alone mode that can be guessed, on a node that others can reach: it opens everything.
fn weak_token(settings: &Settings) -> Option<String> {
    let short = settings.auth.standalone_token.as_ref().is_some_and(|token| token.expose().len() < 20);
    (short && !settings.node.http.is_loopback()).then(|| {
        "`auth.standalone_token` is shorter than 20 characters, opens everything and this node is reachable from other \
         machines; choose a longer one"
            .to_owned()
    })
}

/// The administrator's password that all documents print, on a node that others can reach (reference 07 §14.4).
fn weak_password(settings: &Settings) -> Option<String> {
    let known = settings.admin.password.as_ref().is_some_and(|password| password.expose() == "12345678");
    (known && !settings.node.http.is_loopback()).then(|| {
        "`admin.password` is the one of the documentation and this node is reachable from other machines; \
         choose another"
            .to_owned()
    })
}
