//! Composition: every capability is built and wired here, on one page.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::{Access, Ground, crypto::MasterKey, identity::standalone::Standalone, roles};
use anyhow::Context;
use auth::{Auth, explain::Explain};
use bootstrap::{Bootstrap, Cipher};
use certs::{Authority, Certs};
use channels::Channels;
use clients::Clients;
use db::{Db, Migration, Sharing};
use domains::Domains;
use events::{Bus, Outbox, Relay};
use groups::Groups;
use http::HeaderValue;
use kernel::{Clock, Operation, Rng, Secret};
use messaging::Engine;
use policy::Policy;
use provision::{Credentials, Layout, Provision};
use tokio_util::sync::CancellationToken;
use users::mail::{LetterSettings, Post, Protection};
use users::model::Username;
use users::oauth::{OAuthSettings, Provider, ProviderSettings};
use users::{Background, FirstAdmin, Users};
use web::{App, AppInfo, AppOptions, Cors, Metrics, Routes, SocketOrigins, TrustedProxies};

use crate::config::{self, Capability, MailTls, Settings};
use crate::data_dir::DataDir;
use crate::members::{self, Members};
use crate::outside::Outside;
use crate::plane::RegistryGate;
use crate::revocations;
use crate::{bounds, build_info, laid_out};

/// The services that hold what is registered: users, domains, clients, channels, and who may do what.
#[derive(Clone)]
pub struct Registry {
    /// Keys, tokens, relations, roles.
    pub access: Access,
    /// Keys and personal access tokens.
    pub auth: Auth,
    /// Users and logins.
    pub users: Users,
    /// Tenants.
    pub domains: Domains,
    /// Folders of clients, channels and groups.
    pub groups: Groups,
    /// Devices and applications.
    pub clients: Clients,
    /// Channels and who is connected to them.
    pub channels: Channels,
    /// What devices fetch when they are started for the first time.
    pub bootstrap: Bootstrap,
    /// Certificates of clients.
    pub certs: Certs,
    /// Gateways with all that belongs to them, as the operator has laid them out.
    pub provision: Provision,
}

/// The tables of all capabilities, in the order in which they are made.
pub const MIGRATIONS: &[&[Migration]] = &[
    events::MIGRATIONS,
    access::MIGRATIONS,
    users::MIGRATIONS,
    domains::MIGRATIONS,
    groups::MIGRATIONS,
    clients::MIGRATIONS,
    channels::MIGRATIONS,
    bootstrap::MIGRATIONS,
    messaging::MIGRATIONS,
    certs::MIGRATIONS,
];

/// What the permission table must know.
const OPERATIONS: &[&[Operation]] = &[
    domains::operations::ALL,
    groups::operations::ALL,
    clients::operations::ALL,
    channels::operations::ALL,
    bootstrap::operations::ALL,
    certs::operations::ALL,
    roles::DOMAINS.operations,
    roles::GROUPS.operations,
    roles::CLIENTS.operations,
    roles::CHANNELS.operations,
];

impl Registry {
    /// The services over a database, which is migrated first.
    pub async fn open(
        ground: Ground,
        settings: access::Settings,
        rules: users::Settings,
        cipher: Cipher,
        certificates: certs::Setup,
    ) -> kernel::Result<Self> {
        ground.db.migrate(&MIGRATIONS.concat()).await?;
        let access = Access::open(ground, settings, &OPERATIONS.concat()).await?;
        access.on_leave(domains::invitations::on_leave)?;
        let certs::Setup { limits, settings, outside, revoked, callers } = certificates;
        let authority = Authority::open(&access, limits).await?;
        revoked.open(access.db(), access.clock().now()).await?;
        let clients = Clients::new(access.clone())
            .on_remove(certs::on_client_removed(access.clone(), revoked.clone()))
            .on_remove(bootstrap::on_client_removed(access.clone()));
        let channels = Channels::new(access.clone()).on_remove(bootstrap::on_channel_removed());
        let users = Users::new(access.clone(), rules).on_purge(domains::invitations::on_purge);
        let certs =
            Certs::new(access.clone(), clients.clone(), authority, revoked, settings).signed_outside(outside);
        callers.open(&certs);
        let bootstrap =
            Bootstrap::new(access.clone(), clients.clone(), channels.clone(), certs.clone(), cipher);
        let on = provision::Services {
            access: access.clone(),
            users: users.clone(),
            clients: clients.clone(),
            channels: channels.clone(),
            bootstrap: bootstrap.clone(),
            certs: certs.clone(),
        };
        Ok(Self {
            auth: Auth::new(access.clone()),
            domains: Domains::new(access.clone()),
            groups: Groups::new(access.clone()),
            provision: Provision::new(on, Layout::usual(), Credentials::None),
            users,
            bootstrap,
            certs,
            clients,
            channels,
            access,
        })
    }

    /// The same services with gateways as an operator has laid them out; `credentials` are those of requests without a
    /// token.
    #[must_use]
    pub fn laid_out(self, layout: Layout, credentials: Credentials) -> Self {
        Self { provision: self.provision.laid_out(layout, credentials), ..self }
    }

    /// The same services, as other programs ask them over gRPC.
    pub fn grpc(&self) -> grpc::Services {
        grpc::Services {
            access: self.access.clone(),
            users: self.users.clone(),
            domains: self.domains.clone(),
            clients: self.clients.clone(),
            channels: self.channels.clone(),
            certs: self.certs.clone(),
        }
    }

    /// The routes of the services that a node serves.
    pub fn routes(&self, serves: impl Fn(Capability) -> bool) -> Vec<Routes> {
        let explain = Explain::new(self.access.clone(), self.users.clone());
        let of_roles = |entity| roles::http::routes(self.access.clone(), entity);
        let all = [
            (Capability::Auth, auth::routes(self.auth.clone())),
            (Capability::Auth, auth::explain::http::routes(explain)),
            (Capability::Users, users::http::routes(self.users.clone())),
            (Capability::Domains, domains::http::routes(self.domains.clone())),
            (Capability::Groups, groups::http::routes(self.groups.clone())),
            (Capability::Clients, clients::http::routes(self.clients.clone())),
            (Capability::Channels, channels::http::routes(self.channels.clone())),
            (Capability::Bootstrap, bootstrap::http::routes(self.bootstrap.clone())),
            (Capability::Certs, certs::http::routes(self.certs.clone())),
            (Capability::Provision, provision::http::routes(self.provision.clone())),
            (Capability::Domains, of_roles(roles::DOMAINS)),
            (Capability::Groups, of_roles(roles::GROUPS)),
            (Capability::Clients, of_roles(roles::CLIENTS)),
            (Capability::Channels, of_roles(roles::CHANNELS)),
        ];
        all.into_iter().filter_map(|(capability, routes)| serves(capability).then_some(routes)).collect()
    }
}

/// The platform of this node, ready to serve.
pub(crate) struct Platform {
    /// The HTTP API.
    pub(crate) app: App,
    /// The gRPC services.
    pub(crate) services: grpc::Services,
    /// The administrator's password, if this start has made it up.
    pub(crate) generated_password: Option<Secret<String>>,
    /// What signs clients' certificates.
    pub(crate) authority: Authority,
    /// The message engine.
    pub(crate) engine: Engine,
    /// What the CoAP endpoint counts.
    pub(crate) coap: Arc<coap::Stats>,
    /// The policy service for other brokers.
    pub(crate) policy: App,
    brokers: Policy,
    db: Db,
    relay: Relay,
    background: Background,
    outside: Option<Outside>,
    /// How long the end may take.
    grace: Duration,
}

impl Platform {
    /// Opens the database and wires the capabilities that this node serves.
    pub(crate) async fn compose(
        settings: &Settings,
        data: &DataDir,
        (revoked, callers): (certs::Revoked, certs::Callers),
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let sharing = if settings.cluster.enabled { Sharing::Nodes } else { Sharing::Alone };
        let ground = open_ground(settings, data, sharing).await?;
        let key_of_nodes = ground.master.of_nodes()?;
        let Ground { db, outbox, clock, rng, .. } = &ground;
        let (db, outbox, clock, rng) = (db.clone(), outbox.clone(), clock.clone(), rng.clone());
        let bus = Bus::default();
        let certificates = certs_setup(settings, (revoked, callers))?;
        let (access_rules, user_rules) = (access_settings(settings), users_settings(settings)?);
        let registry =
            Registry::open(ground, access_rules, user_rules, cipher(settings)?, certificates).await?;
        let (layout, credentials) = laid_out::laid_out(settings)?;
        let registry = registry.laid_out(layout, credentials);
        let generated_password = if settings.auth.standalone_id.is_none() {
            registry.users.ensure_admin(first_admin(settings)).await?
        } else {
            None
        };
        let gate = Arc::new(RegistryGate::new(registry.clone(), settings.tls.common_name));
        let run = rng.uuid().to_string();
        let outside = Outside::open(settings, &db, &clock, &run).await?;
        let observer = outside.as_ref().and_then(Outside::observer);
        let cluster = outside.as_ref().map(|outside| outside.cluster(settings, key_of_nodes)).transpose()?;
        let (rules, time, limits) = (gate.clone(), clock.clone(), bounds::limits(settings));
        let engine = match cluster.flatten() {
            Some(setup) => Engine::clustered(rules, time, limits, observer, db.clone(), setup).await?,
            None => Engine::stored(rules, time, limits, observer, db.clone()).await?,
        };
        if let Some(file) = &settings.messaging.topic_map {
            engine.follow_topic_map(file).await.context("`messaging.topic_map`")?;
        }
        // Listens before the relay starts, so that it hears what an earlier run has left.
        tokio::spawn(revocations::run(bus.subscribe(), engine.clone()));
        let members: Arc<dyn policy::Platform> =
            Arc::new(Members { access: registry.access.clone(), gate: gate.clone() });
        let logins = Some(data.path().join("policy-logins.jsonl"));
        // The recorder first: what is made before it counts nothing.
        Metrics::install()?;
        let brokers = Policy::open(settings.policy.options(logins), Some(members), clock.clone())?;
        tokio::spawn(members::forget(bus.subscribe(), brokers.clone()));
        let relay = Relay::start(db.clone(), outbox, bus, clock, outside.as_ref().and_then(Outside::outward));
        let background = Background::start(&registry.users);
        let (keys, stop) = (registry.auth.clone().tend_keys_for_ever(), shutdown.clone());
        tokio::spawn(async move { stop.run_until_cancelled(keys).await });

        tokio::spawn(registry.certs.clone().watch(shutdown.clone()));
        tokio::spawn(registry.certs.clone().tend_outside(shutdown.clone()));

        // The recorder first: routes that are made before it count nothing.
        let coap = Arc::<coap::Stats>::default();
        let options = app_options(settings, &db, &engine, &coap, shutdown)?;
        let serves = |capability| settings.node.only.serves(capability);
        let mut routes = registry.routes(serves);
        if serves(Capability::HttpAdapter) {
            routes.push(messaging::http::routes(engine.clone()));
        }
        if serves(Capability::Mqtt) {
            routes.push(messaging::http::mqtt_routes(engine.clone()));
        }
        if serves(Capability::Policy) {
            brokers.start(shutdown);
        }
        let policy = policy_app(settings, brokers.clone(), app_info(settings, &rng))?;
        let app = App::with_options(routes, app_info(settings, &rng), options);
        let services = registry.grpc();
        let grace = settings.node.shutdown_grace;
        Ok(Self {
            app,
            services,
            generated_password,
            authority: registry.certs.authority().clone(),
            engine,
            policy,
            brokers,
            coap,
            db,
            relay,
            background,
            outside,
            grace,
        })
    }

    /// Brings everything to disk after the last request and the last connection have ended.
    pub(crate) async fn close(self) {
        self.brokers.close().await;
        self.background.stop().await;
        self.relay.stop().await;
        if let Some(outside) = self.outside {
            outside.close(self.grace).await;
        }
        self.db.close().await;
    }
}

/// What everything stands on.
async fn open_ground(settings: &Settings, data: &DataDir, sharing: Sharing) -> anyhow::Result<Ground> {
    let url = settings.database_url();
    let options = db::Options { sharing, ..db::Options::default() };
    let db = Db::open(url.as_str(), options).await.with_context(|| {
        format!("the database `{url}` cannot be used, see that it runs or set `database_url` to another")
    })?;
    let master = master_key(settings, data)?;
    Ok(Ground { db, outbox: Outbox::new(), master, clock: Clock::system(), rng: Rng::system() })
}

/// What secure bootstrap encrypts with.
fn cipher(settings: &Settings) -> kernel::Result<Cipher> {
    // What upstream has where none is set (reference 04 §3.1).
    const KNOWN: &[u8] = b"12345678910111213141516171819202";
    let set = settings.bootstrap.encrypt_key.as_ref().map(|key| key.expose().as_bytes().to_vec());
    Cipher::new(Secret::new(set.unwrap_or_else(|| KNOWN.to_vec())))
        .map_err(|error| kernel::Error::invalid(format!("`bootstrap.encrypt_key`: {error}")))
}

/// Gives an administrator a new password while no node uses the database.
pub(crate) async fn rescue_admin(
    settings: &Settings,
    data: &DataDir,
    username: Username,
) -> anyhow::Result<Secret<String>> {
    let ground = open_ground(settings, data, Sharing::Alone).await?;
    let db = ground.db.clone();
    let certificates = certs_setup(settings, Default::default())?;
    let (access_rules, user_rules) = (access_settings(settings), users_settings(settings)?);
    let registry = Registry::open(ground, access_rules, user_rules, cipher(settings)?, certificates).await?;
    let password = registry.users.rescue_admin(username).await?;
    db.close().await;
    Ok(password)
}

/// Makes an operator's authority the one that signs, while no node uses the database.
pub(crate) async fn import_authority(
    settings: &Settings,
    data: &DataDir,
    imported: certs::Imported,
) -> anyhow::Result<()> {
    let ground = open_ground(settings, data, Sharing::Alone).await?;
    let db = ground.db.clone();
    let certificates = certs_setup(settings, Default::default())?;
    let (access_rules, user_rules) = (access_settings(settings), users_settings(settings)?);
    let registry = Registry::open(ground, access_rules, user_rules, cipher(settings)?, certificates).await?;
    certs::import(&registry.access, imported).await?;
    db.close().await;
    Ok(())
}

fn app_options(
    settings: &Settings,
    db: &Db,
    engine: &Engine,
    coap: &Arc<coap::Stats>,
    shutdown: &CancellationToken,
) -> kernel::Result<AppOptions> {
    let (engine, coap) = (engine.clone(), Arc::clone(coap));
    let metrics = Metrics::install()?.gathering(move || {
        engine.export();
        coap.export();
    });
    tokio::spawn(metrics.clone().upkeep(shutdown.clone()));
    let db = db.clone();
    let options = AppOptions {
        body_limit: settings.web.body_limit.0,
        request_timeout: settings.web.request_timeout,
        cors: cors(settings)?,
        socket_origins: socket_origins(settings)?,
        trusted_proxies: trusted_proxies(settings)?,
        metrics: Some(metrics),
        ..AppOptions::default()
    };
    Ok(options.needs("database", move || {
        let db = db.clone();
        async move { db.ping().await }
    }))
}

/// No origin named is every origin.
fn cors(settings: &Settings) -> kernel::Result<Cors> {
    let named = origins("web.allowed_origins", &settings.web.allowed_origins.0)?;
    Ok(if named.is_empty() { Cors::Any } else { Cors::Origins(named) })
}

/// Origins that may call may also open WebSockets.
fn socket_origins(settings: &Settings) -> kernel::Result<SocketOrigins> {
    if settings.web.websocket_origins.0.iter().any(|origin| origin == "*") {
        return Ok(SocketOrigins::Any);
    }
    let mut named = origins("web.websocket_origins", &settings.web.websocket_origins.0)?;
    named.extend(origins("web.allowed_origins", &settings.web.allowed_origins.0)?);
    Ok(SocketOrigins::SameHostAnd(named))
}

fn origins(setting: &str, named: &[String]) -> kernel::Result<Vec<HeaderValue>> {
    let valid = |origin: &String| {
        let header = HeaderValue::from_str(origin);
        header.map_err(|_| kernel::Error::invalid(format!("`{setting}`: `{origin}` is not an origin")))
    };
    named.iter().map(valid).collect()
}

pub(crate) fn trusted_proxies(settings: &Settings) -> kernel::Result<TrustedProxies> {
    let parsed = |text: &String| {
        text.parse().map_err(|error| kernel::Error::invalid(format!("`web.trusted_proxies`: {error}")))
    };
    settings.web.trusted_proxies.0.iter().map(parsed).collect::<kernel::Result<_>>().map(TrustedProxies::new)
}

fn master_key(settings: &Settings, data: &DataDir) -> kernel::Result<MasterKey> {
    match &settings.node.master_key {
        Some(key) => Ok(MasterKey::from_bytes(key.bytes().clone())),
        None => MasterKey::load_or_create(&data.path().join("master.key")),
    }
}

/// The policy service on a port of its own, with nothing beside it.
pub(crate) fn policy_app(settings: &Settings, policy: Policy, info: AppInfo) -> kernel::Result<App> {
    let http = settings.policy.http()?;
    let options = AppOptions {
        others: grpc::brokers::routes(policy.clone(), http.clone()),
        body_limit: MAX_QUESTION,
        request_timeout: settings.web.request_timeout,
        trusted_proxies: trusted_proxies(settings)?,
        metrics: Some(Metrics::install()?),
        ..AppOptions::default()
    };
    let routes = policy::http::routes(policy, http);
    Ok(App::with_options(vec![routes], info, options))
}

/// The largest question of a broker: four texts of MQTT's length, each byte of them escaped in JSON or a form.
const MAX_QUESTION: usize = 4 * 6 * 64 * 1024;

pub(crate) fn app_info(settings: &Settings, rng: &Rng) -> AppInfo {
    let instance_id = settings.node.instance_id.clone().map(|id| id.0);
    AppInfo {
        version: build_info::VERSION.to_owned(),
        commit: build_info::COMMIT.to_owned(),
        build_time: build_info::BUILD_TIME.to_owned(),
        instance_id: instance_id.unwrap_or_else(|| rng.uuid().to_string()),
    }
}

fn access_settings(settings: &Settings) -> access::Settings {
    access::Settings {
        access_token_life: settings.auth.access_token_duration,
        refresh_token_life: settings.auth.refresh_token_duration,
        invitation_life: settings.auth.invitation_duration,
        keys: settings.auth.signing(),
        jwks_cache: (settings.auth.jwks_max_age, settings.auth.jwks_stale),
        allow_unverified_users: settings.users.allow_unverified,
        standalone: standalone(settings),
        permissions_file: settings.auth.permissions_file.clone(),
        callouts: settings.callouts(),
    }
}

fn certs_setup(
    settings: &Settings,
    (revoked, callers): (certs::Revoked, certs::Callers),
) -> kernel::Result<certs::Setup> {
    let certs = &settings.certs;
    Ok(certs::Setup {
        limits: certs::Limits {
            default_ttl: certs.default_ttl,
            max_ttl: certs.max_ttl,
            url: certs.url.clone(),
        },
        settings: certs::Settings { agent_secret: certs.secret.clone(), warn_before: certs.warn_before },
        outside: certs.openbao().map(certs::OpenBao::new).transpose()?,
        revoked,
        callers,
    })
}

/// Both are set or neither is; the configuration has seen to that.
fn standalone(settings: &Settings) -> Option<Standalone> {
    let auth = &settings.auth;
    let (user, token) = auth.standalone_id.as_ref().zip(auth.standalone_token.as_ref())?;
    Some(Standalone { user: user.0, token: token.clone() })
}

fn users_settings(settings: &Settings) -> anyhow::Result<users::Settings> {
    Ok(users::Settings {
        self_register: settings.users.self_register,
        delete_interval: settings.users.delete_interval,
        delete_after: settings.users.delete_after,
        mail: post(&settings.mail)?,
        oauth: Some(oauth(&settings.oauth)?),
        ..users::Settings::with_password_rule(regex::Regex::new(settings.users.password_regex.as_str())?)
    })
}

/// Google only where it is set up.
fn oauth(settings: &config::OAuthSettings) -> kernel::Result<OAuthSettings> {
    let google = settings.google_client_id.clone().zip(settings.google_client_secret.clone());
    let google = google.map(|(client_id, client_secret)| {
        Provider::new(ProviderSettings {
            client_id,
            client_secret,
            redirect_url: settings.google_redirect_url.clone(),
            state: settings.google_state.clone(),
            authorize_url: settings.google_authorize_url.clone(),
            token_url: settings.google_token_url.clone(),
            userinfo_url: settings.google_userinfo_url.clone(),
        })
    });
    Ok(OAuthSettings {
        google: google.transpose()?,
        redirect_url: settings.redirect_url.clone(),
        error_url: settings.error_url.clone(),
    })
}

/// None where no mail server is set.
fn post(settings: &config::MailSettings) -> kernel::Result<Option<Post>> {
    let (Some(host), Some(from)) = (settings.host.clone(), &settings.from_address) else { return Ok(None) };
    let letter = |url: &String, template: &Option<PathBuf>| LetterSettings {
        url: url.clone(),
        template: template.clone(),
    };
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let password = settings.password.clone().unwrap_or_else(|| Secret::new(String::new()));
    let post = Post::new(users::mail::MailSettings {
        port: settings.port,
        login: settings.username.clone().map(|name| (name, password)),
        protection: match settings.tls {
            MailTls::Auto if settings.port == 465 => Protection::Tls,
            MailTls::Auto if is_here => Protection::None,
            MailTls::Auto | MailTls::StartTls => Protection::StartTls,
            MailTls::None => Protection::None,
            MailTls::Tls => Protection::Tls,
        },
        from_address: from.to_string(),
        from_name: settings.from_name.to_string(),
        reset: letter(&settings.reset_url, &settings.reset_template),
        verification: letter(&settings.verification_url, &settings.verification_template),
        host,
    })?;
    Ok(Some(post))
}

fn first_admin(settings: &Settings) -> FirstAdmin {
    let admin = settings.admin.clone();
    FirstAdmin {
        username: admin.username,
        email: admin.email,
        first_name: admin.first_name,
        last_name: admin.last_name,
        password: admin.password,
    }
}
