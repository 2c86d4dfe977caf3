//! `absmach.certs.CertsService`, and the same by another name: whose a certificate is, and all of a client taken back
//! (reference 04 §4.2).

use kernel::ClientId;
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::{
        absmach::certs::{EntityReq, EntityRes, RevokeReq, certs_service_server::CertsService},
        certs::client_service_server::ClientService,
    },
    services::id,
};

/// The service.
#[derive(Clone)]
pub(crate) struct CertsApi(pub(crate) Services);

impl CertsApi {
    async fn entity(&self, request: Request<EntityReq>) -> Result<Response<EntityRes>, Status> {
        let certs = &self.0.certs;
        let job = |_, ask: EntityReq| async move {
            let client = certs.owner(ask.serial_number.parse()?).await?;
            Ok(EntityRes { entity_id: client.to_string() })
        };
        self.0.call(request, job).await
    }

    async fn revoke(&self, request: Request<RevokeReq>) -> Result<Response<()>, Status> {
        let certs = &self.0.certs;
        let job = |info, ask: RevokeReq| async move {
            certs.revoke_for_service(&info, id::<ClientId>(&ask.entity_id)?).await
        };
        self.0.call(request, job).await
    }
}

#[tonic::async_trait]
impl CertsService for CertsApi {
    async fn get_entity_id(&self, request: Request<EntityReq>) -> Result<Response<EntityRes>, Status> {
        self.entity(request).await
    }

    async fn revoke_certs(&self, request: Request<RevokeReq>) -> Result<Response<()>, Status> {
        self.revoke(request).await
    }
}

#[tonic::async_trait]
impl ClientService for CertsApi {
    async fn get_entity_id(&self, request: Request<EntityReq>) -> Result<Response<EntityRes>, Status> {
        self.entity(request).await
    }

    async fn revoke_certs(&self, request: Request<RevokeReq>) -> Result<Response<()>, Status> {
        self.revoke(request).await
    }
}
