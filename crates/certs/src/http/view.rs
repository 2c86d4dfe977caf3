//! Handlers that show certificates.

use access::Context;
use axum::extract::State;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use kernel::{ClientId, DomainId, Error, PageRequest, Result};
use serde::Deserialize;
use utoipa::IntoParams;
use web::{Json, Path, Query};

use super::shapes::{CertificatePage, CertificateView, SerialPage, Token};
use crate::{
    Certs,
    model::{self, Serial},
};

/// The most certificates of one page.
const MOST: u64 = 1000;

/// Which certificates to list.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Filter {
    offset: Option<u64>,
    /// 1 to 1000; 0 is 1000.
    limit: Option<u64>,
    /// Only those of this client.
    #[serde(alias = "client_id")]
    entity_id: Option<ClientId>,
    /// `true`, `false` or `all`.
    revoked: Option<String>,
}

impl Filter {
    fn parse(self) -> Result<model::Query> {
        let limit = self.limit.map(|limit| if limit == 0 { MOST } else { limit });
        Ok(model::Query {
            page: PageRequest::up_to(MOST, self.offset, limit, false)?,
            client: self.entity_id,
            revoked: match self.revoked.as_deref() {
                None | Some("all") => None,
                Some("true") => Some(true),
                Some("false") => Some(false),
                Some(_) => return Err(Error::invalid("invalid query parameters")),
            },
        })
    }
}

pub(super) async fn list(
    State(certs): State<Certs>,
    cx: Context,
    Path(domain): Path<DomainId>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<CertificatePage>> {
    Ok(Json(certs.list(&cx, domain, filter.parse()?).await?.into()))
}

pub(super) async fn list_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Query(filter): Query<Filter>,
) -> web::Result<Json<CertificatePage>> {
    let query = filter.parse()?;
    let page = match query.client {
        Some(client) => {
            let domain = certs.domain_of(client).await?;
            certs.list_of(&cx, domain, query, client).await?
        }
        None => certs.list_all(&cx, query).await?,
    };
    Ok(Json(page.into()))
}

pub(super) async fn serials(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, client)): Path<(DomainId, ClientId)>,
    Query(filter): Query<Filter>,
) -> web::Result<Json<SerialPage>> {
    Ok(Json(certs.list_of(&cx, domain, filter.parse()?, client).await?.into()))
}

pub(super) async fn view(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, serial)): Path<(DomainId, Serial)>,
) -> web::Result<Json<CertificateView>> {
    Ok(Json(certs.view(&cx, domain, serial).await?.into()))
}

pub(super) async fn view_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(serial): Path<Serial>,
) -> web::Result<Json<CertificateView>> {
    let domain = certs.domain_of_certificate(serial.clone()).await?;
    Ok(Json(certs.view(&cx, domain, serial).await?.into()))
}

pub(super) async fn token(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, serial)): Path<(DomainId, Serial)>,
) -> web::Result<Json<Token>> {
    Ok(Json(Token { token: certs.download_token(&cx, domain, serial).await? }))
}

pub(super) async fn token_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(serial): Path<Serial>,
) -> web::Result<Json<Token>> {
    let domain = certs.domain_of_certificate(serial.clone()).await?;
    Ok(Json(Token { token: certs.download_token(&cx, domain, serial).await? }))
}

/// The token that downloads a certificate.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Download {
    #[serde(default)]
    token: String,
}

/// A file to be kept.
pub(super) type Archive = ([(HeaderName, &'static str); 2], Vec<u8>);

pub(super) async fn download(
    State(certs): State<Certs>,
    Path(serial): Path<Serial>,
    Query(shown): Query<Download>,
) -> web::Result<Archive> {
    let zip = certs.download(serial, &shown.token).await?;
    let name = "attachment; filename=certificates.zip";
    Ok(([(CONTENT_TYPE, "application/zip"), (CONTENT_DISPOSITION, name)], zip))
}
