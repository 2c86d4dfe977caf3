//! `clients.v1.ClientsService`: who a device is, and what it is connected to (reference 03 §7, §7.1).

use base64::{Engine, prelude::BASE64_STANDARD};
use channels::Connection;
use clients::connections::ConnectionType;
use kernel::{ClientId, Error, Result, Secret, Status as InUse};
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::{
        clients::v1::{
            AuthnReq, AuthnRes, RemoveChannelConnectionsReq, RemoveChannelConnectionsRes,
            UnsetParentGroupFromClientReq, UnsetParentGroupFromClientRes,
            clients_service_server::ClientsService,
        },
        common::v1::{
            self as common, AddConnectionsReq, AddConnectionsRes, RemoveConnectionsReq, RemoveConnectionsRes,
            RetrieveEntitiesReq, RetrieveEntitiesRes, RetrieveEntityReq, RetrieveEntityRes,
        },
    },
    services::{entity, id},
};

/// The service.
pub(crate) struct ClientsApi(pub(crate) Services);

/// The most clients that one request names.
const MOST: usize = 10_000;

#[tonic::async_trait]
impl ClientsService for ClientsApi {
    async fn authenticate(&self, request: Request<AuthnReq>) -> Result<Response<AuthnRes>, Status> {
        let clients = &self.0.clients;
        let job = |_, ask: AuthnReq| async move {
            let known = match shown(&ask)? {
                Shown::OfClient(id, secret) => clients.authenticate(id.parse()?, &secret).await?,
                Shown::InDomain(domain, secret) => clients.authenticate_in(domain.parse()?, &secret).await?,
                Shown::Nothing => None,
            };
            let known = known.filter(|known| known.status == InUse::Enabled).ok_or_else(Error::denied)?;
            Ok(AuthnRes { authenticated: true, id: known.id.to_string() })
        };
        self.0.call(request, job).await
    }

    async fn retrieve_entity(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        self.0.locate::<ClientId>(request).await
    }

    async fn retrieve_entities(
        &self,
        request: Request<RetrieveEntitiesReq>,
    ) -> Result<Response<RetrieveEntitiesRes>, Status> {
        let db = self.0.access.db();
        let job = |_, ask: RetrieveEntitiesReq| async move {
            if ask.ids.len() > MOST {
                return Err(Error::invalid(format!("too many ids in one request, at most {MOST}")));
            }
            let ids = ask.ids.iter().map(|text| id(text)).collect::<Result<Vec<ClientId>>>()?;
            let entities: Vec<_> =
                registry::locate_enabled(db, &ids).await?.into_iter().map(entity).collect();
            let count = entities.len() as u64;
            Ok(RetrieveEntitiesRes { total: count, limit: count, offset: 0, entities })
        };
        self.0.call(request, job).await
    }

    async fn add_connections(
        &self,
        request: Request<AddConnectionsReq>,
    ) -> Result<Response<AddConnectionsRes>, Status> {
        let channels = &self.0.channels;
        let job = |call, ask: AddConnectionsReq| async move {
            channels.add_connections(&call, connections(&ask.connections)?).await?;
            Ok(AddConnectionsRes { ok: true })
        };
        self.0.call(request, job).await
    }

    async fn remove_connections(
        &self,
        request: Request<RemoveConnectionsReq>,
    ) -> Result<Response<RemoveConnectionsRes>, Status> {
        let channels = &self.0.channels;
        let job = |call, ask: RemoveConnectionsReq| async move {
            channels.remove_connections(&call, connections(&ask.connections)?).await?;
            Ok(RemoveConnectionsRes { ok: true })
        };
        self.0.call(request, job).await
    }

    async fn remove_channel_connections(
        &self,
        request: Request<RemoveChannelConnectionsReq>,
    ) -> Result<Response<RemoveChannelConnectionsRes>, Status> {
        let channels = &self.0.channels;
        let job = |call, ask: RemoveChannelConnectionsReq| async move {
            channels.disconnect_all_from(&call, id(&ask.channel_id)?).await?;
            Ok(RemoveChannelConnectionsRes {})
        };
        self.0.call(request, job).await
    }

    async fn unset_parent_group_from_client(
        &self,
        request: Request<UnsetParentGroupFromClientReq>,
    ) -> Result<Response<UnsetParentGroupFromClientRes>, Status> {
        let clients = self.0.clients.entries();
        let job = |call, ask: UnsetParentGroupFromClientReq| async move {
            clients.empty(&call, id(&ask.parent_group_id)?).await?;
            Ok(UnsetParentGroupFromClientRes {})
        };
        self.0.call(request, job).await
    }
}

/// What a device has shown.
enum Shown {
    /// A client's id and its secret.
    OfClient(String, Secret<String>),
    /// A domain's id and a secret that is unique there.
    InDomain(String, Secret<String>),
    /// Nothing that anybody could have.
    Nothing,
}

/// Unpacks the forms of reference 03 §7.1.
fn shown(ask: &AuthnReq) -> Result<Shown> {
    if !ask.client_secret.is_empty() {
        return Ok(Shown::OfClient(ask.token.clone(), Secret::new(ask.client_secret.clone())));
    }
    let token = ask.token.as_str();
    let split = |packed: &str| {
        let malformed =
            || Error::invalid("malformed client token, expected `Basic` or `Domain` and then base64");
        let bytes = BASE64_STANDARD.decode(packed).map_err(|_| malformed())?;
        let text = String::from_utf8(bytes).map_err(|_| malformed())?;
        let (id, secret) = text.split_once(':').unwrap_or((&text, ""));
        Ok((id.to_owned(), Secret::new(secret.to_owned())))
    };
    if let Some(packed) = token.strip_prefix("Basic") {
        return split(packed).map(|(id, secret)| Shown::OfClient(id, secret));
    }
    if let Some(packed) = token.strip_prefix("Domain") {
        return split(packed).map(|(id, secret)| Shown::InDomain(id, secret));
    }
    split(token.strip_prefix("Unknown").unwrap_or(token)).map(|_| Shown::Nothing)
}

fn connections(wanted: &[common::Connection]) -> Result<Vec<Connection>> {
    wanted.iter().map(connection).collect()
}

fn connection(wanted: &common::Connection) -> Result<Connection> {
    Ok(Connection {
        domain: id(&wanted.domain_id)?,
        channel: id(&wanted.channel_id)?,
        client: id(&wanted.client_id)?,
        kind: connection_type(wanted.r#type)?,
    })
}

/// The type of a connection with this number.
pub(crate) fn connection_type(code: u32) -> Result<ConnectionType> {
    ConnectionType::from_code(code.into()).ok_or_else(|| {
        Error::invalid(format!("unknown connection type {code}, expected 1 (publish) or 2 (subscribe)"))
    })
}
