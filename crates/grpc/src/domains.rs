//! `domains.v1.DomainsService`: whether domains are open, and what they are called (reference 02 §7).

use kernel::{DomainId, Error, Result};
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::{
        common::v1::{EntityBasic, RetrieveEntityReq, RetrieveEntityRes, RetrieveIdByRouteReq},
        domains::v1::{DeleteUserReq, DeleteUserRes, domains_service_server::DomainsService},
    },
    services::{id, number, only_id, route},
};

/// The service.
pub(crate) struct DomainsApi(pub(crate) Services);

#[tonic::async_trait]
impl DomainsService for DomainsApi {
    async fn delete_user_from_domains(
        &self,
        request: Request<DeleteUserReq>,
    ) -> Result<Response<DeleteUserRes>, Status> {
        let domains = &self.0.domains;
        let job = |call, ask: DeleteUserReq| async move {
            domains.let_go(&call, id(&ask.id)?).await?;
            Ok(DeleteUserRes { deleted: true })
        };
        self.0.call(request, job).await
    }

    async fn retrieve_status(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        let access = &self.0.access;
        let job = |_, ask: RetrieveEntityReq| async move {
            let domain: DomainId = id(&ask.id)?;
            let gate = access.gates().get(access.db(), domain).await?.ok_or_else(Error::not_found)?;
            let entity = EntityBasic { status: number(gate.code()), ..EntityBasic::default() };
            Ok(RetrieveEntityRes { entity: Some(entity) })
        };
        self.0.call(request, job).await
    }

    async fn retrieve_id_by_route(
        &self,
        request: Request<RetrieveIdByRouteReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        let domains = &self.0.domains;
        let job = |_, ask: RetrieveIdByRouteReq| async move {
            let found = domains.by_route(route(&ask.route)?).await?.ok_or_else(Error::not_found)?;
            Ok(RetrieveEntityRes { entity: Some(only_id(&found)) })
        };
        self.0.call(request, job).await
    }
}
