//! Why somebody may do something, or why not: the decision of [`crate::Context::authorize`], step by step.
//!
//! Each step asks what a request would be asked, of the same places: the account, the scopes of a personal access token,
//! the domain's gate, the permission table, the relations. Nothing is decided here, and nothing is remembered. Who may
//! ask is the `auth` crate's business.

use kernel::{DomainId, Error, Operation, PatId, Result, UserId};
use relation::Explanation;
use serde::Serialize;

use crate::{
    Access, Object,
    gates::Gate,
    graph::Subject,
    pats::{self, Ask},
};

/// What somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who would do it.
    pub user: UserId,
    /// With this personal access token rather than a login.
    pub pat: Option<PatId>,
    /// What would be done.
    pub wanted: Wanted,
    /// To what; none is the platform.
    pub object: Option<Object>,
}

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// An operation, which takes the permission that the table says.
    Operation(Operation),
    /// A permission of the schema.
    Permission(String),
}

/// The decision and how it comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Decision {
    /// Whether it would be allowed.
    pub allowed: bool,
    /// The decision in one sentence.
    pub summary: String,
    /// What is asked for, in the order in which a request is asked; allowed only where each is.
    pub steps: Vec<Step>,
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Step {
    /// What is asked: `account`, `scope`, `domain`, `permission` or `relation`.
    pub step: &'static str,
    /// Whether it holds.
    pub allowed: bool,
    /// The same for a person.
    pub says: String,
    /// What decided it: of a yes the path, of a no each condition that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Reason>,
}

/// A condition, whether it holds, and because of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reason {
    /// Whether it holds.
    pub allowed: bool,
    /// The condition.
    pub condition: String,
    /// What decided it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub because: Vec<Reason>,
}

impl From<Explanation> for Reason {
    fn from(explanation: Explanation) -> Self {
        Self {
            allowed: explanation.allowed,
            condition: explanation.condition,
            because: explanation.because.into_iter().map(Into::into).collect(),
        }
    }
}

impl Step {
    /// A step whose sentence says it all.
    pub fn plain(step: &'static str, allowed: bool, says: impl Into<String>) -> Self {
        Self { step, allowed, says: says.into(), because: Vec::new() }
    }
}

impl Decision {
    /// The decision that these steps lead to.
    pub fn of(steps: Vec<Step>) -> Self {
        let failed = steps.iter().find(|step| !step.allowed);
        let summary = match failed {
            None => "allowed: every condition holds".to_owned(),
            Some(step) => format!("refused: {}", step.says),
        };
        Self { allowed: failed.is_none(), summary, steps }
    }

    /// Without the conditions that failed: for somebody who may not look at what is behind them.
    #[must_use]
    pub fn without_reasons_of_a_no(mut self) -> Self {
        for step in self.steps.iter_mut().filter(|step| !step.allowed) {
            step.because.clear();
            if step.step == "relation" {
                "nothing gives you this permission, or there is no such thing; an administrator of the domain sees more"
                    .clone_into(&mut step.says);
            }
        }
        Self::of(self.steps)
    }
}

impl Access {
    /// How the question would be decided now.
    ///
    /// Invalid where the object's kind knows no such permission, or the operation is about another kind of thing.
    pub async fn explain(&self, question: &Question) -> Result<Decision> {
        let permission = self.permission_of(question)?;
        let admin = self.graph().is_platform_admin(question.user).await?;
        let mut steps = vec![self.explain_account(question.user).await?];
        if let Some(pat) = question.pat {
            steps.push(self.explain_scope(pat, question).await?);
        }
        let Some(object) = question.object else {
            let explained = self.graph().explain_platform(question.user, &permission).await?;
            steps.push(relation("the platform", &permission, explained));
            return Ok(Decision::of(steps));
        };
        let subject = match admin {
            true => Subject::PlatformAdmin(question.user),
            false => Subject::Member(object.in_domain(), question.user),
        };
        steps.push(self.explain_gate(object.in_domain(), subject).await?);
        if let Wanted::Operation(operation) = question.wanted {
            let says = format!(
                "the permission table asks `{permission}` on the {} for `{operation}`",
                object.kind()
            );
            steps.push(Step::plain("permission", true, says));
        }
        if self.graph().exists(object).await? {
            let explained = self.graph().explain(subject, &permission, object).await?;
            steps.push(relation(&format!("the {}", object.kind()), &permission, explained));
        } else {
            let says = format!("the domain has no {} with this id", object.kind());
            steps.push(Step::plain("relation", false, says));
        }
        Ok(Decision::of(steps))
    }

    fn permission_of(&self, question: &Question) -> Result<String> {
        let kind = question.object.map_or("platform", Object::kind);
        let permission = match &question.wanted {
            Wanted::Permission(permission) => permission.clone(),
            Wanted::Operation(operation) => self
                .permissions()
                .get(*operation)
                .ok_or_else(|| Error::invalid("the operation takes no permission, any user may do it"))?
                .to_owned(),
        };
        if self.graph().schema().has_permission(kind, &permission) {
            return Ok(permission);
        }
        Err(Error::invalid(match &question.wanted {
            Wanted::Permission(_) => format!(
                "there is no such permission on a {kind}, name one like `read_permission` or an operation like `clients.view`"
            ),
            Wanted::Operation(operation) => {
                format!("`{operation}` is no operation on a {kind}, name the thing that it is asked of")
            }
        }))
    }

    async fn explain_account(&self, user: UserId) -> Result<Step> {
        let account = self.accounts().get(self.db(), user).await?;
        let step = |allowed, says: &str| Step::plain("account", allowed, says);
        Ok(match account {
            None => step(false, "there is no such user"),
            Some(account) if !account.enabled => step(false, "the user's account is disabled"),
            Some(account) if !account.verified && !self.settings().allow_unverified_users => step(
                true,
                "the account is enabled; the e-mail address is not verified, so only a PAT may be used",
            ),
            Some(_) => step(true, "the user's account is enabled"),
        })
    }

    async fn explain_scope(&self, pat: PatId, question: &Question) -> Result<Step> {
        let step = |allowed, says: &str| Ok(Step::plain("scope", allowed, says));
        let (Wanted::Operation(operation), Some(object)) = (&question.wanted, question.object) else {
            return step(false, "a personal access token is good for operations in a domain, name one");
        };
        if pats::known::owner(self, pat).await? != Some(question.user) {
            return step(false, "the user has no such personal access token");
        }
        match pats::permits(self, pat, &Ask::of(*operation, object)).await? {
            true => step(true, "a scope of the personal access token names the operation and the thing"),
            false => step(false, "no scope of the personal access token names the operation and the thing"),
        }
    }

    async fn explain_gate(&self, domain: DomainId, subject: Subject) -> Result<Step> {
        let object = Object::domain(domain);
        let gate = self.gates().get(self.db(), domain).await?;
        let (permission, state) = match gate {
            Some(Gate::Enabled) => ("membership", "the domain is enabled: it is open to its members"),
            Some(Gate::Disabled) => ("admin", "the domain is disabled: it is open to its administrators"),
            Some(Gate::Frozen) => {
                let says = "the domain is frozen: it is open to administrators of the platform";
                return Ok(Step::plain("domain", subject.is_platform_admin(), says));
            }
            Some(Gate::Deleted) => return Ok(Step::plain("domain", false, "the domain is deleted")),
            None => return Ok(Step::plain("domain", false, "there is no such domain")),
        };
        let explained = self.graph().explain(subject, permission, object).await?;
        let who = if explained.allowed { "and the user is one" } else { "and the user is none" };
        Ok(Step {
            step: "domain",
            allowed: explained.allowed,
            says: format!("{state}, {who}"),
            because: vec![explained.into()],
        })
    }
}

fn relation(object: &str, permission: &str, explained: Explanation) -> Step {
    let says = if explained.allowed {
        format!("the user has `{permission}` on {object}")
    } else {
        format!("nothing gives the user `{permission}` on {object}")
    };
    Step { step: "relation", allowed: explained.allowed, says, because: vec![explained.into()] }
}
