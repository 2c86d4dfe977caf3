//! Who is calling (reference 05 §3.3 and §17.2).

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose};
use http::request::Parts;
use kernel::{Error, Secret};
use tls::Certificate;
use web::{ClientCertificate, Connection, Guard};

use crate::engine::Engine;
use crate::gate::{Credentials, Identity};
use crate::topic::Address;

/// What a request shows of its caller.
pub(super) struct Caller {
    guard: Option<Guard>,
    authorization: Secret<String>,
    user_name: String,
    peer: IpAddr,
    certificate: Option<Arc<Certificate>>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let header = |name: &str| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().trim().to_owned()
        };
        let (authorization, user_name) = (Secret::new(header("authorization")), header("x-fluxmq-username"));
        let Ok(connection) = Connection::from_request_parts(parts, state).await;
        let Ok(ClientCertificate(certificate)) = ClientCertificate::from_request_parts(parts, state).await;
        let guard = Guard::from_request_parts(parts, state).await.ok();
        Ok(Self { guard, authorization, user_name, peer: connection.peer.ip(), certificate })
    }
}

impl Caller {
    /// Takes what the query says where there is no header: a browser cannot set one on a WebSocket.
    pub(super) fn or_query(mut self, authorization: Option<String>) -> Self {
        if self.authorization.expose().is_empty()
            && let Some(authorization) = authorization
        {
            self.authorization = Secret::new(authorization.trim().to_owned());
        }
        self
    }

    /// Asks the gate. A secret may be unique in a domain only, so the topic is looked at first.
    pub(super) async fn authenticate(
        &self,
        engine: &Engine,
        address: &Address<'_>,
    ) -> kernel::Result<Identity> {
        let authorization = self.authorization.expose().as_str();
        if authorization.is_empty() && self.certificate.is_none() {
            return Err(Error::unauthenticated());
        }
        let domain = domain_of(engine, address).await?;
        // Schemes are written in any case (RFC 9110 §11.1).
        let (scheme, value) = authorization.split_once(' ').unwrap_or(("", authorization));
        let pair;
        let shown = match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                pair = Secret::new(decode_pair(value).ok_or_else(Error::unauthenticated)?);
                let (id, secret) = pair.expose().split_once(':').ok_or_else(Error::unauthenticated)?;
                Credentials::Basic { id, secret, domain: &domain }
            }
            "bearer" => Credentials::Bearer { token: value, user_name: &self.user_name, domain: &domain },
            "client" | "thing" => Credentials::Secret { secret: value, domain: &domain },
            _ => Credentials::Secret { secret: authorization, domain: &domain },
        };
        let credentials = match &self.certificate {
            None => shown,
            Some(certificate) => {
                let with = (!authorization.is_empty()).then_some(&shown);
                Credentials::Certificate { certificate, with, domain: &domain }
            }
        };
        let identity = engine.gate().authenticate(credentials, self.peer).await?;
        if let Some(guard) = &self.guard {
            guard.mark_signed_in();
        }
        Ok(identity)
    }
}

/// The address of a topic, or the contract's words for one that is none.
pub(super) fn address_of<'a>(engine: &Engine, topic: &'a str) -> kernel::Result<Address<'a>> {
    engine.address_of(topic).map_err(|error| Error::invalid(format!("failed to publish : {error}")))
}

/// The domain of a topic. Legacy topics do not name it: there it is that of the channel, or none.
async fn domain_of(engine: &Engine, address: &Address<'_>) -> kernel::Result<String> {
    match address {
        Address::Channel(legacy) if legacy.domain.is_empty() => {
            let found = engine.gate().resolve("", &legacy.channel).await?;
            Ok(found.map(|(domain, _)| domain.to_string()).unwrap_or_default())
        }
        named => Ok(named.domain().to_owned()),
    }
}

/// `id:secret` in either base64 alphabet (reference 03 §7.1).
fn decode_pair(encoded: &str) -> Option<String> {
    let bytes = general_purpose::STANDARD
        .decode(encoded)
        .or_else(|_| general_purpose::URL_SAFE.decode(encoded))
        .ok()?;
    String::from_utf8(bytes).ok()
}
