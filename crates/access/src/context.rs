//! One request: who calls, when, and what they may do.
//!
//! [`Context::authorize`] is the first line of every use case. It returns a [`Permit`], and whatever changes rights or
//! members asks for one, so that a forgotten check does not compile. It also refuses an operation that the route did
//! not declare, and `web` withholds the answer of a route that declared operations but asked for none: both mistakes
//! of ours end in a refusal.

use std::{net::IpAddr, sync::Arc};

use axum::extract::{FromRef, FromRequestParts};
use db::{BoxFuture, Filter, Tx};
use http::request::Parts;
use kernel::{DomainId, Error, Kind, Operation, Result, Timestamp, UserId};

use crate::{
    Access, Object,
    gates::Gate,
    graph::Subject,
    identity::{Caller, Role},
};

/// The request in which a use case runs.
#[derive(Clone)]
pub struct Context {
    access: Access,
    caller: Caller,
    guard: web::Guard,
    request: RequestInfo,
}

/// What is known of a request apart from its caller.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// The id under which the log and the events name this request.
    pub id: Arc<str>,
    /// The instant that the whole use case sees.
    pub at: Timestamp,
    /// Where it came from.
    pub peer: IpAddr,
}

/// Proof that the caller may do what the use case does.
#[derive(Debug, Clone)]
pub struct Permit {
    actor: UserId,
    at: Timestamp,
    platform_admin: bool,
}

impl Permit {
    /// Who acts.
    pub const fn actor(&self) -> UserId {
        self.actor
    }

    /// The instant of the use case.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether it was given to an administrator of the platform, who passes every gate.
    pub const fn is_platform_admin(&self) -> bool {
        self.platform_admin
    }

    /// For whoever makes itself: a user that registers, the administrator of the first start.
    pub const fn of_oneself(user: UserId, at: Timestamp) -> Self {
        Self { actor: user, at, platform_admin: false }
    }
}

/// Which things a list may show to the caller: a condition for the list's own query, so that nothing is loaded to be
/// dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    /// All of them.
    All,
    /// Those of this domain on which the user holds a role.
    HeldBy(UserId, DomainId),
    /// The domains in which the user holds a role.
    DomainsOf(UserId),
}

impl Visible {
    /// And the column that holds the thing's id names a visible one.
    pub fn restrict(self, filter: Filter, column: &str) -> Filter {
        match self {
            Self::All => filter,
            Self::HeldBy(user, domain) => filter.and_all(
                &format!("{column} IN (SELECT entity_id FROM role_members WHERE member_id = ? AND domain_id = ?)"),
                [user.into(), domain.into()],
            ),
            Self::DomainsOf(user) => filter.and(
                &format!("{column} IN (SELECT entity_id FROM role_members WHERE member_id = ? AND entity_id = domain_id)"),
                user,
            ),
        }
    }
}

impl Context {
    /// Who calls.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The instant that the whole use case sees.
    pub const fn now(&self) -> Timestamp {
        self.request.at
    }

    /// What is known of the request.
    pub const fn request(&self) -> &RequestInfo {
        &self.request
    }

    /// Keys, relations and accounts.
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Whether the caller may do `operation` on `object`, in a domain that is open to the caller.
    ///
    /// Denied where not; NotFound where the thing (or its domain) is not there and the caller may know that.
    pub async fn authorize(&self, operation: Operation, object: Object) -> Result<Permit> {
        self.declared(operation)?;
        let subject = self.subject(object.in_domain()).await?;
        self.pass_gate(object.in_domain(), subject).await?;
        let permission = self.access.permissions().get(operation).ok_or_else(|| {
            Error::internal(format!("the operation `{operation}` has no permission in the table"))
        })?;
        if self.access.graph().check(subject, permission, object).await? {
            return Ok(self.permit(subject.is_platform_admin()));
        }
        Err(self.refusal(subject, object).await?)
    }

    /// Lets the caller list things of `kind` in a domain that is open to the caller, and says which ones it may show.
    pub async fn visible(
        &self,
        operation: Operation,
        domain: DomainId,
        kind: &'static str,
    ) -> Result<Visible> {
        self.declared(operation)?;
        let subject = self.subject(domain).await?;
        self.pass_gate(domain, subject).await?;
        self.guard.mark_authorized();
        let all = subject.is_platform_admin() || self.access.graph().sees_all(subject, domain, kind).await?;
        Ok(if all { Visible::All } else { Visible::HeldBy(self.caller.user, domain) })
    }

    /// Which domains the caller may see.
    pub async fn visible_domains(&self) -> Result<Visible> {
        let all = self.is_platform_admin().await?;
        Ok(if all { Visible::All } else { Visible::DomainsOf(self.caller.user) })
    }

    /// Lets an administrator of the platform pass, and nobody else.
    pub async fn authorize_platform_admin(&self) -> Result<Permit> {
        if self.is_platform_admin().await? { Ok(self.permit(true)) } else { Err(Error::denied()) }
    }

    /// Lets any caller with a valid token act on what is its own.
    pub fn authorize_self(&self) -> Permit {
        self.permit(false)
    }

    /// Whether the caller is an administrator of the platform: the token claims it, and it is still true.
    pub async fn is_platform_admin(&self) -> Result<bool> {
        match self.caller.role {
            Role::Admin => self.access.graph().is_platform_admin(self.caller.user).await,
            Role::User => Ok(false),
        }
    }

    /// One write transaction; see [`db::Db::write`].
    pub async fn write<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.access.db().write(job).await
    }

    /// A quick read; see [`db::Db::read`].
    pub async fn read<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.access.db().read(job).await
    }

    /// A read that may take long; see [`db::Db::scan`].
    pub async fn scan<T: Send + 'static>(
        &self,
        job: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.access.db().scan(job).await
    }

    fn permit(&self, platform_admin: bool) -> Permit {
        self.guard.mark_authorized();
        Permit { actor: self.caller.user, at: self.request.at, platform_admin }
    }

    /// A route may only ask for what its row in the table declares.
    fn declared(&self, operation: Operation) -> Result<()> {
        if self.guard.declares(operation) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the route does not declare the operation `{operation}` that it asks for"
        )))
    }

    /// The caller as relations name it: within the domain, or bare for an administrator of the platform.
    async fn subject(&self, domain: DomainId) -> Result<Subject> {
        Ok(if self.is_platform_admin().await? {
            Subject::PlatformAdmin(self.caller.user)
        } else {
            Subject::Member(domain, self.caller.user)
        })
    }

    async fn pass_gate(&self, domain: DomainId, subject: Subject) -> Result<()> {
        let gate = self.access.gates().get(self.access.db(), domain).await?;
        let object = Object::domain(domain);
        let passes = match gate {
            Some(Gate::Enabled) => self.access.graph().check(subject, "membership", object).await?,
            Some(Gate::Disabled) => self.access.graph().check(subject, "admin", object).await?,
            Some(Gate::Frozen) => subject.is_platform_admin(),
            Some(Gate::Deleted) => false,
            None if subject.is_platform_admin() => return Err(Error::not_found()),
            None => false,
        };
        if passes { Ok(()) } else { Err(Error::denied()) }
    }

    /// 404 for a thing that is not there, to those who may look for it; 403 to all others.
    async fn refusal(&self, subject: Subject, object: Object) -> Result<Error> {
        let graph = self.access.graph();
        if !graph.exists(object).await? && graph.may_look_for(subject, object).await? {
            return Ok(Error::not_found());
        }
        Ok(Error::denied())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Context
where
    Access: FromRef<S>,
{
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> web::Result<Self> {
        let access = Access::from_ref(state);
        let guard = web::Guard::from_request_parts(parts, state).await?;
        let request = RequestInfo::from_request_parts(parts, state).await?;
        let Ok(web::Bearer(token)) = web::Bearer::from_request_parts(parts, state).await;
        let refused = |message| Error::new(Kind::Unauthenticated, message);
        let token = token.ok_or_else(|| refused("missing or invalid bearer user token"))?;
        let caller = access.verify_caller(&token, request.at).await?.caller.clone();
        guard.mark_signed_in();
        Ok(Self { access, caller, guard, request })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestInfo
where
    Access: FromRef<S>,
{
    type Rejection = web::Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> web::Result<Self> {
        let at = Access::from_ref(state).clock().now();
        let Ok(id) = web::RequestId::from_request_parts(parts, state).await;
        let peer =
            parts.extensions.get::<web::Connection>().map_or(IpAddr::from([0, 0, 0, 0]), |c| c.peer.ip());
        Ok(Self { id: Arc::from(id.as_str()), at, peer })
    }
}
