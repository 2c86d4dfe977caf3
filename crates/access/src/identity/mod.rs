//! Who is calling: tokens, the keys that sign them, sessions, and the account behind each.
//!
//! A token is worth nothing by itself: at every request the account behind it must be enabled and of the token's
//! generation, so that disabling a user or changing a password ends all sessions at once (reference 01 §13).

pub mod accounts;
pub mod api_keys;
pub mod keys;
pub mod sessions;
pub mod standalone;
pub mod tokens;

use kernel::{PatId, UserId};

/// Who is calling, as far as valid credentials tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The role that the token claims; an administrator's is checked again before it counts.
    pub role: Role,
    /// Whether the user's e-mail address is verified.
    pub verified: bool,
    /// What the caller has shown.
    pub credential: Credential,
}

/// What a caller has shown to be who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An access token or an API key: all that the user may do.
    Session,
    /// A personal access token: what the user may do *and* a scope of the token names.
    Pat(PatId),
    /// The fixed token of stand-alone mode: everything (reference 03 §12).
    Standalone,
    /// Nothing of a user's: another service of the installation, by gRPC. Nobody calls the HTTP API with it.
    Service,
}

impl Credential {
    /// The word in events (reference 01 §9).
    pub const fn word(self) -> &'static str {
        match self {
            Self::Session | Self::Standalone => "access token",
            Self::Pat(_) => "pat",
            Self::Service => "service",
        }
    }
}

/// A user's role on the platform, as tokens carry it (reference 01 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An ordinary user; 1 in tokens.
    User,
    /// An administrator of the platform; 2 in tokens.
    Admin,
}

impl Role {
    /// The number in tokens.
    pub const fn claim(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Admin => 2,
        }
    }

    /// The role with this number in tokens.
    pub const fn from_claim(claim: u8) -> Option<Self> {
        match claim {
            1 => Some(Self::User),
            2 => Some(Self::Admin),
            _ => None,
        }
    }
}
