//! Why somebody may do something, or why not: for administrators who look for the reason, and for users about themselves.
//!
//! Who may ask: an administrator of the platform about everything; an administrator of a domain about its members and the
//! things in it; anybody about oneself. Whoever asks about oneself learns no more than a refused request would tell: the
//! path of a yes, but neither the conditions behind a no nor whether a thing is there.

pub mod http;

use access::{
    Access, Context, Object,
    explain::{Decision, Question, Step, Wanted},
    gates::Gate,
    graph::Subject,
    membership,
};
use kernel::{DomainId, Error, Kind, PatId, Result, UserId};
use serde::Serialize;
use users::Users;
use utoipa::ToSchema;
use uuid::Uuid;

/// The service.
#[derive(Clone)]
pub struct Explain {
    access: Access,
    users: Users,
}

impl axum::extract::FromRef<Explain> for Access {
    fn from_ref(explain: &Explain) -> Self {
        explain.access.clone()
    }
}

/// What somebody asks, as it is written.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// `user:<id, e-mail address or name>`, or the same without `user:`.
    pub subject: String,
    /// A personal access token of that user.
    pub pat: Option<PatId>,
    /// An operation (`clients.view`) or a permission (`read_permission`).
    pub wanted: String,
    /// `client:<id>`, `channel:<id>`, `group:<id>`, `domain:<id>` or `platform:magistrala`.
    pub object: String,
    /// The other thing of an operation on two, written alike; in the same domain.
    pub with: Option<String>,
    /// The domain that the thing is said to be in; without it the domain that it is in.
    pub domain: Option<DomainId>,
}

/// The question as it was understood, and its decision.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explained {
    /// `user:<id>`.
    pub subject: String,
    /// The operation or permission.
    pub wanted: String,
    /// `<kind>:<id>`.
    pub object: String,
    /// The domain in which the question was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_id: Option<DomainId>,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

/// A thing as it is written, before its domain is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Platform,
    Of(&'static str, Uuid),
}

/// What whoever asks may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everything,
    NoConditionsOfANo,
    NothingOfTheThing,
}

impl Explain {
    /// The service on top of `access`, which finds users with `users`.
    pub const fn new(access: Access, users: Users) -> Self {
        Self { access, users }
    }

    /// How a request would be decided, and why.
    ///
    /// Denied where the caller may not know; NotFound where there is no such user; Invalid where the words are none.
    pub async fn explain(&self, cx: &Context, inquiry: Inquiry) -> Result<Explained> {
        let asker = cx.authorize_self()?.actor();
        let is_admin = cx.is_platform_admin().await?;
        let thing = inquiry.object.parse::<Thing>()?;
        let with = inquiry.with.as_deref().map(str::parse::<Thing>).transpose()?;
        let wanted = self.wanted(&inquiry.wanted)?;
        let user = self.user(&inquiry.subject).await?;
        let domain = match (thing, inquiry.domain) {
            (Thing::Platform, _) => None,
            (Thing::Of(DomainId::KIND, id), _) => Some(DomainId::from_uuid(id)),
            (Thing::Of(..), Some(domain)) => Some(domain),
            (Thing::Of(kind, id), None) => self.access.graph().domain_of(kind, id).await?,
        };
        let reach = self.reach(asker, is_admin, user, domain).await?;
        let user = user.ok_or_else(|| Error::new(Kind::NotFound, "there is no such user"))?;
        let the_object = match (thing, domain) {
            (Thing::Platform, _) => None,
            (Thing::Of(kind, id), Some(domain)) => Some(object(kind, id, domain)?),
            (Thing::Of(..), None) if is_admin => {
                return Err(Error::new(Kind::NotFound, "there is no such thing in any domain"));
            }
            (Thing::Of(..), None) => None,
        };
        let with = match (with, domain) {
            (Some(Thing::Of(kind, id)), Some(domain)) => Some(object(kind, id, domain)?),
            (Some(Thing::Platform), _) => return Err(Error::invalid("the other thing is in a domain")),
            (Some(Thing::Of(..)), None) | (None, _) => None,
        };
        let shown = match thing {
            Thing::Platform => format!("platform:{}", access::graph::PLATFORM_ID),
            Thing::Of(kind, id) => format!("{kind}:{}", id.as_hyphenated()),
        };
        let explained = |domain_id, decision| Explained {
            subject: format!("user:{user}"),
            wanted: inquiry.wanted.clone(),
            object: shown,
            domain_id,
            decision,
        };
        if reach == Reach::NothingOfTheThing {
            let says = "there is no such thing in a domain that the user belongs to";
            return Ok(explained(inquiry.domain, Decision::of(vec![Step::plain("domain", false, says)])));
        }
        let question = Question { user, pat: inquiry.pat, wanted, object: the_object, with };
        let decision = self.access.explain(&question).await?;
        Ok(match reach {
            Reach::Everything => explained(domain, decision),
            _ => explained(domain, decision.without_reasons_of_a_no()),
        })
    }

    /// What the asker may learn of a question about this user in this domain.
    async fn reach(
        &self,
        asker: UserId,
        is_admin: bool,
        user: Option<UserId>,
        domain: Option<DomainId>,
    ) -> Result<Reach> {
        if is_admin || domain.is_none() && user == Some(asker) {
            return Ok(if is_admin { Reach::Everything } else { Reach::NothingOfTheThing });
        }
        let Some(domain) = domain else { return Err(Error::denied()) };
        let administers = self.holds(asker, "admin", domain).await?;
        if user == Some(asker) {
            let belongs = administers || self.holds(asker, "membership", domain).await?;
            return Ok(match (administers, belongs) {
                (true, _) => Reach::Everything,
                (false, true) => Reach::NoConditionsOfANo,
                (false, false) => Reach::NothingOfTheThing,
            });
        }
        let open = matches!(
            self.access.gates().get(self.access.db(), domain).await?,
            Some(Gate::Enabled | Gate::Disabled)
        );
        if !administers || !open {
            return Err(Error::denied());
        }
        let is_member = match user {
            Some(user) => {
                let home = Object::domain(domain);
                let db = self.access.db();
                db.read(move |tx| Box::pin(async move { membership::holds_role(tx, home, user).await }))
                    .await?
            }
            None => false,
        };
        // An unknown user and one who is no member look alike: nobody finds out who has an account.
        let stranger = "the domain has no such member; invite the user into one of its roles";
        if is_member { Ok(Reach::Everything) } else { Err(Error::new(Kind::NotFound, stranger)) }
    }

    async fn holds(&self, user: UserId, permission: &str, domain: DomainId) -> Result<bool> {
        self.access.graph().check(Subject::Member(domain, user), permission, Object::domain(domain)).await
    }

    async fn user(&self, subject: &str) -> Result<Option<UserId>> {
        let name = subject.strip_prefix("user:").unwrap_or(subject);
        if name.is_empty() {
            return Err(Error::invalid("missing subject, name a user: `user:<id or e-mail address>`"));
        }
        match name.parse() {
            Ok(id) => Ok(Some(id)),
            Err(_) => self.users.find(name).await,
        }
    }

    fn wanted(&self, text: &str) -> Result<Wanted> {
        if text.is_empty() {
            return Err(Error::invalid(
                "missing what is wanted, name an operation (`clients.view`) or a permission (`read_permission`)",
            ));
        }
        if !text.contains('.') {
            return Ok(Wanted::Permission(text.to_owned()));
        }
        self.access.permissions().operation(text).map(Wanted::Operation).ok_or_else(|| {
            Error::invalid("there is no such operation that takes a permission, name one like `clients.view`")
        })
    }
}

impl std::str::FromStr for Thing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(
                "name the object as `client:<id>`, `channel:<id>`, `group:<id>`, `domain:<id>` or `platform:magistrala`",
            )
        };
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        if kind == "platform" {
            return if id == access::graph::PLATFORM_ID { Ok(Self::Platform) } else { Err(wrong()) };
        }
        let kind = ["client", "channel", "group", "domain"]
            .into_iter()
            .find(|known| *known == kind)
            .ok_or_else(wrong)?;
        Ok(Self::Of(kind, id.parse::<kernel::id::EntityId>()?.uuid()))
    }
}

fn object(kind: &str, id: Uuid, domain: DomainId) -> Result<Object> {
    match kind {
        "domain" => Ok(Object::domain(DomainId::from_uuid(id))),
        "client" => Ok(Object::client(domain, kernel::ClientId::from_uuid(id))),
        "channel" => Ok(Object::channel(domain, kernel::ChannelId::from_uuid(id))),
        "group" => Ok(Object::group(domain, kernel::GroupId::from_uuid(id))),
        other => Err(Error::internal(format!("no things of kind {other} are known"))),
    }
}
