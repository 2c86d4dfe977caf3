//! Profiles over HTTP.

use access::Context;
use axum::extract::State;
use http::{HeaderMap, StatusCode, header};
use kernel::{
    ConfigId, DomainId, Error, Kind, Metadata, Name, Page, PageRequest, ProfileId, Result, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use web::{Created, Empty, Json, Path, Payload, Query, Route, Routes, Rule};

use super::configs::id_or_none;
use crate::{
    Bootstrap,
    model::{ContentFormat, NewProfile, Profile, ProfileChange, ProfileQuery, Slot, Snapshot},
    operations,
    service::Sample,
    yaml,
};

pub(super) fn routes() -> Routes<Bootstrap> {
    const ALL: &str = "/{domain}/clients/bootstrap/profiles";
    const ONE: &str = "/{domain}/clients/bootstrap/profiles/{profile}";
    Routes::new("bootstrap")
        .add(
            Route::post(ALL, create)
                .named("create_profile")
                .rule(Rule::Operations(&[operations::CREATE]))
                .summary("Make a profile: a template of configurations")
                .takes::<ProfileBody>()
                .answers::<ProfileView>(201),
        )
        .add(
            Route::post("/{domain}/clients/bootstrap/profiles/upload", upload)
                .named("upload_profile")
                .rule(Rule::Operations(&[operations::CREATE]))
                .summary("Make a profile from JSON, YAML or TOML")
                .takes_bytes("application/yaml")
                .answers::<ProfileView>(201),
        )
        .add(
            Route::get(ALL, list)
                .named("list_profiles")
                .rule(Rule::Operations(&[operations::LIST]))
                .summary("List profiles, newest first")
                .queries::<Filter>()
                .answers::<ProfilePage>(200),
        )
        .add(
            Route::get(ONE, view)
                .named("view_profile")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View a profile")
                .answers::<ProfileView>(200),
        )
        .add(
            Route::get("/{domain}/clients/bootstrap/profiles/{profile}/slots", slots)
                .named("view_profile_slots")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("View the places for clients and channels in a profile")
                .answers::<Slots>(200),
        )
        .add(
            Route::post("/{domain}/clients/bootstrap/profiles/{profile}/render-preview", preview)
                .named("preview_profile")
                .rule(Rule::Operations(&[operations::VIEW]))
                .summary("Show what a device would get; secrets are stars")
                .takes::<PreviewBody>()
                .answers::<Preview>(200),
        )
        .add(
            Route::patch(ONE, update)
                .named("update_profile")
                .rule(Rule::Operations(&[operations::UPDATE]))
                .summary("Change a profile; what is empty stays")
                .takes::<ProfileBody>()
                .answers::<ProfileView>(200),
        )
        .add(
            Route::delete(ONE, remove)
                .named("remove_profile")
                .rule(Rule::Operations(&[operations::REMOVE]))
                .summary("Remove a profile")
                .answers_empty(204),
        )
}

/// A profile as callers write it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct ProfileBody {
    name: Name,
    description: String,
    /// `go-template`, `raw`, `json`, `yaml` or `toml`.
    content_format: String,
    /// An older name of it.
    template_format: String,
    /// In the language of Go's templates.
    content_template: String,
    defaults: Metadata,
    binding_slots: Vec<Slot>,
}

impl ProfileBody {
    fn format(&self) -> Result<Option<ContentFormat>> {
        let given = [&self.content_format, &self.template_format].into_iter().find(|word| !word.is_empty());
        given.map(|word| word.parse()).transpose()
    }

    fn parse(self, otherwise: ContentFormat) -> Result<NewProfile> {
        Ok(NewProfile {
            format: self.format()?.unwrap_or(otherwise),
            name: self.name,
            description: self.description,
            template: self.content_template,
            defaults: self.defaults,
            slots: self.binding_slots,
        })
    }

    fn change(self) -> Result<ProfileChange> {
        Ok(ProfileChange {
            format: self.format()?,
            name: Some(self.name).filter(|name| !name.is_empty()),
            description: Some(self.description).filter(|text| !text.is_empty()),
            template: Some(self.content_template).filter(|text| !text.is_empty()),
            defaults: Some(self.defaults).filter(|defaults| !defaults.is_empty()),
            slots: Some(self.binding_slots).filter(|slots| !slots.is_empty()),
        })
    }
}

/// A profile.
#[derive(Debug, Serialize, ToSchema)]
struct ProfileView {
    id: ProfileId,
    domain_id: DomainId,
    name: Name,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    content_format: &'static str,
    /// An older name of it.
    template_format: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    content_template: String,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    defaults: Metadata,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    binding_slots: Vec<Slot>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Profile> for ProfileView {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            domain_id: profile.domain,
            name: profile.name,
            description: profile.description,
            content_format: profile.format.word(),
            template_format: profile.format.word(),
            content_template: profile.template,
            defaults: profile.defaults,
            binding_slots: profile.slots,
            version: profile.version,
            created_at: profile.created_at,
            updated_at: profile.updated_at.unwrap_or(profile.created_at),
        }
    }
}

/// A page of profiles.
#[derive(Debug, Serialize, ToSchema)]
struct ProfilePage {
    total: u64,
    offset: u64,
    limit: u64,
    profiles: Vec<ProfileView>,
}

impl From<Page<Profile>> for ProfilePage {
    fn from(page: Page<Profile>) -> Self {
        Self {
            total: page.total,
            offset: page.request.offset,
            limit: page.request.limit,
            profiles: page.items.into_iter().map(ProfileView::from).collect(),
        }
    }
}

/// The places for clients and channels in a template.
#[derive(Debug, Serialize, ToSchema)]
struct Slots {
    binding_slots: Vec<Slot>,
}

/// What a preview is rendered for: a stored configuration, or one that is made up.
#[derive(Debug, Deserialize, ToSchema)]
struct PreviewBody {
    #[serde(default, deserialize_with = "id_or_none")]
    #[schema(value_type = Option<String>)]
    config_id: Option<ConfigId>,
    config: Option<SampleConfig>,
    /// Used where the configuration has none.
    #[serde(default)]
    render_context: Metadata,
    #[serde(default)]
    bindings: Vec<SampleBinding>,
}

/// A configuration that is made up.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct SampleConfig {
    id: String,
    external_id: String,
    render_context: Metadata,
}

/// What would stand in a slot.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct SampleBinding {
    slot: String,
    #[serde(rename = "type")]
    kind: String,
    resource_id: String,
    #[schema(value_type = Object)]
    snapshot: Option<Map<String, Value>>,
}

impl PreviewBody {
    fn sample(self, at: Timestamp) -> Sample {
        if let Some(config) = self.config_id {
            return Sample::Stored(config);
        }
        let config = self.config.unwrap_or_default();
        let values = Some(config.render_context).filter(|values| !values.is_empty());
        let bound = self.bindings.into_iter().map(|binding| Snapshot {
            slot: binding.slot,
            kind: binding.kind,
            id: binding.resource_id,
            known: binding.snapshot.unwrap_or_default(),
            secret: None,
            updated_at: at,
        });
        Sample::MadeUp {
            target: (config.id, config.external_id),
            values: values.unwrap_or(self.render_context).as_map().clone(),
            bound: bound.collect(),
        }
    }
}

/// What a device would get.
#[derive(Debug, Serialize, ToSchema)]
struct Preview {
    content: String,
}

/// Which profiles to list.
#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    offset: Option<u64>,
    /// At most 100.
    limit: Option<u64>,
    /// Part of the name.
    name: Option<String>,
}

fn created(profile: Profile) -> Created<ProfileView> {
    Created(format!("/bootstrap/profiles/{}", profile.id), profile.into())
}

async fn create(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<ProfileBody>,
) -> web::Result<Created<ProfileView>> {
    let new = body.parse(ContentFormat::default())?;
    Ok(created(bootstrap.create_profile(&cx, domain, new).await?))
}

/// The document's format is that of its content type; so is the profile's, where it names none.
fn uploaded(headers: &HeaderMap, bytes: &[u8]) -> Result<NewProfile> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("the profile is no UTF-8 text"))?;
    let unreadable = |error: String| Error::invalid(format!("the profile cannot be read: {error}"));
    let (body, format) = if kind.contains("json") {
        (
            serde_json::from_str::<ProfileBody>(text).map_err(|e| unreadable(e.to_string())),
            ContentFormat::Json,
        )
    } else if kind.contains("yaml") {
        let value = yaml::read(text).map_err(unreadable)?;
        (serde_json::from_value(value).map_err(|e| unreadable(e.to_string())), ContentFormat::Yaml)
    } else if kind.contains("toml") {
        (toml::from_str(text).map_err(|e| unreadable(e.to_string())), ContentFormat::Toml)
    } else {
        return Err(Error::new(Kind::MediaType, "unsupported content type"));
    };
    body?.parse(format)
}

async fn upload(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path(domain): Path<DomainId>,
    headers: HeaderMap,
    Payload(bytes): Payload,
) -> web::Result<Created<ProfileView>> {
    let new = uploaded(&headers, &bytes)?;
    Ok(created(bootstrap.create_profile(&cx, domain, new).await?))
}

async fn list(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<ProfilePage>> {
    let page = PageRequest::up_to(100, filter.offset, filter.limit, false)?;
    let query = ProfileQuery { page, name: filter.name };
    Ok(Json(bootstrap.list_profiles(&cx, domain, query).await?.into()))
}

async fn view(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ProfileId)>,
) -> web::Result<Json<ProfileView>> {
    Ok(Json(bootstrap.view_profile(&cx, domain, id).await?.into()))
}

async fn slots(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ProfileId)>,
) -> web::Result<Json<Slots>> {
    Ok(Json(Slots { binding_slots: bootstrap.view_profile(&cx, domain, id).await?.slots }))
}

async fn preview(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ProfileId)>,
    Json(body): Json<PreviewBody>,
) -> web::Result<Json<Preview>> {
    let sample = body.sample(cx.now());
    Ok(Json(Preview { content: bootstrap.preview(&cx, domain, id, sample).await? }))
}

async fn update(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ProfileId)>,
    Json(body): Json<ProfileBody>,
) -> web::Result<Json<ProfileView>> {
    Ok(Json(bootstrap.update_profile(&cx, domain, id, body.change()?).await?.into()))
}

async fn remove(
    State(bootstrap): State<Bootstrap>,
    cx: Context,
    Path((domain, id)): Path<(DomainId, ProfileId)>,
) -> web::Result<Empty> {
    bootstrap.remove_profile(&cx, domain, id).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
