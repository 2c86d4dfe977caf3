//! Who is calling: tokens, the keys that sign them, sessions, and the account behind each.
//!
//! A token is worth nothing by itself: at every request the account behind it must be enabled and of the token's
//! generation, so that disabling a user or changing a password ends all sessions at once (reference 01 §13).

pub mod accounts;
pub mod keys;
pub mod sessions;
pub mod tokens;

use kernel::UserId;

/// Who is calling, as far as a valid token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user: UserId,
    /// The role that the token claims; an administrator's is checked again before it counts.
    pub role: Role,
    /// Whether the user's e-mail address is verified.
    pub verified: bool,
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
