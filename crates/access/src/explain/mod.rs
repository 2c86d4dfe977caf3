//! Why somebody may do something, or why not: the decision of [`crate::Context::authorize`], step by step.
//!
//! Each step asks what a request would be asked, of the same places: the account, the scopes of a personal access token,
//! the domain's gate, the permission table, the relations; of an operation on two things both are asked (`pairs.rs`).
//! Nothing is decided here, and nothing is remembered. Who may ask is the `auth` crate's business.

mod pairs;

use kernel::{DomainId, Error, Operation, PatId, Result, UserId};
use relation::Explanation;
use serde::Serialize;

use crate::{
    Access, Object,
    gates::Gate,
    graph::Subject,
    hierarchy,
    pats::{self, Ask},
    permission::{is_list, kind_of, takes_domain_admin},
};
use pairs::Other;

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
    /// The other thing of an operation on two.
    pub with: Option<Object>,
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
    /// What is asked: `account`, `scope`, `domain`, `permission`, `relation`, or `other` where another thing has to agree
    /// that was not named.
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
            Some(step) if step.step == OTHER => format!("not decided: {}", step.says),
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

/// The step that asks for another thing.
const OTHER: &str = "other";

/// What must hold of one thing.
struct Right {
    wanted: Wanted,
    object: Object,
}

impl Access {
    /// How the question would be decided now.
    ///
    /// Invalid where the object's kind knows no such permission, or the operation is about another kind of thing.
    pub async fn explain(&self, question: &Question) -> Result<Decision> {
        let permission = self.permission_of(&question.wanted, question.object)?;
        let admin = self.graph().is_platform_admin(question.user).await?;
        let mut steps = vec![self.explain_account(question.user).await?];
        let Some(object) = question.object else {
            if let Some(pat) = question.pat {
                steps.push(self.explain_scope(pat, question.user, None).await?);
            }
            let explained = self.graph().explain_platform(question.user, &permission).await?;
            steps.push(relation("the platform", &permission, explained));
            return Ok(Decision::of(steps));
        };
        let subject = match admin {
            true => Subject::PlatformAdmin(question.user),
            false => Subject::Member(object.in_domain(), question.user),
        };
        let first = Right { wanted: question.wanted.clone(), object };
        let (second, missing) = second(&first, question.with)?;
        if let Some(pat) = question.pat {
            steps.push(self.explain_scope(pat, question.user, Some(&first)).await?);
        }
        steps.push(self.explain_gate(object.in_domain(), subject).await?);
        self.explain_right(subject, &first, &mut steps).await?;
        // Where a thing is, is for those who may take it out of there.
        let allowed = steps.iter().all(|step| step.allowed);
        let second = if allowed && second.is_none() { self.parent_of(&first).await? } else { second };
        if let Some(second) = second {
            if let Some(pat) = question.pat {
                steps.push(self.explain_scope(pat, question.user, Some(&second)).await?);
            }
            self.explain_right(subject, &second, &mut steps).await?;
        }
        steps.extend(missing);
        Ok(Decision::of(steps))
    }

    /// What is asked of the group that a thing is taken out of.
    async fn parent_of(&self, first: &Right) -> Result<Option<Right>> {
        let Wanted::Operation(operation) = first.wanted else { return Ok(None) };
        let Some(pair) = pairs::of(operation).filter(|pair| pair.other == Other::Parent) else {
            return Ok(None);
        };
        let object = first.object;
        let parent = self.db().read(move |tx| Box::pin(hierarchy::parent(tx, object))).await?;
        Ok(parent.map(|group| Right {
            wanted: Wanted::Operation(pair.also),
            object: Object::group(object.in_domain(), group),
        }))
    }

    /// The permission that is asked for, and whether the relations give it.
    async fn explain_right(&self, subject: Subject, right: &Right, steps: &mut Vec<Step>) -> Result<()> {
        let object = right.object;
        let permission = self.permission_of(&right.wanted, Some(object))?;
        let mut also_admin = false;
        if let Wanted::Operation(operation) = right.wanted {
            if is_list(operation) {
                let says = "a list takes no permission: whoever passes the domain's gate may ask for it, and each row is \
                            shown to those who may view it";
                steps.push(Step::plain("permission", true, says));
                return Ok(());
            }
            also_admin = takes_domain_admin(operation);
            let says = format!(
                "the permission table asks `{permission}` on the {} for `{operation}`",
                object.kind()
            );
            steps.push(Step::plain("permission", true, says));
        }
        if !self.graph().exists(object).await? {
            let says = format!("the domain has no {} with this id", object.kind());
            steps.push(Step::plain("relation", false, says));
            return Ok(());
        }
        let explained = self.graph().explain(subject, &permission, object).await?;
        steps.push(relation(&format!("the {}", object.kind()), &permission, explained));
        if also_admin {
            let domain = Object::domain(object.in_domain());
            let explained = self.graph().explain(subject, "admin", domain).await?;
            steps.push(relation("the domain", "admin", explained));
        }
        Ok(())
    }

    fn permission_of(&self, wanted: &Wanted, object: Option<Object>) -> Result<String> {
        let kind = object.map_or("platform", Object::kind);
        match wanted {
            Wanted::Permission(permission) if self.graph().schema().has_permission(kind, permission) => {
                Ok(permission.clone())
            }
            Wanted::Permission(_) => Err(Error::invalid(format!(
                "there is no such permission on a {kind}, name one like `read_permission` or an operation like `clients.view`"
            ))),
            Wanted::Operation(operation) => {
                let permission = self
                    .permissions()
                    .get(*operation)
                    .ok_or_else(|| Error::invalid("the operation takes no permission, any user may do it"))?;
                if kind_of(operation.entity) == kind {
                    return Ok(permission.to_owned());
                }
                Err(Error::invalid(format!(
                    "`{operation}` is no operation on a {kind}, name the thing that it is asked of"
                )))
            }
        }
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

    async fn explain_scope(&self, pat: PatId, user: UserId, right: Option<&Right>) -> Result<Step> {
        let step = |allowed, says: &str| Ok(Step::plain("scope", allowed, says));
        let Some(Right { wanted: Wanted::Operation(operation), object }) = right else {
            return step(false, "a personal access token is good for operations in a domain, name one");
        };
        if pats::known::owner(self, pat).await? != Some(user) {
            return step(false, "the user has no such personal access token");
        }
        match pats::permits(self, pat, &Ask::of(*operation, *object)).await? {
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

/// What an operation asks of another thing, or the step that says that this has to be named.
fn second(first: &Right, with: Option<Object>) -> Result<(Option<Right>, Option<Step>)> {
    let pair = match first.wanted {
        Wanted::Operation(operation) => pairs::of(operation).filter(|pair| pair.other != Other::Parent),
        Wanted::Permission(_) => None,
    };
    let also = |operation, object| Some(Right { wanted: Wanted::Operation(operation), object });
    match (pair, with) {
        (Some(pair), Some(with)) if pair.kind == with.kind() => Ok((also(pair.also, with), None)),
        (Some(pair), Some(_)) => {
            let kind = pair.kind;
            Err(Error::invalid(format!("the other thing is a {kind}, name it with `with={kind}:<id>`")))
        }
        (Some(pair), None) if pair.other == Other::Named => {
            let (kind, operation) = (pair.kind, pair.also);
            let says = format!(
                "a {kind} has to agree too, which takes `{operation}`; name it with `with={kind}:<id>`"
            );
            Ok((None, Some(Step::plain(OTHER, false, says))))
        }
        (None, Some(_)) => Err(Error::invalid("the question is about one thing, leave out `with`")),
        (_, None) => Ok((None, None)),
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
