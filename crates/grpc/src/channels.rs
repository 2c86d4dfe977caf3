//! `channels.v1.ChannelsService`: who may use a channel now (reference 03 §7, §7.2).

use access::graph::Subject;
use kernel::{ChannelId, DomainId, Error, Result, UserId};
use tonic::{Request, Response, Status};

use crate::{
    Services,
    clients::connection_type,
    pb::{
        channels::v1::{
            AuthzReq, AuthzRes, RemoveClientConnectionsReq, RemoveClientConnectionsRes,
            UnsetParentGroupFromChannelsReq, UnsetParentGroupFromChannelsRes,
            channels_service_server::ChannelsService,
        },
        common::v1::{RetrieveEntityReq, RetrieveEntityRes, RetrieveIdByRouteReq},
    },
    services::{id, only_id, route},
};

/// The service.
pub(crate) struct ChannelsApi(pub(crate) Services);

#[tonic::async_trait]
impl ChannelsService for ChannelsApi {
    async fn authorize(&self, request: Request<AuthzReq>) -> Result<Response<AuthzRes>, Status> {
        let api = self;
        let job = |_, ask: AuthzReq| async move {
            match api.allowed(&ask).await? {
                true => Ok(AuthzRes { authorized: true }),
                false => Err(Error::denied()),
            }
        };
        self.0.call(request, job).await
    }

    async fn remove_client_connections(
        &self,
        request: Request<RemoveClientConnectionsReq>,
    ) -> Result<Response<RemoveClientConnectionsRes>, Status> {
        let channels = &self.0.channels;
        let job = |call, ask: RemoveClientConnectionsReq| async move {
            channels.disconnect_everywhere(&call, id(&ask.client_id)?).await?;
            Ok(RemoveClientConnectionsRes {})
        };
        self.0.call(request, job).await
    }

    async fn unset_parent_group_from_channels(
        &self,
        request: Request<UnsetParentGroupFromChannelsReq>,
    ) -> Result<Response<UnsetParentGroupFromChannelsRes>, Status> {
        let channels = self.0.channels.entries();
        let job = |call, ask: UnsetParentGroupFromChannelsReq| async move {
            channels.empty(&call, id(&ask.parent_group_id)?).await?;
            Ok(UnsetParentGroupFromChannelsRes {})
        };
        self.0.call(request, job).await
    }

    async fn retrieve_entity(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        self.0.locate::<ChannelId>(request).await
    }

    async fn retrieve_id_by_route(
        &self,
        request: Request<RetrieveIdByRouteReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        let channels = &self.0.channels;
        let job = |_, ask: RetrieveIdByRouteReq| async move {
            let route = route(&ask.route)?;
            if ask.domain_id.is_empty() {
                return Err(Error::invalid("missing domainID"));
            }
            let found = channels.by_route(id(&ask.domain_id)?, route).await?.ok_or_else(Error::not_found)?;
            Ok(RetrieveEntityRes { entity: Some(only_id(&found)) })
        };
        self.0.call(request, job).await
    }
}

impl ChannelsApi {
    async fn allowed(&self, ask: &AuthzReq) -> Result<bool> {
        let kind = connection_type(ask.r#type)?;
        let is_user = ask.client_type == "user";
        if ask.domain_id.is_empty() {
            return match is_user {
                true => Err(Error::invalid("domain id required for users")),
                // Without a domain there is none that could be open.
                false => Ok(false),
            };
        }
        let (domain, channel) = (id(&ask.domain_id)?, id(&ask.channel_id)?);
        match ask.client_type.as_str() {
            "client" => self.0.channels.may_client(id(&ask.client_id)?, domain, channel, kind).await,
            "user" => match self.subject(&ask.client_id, domain).await? {
                Some(Subject::Member(_, user) | Subject::PlatformAdmin(user))
                    if self.0.is_standalone(user) =>
                {
                    self.0.channels.passes_messages(domain, channel).await
                }
                Some(subject) => self.0.channels.may_user(subject, domain, channel, kind).await,
                None => Ok(false),
            },
            _ => Err(Error::unauthenticated()),
        }
    }

    /// A user who may work at all, as relations name it: within this domain, or bare.
    async fn subject(&self, text: &str, domain: DomainId) -> Result<Option<Subject>> {
        let (subject, user) = match text.split_once('_') {
            Some((within, user)) => {
                let user: UserId = id(user)?;
                if id::<DomainId>(within)? != domain {
                    return Ok(None);
                }
                (Subject::Member(domain, user), user)
            }
            None => {
                let user = id(text)?;
                (Subject::PlatformAdmin(user), user)
            }
        };
        if self.0.access.settings().standalone.is_some() {
            return Ok(self.0.is_standalone(user).then_some(subject));
        }
        let account = self.0.access.accounts().get(self.0.access.db(), user).await?;
        Ok(account.filter(|account| account.enabled).map(|_| subject))
    }
}
