//! `token.v1`, and what no service takes.

use std::time::Duration;

use access::identity::tokens::Purpose;
use db::testing::TestDb;
use grpc::pb::{
    auth::v1::AuthNReq,
    token::v1::{IssueReq, ListUserRefreshTokensReq, RefreshReq, RevokeReq, Token},
};
use http::Method;
use kernel::Secret;
use serde_json::json;
use tonic::Code;

use super::{Grpc, code, refused};
use crate::plant::Plant;

fn issue(user: &str, role: u32) -> IssueReq {
    IssueReq {
        user_id: user.to_owned(),
        user_role: role,
        description: "adapter".to_owned(),
        ..IssueReq::default()
    }
}

fn refresh(token: &Token) -> RefreshReq {
    RefreshReq { refresh_token: token.refresh_token.clone().unwrap(), verified: true }
}

async fn sessions(grpc: &Grpc, user: &str) -> Vec<(String, String)> {
    let ask = ListUserRefreshTokensReq { user_id: user.to_owned() };
    let answer = grpc.tokens().list_user_refresh_tokens(ask).await.unwrap().into_inner();
    answer.refresh_tokens.into_iter().map(|token| (token.id, token.description)).collect()
}

db::both_databases! {
    async fn a_session_is_made_goes_on_and_is_ended(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, user) = (Grpc::of(&plant).await, plant.user("ada").await);
        plant.events().await;

        let first = grpc.tokens().issue(issue(&user.id, 1)).await.unwrap().into_inner();
        assert_eq!(plant.events().await[0].0, "user.issue_token");
        assert_eq!(user.with_token(&first.access_token).get("/users/profile").await.expect(200)["id"], user.id);
        let second = grpc.tokens().refresh(refresh(&first)).await.unwrap().into_inner();
        assert_ne!(second.refresh_token, first.refresh_token);
        let open = sessions(&grpc, &user.id).await;
        let (id, _) = open.iter().find(|(_, description)| description == "adapter").unwrap();
        plant.events().await;

        let revoke = |user: &str| RevokeReq { token_id: id.clone(), user_id: user.to_owned() };
        grpc.tokens().revoke(revoke(&plant.admin.id)).await.unwrap();
        assert_eq!(sessions(&grpc, &user.id).await, open, "another user's session is not ended");
        assert_eq!(plant.events().await, []);
        grpc.tokens().revoke(revoke(&user.id)).await.unwrap();
        grpc.tokens().revoke(revoke(&user.id)).await.unwrap();
        let events = plant.events().await;
        assert_eq!(events, [(
            "user.revoke_refresh_token".to_owned(),
            json!({"user_id": user.id, "token_id": id, "token_type": "service"}),
        )]);
        assert_eq!(code(grpc.tokens().refresh(refresh(&second)).await), Code::Unauthenticated);
    }

    async fn no_token_is_made_for_who_may_not_work_or_is_no_administrator(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, user) = (Grpc::of(&plant).await, plant.user("ada").await);

        let admin = grpc.tokens().issue(issue(&plant.admin.id, 2)).await.unwrap().into_inner();
        let known = grpc.auth().authenticate(AuthNReq { token: admin.access_token }).await.unwrap();
        assert_eq!(known.into_inner().user_role, 2);
        let lesser = grpc.tokens().issue(issue(&plant.admin.id, 1)).await.unwrap().into_inner();
        let known = grpc.auth().authenticate(AuthNReq { token: lesser.access_token }).await.unwrap();
        assert_eq!(known.into_inner().user_role, 1);

        assert_eq!(code(grpc.tokens().issue(issue(&user.id, 2)).await), Code::PermissionDenied);
        let nobody = "5f0b4e1c-7c3a-4a8e-9d53-0d8b9f3c2a11";
        assert_eq!(code(grpc.tokens().issue(issue(nobody, 1)).await), Code::NotFound);
        for bad in [issue(&user.id, 0), issue("", 1), IssueReq { r#type: 1, ..issue(&user.id, 1) }] {
            assert_eq!(code(grpc.tokens().issue(bad).await), Code::InvalidArgument);
        }
        plant.admin.post(&format!("/users/{}/disable", user.id), json!({})).await.expect(200);
        assert_eq!(code(grpc.tokens().issue(issue(&user.id, 1)).await), Code::PermissionDenied);
    }

    async fn a_recovery_token_sets_a_password_once_and_does_nothing_else(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, ann) = (Grpc::of(&plant).await, plant.user("ann").await);
        plant.events().await;
        let ask = IssueReq { r#type: 2, ..issue(&ann.id, 1) };
        let made = grpc.tokens().issue(ask.clone()).await.unwrap().into_inner();
        assert_eq!(made.refresh_token.as_deref(), Some(""));
        assert_eq!(plant.events().await, [], "no session was made");
        assert_eq!(sessions(&grpc, &ann.id).await.len(), 1);

        let recovery = ann.with_token(&made.access_token);
        recovery.get("/users/profile").await.refused(401);
        let body = json!({"password": "another horse", "confirm_password": "another horse"});
        recovery.send(Method::PUT, "/password/reset", Some(body.clone())).await.expect(201);
        recovery.send(Method::PUT, "/password/reset", Some(body.clone())).await.refused(401);

        // It does not outlive five minutes.
        let late = grpc.tokens().issue(ask).await.unwrap().into_inner();
        plant.clock.advance(Duration::from_secs(301));
        ann.with_token(&late.access_token).send(Method::PUT, "/password/reset", Some(body)).await.refused(401);
    }

    async fn an_invitation_token_invites_and_does_nothing_else_and_keys_are_made_over_http(db: TestDb) {
        let plant = Plant::new(db).await;
        let (grpc, ann) = (Grpc::of(&plant).await, plant.user("ann").await);
        let of_type = |r#type| IssueReq { r#type, ..issue(&ann.id, 1) };
        let made = grpc.tokens().issue(of_type(5)).await.unwrap().into_inner();
        let token = Secret::new(made.access_token);
        let now = plant.clock.now();
        let verified = plant.access().verify(&token, Purpose::Invitation, now).await.unwrap();
        assert_eq!(verified.expires_at, now.after(Duration::from_secs(168 * 3600)));
        ann.with_token(token.expose()).get("/domains").await.refused(401);
        let bearer = AuthNReq { token: token.expose().clone() };
        assert_eq!(code(grpc.auth().authenticate(bearer).await), Code::Unauthenticated);

        let (refusal, message) = refused(grpc.tokens().issue(of_type(3)).await);
        assert_eq!(refusal, Code::InvalidArgument);
        assert!(message.contains("`POST /keys`"), "{message}");
        for nonsense in [1, 4, 6, 256, u32::MAX] {
            let (refusal, message) = refused(grpc.tokens().issue(of_type(nonsense)).await);
            assert_eq!(refusal, Code::InvalidArgument);
            assert!(message.contains("0 (access), 2 (recovery) or 5 (invitation)"), "{message}");
        }
        for r#type in [2, 5] {
            let admin = IssueReq { r#type, ..issue(&ann.id, 2) };
            assert_eq!(code(grpc.tokens().issue(admin).await), Code::PermissionDenied);
        }
        plant.admin.post(&format!("/users/{}/disable", ann.id), json!({})).await.expect(200);
        for r#type in [2, 5] {
            assert_eq!(code(grpc.tokens().issue(of_type(r#type)).await), Code::PermissionDenied);
        }
    }

    async fn a_message_over_the_limit_is_refused_and_the_connection_lives_on(db: TestDb) {
        let plant = Plant::new(db).await;
        let grpc = Grpc::of(&plant).await;
        let token = "x".repeat(1 << 20);
        let (code, message) = refused(grpc.auth().authenticate(AuthNReq { token }).await);
        assert_eq!(code, Code::OutOfRange, "{message}");
        assert_eq!(sessions(&grpc, &plant.admin.id).await.len(), 1);
    }
}
