//! Handlers that make certificates.

use access::{Context, RequestInfo};
use axum::extract::State;
use base64::{Engine, prelude::BASE64_STANDARD};
use kernel::{ClientId, DomainId, Result};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Bearer, Created, Json, Path, Query};

use super::shapes::{CertificateView, FromRequest, IssuedView, NewCertificate, NewOfClient, Renewed, ttl};
use crate::{
    Certs, Request,
    model::{Serial, Ttl},
};

/// How long a certificate is to be valid.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Life {
    /// `8760h`, `90m`, `30d`, or seconds.
    #[serde(default)]
    ttl: String,
}

/// What a certificate is to be called.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Named {
    /// The common name, where the body has none.
    common_name: Option<String>,
}

fn created(issued: crate::Issued) -> Created<IssuedView> {
    Created(format!("/certs/{}", issued.serial), issued.into())
}

pub(super) async fn of_client(
    State(certs): State<Certs>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Json(body): Json<NewOfClient>,
) -> web::Result<Created<IssuedView>> {
    Ok(created(certs.issue(&cx, domain, body.parse()?).await?))
}

pub(super) async fn issue(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, client)): Path<(DomainId, ClientId)>,
    Json(body): Json<NewCertificate>,
) -> web::Result<Created<IssuedView>> {
    Ok(created(certs.issue(&cx, domain, body.parse(client, None)?).await?))
}

pub(super) async fn issue_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(client): Path<ClientId>,
    Query(named): Query<Named>,
    body: Option<Json<NewCertificate>>,
) -> web::Result<Created<IssuedView>> {
    let new = body.map(|Json(body)| body).unwrap_or_default().parse(client, named.common_name)?;
    let domain = certs.domain_of(client).await?;
    Ok(created(certs.issue(&cx, domain, new).await?))
}

/// The request that a body holds: PEM, or base64 of it.
fn request(body: &FromRequest, life: &Life) -> Result<(Request, Option<Ttl>)> {
    let decoded = BASE64_STANDARD.decode(body.csr.trim()).ok().and_then(|pem| String::from_utf8(pem).ok());
    Ok((Request::from_pem(decoded.as_deref().unwrap_or(&body.csr))?, ttl(&life.ttl)?))
}

pub(super) async fn from_request(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, client)): Path<(DomainId, ClientId)>,
    Query(life): Query<Life>,
    Json(body): Json<FromRequest>,
) -> web::Result<Json<CertificateView>> {
    Ok(Json(certs.issue_for(&cx, domain, client, request(&body, &life)?).await?.into()))
}

pub(super) async fn from_agent(
    State(certs): State<Certs>,
    info: RequestInfo,
    Bearer(shown): Bearer,
    Path(client): Path<ClientId>,
    Query(life): Query<Life>,
    Json(body): Json<FromRequest>,
) -> web::Result<Json<CertificateView>> {
    certs.let_agent_in(&info, shown.as_ref()).await?;
    Ok(Json(certs.issue_for_agent(&info, client, request(&body, &life)?).await?.into()))
}

pub(super) async fn renew(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, serial)): Path<(DomainId, Serial)>,
) -> web::Result<Json<Renewed>> {
    Ok(Json(certs.renew(&cx, domain, serial).await?.into()))
}

pub(super) async fn renew_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(serial): Path<Serial>,
) -> web::Result<Json<Renewed>> {
    let domain = certs.domain_of_certificate(serial.clone()).await?;
    Ok(Json(certs.renew(&cx, domain, serial).await?.into()))
}
