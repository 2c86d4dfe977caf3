//! Provisioning over HTTP (reference 04 §2.3).

use std::collections::BTreeMap;

use access::{Context, RequestInfo};
use axum::extract::{FromRequestParts, State};
use certs::{NewCertificate, model::Ttl};
use channels::http::ChannelView;
use clients::{http::ClientView, model::WithSecret};
use http::{HeaderValue, StatusCode, header, request::Parts};
use kernel::{ClientId, DomainId, Error, Kind, Metadata, Result, Secret};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use web::{Json, Path, Route, Routes, Rule};

use crate::{
    Provision,
    layout::{File, Layout},
    service::{Gateway, Made},
};

/// The table.
pub fn routes(provision: Provision) -> Routes {
    Routes::new("provision")
        .add(
            Route::post("/{domain}/mapping", provide)
                .named("provision")
                .rule(Rule::Operations(&[
                    clients::operations::CREATE,
                    channels::operations::CREATE,
                    bootstrap::operations::CREATE,
                ]))
                .summary("Make a gateway: clients, channels, connections, configuration and certificates, or nothing")
                .description(
                    "Without a token it is made in the name of the user that the operator has set, as the operator has \
                     laid it out.",
                )
                .takes::<NewGateway>()
                .answers::<MadeView>(201),
        )
        .add(
            Route::get("/{domain}/mapping", content)
                .named("provision_content")
                .rule(Rule::Operations(&[domains::operations::READ]))
                .summary("View what the configurations of gateways hold")
                .answers::<Value>(200),
        )
        .add(
            Route::post("/{domain}/cert", certify)
                .named("provision_cert")
                .rule(Rule::Operations(&[certs::operations::ISSUE]))
                .summary("Make a certificate for a client")
                .takes::<NewCert>()
                .answers::<CertView>(201),
        )
        .with(provision)
}

/// Whoever sends the request, or in whose name one without a token is carried out.
struct Somebody {
    cx: Context,
    /// Whether it is the operator's name.
    lent: bool,
}

impl FromRequestParts<Provision> for Somebody {
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, provision: &Provision) -> web::Result<Self> {
        let lent = !parts.headers.contains_key(header::AUTHORIZATION);
        if lent {
            let request = RequestInfo::from_request_parts(parts, provision).await?;
            let failed = |error: Error| match error.kind() {
                Kind::Internal => error,
                _ => Error::new(Kind::Unauthenticated, "failed to create access token").cause(error),
            };
            if let Some(token) = provision.own_token(&request).await.map_err(failed)? {
                let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()));
                parts.headers.insert(header::AUTHORIZATION, bearer.map_err(Error::internal)?);
            }
        }
        Ok(Self { cx: Context::from_request_parts(parts, provision).await?, lent })
    }
}

/// What it takes to make a gateway.
#[derive(Deserialize, ToSchema)]
struct NewGateway {
    /// What people call it.
    #[serde(default)]
    #[schema(required = true)]
    name: String,
    /// What it calls itself.
    #[serde(default)]
    #[schema(required = true)]
    external_id: String,
    /// What it proves itself with.
    #[schema(value_type = String, required = true)]
    external_key: Option<Secret<String>>,
    /// More about it: stands in its client's metadata, and is there for the template.
    #[serde(default)]
    metadata: Metadata,
    /// What it consists of, where that is not what the operator has laid out: the layout file as JSON.
    #[schema(value_type = Option<Object>)]
    layout: Option<File>,
}

impl NewGateway {
    fn parse(self) -> Result<Gateway> {
        let external_id = self.external_id.parse()?;
        let external_key = self.external_key.filter(|key| !key.expose().is_empty());
        let missing = || Error::new(Kind::Unauthenticated, "missing or invalid bearer entity key");
        let external_key = external_key.ok_or_else(missing)?;
        if self.name.is_empty() {
            return Err(Error::invalid("missing identity name"));
        }
        Ok(Gateway {
            name: self.name.parse()?,
            external_id,
            external_key,
            metadata: self.metadata.checked()?,
            layout: self.layout.map(Layout::of_request).transpose()?,
        })
    }
}

/// What was made for a gateway. The private keys can be downloaded with the certificates later, too.
#[derive(Serialize, ToSchema)]
struct MadeView {
    clients: Vec<MadeClient>,
    channels: Vec<ChannelView>,
    /// Certificates in PEM, by client.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    client_cert: BTreeMap<String, String>,
    /// Their private keys in PEM, by client.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    client_key: BTreeMap<String, String>,
    /// The authorities in PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    ca_cert: String,
    /// The clients that are connected to the channels; a configuration has the id of its client.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    whitelisted: BTreeMap<String, bool>,
}

/// A client, with its secret also where agents before 2026 look for it.
#[derive(Serialize, ToSchema)]
struct MadeClient {
    #[serde(flatten)]
    client: ClientView,
    /// The secret.
    key: String,
}

impl From<WithSecret> for MadeClient {
    fn from(client: WithSecret) -> Self {
        let key = client.secret.expose().clone();
        Self { key, client: client.into() }
    }
}

impl From<Made> for MadeView {
    fn from(made: Made) -> Self {
        Self {
            client_cert: made.pem(|issued| Some(issued.certificate.clone())),
            client_key: made.pem(|issued| issued.private_key.as_ref().map(|key| key.expose().clone())),
            ca_cert: made.certificates.first().map(|issued| issued.chain.clone()).unwrap_or_default(),
            whitelisted: made.whitelisted.iter().map(|id| (id.to_string(), true)).collect(),
            clients: made.clients.into_iter().map(Into::into).collect(),
            channels: made.channels.into_iter().map(Into::into).collect(),
        }
    }
}

async fn provide(
    State(provision): State<Provision>,
    Somebody { cx, lent }: Somebody,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewGateway>,
) -> web::Result<(StatusCode, Json<MadeView>)> {
    if lent && body.layout.is_some() {
        // Who is nobody gets what the operator has laid out, and nothing else.
        return Err(Error::new(Kind::Unauthenticated, "a layout in the request needs a token").into());
    }
    let made = provision.provision(&cx, domain, body.parse()?).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

async fn content(
    State(provision): State<Provision>,
    cx: Context,
    Path(domain): Path<DomainId>,
) -> web::Result<Json<Value>> {
    Ok(Json(provision.content(&cx, domain).await?))
}

/// A wish for a certificate.
#[derive(Deserialize, ToSchema)]
struct NewCert {
    /// Whose it is to be.
    #[serde(default)]
    #[schema(required = true)]
    client_id: String,
    /// How long it is to be valid, such as `2400h`.
    #[serde(default)]
    ttl: Option<String>,
}

/// A certificate and its key, in PEM.
#[derive(Serialize, ToSchema)]
struct CertView {
    certificate: String,
    key: String,
}

async fn certify(
    State(provision): State<Provision>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewCert>,
) -> web::Result<(StatusCode, Json<CertView>)> {
    if body.client_id.is_empty() {
        return Err(Error::invalid("missing entity id").into());
    }
    let client: ClientId = body.client_id.parse()?;
    let ttl = body.ttl.filter(|ttl| !ttl.is_empty()).map(|ttl| ttl.parse::<Ttl>()).transpose()?;
    let issued = provision.certify(&cx, domain, NewCertificate::of_client(client, ttl)).await?;
    let key = issued.private_key.map(|key| key.expose().clone()).unwrap_or_default();
    Ok((StatusCode::CREATED, Json(CertView { certificate: issued.certificate, key })))
}
