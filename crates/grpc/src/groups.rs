//! `groups.v1.GroupsService`: what is known of groups (reference 02 §7).

use kernel::GroupId;
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::{
        common::v1::{RetrieveEntityReq, RetrieveEntityRes},
        groups::v1::groups_service_server::GroupsService,
    },
    services::{entity, id},
};

/// The service.
pub(crate) struct GroupsApi(pub(crate) Services);

#[tonic::async_trait]
impl GroupsService for GroupsApi {
    async fn retrieve_entity(
        &self,
        request: Request<RetrieveEntityReq>,
    ) -> Result<Response<RetrieveEntityRes>, Status> {
        let db = self.0.access.db();
        let job = |_, ask: RetrieveEntityReq| async move {
            let located = registry::locate::<GroupId>(db, id(&ask.id)?).await?;
            Ok(RetrieveEntityRes { entity: Some(entity(located)) })
        };
        self.0.call(request, job).await
    }
}
