//! `token.v1.TokenService`: tokens are made, exchanged and revoked (reference 01 §6.3).

use access::identity::{Role, tokens::Purpose};
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

/// The kinds of tokens, by number (reference 01 §2.1).
const ACCESS: u8 = Purpose::Access.claim();
const RECOVERY: u8 = Purpose::Recovery.claim();
const API_KEY: u8 = Purpose::ApiKey.claim();
const INVITATION: u8 = Purpose::Invitation.claim();

#[tonic::async_trait]
impl TokenService for Token {
    async fn issue(&self, request: Request<IssueReq>) -> Result<Response<pb::Token>, Status> {
        let users = &self.0.users;
        let job = |call, ask: IssueReq| async move {
            let user: UserId = id(&ask.user_id)?;
            let role = u8::try_from(ask.user_role).ok().and_then(Role::from_claim);
            let role =
                role.ok_or_else(|| Error::invalid("invalid role, expected 1 (user) or 2 (administrator)"))?;
            match u8::try_from(ask.r#type) {
                Ok(ACCESS) => users.issue(&call, user, role, ask.description).await.map(|made| pair(&made)),
                Ok(RECOVERY) => users.issue_recovery(&call, user, role).await.map(|made| single(&made)),
                Ok(INVITATION) => users.issue_invitation(&call, user, role).await.map(|made| single(&made)),
                Ok(API_KEY) => Err(Error::invalid(
                    "an API key is made with its owner's access token, use `POST /keys` of the HTTP API",
                )),
                _ => Err(Error::invalid(
                    "invalid type of token, expected 0 (access), 2 (recovery) or 5 (invitation)",
                )),
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

/// A token that is not refreshed.
fn single(token: &Secret<String>) -> pb::Token {
    pb::Token {
        access_token: token.expose().clone(),
        refresh_token: Some(String::new()),
        access_type: String::new(),
    }
}

fn pair(pair: &TokenPair) -> pb::Token {
    pb::Token {
        access_token: pair.access.expose().clone(),
        refresh_token: Some(pair.refresh.expose().clone()),
        access_type: String::new(),
    }
}
