//! A session goes from one connection to another.
//!
//! The race it must win: the connection that loses may be in the middle of anything, with other tasks writing to it.
//! From the moment of takeover its link is not the session's any more, so nothing that it still does has an effect
//! (`session.rs`); it is told 0x8E if what was written to it so far ends with a whole packet, and closed.

use std::sync::Arc;

use super::connect::Aftermath;
use super::link::Close;
use super::session::{Session, State};

/// Makes room for a new connection of an existing session. When the newcomer `starts_anew` the session ends here.
///
/// The will of the old connection: a session that ends publishes it, and so does a takeover when the will has no
/// delay; a delayed one is dropped, because the client is back before it was due (MQTT 5.0 §3.1.2.5, §3.1.4).
pub(crate) fn displace(
    session: &Arc<Session>,
    state: &mut State,
    starts_anew: bool,
    aftermath: &mut Aftermath,
) {
    let farewell = state.output.is_between_packets();
    let was_connected = match session.detach(state) {
        Some(loser) => {
            loser.close(Close::TakenOver { farewell });
            true
        }
        None => false,
    };
    let will = state.will.take();
    if let Some(will) = will.filter(|will| starts_anew || (was_connected && will.delay == 0)) {
        aftermath.wills.push((state.identity.clone(), will));
    }
    if starts_anew {
        let held = session.end(state);
        aftermath.ended.push((Arc::clone(session), held));
    }
}
