//! Configurations over HTTP.

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{
    ChannelId, ClientId, ConfigId, DomainId, Error, Metadata, Name, PageRequest, ProfileId, Result, Secret,
    Status, status::StatusFilter,
};
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};
use web::{Created, Empty, Json, Path, Query, Route, Routes, Rule};

use super::{
    UPDATE, VIEW,
    views::{CertificatesView, ConfigPageView, ConfigView},
};
use crate::{
    Bootstrap,
    model::{self, Certificates, ConfigQuery, NewDevice},
    operations,
};

pub(super) fn routes() -> Routes<Bootstrap> {
    Routes::new("bootstrap")
        .add(
            Route::post("/{domain}/clients/configs", create)
                .named("create_config")
                .rule(Rule::Operations(&[
                    operations::CREATE,
                    clients::operations::VIEW,
                    clients::operations::CREATE,
                    channels::operations::VIEW,
                ]))
                .summary("Make a configuration that waits for a device")
                .description("With `channels` it knows the device's client and begins disabled: enabling it connects them.")
                .takes::<NewConfig>()
                .answers::<ConfigView>(201),
        )
        .add(
            Route::get("/{domain}/clients/configs", list)
                .named("list_configs")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List configurations")
                .queries::<Filter>()
                .answers::<ConfigPageView>(200),
        )
        .add(
            Route::get("/{domain}/clients/configs/{config}", view)
                .named("view_config")
                .rule(VIEW)
                .summary("View a configuration")
                .answers::<ConfigView>(200),
        )
        .add(
            Route::patch("/{domain}/clients/configs/{config}", update)
                .named("update_config")
                .rule(UPDATE)
                .summary("Replace name and content of a configuration")
                .takes::<ConfigChange>()
                .answers_empty(200),
        )
        .add(
            Route::put("/{domain}/clients/configs/{config}", update)
                .named("replace_config")
                .rule(UPDATE)
                .summary("Replace name and content of a configuration")
                .takes::<ConfigChange>()
                .answers_empty(200),
        )
        .add(
            Route::delete("/{domain}/clients/configs/{config}", remove)
                .named("remove_config")
                .rule(Rule::Operations(&[operations::REMOVE, clients::operations::DELETE]))
                .summary("Remove a configuration; its client stays")
                .answers_empty(204),
        )
        .add(
            Route::patch("/{domain}/clients/configs/certs/{config}", update_certificates)
                .named("update_config_certs")
                .rule(Rule::Operations(&[operations::UPDATE_CERT, clients::operations::UPDATE]))
                .summary("Replace the certificates of a configuration")
                .takes::<NewCertificates>()
                .answers::<CertificatesView>(200),
        )
}

const STATE: Rule = Rule::Operations(&[
    operations::CHANGE_STATE,
    channels::operations::CONNECT,
    channels::operations::DISCONNECT,
    clients::operations::CONNECT,
    clients::operations::DISCONNECT,
]);

pub(super) fn state_routes() -> Routes<Bootstrap> {
    Routes::new("bootstrap")
        .add(
            Route::post("/{domain}/clients/configs/{config}/enable", enable)
                .named("enable_config")
                .rule(STATE)
                .summary("Take a configuration into use; connects the client that it knows")
                .answers::<ConfigView>(200),
        )
        .add(
            Route::post("/{domain}/clients/configs/{config}/disable", disable)
                .named("disable_config")
                .rule(STATE)
                .summary("Take a configuration out of use; disconnects the client that it knows")
                .answers::<ConfigView>(200),
        )
        .add(
            Route::put("/{domain}/clients/state/{config}", set_state)
                .named("change_config_state")
                .rule(STATE)
                .summary("Enable (1) or disable (0) a configuration")
                .takes::<NewState>()
                .answers_empty(200),
        )
        .add(
            Route::put("/{domain}/clients/configs/connections/{config}", update_connections)
                .named("update_config_connections")
                .rule(Rule::Operations(&[
                    operations::UPDATE,
                    clients::operations::UPDATE,
                    clients::operations::CONNECT,
                    clients::operations::DISCONNECT,
                    channels::operations::VIEW,
                    channels::operations::CONNECT,
                    channels::operations::DISCONNECT,
                ]))
                .summary("Replace the channels of a configuration that knows its client")
                .takes::<NewConnections>()
                .answers_empty(200),
        )
}

/// Reads an id; empty is none.
pub(super) fn id_or_none<'de, D, I>(deserializer: D) -> Result<Option<I>, D::Error>
where
    D: Deserializer<'de>,
    I: std::str::FromStr<Err = Error>,
{
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// What it takes to make a configuration.
#[derive(Debug, Deserialize, ToSchema)]
struct NewConfig {
    /// What the device calls itself.
    #[serde(default)]
    #[schema(required = true)]
    external_id: String,
    /// What it proves itself with.
    #[schema(value_type = String, required = true)]
    external_key: Option<Secret<String>>,
    #[serde(default)]
    name: Name,
    /// What the device gets where there is no profile.
    #[serde(default)]
    content: String,
    #[serde(default)]
    client_cert: String,
    #[schema(value_type = Option<String>)]
    client_key: Option<Secret<String>>,
    #[serde(default)]
    ca_cert: String,
    /// The profile whose template is rendered for the device.
    #[serde(default, deserialize_with = "id_or_none")]
    #[schema(value_type = Option<String>)]
    profile_id: Option<ProfileId>,
    /// Values for the template.
    #[serde(default)]
    render_context: Metadata,
    /// The client that the device is; made where only channels are given.
    #[serde(default, deserialize_with = "id_or_none")]
    #[schema(value_type = Option<String>)]
    client_id: Option<ClientId>,
    /// The channels to connect it to.
    channels: Option<Vec<ChannelId>>,
}

impl NewConfig {
    fn parse(self) -> Result<model::NewConfig> {
        let device = (self.client_id.is_some() || self.channels.is_some())
            .then(|| NewDevice { client: self.client_id, channels: self.channels.unwrap_or_default() });
        let key = self.external_key.unwrap_or_else(|| Secret::new(String::new()));
        let new = model::NewConfig {
            name: self.name,
            external_id: self.external_id.parse()?,
            external_key: model::external_key(key)?,
            content: self.content,
            certificates: Certificates {
                client_cert: self.client_cert,
                client_key: self.client_key,
                ca_cert: self.ca_cert,
            },
            profile: self.profile_id,
            render_context: self.render_context,
            device,
        };
        if new.device.as_ref().is_some_and(|device| device.channels.is_empty()) {
            return Err(Error::invalid("empty list provided"));
        }
        Ok(new)
    }
}

/// What replaces name and content, and the values for the template where they are given.
#[derive(Debug, Deserialize, ToSchema)]
struct ConfigChange {
    #[serde(default)]
    name: Name,
    #[serde(default)]
    content: String,
    render_context: Option<Metadata>,
}

/// The certificates that replace the present ones.
#[derive(Debug, Deserialize, ToSchema)]
struct NewCertificates {
    #[serde(default)]
    client_cert: String,
    #[schema(value_type = Option<String>)]
    client_key: Option<Secret<String>>,
    #[serde(default)]
    ca_cert: String,
}

/// 1 is enabled, 0 is disabled.
#[derive(Debug, Deserialize, ToSchema)]
struct NewState {
    #[serde(default)]
    state: i64,
}

/// The channels that replace the present ones.
#[derive(Debug, Deserialize, ToSchema)]
struct NewConnections {
    #[serde(default)]
    channels: Vec<ChannelId>,
}

/// Which configurations to list; those that are enabled unless `status` or `state` says otherwise.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    offset: Option<u64>,
    /// At most 100.
    limit: Option<u64>,
    /// `enabled`, `disabled` or `all`.
    #[serde(default, deserialize_with = "web::parsed")]
    #[param(value_type = Option<String>)]
    status: Option<BootstrapStatus>,
    /// 1 is enabled, 0 is disabled.
    state: Option<u8>,
    id: Option<ConfigId>,
    external_id: Option<String>,
    client_id: Option<ClientId>,
    /// Part of the name.
    name: Option<String>,
}

/// A status as either generation writes it in a query (reference 04 §3.2: here 0 is enabled).
#[derive(Debug)]
struct BootstrapStatus(StatusFilter);

impl std::str::FromStr for BootstrapStatus {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let word = match word {
            "0" | "" => "enabled",
            "1" => "disabled",
            word @ ("enabled" | "disabled" | "all") => word,
            _ => return Err(Error::invalid("invalid query parameters")),
        };
        word.parse().map(Self)
    }
}

impl Filter {
    fn parse(self) -> Result<ConfigQuery> {
        let status = match (self.status, self.state) {
            (Some(BootstrapStatus(status)), _) => status,
            (None, None) => StatusFilter::default(),
            (None, Some(1)) => "enabled".parse()?,
            (None, Some(0)) => "disabled".parse()?,
            (None, Some(_)) => return Err(Error::invalid("invalid bootstrap state")),
        };
        Ok(ConfigQuery {
            page: PageRequest::up_to(100, self.offset, self.limit, false)?,
            status,
            id: self.id,
            external_id: self.external_id,
            client: self.client_id,
            name: self.name,
        })
    }
}

async fn create(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewConfig>,
) -> web::Result<Created<ConfigView>> {
    let made = bootstrap.create(&cx, domain, body.parse()?).await?;
    Ok(Created(format!("/clients/configs/{}", made.config.id), made.into()))
}

async fn list(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<ConfigPageView>> {
    Ok(Json(bootstrap.list(&cx, domain, filter.parse()?).await?.into()))
}

async fn view(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Json<ConfigView>> {
    Ok(Json(bootstrap.view(&cx, domain, id).await?.into()))
}

async fn update(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<ConfigChange>,
) -> web::Result<Empty> {
    bootstrap.update(&cx, domain, id, (body.name, body.content, body.render_context)).await?;
    Ok(Empty(StatusCode::OK))
}

async fn remove(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Empty> {
    bootstrap.remove(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

async fn update_certificates(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<NewCertificates>,
) -> web::Result<Json<CertificatesView>> {
    let new =
        Certificates { client_cert: body.client_cert, client_key: body.client_key, ca_cert: body.ca_cert };
    Ok(Json(bootstrap.update_certificates(&cx, domain, id, new).await?.into()))
}

async fn enable(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Json<ConfigView>> {
    Ok(Json(bootstrap.set_status(&cx, domain, id, Status::Enabled).await?.into()))
}

async fn disable(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
) -> web::Result<Json<ConfigView>> {
    Ok(Json(bootstrap.set_status(&cx, domain, id, Status::Disabled).await?.into()))
}

async fn set_state(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<NewState>,
) -> web::Result<Empty> {
    let status = match body.state {
        0 => Status::Disabled,
        1 => Status::Enabled,
        _ => return Err(Error::invalid("invalid bootstrap state").into()),
    };
    bootstrap.set_status(&cx, domain, id, status).await?;
    Ok(Empty(StatusCode::OK))
}

async fn update_connections(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ConfigId)>,
    Json(body): Json<NewConnections>,
) -> web::Result<Empty> {
    bootstrap.update_connections(&cx, domain, id, body.channels).await?;
    Ok(Empty(StatusCode::OK))
}
