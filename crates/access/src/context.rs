//! One request: who calls, when, and what they may do.
//!
//! [`Context::authorize`] is the first line of every use case. It returns a [`Permit`], and whatever changes rights or
//! members asks for one, so that a forgotten check does not compile. It also refuses an operation that the route did
//! not declare, and `web` withholds the answer of a route that declared operations but asked for none: both mistakes
//! of ours end in a refusal.

use std::{net::IpAddr, sync::Arc};

use axum::extract::{FromRef, FromRequestParts};
use db::{BoxFuture, Tx};
use http::request::Parts;
use kernel::{DomainId, Error, Kind, Operation, Result, Timestamp, UserId};
use serde_json::{Value, json};

use crate::{
    Access, Object, Sight, Visible,
    callouts::Target,
    gates::Gate,
    graph::Subject,
    identity::{
        Caller, Credential, Role,
        tokens::{Purpose, Verified},
    },
    pats::{self, Ask},
    permission::takes_domain_admin,
    standing::{self, MemberRole},
};

/// The request in which a use case runs.
#[derive(Clone)]
pub struct Context {
    access: Access,
    caller: Caller,
    verified: Arc<Verified>,
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

/// What it takes to list the things of one kind in a domain.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// The schema's word for the kind.
    pub kind: &'static str,
    /// The operation.
    pub own: Operation,
    /// What callouts are told where the list is as another user sees it (reference 02 §6).
    pub of_user: Operation,
}

/// Proof that the caller may do what the use case does.
#[derive(Debug, Clone)]
pub struct Permit {
    actor: UserId,
    at: Timestamp,
    platform_admin: bool,
    credential: Credential,
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

    /// What the caller has shown.
    pub const fn credential(&self) -> Credential {
        self.credential
    }

    /// For another service of the installation, which acts in nobody's name and has authorized by itself.
    pub const fn of_service(at: Timestamp) -> Self {
        let nobody = UserId::from_uuid(uuid::Uuid::nil());
        Self { actor: nobody, at, platform_admin: false, credential: Credential::Service }
    }

    /// For whoever makes itself: a user that registers, the administrator of the first start.
    pub const fn of_oneself(user: UserId, at: Timestamp) -> Self {
        Self { actor: user, at, platform_admin: false, credential: Credential::Session }
    }
}

impl Context {
    /// Who calls.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What the caller has shown.
    pub fn verified(&self) -> &Verified {
        &self.verified
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
    /// Denied where not, or where the scopes of a personal access token do not name it; NotFound where the thing (or its
    /// domain) is not there and the caller may know that.
    pub async fn authorize(&self, operation: Operation, object: Object) -> Result<Permit> {
        self.authorize_with(operation, object, || json!({ "entity_id": object.id_text() })).await
    }

    /// As [`Context::authorize`], and tells callouts this of the request (reference 02 §6).
    pub async fn authorize_with(
        &self,
        operation: Operation,
        object: Object,
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<Permit> {
        self.authorize_all(&[(operation, object)], payload).await
    }

    /// Whether the caller may do each of these; one call to the callouts, in the name of the first.
    pub async fn authorize_all(
        &self,
        wanted: &[(Operation, Object)],
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<Permit> {
        let Some(&(operation, object)) = wanted.first() else {
            return Err(Error::internal("a use case asked for nothing"));
        };
        for &(operation, object) in wanted {
            self.check(operation, object).await?;
        }
        self.call_out(operation, Target::of(object), payload).await?;
        Ok(self.permit(self.is_platform_admin().await?))
    }

    /// Boxed, so that it is not compiled into every use case.
    fn check(&self, operation: Operation, object: Object) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.declared(operation)?;
            self.in_scope(&Ask::of(operation, object)).await?;
            let subject = self.subject(object.in_domain()).await?;
            self.pass_gate(object.in_domain(), subject).await?;
            if self.caller.credential == Credential::Standalone {
                return Ok(());
            }
            let permission = self.access.permissions().get(operation).ok_or_else(|| {
                Error::internal(format!("the operation `{operation}` has no permission in the table"))
            })?;
            let decides = object.decided_by();
            if !self.access.graph().check(subject, permission, decides).await? {
                return Err(self.refusal(subject, decides).await?);
            }
            let domain = Object::domain(object.in_domain());
            if takes_domain_admin(operation) && !self.access.graph().check(subject, "admin", domain).await? {
                return Err(Error::denied());
            }
            Ok(())
        })
    }

    /// Lets the caller list things in a domain that is open to the caller, and says which ones it may show; to an
    /// administrator of the platform, and to nobody else, also as `user` sees the list. NotFound where there is no such
    /// user.
    pub async fn sight(
        &self,
        listing: &Listing,
        domain: DomainId,
        user: Option<UserId>,
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<Sight> {
        self.declared(listing.own)?;
        self.in_scope(&Ask::of(listing.own, Object::domain(domain))).await?;
        let subject = self.subject(domain).await?;
        self.pass_gate(domain, subject).await?;
        let (operation, looks) = match user {
            None => (listing.own, subject),
            Some(_) if !subject.is_platform_admin() => {
                return Err(Error::new(Kind::Denied, "not authorized to perform admin action"));
            }
            Some(user) => (listing.of_user, self.subject_of(user, domain).await?),
        };
        let payload = || {
            let mut told = payload();
            if let (Some(user), Value::Object(members)) = (user, &mut told) {
                members.insert("user_id".to_owned(), json!(user));
            }
            told
        };
        self.call_out(operation, Target::of(Object::domain(domain)), payload).await?;
        self.guard.mark_authorized();
        self.seen_by(looks, domain, listing.kind).await
    }

    /// Another user as relations name him.
    async fn subject_of(&self, user: UserId, domain: DomainId) -> Result<Subject> {
        if user == self.caller.user {
            return self.subject(domain).await;
        }
        self.access.accounts().get(self.access.db(), user).await?.ok_or_else(Error::not_found)?;
        Ok(match self.access.graph().is_platform_admin(user).await? {
            true => Subject::PlatformAdmin(user),
            false => Subject::Member(domain, user),
        })
    }

    /// Which things of `kind` may be shown to a caller who was permitted something in this domain.
    pub async fn shown(&self, _permit: &Permit, domain: DomainId, kind: &'static str) -> Result<Sight> {
        self.seen_by(self.subject(domain).await?, domain, kind).await
    }

    async fn seen_by(&self, subject: Subject, domain: DomainId, kind: &'static str) -> Result<Sight> {
        let user = match subject {
            Subject::PlatformAdmin(user) => {
                return Ok(Sight { visible: Visible::All, user, explained: false });
            }
            Subject::Member(_, user) => user,
        };
        let all = self.access.graph().sees_all(subject, domain, kind).await?;
        let visible = if all { Visible::All } else { Visible::To { user, domain, kind } };
        Ok(Sight { visible, user, explained: true })
    }

    /// The roles by which the caller comes to a thing that the caller was permitted to view, from everywhere; none for an
    /// administrator of the platform who is no member.
    pub async fn own_roles(&self, object: Object) -> Result<Vec<MemberRole>> {
        if !self.guard.holds() {
            return Err(Error::internal("a use case asked for roles before it was authorized"));
        }
        let user = self.caller.user;
        self.read(move |tx| Box::pin(async move { standing::roles_of(tx, user, object).await })).await
    }

    /// Which domains the caller may see; `operation` is what a personal access token must be good for.
    pub async fn visible_domains(
        &self,
        operation: Operation,
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<Visible> {
        self.authorize_own_with(operation, None, payload).await?;
        let all = self.is_platform_admin().await?;
        Ok(if all { Visible::All } else { Visible::DomainsOf(self.caller.user) })
    }

    /// Lets an administrator of the platform pass, and nobody else; no personal access token.
    pub async fn authorize_platform_admin(&self) -> Result<Permit> {
        self.no_pat()?;
        self.platform_admin().await
    }

    /// As [`Context::authorize_platform_admin`], also with a personal access token that is good for this.
    pub async fn authorize_platform_admin_to(&self, operation: Operation, object: Object) -> Result<Permit> {
        self.in_scope(&Ask::of(operation, object)).await?;
        let permit = self.platform_admin().await?;
        self.call_out(operation, Target::of(object), || json!({ "entity_id": object.id_text() })).await?;
        Ok(permit)
    }

    async fn platform_admin(&self) -> Result<Permit> {
        if self.is_platform_admin().await? { Ok(self.permit(true)) } else { Err(Error::denied()) }
    }

    /// Lets any caller that has logged in act on what is its own; no personal access token.
    pub fn authorize_self(&self) -> Result<Permit> {
        self.no_pat()?;
        Ok(self.permit(false))
    }

    /// As [`Context::authorize_self`], for what decides who the account belongs to and whether it works: no API key
    /// either, so that whoever has stolen one cannot keep the account.
    pub fn authorize_in_person(&self) -> Result<Permit> {
        if self.verified.is_api_key() {
            return Err(Error::new(
                Kind::Denied,
                "an API key cannot do this, log in and use the access token",
            ));
        }
        self.authorize_self()
    }

    /// Lets any caller act on what is its own, in a domain or in none; `operation` is what a personal access token must
    /// be good for.
    pub async fn authorize_own(&self, operation: Operation, domain: Option<DomainId>) -> Result<Permit> {
        self.authorize_own_with(operation, domain, || json!({ "entity_id": domain })).await
    }

    /// As [`Context::authorize_own`], and tells callouts this of the request.
    pub async fn authorize_own_with(
        &self,
        operation: Operation,
        domain: Option<DomainId>,
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<Permit> {
        self.in_scope(&[Ask::of_own(operation, domain)]).await?;
        self.call_out(operation, Target::of_own(operation, domain), payload).await?;
        Ok(self.permit(false))
    }

    fn no_pat(&self) -> Result<()> {
        match self.caller.credential {
            Credential::Session | Credential::Standalone => Ok(()),
            Credential::Pat(_) | Credential::Service => {
                Err(Error::new(Kind::Denied, "failed to authorize PAT"))
            }
        }
    }

    /// Whether a scope of the caller's personal access token meets one of `asks`. Other callers need none.
    async fn in_scope(&self, asks: &[Ask]) -> Result<()> {
        match self.caller.credential {
            Credential::Session | Credential::Standalone => Ok(()),
            Credential::Pat(pat) => match pats::permits(&self.access, pat, asks).await? {
                true => Ok(()),
                false => Err(Error::denied()),
            },
            Credential::Service => Err(Error::denied()),
        }
    }

    async fn call_out(
        &self,
        operation: Operation,
        target: Target,
        payload: impl FnOnce() -> Value + Send,
    ) -> Result<()> {
        let callouts = self.access.callouts();
        if !callouts.wants(operation) {
            return Ok(());
        }
        callouts.consult(self.caller.user, self.request.at, operation, &target, payload()).await
    }

    /// Whether the caller is an administrator of the platform: the token claims it, and it is still true.
    pub async fn is_platform_admin(&self) -> Result<bool> {
        match (self.caller.credential, self.caller.role) {
            (Credential::Standalone, _) => Ok(true),
            (_, Role::Admin) => self.access.graph().is_platform_admin(self.caller.user).await,
            (_, Role::User) => Ok(false),
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
        Permit {
            actor: self.caller.user,
            at: self.request.at,
            platform_admin,
            credential: self.caller.credential,
        }
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
        if self.caller.credential == Credential::Standalone {
            return Ok(());
        }
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
        let cx = Unverified::from_request_parts(parts, state).await?.0;
        cx.access.let_in(&cx.caller).await?;
        Ok(cx)
    }
}

/// A request whose caller may still have to verify its e-mail address: for what doing so takes, and for ending it
/// (reference 01 §5.4).
pub struct Unverified(pub Context);

impl<S: Send + Sync> FromRequestParts<S> for Unverified
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
        let verified = access.verify(&token, Purpose::Access, request.at).await?;
        guard.mark_signed_in();
        let caller = verified.caller.clone();
        Ok(Self(Context { access, caller, verified, guard, request }))
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
