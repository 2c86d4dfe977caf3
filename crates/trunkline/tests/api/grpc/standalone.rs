//! The one user of stand-alone mode, as other services of the installation ask about it.

use db::{both_databases, testing::TestDb};
use grpc::pb::{
    auth::v1::{AuthNReq, AuthZReq, PolicyReq},
    channels::v1::AuthzReq,
};
use serde_json::json;
use tonic::Code;

use super::{Grpc, code};
use crate::plant::Plant;

const USER: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
const OTHER: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a13";
const DOMAIN: &str = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a12";
const TOKEN: &str = "a token that nobody guesses";

both_databases! {
    async fn grpc_agrees_about_who_the_one_user_is_and_that_it_may_do_everything(db: TestDb) {
        let (plant, edge) = Plant::standalone(db, USER, TOKEN).await;
        let (client, channel) = (edge.client(DOMAIN, "pump").await, edge.channel(DOMAIN, "boiler").await);
        let grpc = Grpc::of(&plant).await;
        let whose = |token: &str| AuthNReq { token: token.to_owned() };
        let known = grpc.auth().authenticate(whose(TOKEN)).await.unwrap().into_inner();
        assert_eq!((known.user_id.as_str(), known.user_role, known.verified), (USER, 2, true));
        for other in ["", "a token that nobody guesse", "x.y.z"] {
            assert_eq!(code(grpc.auth().authenticate(whose(other)).await), Code::Unauthenticated, "{other}");
        }
        let policy = |subject: String| AuthZReq {
            policy_req: Some(PolicyReq {
                subject_type: "user".to_owned(),
                subject,
                permission: "delete_permission".to_owned(),
                object_type: "client".to_owned(),
                object: client.clone(),
                ..PolicyReq::default()
            }),
            ..AuthZReq::default()
        };
        let publish = |client_id: String| AuthzReq {
            domain_id: DOMAIN.to_owned(),
            client_id,
            client_type: "user".to_owned(),
            channel_id: channel.clone(),
            r#type: 1,
        };
        for named in [USER.to_owned(), format!("{DOMAIN}_{USER}")] {
            assert!(grpc.auth().authorize(policy(named.clone())).await.unwrap().into_inner().authorized);
            assert!(grpc.channels().authorize(publish(named)).await.unwrap().into_inner().authorized);
        }
        for named in [OTHER.to_owned(), format!("{DOMAIN}_{OTHER}"), plant.registry.users.find("admin").await.unwrap().unwrap().to_string()] {
            assert_eq!(code(grpc.auth().authorize(policy(named.clone())).await), Code::PermissionDenied, "{named}");
            assert_eq!(code(grpc.channels().authorize(publish(named)).await), Code::PermissionDenied);
        }
        edge.post(&format!("/{DOMAIN}/channels/{channel}/disable"), json!({})).await.expect(200);
        assert_eq!(code(grpc.channels().authorize(publish(USER.to_owned())).await), Code::PermissionDenied);
    }
}
