//! The questions of a Mosquitto whose plugin asks over gRPC (reference 08 §2.8), on the port of the policy service.
//!
//! Its callers show no token: the answer is about the client that they name, and tells nothing else. Which brokers may ask is
//! the policy service's setting; a secret that brokers must bring cannot be brought here.

use axum::Router;
use http::HeaderMap;
use policy::{Actions, Asking, Outcome, Policy, Shown, http::HttpOptions};
use tonic::{Request, Response, Status};
use web::{Connection, RequestId};

use crate::pb::brokers::{
    AuthResponse, CheckAclRequest, GetSuperuserRequest, GetUserRequest, NameResponse,
    auth_service_server::{AuthService, AuthServiceServer},
};

/// Longer than any question: four texts of MQTT's length.
const MAX_QUESTION: usize = 512 * 1024;

/// The service, to be mounted beside the policy service's own paths.
pub fn routes(policy: Policy, options: HttpOptions) -> Router {
    let server = AuthServiceServer::new(Brokers { policy, options }).max_decoding_message_size(MAX_QUESTION);
    Router::new().route_service("/grpc.AuthService/{method}", server)
}

struct Brokers {
    policy: Policy,
    options: HttpOptions,
}

/// Who asks.
struct From {
    connection: Connection,
    broker: String,
    request_id: RequestId,
}

impl From {
    fn asking(&self) -> Asking<'_> {
        Asking {
            broker: &self.broker,
            peer: self.connection.peer.ip(),
            request_id: self.request_id.as_str(),
            source: "mosquitto",
        }
    }
}

impl Brokers {
    fn admitted<T>(&self, request: &Request<T>) -> Result<From, Status> {
        let connection = request.extensions().get::<Connection>().copied().unwrap_or_default();
        let ip = connection.peer.ip();
        if !self.options.admits(ip, &HeaderMap::new(), "") {
            return Err(Status::permission_denied("this broker may not ask"));
        }
        self.policy.takes_question(ip).map_err(|outcome| Status::resource_exhausted(outcome.words()))?;
        Ok(From { connection, broker: ip.to_string(), request_id: RequestId::fresh() })
    }
}

/// A no is remembered by the plugin, an error is not.
fn answer(outcome: &Outcome) -> Result<Response<AuthResponse>, Status> {
    match outcome {
        Outcome::Unavailable => Err(Status::unavailable("cannot decide now")),
        Outcome::Limited { words, .. } => Err(Status::resource_exhausted(words.as_ref())),
        decided => Ok(Response::new(AuthResponse { ok: decided.is_granted() })),
    }
}

#[tonic::async_trait]
impl AuthService for Brokers {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<AuthResponse>, Status> {
        let from = self.admitted(&request)?;
        let GetUserRequest { username, password, clientid } = request.into_inner();
        let shown = Shown { bearer: None, username: &username, password: &password, clientid: &clientid };
        answer(&self.policy.user(&from.asking(), &shown).await)
    }

    async fn get_superuser(
        &self,
        request: Request<GetSuperuserRequest>,
    ) -> Result<Response<AuthResponse>, Status> {
        let from = self.admitted(&request)?;
        let username = request.into_inner().username;
        let shown = Shown { username: &username, ..Shown::default() };
        answer(&self.policy.superuser(&from.asking(), &shown).await)
    }

    async fn check_acl(&self, request: Request<CheckAclRequest>) -> Result<Response<AuthResponse>, Status> {
        let from = self.admitted(&request)?;
        let CheckAclRequest { username, topic, clientid, acc } = request.into_inner();
        let Some(actions) = Actions::of_mask(acc.into()) else {
            return Ok(Response::new(AuthResponse { ok: false }));
        };
        let shown = Shown { username: &username, clientid: &clientid, ..Shown::default() };
        answer(&self.policy.acl(&from.asking(), &shown, &topic, actions).await)
    }

    async fn get_name(&self, request: Request<()>) -> Result<Response<NameResponse>, Status> {
        self.admitted(&request)?;
        Ok(Response::new(NameResponse { name: "trunkline".to_owned() }))
    }

    /// One broker that stops does not stop the service of the others.
    async fn halt(&self, request: Request<()>) -> Result<Response<()>, Status> {
        self.admitted(&request)?;
        Ok(Response::new(()))
    }
}

#[cfg(test)]
mod tests;
