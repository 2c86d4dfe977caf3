//! Handlers that revoke.

use access::Context;
use axum::extract::State;
use http::StatusCode;
use kernel::{ClientId, DomainId, Error};
use web::{Empty, Json, Path};

use super::shapes::{RevocationTime, RevokeOfClient};
use crate::{Certs, model::Serial, service::Keep};

pub(super) async fn one(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, serial)): Path<(DomainId, Serial)>,
) -> web::Result<Json<RevocationTime>> {
    let at = certs.revoke(&cx, domain, serial).await?;
    Ok(Json(RevocationTime { revocation_time: Some(at) }))
}

pub(super) async fn quietly(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, serial)): Path<(DomainId, Serial)>,
) -> web::Result<Empty> {
    certs.revoke(&cx, domain, serial).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn quietly_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(serial): Path<Serial>,
) -> web::Result<Empty> {
    let domain = certs.domain_of_certificate(serial.clone()).await?;
    certs.revoke(&cx, domain, serial).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn all(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, client)): Path<(DomainId, ClientId)>,
) -> web::Result<Json<RevocationTime>> {
    let revocation_time = certs.revoke_all(&cx, domain, client, Keep::None).await?;
    Ok(Json(RevocationTime { revocation_time }))
}

pub(super) async fn of_client(
    State(certs): State<Certs>,
    cx: Context,
    Json(body): Json<RevokeOfClient>,
) -> web::Result<Json<RevocationTime>> {
    if body.client_id.is_empty() {
        return Err(Error::invalid("missing entity id").into());
    }
    let client: ClientId = body.client_id.parse()?;
    let keep = match (body.except_serial, body.keep_latest) {
        (Some(serial), false) => Keep::One(serial),
        (None, true) => Keep::Latest,
        (None, false) => Keep::None,
        (Some(_), true) => {
            return Err(Error::invalid("give either `except_serial` or `keep_latest`").into());
        }
    };
    let domain = certs.domain_of(client).await?;
    let revocation_time = certs.revoke_all(&cx, domain, client, keep).await?;
    Ok(Json(RevocationTime { revocation_time }))
}

pub(super) async fn delete(
    State(certs): State<Certs>,
    cx: Context,
    Path((domain, client)): Path<(DomainId, ClientId)>,
) -> web::Result<Empty> {
    certs.delete_all(&cx, domain, client).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_rooted(
    State(certs): State<Certs>,
    cx: Context,
    Path(client): Path<ClientId>,
) -> web::Result<Empty> {
    let domain = certs.domain_of(client).await?;
    certs.delete_all(&cx, domain, client).await?;
    Ok(Empty(StatusCode::NO_CONTENT))
}
