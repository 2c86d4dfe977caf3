//! Composition: every capability is built and wired here, on one page.

use access::{Access, Ground, crypto::MasterKey};
use channels::Channels;
use clients::Clients;
use db::{Db, Migration};
use domains::Domains;
use events::{Bus, Outbox, Relay};
use kernel::{Clock, Operation, Rng, Secret};
use tokio_util::sync::CancellationToken;
use users::{FirstAdmin, Users};
use web::{App, AppInfo, AppOptions, Metrics, Routes};

use crate::build_info;
use crate::config::{Capability, Settings};
use crate::data_dir::DataDir;

/// The platform of this node, ready to serve.
pub(crate) struct Platform {
    /// The HTTP API.
    pub(crate) app: App,
    /// The administrator's password, if this start has made it up.
    pub(crate) generated_password: Option<Secret<String>>,
    db: Db,
    relay: Relay,
}

/// The tables of all capabilities, in the order in which they are made.
const MIGRATIONS: &[&[Migration]] = &[
    events::MIGRATIONS,
    access::MIGRATIONS,
    users::MIGRATIONS,
    domains::MIGRATIONS,
    clients::MIGRATIONS,
    channels::MIGRATIONS,
];

/// What the permission table must know.
const OPERATIONS: &[&[Operation]] =
    &[domains::operations::ALL, clients::operations::ALL, channels::operations::ALL];

impl Platform {
    /// Opens the database and wires the capabilities that this node serves.
    pub(crate) async fn compose(
        settings: &Settings,
        data: &DataDir,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let (clock, rng) = (Clock::system(), Rng::system());
        let db = Db::open(&database_url(settings, data), db::Options::default()).await?;
        db.migrate(&MIGRATIONS.concat()).await?;

        let (outbox, bus) = (Outbox::new(), Bus::default());
        let master = match &settings.node.master_key {
            Some(key) => MasterKey::from_bytes(key.bytes().clone()),
            None => MasterKey::load_or_create(&data.path().join("master.key"))?,
        };
        let ground =
            Ground { db: db.clone(), outbox: outbox.clone(), master, clock: clock.clone(), rng: rng.clone() };
        let access = Access::open(ground, access_settings(settings), &OPERATIONS.concat()).await?;

        let users = Users::new(access.clone(), users_settings(settings)?);
        let domains = Domains::new(access.clone());
        let clients = Clients::new(access.clone());
        let channels = Channels::new(access.clone());
        let generated_password = users.ensure_admin(first_admin(settings)?).await?;
        let relay = Relay::start(db.clone(), outbox, bus.clone(), clock.clone());

        let metrics = Metrics::install()?;
        tokio::spawn(metrics.clone().upkeep(shutdown.clone()));
        let serves = |capability| settings.node.only.serves(capability);
        let routes: Vec<Routes> = [
            (Capability::Users, users::http::routes(users)),
            (Capability::Domains, domains::http::routes(domains.clone())),
            (Capability::Clients, clients::http::routes(clients.clone())),
            (Capability::Channels, channels::http::routes(channels.clone())),
        ]
        .into_iter()
        .filter_map(|(capability, routes)| serves(capability).then_some(routes))
        .collect();
        let asked = db.clone();
        let options = AppOptions {
            body_limit: settings.web.body_limit.0,
            request_timeout: settings.web.request_timeout,
            metrics: Some(metrics),
            ..AppOptions::default()
        }
        .needs("database", move || {
            let db = asked.clone();
            async move { db.ping().await }
        });
        let app = App::with_options(routes, app_info(settings, &rng), options);
        Ok(Self { app, generated_password, db, relay })
    }

    /// Brings everything to disk after the last request has ended.
    pub(crate) async fn close(self) {
        self.relay.stop().await;
        self.db.close().await;
    }
}

fn database_url(settings: &Settings, data: &DataDir) -> String {
    match &settings.node.database_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("sqlite:{}", data.path().join("trunkline.db").display()),
    }
}

fn app_info(settings: &Settings, rng: &Rng) -> AppInfo {
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
        allow_unverified_users: settings.users.allow_unverified,
        permissions_file: settings.auth.permissions_file.clone(),
    }
}

fn users_settings(settings: &Settings) -> anyhow::Result<users::Settings> {
    Ok(users::Settings {
        password_rule: regex::Regex::new(settings.users.password_regex.as_str())?,
        self_register: settings.users.self_register,
    })
}

fn first_admin(settings: &Settings) -> anyhow::Result<FirstAdmin> {
    Ok(FirstAdmin {
        username: settings.admin.username.parse()?,
        email: settings.admin.email.parse()?,
        password: settings.admin.password.clone(),
    })
}
