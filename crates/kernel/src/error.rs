//! One error across all crates: a kind that callers act on, a public message, and a cause for the log.
//!
//! The public message reaches the caller word for word; it is a contract string of the reference or a sentence that
//! says what to do. The cause never leaves the process: it is logged once, at the boundary.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

/// The result of every fallible function that a request can reach.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// What went wrong, as far as a caller can act on it. Each protocol has one exhaustive table from here to its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Malformed or invalid input; the same request can never succeed. HTTP 400.
    Invalid,
    /// No credentials, or credentials that do not hold. HTTP 401.
    Unauthenticated,
    /// Known, but not allowed. HTTP 403.
    Denied,
    /// Not there, told only to callers who may look. HTTP 404.
    NotFound,
    /// A duplicate, or already in the wanted state. HTTP 409.
    Conflict,
    /// The body or packet is over the limit. HTTP 413.
    TooLarge,
    /// The content type is not one this operation takes. HTTP 415.
    MediaType,
    /// Understood, but cannot be carried out as things stand. HTTP 422.
    Unprocessable,
    /// Too many attempts; try again later. HTTP 429.
    Limited,
    /// A part that we depend on is out of reach; try again later. HTTP 503.
    Unavailable,
    /// Our fault. HTTP 500.
    Internal,
}

/// An error with its public message and, if there is one, the cause that belongs in the log only.
///
/// `Display` prints the public message and never repeats the cause.
pub struct Error {
    kind: Kind,
    public: Cow<'static, str>,
    cause: Option<Cause>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind` with the message that the caller is shown.
    pub fn new(kind: Kind, public: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, public: public.into(), cause: None, retry_after: None }
    }

    /// Adds what the log needs in order to explain this error. Replaces an earlier cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What callers act on.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What callers are shown.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// How long to wait before it makes sense to try again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The whole chain of causes in one line, for the log; empty where there is none.
    pub fn chain(&self) -> String {
        let mut line = String::new();
        let mut next = self.source();
        while let Some(error) = next {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&error.to_string());
            next = error.source();
        }
        line
    }
}

/// Constructors named by kind, for the messages that the contract or a rule gives.
impl Error {
    /// Malformed or invalid input.
    pub fn invalid(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, public)
    }

    /// Too many attempts; the next one may be made after `wait`.
    pub fn limited(public: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(Kind::Limited, public) }
    }

    /// Credentials are missing or do not hold.
    pub fn unauthenticated() -> Self {
        Self::new(Kind::Unauthenticated, "failed to perform authentication over the entity")
    }

    /// The caller is known but not allowed. The same words for a thing that is not there and may not be looked for.
    pub fn denied() -> Self {
        Self::new(Kind::Denied, "failed to perform authorization over the entity")
    }

    /// The thing is not there, and the caller may know it.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "entity not found")
    }

    /// A duplicate, or already in the wanted state.
    pub fn conflict(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, public)
    }

    /// Understood, but cannot be carried out as things stand.
    pub fn unprocessable(public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unprocessable, public)
    }

    /// A part that we depend on is out of reach.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::new(Kind::Unavailable, "the service is not available right now, try again in a moment")
            .cause(cause)
    }

    /// Our fault. The caller learns only that it was; the cause goes to the log.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::new(
            Kind::Internal,
            "something went wrong on our side, the log has the details under this request id",
        )
        .cause(cause)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("public", &self.public)
            .field("cause", &self.chain())
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_for_the_log_only() {
        let error = Error::internal(std::io::Error::other("disk /var is full"));
        assert_eq!(error.kind(), Kind::Internal);
        assert!(!error.to_string().contains("disk"));
        assert_eq!(error.chain(), "disk /var is full");
    }
}
