//! What one may do on a broker, and the access mask that brokers ask with (reference 08 §5).

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that a client does, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Asking for the messages of a filter.
    Subscribe,
    /// Being handed one message.
    Read,
    /// Sending a message.
    Publish,
    /// Being asked nothing any more. No topic has it; it is a capability alone.
    Superuser,
}

impl Action {
    /// All of them, in the order in which a mask is evaluated: the first denial decides.
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::Read, Self::Superuser];

    /// As rule files and messages spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Superuser => "superuser",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Publish => 2,
            Self::Subscribe => 4,
            Self::Superuser => 8,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actions(u8);

impl Actions {
    /// Every action.
    pub const EVERY: Self = Self(15);

    /// What a broker's access mask asks for: 1 read, 2 publish, 4 subscribe, all bits of it at once. `None` for zero and
    /// for every mask with another bit; 8 is never asked, and 17 is how a broker spells a denial.
    pub fn of_mask(mask: i64) -> Option<Self> {
        u8::try_from(mask).ok().filter(|mask| (1..=7).contains(mask)).map(Self)
    }

    /// Whether `action` is among them.
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action.bit() != 0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are in both.
    #[must_use]
    pub const fn common(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Each of them, in the order of [`Action::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.contains(*action))
    }
}

impl FromIterator<Action> for Actions {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | action.bit()))
    }
}

impl From<Action> for Actions {
    fn from(action: Action) -> Self {
        Self(action.bit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_asks_for_every_action_of_its_bits() {
        let of = |mask| Actions::of_mask(mask).map(|actions| actions.iter().collect::<Vec<_>>());
        assert_eq!(of(1), Some(vec![Action::Read]));
        assert_eq!(of(2), Some(vec![Action::Publish]));
        assert_eq!(of(3), Some(vec![Action::Publish, Action::Read]));
        assert_eq!(of(4), Some(vec![Action::Subscribe]));
        assert_eq!(of(5), Some(vec![Action::Subscribe, Action::Read]));
        assert_eq!(of(6), Some(vec![Action::Subscribe, Action::Publish]));
        assert_eq!(of(7), Some(vec![Action::Subscribe, Action::Publish, Action::Read]));
        for mask in [0, 8, 9, 17, -1, 255, 256, 258, i64::MAX, i64::MIN] {
            assert_eq!(of(mask), None, "{mask}");
        }
    }
}
