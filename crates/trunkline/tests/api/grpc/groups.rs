//! `groups.v1`, and what leaves groups and domains.

use db::testing::TestDb;
use grpc::pb::{
    channels::v1::UnsetParentGroupFromChannelsReq, clients::v1::UnsetParentGroupFromClientReq,
    common::v1::RetrieveEntityReq, domains::v1::DeleteUserReq,
};
use serde_json::json;
use tonic::Code;

use super::{Grpc, code};
use crate::plant::Plant;

fn id(id: &str) -> RetrieveEntityReq {
    RetrieveEntityReq { id: id.to_owned() }
}

db::both_databases! {
    async fn a_group_is_told_with_the_group_that_contains_it(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let domain = plant.admin.domain("plant").await;
        let above = plant.admin.group(&domain, "above", None).await;
        let below = plant.admin.group(&domain, "below", Some(&above)).await;
        let told = grpc.groups().retrieve_entity(id(&below)).await.unwrap().into_inner().entity.unwrap();
        assert_eq!((told.id, told.domain_id, told.parent_group_id, told.status), (below, domain.clone(), above, 0));
        assert_eq!(code(grpc.groups().retrieve_entity(id(&domain)).await), Code::NotFound);
        assert_eq!(code(grpc.groups().retrieve_entity(id("")).await), Code::InvalidArgument);
    }

    async fn a_group_lets_all_its_clients_go_and_all_its_channels(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let domain = plant.admin.domain("plant").await;
        let group = plant.admin.group(&domain, "hall", None).await;
        let made = async |kind: &str| {
            let body = json!({"name": "it", "parent_group_id": group});
            let made = plant.admin.post(&format!("/{domain}/{kind}"), body).await.expect(201);
            made["id"].as_str().unwrap().to_owned()
        };
        let (client, channel) = (made("clients").await, made("channels").await);
        let stays = plant.admin.group(&domain, "stays", Some(&group)).await;
        let parent = async |told: Result<tonic::Response<grpc::pb::common::v1::RetrieveEntityRes>, tonic::Status>| {
            told.unwrap().into_inner().entity.unwrap().parent_group_id
        };
        assert_eq!(parent(grpc.clients().retrieve_entity(id(&client)).await).await, group);
        plant.events().await;

        let clients = UnsetParentGroupFromClientReq { parent_group_id: group.clone() };
        grpc.clients().unset_parent_group_from_client(clients.clone()).await.unwrap();
        grpc.clients().unset_parent_group_from_client(clients).await.unwrap();
        assert_eq!(parent(grpc.clients().retrieve_entity(id(&client)).await).await, "");
        assert_eq!(parent(grpc.channels().retrieve_entity(id(&channel)).await).await, group);
        let channels = UnsetParentGroupFromChannelsReq { parent_group_id: group.clone() };
        grpc.channels().unset_parent_group_from_channels(channels).await.unwrap();
        assert_eq!(parent(grpc.channels().retrieve_entity(id(&channel)).await).await, "");
        assert_eq!(parent(grpc.groups().retrieve_entity(id(&stays)).await).await, group);
        let announced: Vec<_> = plant.events().await.into_iter().map(|(operation, _)| operation).collect();
        assert_eq!(announced, ["client.remove_parent", "channel.remove_parent"]);
    }

    async fn a_user_leaves_every_domain_with_all_rights_there(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, user) = (Grpc::of(&plant).await, plant.user("ada").await);
        let (one, two) = (user.domain("one").await, user.domain("two").await);
        let client = user.client(&one, "pump").await;
        user.get(&format!("/{one}/clients/{client}")).await.expect(200);
        plant.events().await;

        let ask = DeleteUserReq { id: user.id.clone() };
        assert!(grpc.domains().delete_user_from_domains(ask.clone()).await.unwrap().into_inner().deleted);
        assert!(grpc.domains().delete_user_from_domains(ask).await.unwrap().into_inner().deleted);
        assert_eq!(user.get(&format!("/{one}/clients/{client}")).await.status, 403);
        assert_eq!(user.get("/domains").await.expect(200)["total"], 0);
        assert_eq!(plant.count(&format!("role_members WHERE member_id = '{}'", user.id)).await, 0);
        let mut left: Vec<_> = plant.events().await.into_iter().map(|(operation, payload)| {
            assert_eq!((operation.as_str(), &payload["members"]), ("domain.members.remove", &json!([user.id])));
            payload["domain"].as_str().unwrap().to_owned()
        }).collect();
        left.sort_unstable();
        let mut domains = [one, two];
        domains.sort_unstable();
        assert_eq!(left, domains);
    }
}
