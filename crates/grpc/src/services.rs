//! What all services stand on, and what each call has in common.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use access::{Access, RequestInfo};
use kernel::{Error, Result, Route, UserId};
use registry::{EntryId, Located};
use tonic::{Request, Response, Status, service::Routes};
use tonic_reflection::pb as described;

use crate::{
    auth::Auth,
    certs::CertsApi,
    channels::ChannelsApi,
    clients::ClientsApi,
    domains::DomainsApi,
    groups::GroupsApi,
    pb::{
        DESCRIPTORS,
        absmach::certs::certs_service_server::CertsServiceServer,
        auth::v1::auth_service_server::AuthServiceServer,
        certs::client_service_server::ClientServiceServer as CertsClientServiceServer,
        channels::v1::channels_service_server::ChannelsServiceServer,
        clients::v1::clients_service_server::ClientsServiceServer,
        common::v1::{EntityBasic, RetrieveEntityReq, RetrieveEntityRes},
        domains::v1::domains_service_server::DomainsServiceServer,
        groups::v1::groups_service_server::GroupsServiceServer,
        token::v1::token_service_server::TokenServiceServer,
        users::v1::users_service_server::UsersServiceServer,
    },
    status,
    token::Token,
    users::UsersApi,
};

/// The capabilities behind the services; cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Tokens, relations, gates.
    pub access: Access,
    /// Users and their sessions.
    pub users: users::Users,
    /// Tenants.
    pub domains: domains::Domains,
    /// Devices and applications.
    pub clients: clients::Clients,
    /// Channels and who is connected to them.
    pub channels: channels::Channels,
    /// Certificates of clients.
    pub certs: ::certs::Certs,
}

/// The longest message either way, in bytes, as the reference's clients have it (reference 01 §6).
pub(crate) const MAX_MESSAGE: usize = 1 << 20;

/// The names under which the health of the services is asked for (reference 07 §4); the empty one is the whole server.
pub(crate) const HEALTH_NAMES: [&str; 8] =
    ["", "auth", "users", "domains", "groups", "channels", "clients", "certs"];

macro_rules! bounded {
    ($server:ident, $service:expr) => {
        $server::new($service).max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
    };
}

impl Services {
    /// All services, with reflection; health is the listener's.
    pub(crate) fn routes(&self) -> Result<Routes> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Each of the two brings its own description, and tells of the other.
        let v1 = reflection()
            .register_encoded_file_descriptor_set(described::v1alpha::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(Error::internal)?;
        let v1alpha = reflection()
            .register_encoded_file_descriptor_set(described::v1::FILE_DESCRIPTOR_SET)
            .build_v1alpha()
            .map_err(Error::internal)?;
        Ok(Routes::new(bounded!(AuthServiceServer, Auth(self.clone())))
            .add_service(bounded!(TokenServiceServer, Token(self.clone())))
            .add_service(bounded!(UsersServiceServer, UsersApi(self.clone())))
            .add_service(bounded!(DomainsServiceServer, DomainsApi(self.clone())))
            .add_service(bounded!(GroupsServiceServer, GroupsApi(self.clone())))
            .add_service(bounded!(ClientsServiceServer, ClientsApi(self.clone())))
            .add_service(bounded!(ChannelsServiceServer, ChannelsApi(self.clone())))
            .add_service(bounded!(CertsServiceServer, CertsApi(self.clone())))
            .add_service(bounded!(CertsClientServiceServer, CertsApi(self.clone())))
            .add_service(v1.max_decoding_message_size(MAX_MESSAGE))
            .add_service(v1alpha.max_decoding_message_size(MAX_MESSAGE)))
    }

    /// Whether this is the one user of stand-alone mode, who may do everything and of whom nothing is stored.
    pub(crate) fn is_standalone(&self, user: UserId) -> bool {
        self.access.settings().standalone.as_ref().is_some_and(|fixed| fixed.user == user)
    }

    /// Runs one call: gives it its instant and its id, and turns an error into a status.
    pub(crate) async fn call<Q, A, F>(
        &self,
        request: Request<Q>,
        job: impl FnOnce(RequestInfo, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        F: Future<Output = Result<A>>,
    {
        let info = RequestInfo {
            id: Arc::from(self.access.rng().uuid().to_string()),
            at: self.access.clock().now(),
            peer: request.remote_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip()),
        };
        let id = Arc::clone(&info.id);
        let answer = job(info, request.into_inner()).await;
        answer.map(Response::new).map_err(|error| status::of(&error, &id))
    }

    /// Tells where one thing of a kind is.
    pub(crate) async fn locate<I: EntryId + FromStr<Err = Error>>(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        let db = self.access.db();
        let job = |_, ask: RetrieveEntityReq| async move {
            let located = registry::locate::<I>(db, id(&ask.id)?).await?;
            Ok(RetrieveEntityRes { entity: Some(entity(located)) })
        };
        self.call(request, job).await
    }
}

/// A thing as the answer names it.
pub(crate) fn entity<I: EntryId>(located: Located<I>) -> EntityBasic {
    EntityBasic {
        id: located.id.to_string(),
        domain_id: located.domain.to_string(),
        parent_group_id: located.parent.map(|group| group.to_string()).unwrap_or_default(),
        status: number(located.status.code()),
    }
}

/// The answer that names a thing by its id alone.
pub(crate) fn only_id(id: &impl ToString) -> EntityBasic {
    EntityBasic { id: id.to_string(), ..EntityBasic::default() }
}

/// A number of the contract, which is small and never negative.
pub(crate) fn number(code: i64) -> u32 {
    u32::try_from(code).unwrap_or_default()
}

/// An id from a request.
pub(crate) fn id<T: FromStr<Err = Error>>(text: &str) -> Result<T> {
    if text.is_empty() { Err(Error::invalid("missing entity id")) } else { text.parse() }
}

/// A route from a request.
pub(crate) fn route(text: &str) -> Result<Route> {
    if text.is_empty() { Err(Error::invalid("missing route")) } else { text.parse() }
}
