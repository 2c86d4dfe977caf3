//! `groups.v1.GroupsService`: what is known of groups (reference 02 §7).

use kernel::GroupId;
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::{
        common::v1::{RetrieveEntityReq, RetrieveEntityRes},
        groups::v1::groups_service_server::GroupsService,
    },
};

/// The service.
pub(crate) struct GroupsApi(pub(crate) Services);

#[tonic::async_trait]
impl GroupsService for GroupsApi {
    async fn retrieve_entity(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        self.0.locate::<GroupId>(request).await
    }
}
