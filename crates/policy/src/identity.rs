//! Who was found behind a credential: a subject of a token, or somebody that the platform knows.

use std::{any::Any, fmt, net::IpAddr, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use futures_util::future::BoxFuture;
use kernel::{Result, Timestamp};
use serde_json::Value;

use crate::{Action, Subject, SubjectKind};

/// A subject of a token, for as long as the token holds.
#[derive(Debug)]
pub struct Principal {
    /// Whose token it is.
    pub subject: Subject,
    /// When it stops to hold, leeway included.
    pub expires_at: Timestamp,
    /// What the issuer calls the token (`jti`), if anything.
    pub(crate) token_id: Option<String>,
    /// Stands for everything that rules look at.
    pub(crate) fingerprint: [u8; 16],
}

impl Principal {
    pub(crate) fn new(subject: Subject, expires_at: Timestamp) -> Self {
        let fingerprint = fingerprint(&subject);
        Self { subject, expires_at, token_id: None, fingerprint }
    }

    /// The same, known by the id of its token.
    pub(crate) fn with_token_id(mut self, token_id: Option<String>) -> Self {
        self.token_id = token_id;
        self
    }
}

fn fingerprint(subject: &Subject) -> [u8; 16] {
    let mut hashed = Context::new(&SHA256);
    let mut add = |text: &str| {
        // With its length, so that no two lists read alike.
        hashed.update(&text.len().to_be_bytes());
        hashed.update(text.as_bytes());
    };
    add(&subject.kind.to_string());
    add(&subject.id);
    for list in [&subject.groups, &subject.scopes] {
        add(&list.len().to_string());
        list.iter().for_each(|text| add(text));
    }
    for (name, value) in &subject.claims {
        add(name);
        add(&value.to_string());
    }
    let mut fingerprint = [0; 16];
    let whole = hashed.finish();
    if let Some(start) = whole.as_ref().get(..16) {
        fingerprint.copy_from_slice(start);
    }
    fingerprint
}

/// What somebody shows for who it is at the platform.
#[derive(Clone, Copy)]
pub enum Login<'a> {
    /// A token in a header.
    Bearer(&'a str),
    /// A name, possibly empty, and a secret or token.
    Password {
        /// A client's id or a domain, or empty.
        username: &'a str,
        /// Its secret, or a user's token.
        password: &'a str,
    },
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer",
            Self::Password { .. } => "Password",
        })
    }
}

/// Somebody that the platform knows: its rights are the platform's to say.
#[derive(Clone)]
pub struct Member {
    /// User, or service for a client.
    pub kind: SubjectKind,
    /// The id at the platform.
    pub id: String,
    /// When what was shown stops to hold.
    pub expires_at: Timestamp,
    /// Whether it administers the platform.
    pub is_admin: bool,
    /// What brings it back after a restart; none where what was shown would be needed again. No secret.
    pub saved: Option<Value>,
    /// What the platform remembers of it.
    pub known: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// The platform's own users and clients.
pub trait Platform: Send + Sync + 'static {
    /// Who shows this. `peer` is where the question came from.
    ///
    /// `Unauthenticated` or `Denied` if it does not hold; anything else if nobody can say at the moment.
    fn authenticate<'a>(&'a self, login: Login<'a>, peer: IpAddr) -> BoxFuture<'a, Result<Member>>;

    /// Brings back what [`Member::saved`] has kept.
    fn restore(&self, saved: &Value) -> Option<Member>;

    /// Whether `member` may do `action` on a topic or filter now. What is no channel's topic is denied.
    fn authorize<'a>(
        &'a self,
        member: &'a Member,
        topic: &'a str,
        action: Action,
    ) -> BoxFuture<'a, Result<bool>>;
}

/// Who is asking.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A subject of a token; rules say what it may do.
    Subject(Arc<Principal>),
    /// Somebody that the platform knows.
    Member(Arc<Member>),
}

impl Identity {
    /// User or service.
    pub fn kind(&self) -> SubjectKind {
        match self {
            Self::Subject(principal) => principal.subject.kind,
            Self::Member(member) => member.kind,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Subject(principal) => &principal.subject.id,
            Self::Member(member) => &member.id,
        }
    }

    /// When it stops to hold.
    pub fn expires_at(&self) -> Timestamp {
        match self {
            Self::Subject(principal) => principal.expires_at,
            Self::Member(member) => member.expires_at,
        }
    }

    /// How well `username` is its own (reference 08 §4.2). The application that a user came through is nobody's name.
    pub(crate) fn claim_to(&self, username: &str) -> Option<Claim> {
        if username.is_empty() {
            return None;
        }
        if self.id() == username {
            return Some(Claim::Id);
        }
        match self {
            Self::Subject(principal) if principal.subject.name.as_deref() == Some(username) => {
                Some(Claim::Name)
            }
            Self::Subject(_) | Self::Member(_) => None,
        }
    }

    /// Whether both are one subject.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_member = |identity: &Self| matches!(identity, Self::Member(_));
        self.kind() == other.kind() && self.id() == other.id() && is_member(self) == is_member(other)
    }
}

/// What a name at the broker is verified by; the later is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// It is the name that a user goes by.
    Name,
    /// It is the subject's id.
    Id,
}
