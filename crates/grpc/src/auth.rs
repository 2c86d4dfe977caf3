//! `auth.v1.AuthService`: who is calling, and whether a subject may do something (reference 01 §6.2, 02 §5.7).
//!
//! A no is an error, never `authorized: false`. Whether a domain is open is the asking service's to find out
//! (`DomainsService/RetrieveStatus`), as the reference has it.

use access::{graph::PLATFORM_ID, identity::Credential, pats, pats::Ask};
use kernel::{Error, Kind, PatId, Result, Secret, Timestamp, UserId};
use tonic::{Request, Response, Status};

use crate::{
    Services,
    pb::auth::v1::{
        AuthNReq, AuthNRes, AuthZPatReq, AuthZReq, AuthZRes, PatReq, PolicyReq,
        auth_service_server::AuthService,
    },
};

/// The service.
pub(crate) struct Auth(pub(crate) Services);

#[tonic::async_trait]
impl AuthService for Auth {
    async fn authenticate(&self, request: Request<AuthNReq>) -> Result<Response<AuthNRes>, Status> {
        let auth = self;
        auth.0.call(request, |call, ask| async move { auth.whose(ask, call.at).await }).await
    }

    async fn authorize(&self, request: Request<AuthZReq>) -> Result<Response<AuthZRes>, Status> {
        let auth = self;
        auth.0
            .call(request, |_, ask| async move {
                let policy = ask.policy_req.unwrap_or_default();
                checked(&policy)?;
                if let Some(pat) = ask.pat_req.filter(|pat| !pat.pat_id.is_empty()) {
                    auth.in_scope(&pat).await?;
                    acts_for(&policy, &pat)?;
                }
                auth.allowed(&policy).await
            })
            .await
    }

    async fn authenticate_pat(&self, request: Request<AuthNReq>) -> Result<Response<AuthNRes>, Status> {
        let auth = self;
        auth.0
            .call(request, |call, ask| async move {
                if !ask.token.starts_with("pat_") {
                    return Err(Error::unauthenticated());
                }
                auth.whose(ask, call.at).await
            })
            .await
    }

    async fn authorize_pat(&self, request: Request<AuthZPatReq>) -> Result<Response<AuthZRes>, Status> {
        let auth = self;
        auth.0
            .call(request, |_, ask| async move {
                auth.in_scope(&current(ask)?).await?;
                Ok(yes())
            })
            .await
    }
}

impl Auth {
    async fn whose(&self, ask: AuthNReq, now: Timestamp) -> Result<AuthNRes> {
        if ask.token.is_empty() {
            return Err(Error::new(Kind::Unauthenticated, "missing or invalid bearer user token"));
        }
        let verified = self.0.access.verify_caller(&Secret::new(ask.token), now).await?;
        let caller = &verified.caller;
        let is_pat = matches!(caller.credential, Credential::Pat(_));
        Ok(AuthNRes {
            id: verified.id.clone().unwrap_or_default(),
            user_id: caller.user.to_string(),
            user_role: u32::from(caller.role.claim()),
            verified: caller.verified && !is_pat,
            token_type: u32::from(verified.token_type()),
        })
    }

    async fn allowed(&self, policy: &PolicyReq) -> Result<AuthZRes> {
        let subject = (policy.subject_type.as_str(), policy.subject.as_str());
        let object = (policy.object_type.as_str(), policy.object.as_str());
        let standalone = || user_of(&policy.subject).is_ok_and(|user| self.0.is_standalone(user));
        if policy.subject_type == UserId::KIND && standalone() {
            return Ok(yes());
        }
        let granted = self.0.access.graph().check_named(subject, &policy.permission, object).await?;
        if granted && (policy.subject_type != UserId::KIND || self.works(&policy.subject).await?) {
            return Ok(yes());
        }
        Err(Error::denied())
    }

    /// Whether the user that relations name so, within a domain or bare, may work at all: in stand-alone mode nobody but the
    /// fixed user. Who verifies tokens by their signature alone relies on it.
    async fn works(&self, subject: &str) -> Result<bool> {
        let user = user_of(subject)?;
        let access = &self.0.access;
        if access.settings().standalone.is_some() {
            return Ok(false);
        }
        Ok(access.accounts().get(access.db(), user).await?.is_some_and(|account| account.enabled))
    }

    /// Denied unless the token is its owner's, stands, and one of its scopes names the operation.
    async fn in_scope(&self, pat: &PatReq) -> Result<()> {
        let missing = |text: &str, what: &'static str| match text {
            "" => Err(Error::invalid(what)),
            _ => Ok(()),
        };
        missing(&pat.user_id, "missing user id")?;
        missing(&pat.entity_id, "missing entity id")?;
        missing(&pat.entity_type, "missing entity type")?;
        let (owner, id): (UserId, PatId) = (pat.user_id.parse()?, pat.pat_id.parse()?);
        if !self.works(&pat.user_id).await? {
            return Err(Error::denied());
        }
        let domain = if pat.domain.is_empty() { pats::ANY } else { &pat.domain };
        let ask = Ask {
            entity_type: pat.entity_type.clone().into(),
            domain: domain.to_owned(),
            operation: pat.operation.clone().into(),
            entity: pat.entity_id.clone(),
        };
        match pats::permits_of(&self.0.access, id, owner, &[ask]).await? {
            true => Ok(()),
            false => Err(Error::denied()),
        }
    }
}

fn yes() -> AuthZRes {
    AuthZRes { authorized: true, id: String::new() }
}

fn checked(policy: &PolicyReq) -> Result<()> {
    if policy.subject.is_empty() || policy.subject_type.is_empty() {
        return Err(Error::invalid("malformed policy subject"));
    }
    if policy.object.is_empty() || policy.object_type.is_empty() {
        return Err(Error::invalid("malformed policy object"));
    }
    if policy.permission.is_empty() {
        return Err(Error::invalid("malformed policy permission"));
    }
    if policy.object_type == "platform" && policy.object != PLATFORM_ID {
        return Err(Error::invalid("malformed policy object"));
    }
    Ok(())
}

/// The user that relations name so, within a domain or bare.
fn user_of(subject: &str) -> Result<UserId> {
    subject.rsplit_once('_').map_or(subject, |(_, user)| user).parse()
}

/// Denied where a token of one user is to vouch for another.
fn acts_for(policy: &PolicyReq, pat: &PatReq) -> Result<()> {
    let user = policy.subject.rsplit_once('_').map_or(policy.subject.as_str(), |(_, user)| user);
    if user == pat.user_id { Ok(()) } else { Err(Error::denied()) }
}

/// The older question in today's words (reference 01 §6.2, §4.4).
fn current(ask: AuthZPatReq) -> Result<PatReq> {
    let unknown = || Error::invalid("operation not valid for entity type");
    let entity = *["groups", "channels", "clients", "domains", "users", "dashboards", "messages"]
        .get(ask.entity_type as usize)
        .ok_or_else(unknown)?;
    let operation = match (ask.operation, entity) {
        (0, "groups" | "channels" | "clients") => format!("create_{entity}"),
        (0, _) => "create".to_owned(),
        (1, "domains" | "dashboards") => "read".to_owned(),
        (1, _) => "view".to_owned(),
        (2, "groups" | "channels" | "clients") => format!("list_{entity}"),
        (2, _) => "list".to_owned(),
        (3, _) => "update".to_owned(),
        (4, _) => "delete".to_owned(),
        (5, _) => "dashboard_share".to_owned(),
        (6, _) => "dashboard_unshare".to_owned(),
        (7, _) => "message_publish".to_owned(),
        (8, _) => "message_subscribe".to_owned(),
        _ => return Err(unknown()),
    };
    Ok(PatReq {
        pat_id: ask.pat_id,
        domain: ask.optional_domain_id,
        operation,
        user_id: ask.user_id,
        entity_id: ask.entity_id,
        entity_type: entity.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_numbers_become_the_names_that_scopes_have() {
        let ask = |entity_type, operation| AuthZPatReq { entity_type, operation, ..AuthZPatReq::default() };
        let named = |entity_type, operation| {
            let pat = current(ask(entity_type, operation)).unwrap();
            format!("{} {}", pat.entity_type, pat.operation)
        };
        assert_eq!(named(2, 0), "clients create_clients");
        assert_eq!(named(1, 1), "channels view");
        assert_eq!(named(3, 1), "domains read");
        assert_eq!(named(0, 2), "groups list_groups");
        assert_eq!(named(5, 6), "dashboards dashboard_unshare");
        assert_eq!(named(6, 7), "messages message_publish");
        assert!(current(ask(7, 0)).is_err() && current(ask(0, 9)).is_err());
    }

    #[test]
    fn a_token_vouches_for_its_owner_alone() {
        let policy = |subject: &str| PolicyReq { subject: subject.to_owned(), ..PolicyReq::default() };
        let pat = PatReq { user_id: "u".to_owned(), ..PatReq::default() };
        assert!(acts_for(&policy("u"), &pat).is_ok() && acts_for(&policy("d_u"), &pat).is_ok());
        assert!(acts_for(&policy("d_v"), &pat).is_err() && acts_for(&policy("u_d"), &pat).is_err());
    }
}
