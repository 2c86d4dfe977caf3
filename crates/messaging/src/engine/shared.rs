//! Shared subscriptions: of each message one member of the group gets it (MQTT 5.0 §4.8.2).
//!
//! The members take turns. A member without a connection is passed over while another has one; a message that
//! nobody can take now goes to a member whose session keeps it. When those are all over their bound they end, as
//! they would alone (`overflow.rs`): a group is no way around the bounds.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::room::Target;
use crate::wire::QoS;

/// The members of one group that a message is offered to.
#[derive(Debug)]
pub(crate) struct ShareGroup {
    pub(crate) name: Box<str>,
    pub(crate) members: Vec<Target>,
    turn: AtomicUsize,
}

impl ShareGroup {
    pub(crate) fn new(name: Box<str>) -> Self {
        Self { name, members: Vec::new(), turn: AtomicUsize::new(0) }
    }

    /// The member whose turn it is; `None`: nobody is there and nobody keeps the message.
    pub(crate) fn next(&self) -> Option<&Target> {
        let start = self.turn.fetch_add(1, Relaxed) % self.members.len().max(1);
        let (before, from) = self.members.split_at_checked(start)?;
        let in_turn = || from.iter().chain(before);
        in_turn()
            .find(|member| member.session.is_connected())
            .or_else(|| in_turn().find(|member| has_room(member)))
    }

    /// Whether nobody is there and all who would keep a message are over their bound.
    pub(crate) fn is_full(&self) -> bool {
        !self.members.iter().any(|member| member.session.is_connected() || has_room(member))
    }
}

/// Whether a member without a connection would keep a message and may.
fn has_room(member: &Target) -> bool {
    member.qos > QoS::AtMostOnce && !member.session.is_full_and_absent()
}
