//! What an invitation is, and which state it may pass into.

use std::str::FromStr;

use kernel::{DomainId, Error, PageRequest, Result, RoleId, Timestamp, UserId};
use uuid::Uuid;

/// An invitation of a user into a role of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its number; never shown.
    pub id: Uuid,
    /// Who is invited.
    pub invitee: UserId,
    /// Into which domain.
    pub domain: DomainId,
    /// The role that whoever accepts is given.
    pub role: RoleId,
    /// Who invited last.
    pub invited_by: UserId,
    /// When it was sent first.
    pub created_at: Timestamp,
    /// When it was sent again.
    pub updated_at: Option<Timestamp>,
    /// When it was accepted.
    pub confirmed_at: Option<Timestamp>,
    /// When it was rejected.
    pub rejected_at: Option<Timestamp>,
}

/// An invitation with the names that a person knows the domain and the role by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The invitation.
    pub invitation: Invitation,
    /// The domain's name.
    pub domain_name: String,
    /// The role's name, if the role is still there.
    pub role_name: Option<String>,
}

/// What became of an invitation (reference 02 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Neither accepted nor rejected.
    Pending,
    /// Accepted: the invitee holds the role.
    Accepted,
    /// Rejected.
    Rejected,
}

impl FromStr for State {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "pending" => Ok(Self::Pending),
            "accepted" => Ok(Self::Accepted),
            "rejected" => Ok(Self::Rejected),
            _ => Err(Error::invalid("invalid invitation state")),
        }
    }
}

/// The state that a list is limited to; none is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateFilter(pub Option<State>);

impl FromStr for StateFilter {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "" | "all" => Ok(Self(None)),
            state => state.parse().map(|state| Self(Some(state))),
        }
    }
}

impl Invitation {
    /// What became of it.
    pub const fn state(&self) -> State {
        match (self.confirmed_at, self.rejected_at) {
            (Some(_), _) => State::Accepted,
            (None, Some(_)) => State::Rejected,
            (None, None) => State::Pending,
        }
    }

    /// Fails where it was accepted or rejected.
    pub fn pending(&self) -> Result<()> {
        match self.state() {
            State::Pending => Ok(()),
            State::Accepted => Err(Error::conflict("invitation already accepted")),
            State::Rejected => Err(Error::conflict("invitation already rejected")),
        }
    }

    /// Sends it again, into a role that may be another one. A rejected invitation is open again.
    pub fn resend(&mut self, role: RoleId, by: UserId, at: Timestamp) -> Result<()> {
        if self.state() == State::Accepted {
            return Err(Error::conflict("invitation already accepted"));
        }
        self.role = role;
        self.invited_by = by;
        self.rejected_at = None;
        self.updated_at = Some(at);
        Ok(())
    }
}

/// Whom to invite.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The user.
    pub invitee: UserId,
    /// The role of the domain.
    pub role: RoleId,
    /// Whether to send an invitation again that is there.
    pub resend: bool,
}

/// Which invitations are asked for; newest first.
#[derive(Debug, Clone)]
pub struct Query {
    /// The page.
    pub page: PageRequest,
    /// Invitations of this user.
    pub invitee: Option<UserId>,
    /// Sent by this user.
    pub invited_by: Option<UserId>,
    /// Into this role.
    pub role: Option<RoleId>,
    /// Into this domain.
    pub domain: Option<DomainId>,
    /// In this state.
    pub state: StateFilter,
}

#[cfg(test)]
mod tests {
    use kernel::Rng;

    use super::*;

    fn invitation() -> Invitation {
        let rng = Rng::seeded(1);
        Invitation {
            id: rng.uuid(),
            invitee: UserId::generate(&rng),
            domain: DomainId::generate(&rng),
            role: RoleId::generate("domain", &rng),
            invited_by: UserId::generate(&rng),
            created_at: Timestamp::from_micros(1),
            updated_at: None,
            confirmed_at: None,
            rejected_at: None,
        }
    }

    #[test]
    fn only_a_pending_invitation_can_be_answered() {
        let at = Some(Timestamp::from_micros(2));
        let accepted = Invitation { confirmed_at: at, ..invitation() };
        let rejected = Invitation { rejected_at: at, ..invitation() };
        assert!(invitation().pending().is_ok());
        assert_eq!(accepted.pending().unwrap_err().public(), "invitation already accepted");
        assert_eq!(rejected.pending().unwrap_err().public(), "invitation already rejected");
    }

    #[test]
    fn sending_again_opens_a_rejected_invitation_but_not_an_accepted_one() {
        let (rng, at) = (Rng::seeded(2), Timestamp::from_micros(3));
        let (role, by) = (RoleId::generate("domain", &rng), UserId::generate(&rng));
        let mut rejected = Invitation { rejected_at: Some(at), ..invitation() };
        rejected.resend(role.clone(), by, at).unwrap();
        assert_eq!((rejected.state(), rejected.updated_at), (State::Pending, Some(at)));
        assert_eq!((&rejected.role, rejected.invited_by), (&role, by));
        let mut accepted = Invitation { confirmed_at: Some(at), ..invitation() };
        assert!(accepted.resend(role, by, at).is_err());
    }

    #[test]
    fn states_are_named_by_the_contract() {
        assert_eq!("all".parse::<StateFilter>().unwrap(), StateFilter(None));
        assert_eq!("pending".parse::<StateFilter>().unwrap(), StateFilter(Some(State::Pending)));
        assert_eq!("gone".parse::<StateFilter>().unwrap_err().public(), "invalid invitation state");
    }
}
