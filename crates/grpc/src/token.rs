//! `token.v1.TokenService`: tokens are made, exchanged and revoked (reference 01 §6.3).

use access::identity::Role;
use kernel::{Error, Kind, Result, Secret, UserId};
use tonic::{Request, Response, Status};
use users::login::TokenPair;

use crate::{
    Services,
    pb::token::v1::{
        self as pb, IssueReq, ListUserRefreshTokensReq, ListUserRefreshTokensRes, RefreshReq, RefreshToken,
        RevokeReq, RevokeRes, token_service_server::TokenService,
    },
    services::id,
};

/// The service.
pub(crate) struct Token(pub(crate) Services);

/// The kind of token that calls the API (reference 01 §2.1).
const ACCESS: u32 = 0;

#[tonic::async_trait]
impl TokenService for Token {
    async fn issue(&self, request: Request<IssueReq>) -> Result<Response<pb::Token>, Status> {
        let users = &self.0.users;
        let job = |call, ask: IssueReq| async move {
            let user: UserId = id(&ask.user_id)?;
            let role = u8::try_from(ask.user_role).ok().and_then(Role::from_claim);
            let role =
                role.ok_or_else(|| Error::invalid("invalid role, expected 1 (user) or 2 (administrator)"))?;
            match ask.r#type {
                ACCESS => users.issue(&call, user, role, ask.description).await.map(|made| pair(&made)),
                _ => Err(Error::invalid("invalid type of token, expected 0 (access)")),
            }
        };
        self.0.call(request, job).await
    }

    async fn refresh(&self, request: Request<RefreshReq>) -> Result<Response<pb::Token>, Status> {
        let users = &self.0.users;
        let job = |call, ask: RefreshReq| async move {
            if ask.refresh_token.is_empty() {
                return Err(Error::new(Kind::Invalid, "missing refresh token"));
            }
            users.refresh(&call, &Secret::new(ask.refresh_token)).await.map(|made| pair(&made))
        };
        self.0.call(request, job).await
    }

    async fn revoke(&self, request: Request<RevokeReq>) -> Result<Response<RevokeRes>, Status> {
        let users = &self.0.users;
        let job = |call, ask: RevokeReq| async move {
            if ask.token_id.is_empty() {
                return Err(Error::invalid("missing token id"));
            }
            users.end_session(&call, id(&ask.user_id)?, ask.token_id).await?;
            Ok(RevokeRes {})
        };
        self.0.call(request, job).await
    }

    async fn list_user_refresh_tokens(
        &self,
        request: Request<ListUserRefreshTokensReq>,
    ) -> Result<Response<ListUserRefreshTokensRes>, Status> {
        let users = &self.0.users;
        let job = |call: access::RequestInfo, ask: ListUserRefreshTokensReq| async move {
            let sessions = users.sessions_of(id(&ask.user_id)?, call.at).await?;
            let refresh_tokens = sessions
                .into_iter()
                .map(|session| RefreshToken { id: session.id, description: session.description })
                .collect();
            Ok(ListUserRefreshTokensRes { refresh_tokens })
        };
        self.0.call(request, job).await
    }
}

fn pair(pair: &TokenPair) -> pb::Token {
    pb::Token {
        access_token: pair.access.expose().clone(),
        refresh_token: Some(pair.refresh.expose().clone()),
        access_type: String::new(),
    }
}
