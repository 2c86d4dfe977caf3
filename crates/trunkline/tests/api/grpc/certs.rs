//! `absmach.certs`, by both of its names.

use db::testing::TestDb;
use grpc::pb::{
    absmach::certs::{EntityReq, RevokeReq},
    certs::client_service_client::ClientServiceClient,
};
use serde_json::{Value, json};
use tonic::Code;

use super::{Grpc, code};
use crate::plant::Plant;

fn whose(serial: &str) -> EntityReq {
    EntityReq { serial_number: serial.to_owned() }
}

fn all_of(client: &str) -> RevokeReq {
    RevokeReq { entity_id: client.to_owned() }
}

db::both_databases! {
    async fn a_certificate_tells_its_client_and_all_of_a_client_are_taken_back(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let domain = plant.admin.domain("plant").await;
        let (client, other) = (plant.admin.client(&domain, "pump").await, plant.admin.client(&domain, "other").await);
        let issued = async |client: &str| {
            let body = json!({"client_id": client, "ttl": "1h"});
            let made = plant.admin.post(&format!("/{domain}/certs"), body).await.expect(201);
            made["serial_number"].as_str().unwrap().to_owned()
        };
        let (first, second, kept) = (issued(&client).await, issued(&client).await, issued(&other).await);
        let mut again = ClientServiceClient::new(grpc.channel.clone());
        for form in [first.clone(), first.replace(':', "").to_uppercase()] {
            assert_eq!(grpc.certs().get_entity_id(whose(&form)).await.unwrap().into_inner().entity_id, client);
            assert_eq!(again.get_entity_id(whose(&form)).await.unwrap().into_inner().entity_id, client);
        }
        assert_eq!(code(grpc.certs().get_entity_id(whose("20:f4:bd")).await), Code::NotFound);
        assert_eq!(code(grpc.certs().get_entity_id(whose("no number")).await), Code::InvalidArgument);

        plant.events().await;
        grpc.certs().revoke_certs(all_of(&client)).await.unwrap();
        let told = plant.events().await;
        let mut serials: Vec<_> = told.iter().map(|(_, payload)| payload["serial_number"].clone()).collect();
        serials.sort_by_key(|serial| *serial != json!(first));
        assert_eq!(serials, [json!(first), json!(second)]);
        assert!(told.iter().all(|(operation, _)| operation == "certificate.revoke"), "{told:?}");
        let revoked = async |serial: &str| -> Value {
            plant.admin.get(&format!("/{domain}/certs/{serial}")).await.expect(200)["revoked"].clone()
        };
        assert_eq!((revoked(&first).await, revoked(&second).await), (json!(true), json!(true)));
        assert_eq!(revoked(&kept).await, json!(false), "only those of the client");
        assert!(plant.registry.certs.revoked().contains(&first.replace(':', "")), "handshakes know it");

        again.revoke_certs(all_of(&client)).await.unwrap();
        assert_eq!(plant.events().await, [], "it was done already");
        assert_eq!(code(grpc.certs().revoke_certs(all_of(&domain)).await), Code::NotFound);
        assert_eq!(code(grpc.certs().revoke_certs(all_of("")).await), Code::InvalidArgument);
        assert_eq!(code(grpc.certs().revoke_certs(all_of("pump")).await), Code::InvalidArgument);
    }
}
