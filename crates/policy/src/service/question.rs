//! What a broker asks and what it is told.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use crate::{Decision, Reason, Who, identity::Principal};

/// What is asked, apart from the credentials.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Which broker: client ids are unique at one only.
    pub broker: &'a str,
    /// Where the question came from.
    pub peer: IpAddr,
    /// For the record.
    pub request_id: &'a str,
    /// Who asks, for the record.
    pub source: &'a str,
}

/// What a client has shown, as the broker hands it on. Empty is not said.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// What followed `Bearer` in the header.
    pub bearer: Option<&'a str>,
    /// The name at the broker, or a token in its place.
    pub username: &'a str,
    /// A token or secret.
    pub password: &'a str,
    /// The client's id at the broker.
    pub clientid: &'a str,
}

/// The answer to a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Granted(&'static str),
    /// No, with the reason.
    Denied(Cow<'static, str>),
    /// The question cannot be read.
    Malformed(Cow<'static, str>),
    /// Nobody can say at the moment.
    Unavailable,
    /// Too much was asked or has failed, so that nobody has looked.
    Limited {
        /// What is told.
        words: Cow<'static, str>,
        /// How long until it makes sense to ask again.
        wait: Duration,
    },
}

impl Outcome {
    pub(crate) const fn denied(reason: &'static str) -> Self {
        Self::Denied(Cow::Borrowed(reason))
    }

    /// Too much of `what`, in the words of the platform's other limits.
    pub(crate) fn limited(what: &str, wait: Duration) -> Self {
        Self::Limited { words: format!("{what}, try again in {} seconds", seconds(wait)).into(), wait }
    }

    /// Whether there is an answer, be it yes or no.
    pub const fn is_decided(&self) -> bool {
        !matches!(self, Self::Unavailable | Self::Limited { .. })
    }

    pub(super) fn of(decision: Decision) -> Self {
        match decision {
            Decision { allowed: true, .. } => Self::Granted("authorized"),
            Decision { reason: Reason::Said(words), .. } => Self::denied(words),
            Decision { reason: Reason::Unable(why), .. } => {
                tracing::warn!("policy: nobody can say: {why}");
                Self::Unavailable
            }
            Decision { reason, .. } => Self::Denied(reason.to_string().into()),
        }
    }

    /// Whether the answer is yes.
    pub const fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// What is told.
    pub fn words(&self) -> &str {
        match self {
            Self::Granted(words) => words,
            Self::Denied(words) | Self::Malformed(words) | Self::Limited { words, .. } => words,
            Self::Unavailable => "cannot decide now",
        }
    }
}

/// A wait in whole seconds, as it is told.
pub(crate) fn seconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX)
}

/// The subject as the broker knows it.
pub(crate) fn who<'a>(principal: &'a Principal, shown: &Shown<'a>) -> Who<'a> {
    let subject = &principal.subject;
    let is_own = shown.username == subject.id || subject.name.as_deref() == Some(shown.username);
    let username = Some(shown.username).filter(|name| is_own && !name.is_empty());
    Who { subject, username, clientid: shown.clientid }
}

/// Without a `Bearer ` that somebody has put before a token where none belongs.
pub(super) fn bare(text: &str) -> &str {
    match text.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
        _ => text,
    }
}
