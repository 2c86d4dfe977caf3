//! The operator's map of topics changes while messages are under way.
//!
//! The race it must win: a ticket that was given by the map before must not outlive the change. The new map is in force
//! before the rooms are told that decisions are stale; whoever gives a ticket looks, after it has read the room's
//! generation, whether the map is still the one that it began with (`publish.rs`). Subscriptions keep the meaning that
//! they were made with until they are made again: their clients have been told that they hold.

use std::sync::Arc;

use super::{Core, Engine};
use crate::gate::Identity;
use crate::topic::{Address, Filter, Malformed};
use crate::topic_map::TopicMap;

impl Engine {
    /// Puts another map in force, at once and for every protocol.
    pub fn map_topics(&self, map: TopicMap) {
        let core = &self.0;
        *core.topic_map.lock() = Arc::new(map);
        for room in core.rooms.all(|_| true) {
            room.outdate();
        }
    }

    /// The address that a topic leads to, for somebody who is not known yet.
    ///
    /// # Errors
    ///
    /// The text is no topic.
    pub fn address_of<'a>(&self, topic: &'a str) -> Result<Address<'a>, Malformed> {
        self.0.bounded(topic)?;
        self.0.topic_map().topic(topic, None)
    }

    /// What a topic filter means, for somebody who is not known yet.
    ///
    /// # Errors
    ///
    /// The text is no filter.
    pub fn filter_of<'a>(&self, filter: &'a str) -> Result<Filter<'a>, Malformed> {
        self.0.bounded(filter)?;
        self.0.topic_map().filter(filter, None)
    }
}

impl Core {
    /// The map in force.
    pub(crate) fn topic_map(&self) -> Arc<TopicMap> {
        Arc::clone(&self.topic_map.lock())
    }

    /// Whether a map is still the one in force.
    pub(crate) fn is_in_force(&self, map: &Arc<TopicMap>) -> bool {
        Arc::ptr_eq(&self.topic_map.lock(), map)
    }

    /// The address that a topic leads to.
    pub(crate) fn address<'a>(
        &self,
        map: &TopicMap,
        identity: &Identity,
        topic: &'a str,
    ) -> Result<Address<'a>, Malformed> {
        self.bounded(topic)?;
        map.topic(topic, identity.domain())
    }

    /// What a topic filter means.
    pub(crate) fn filter<'a>(&self, identity: &Identity, filter: &'a str) -> Result<Filter<'a>, Malformed> {
        self.bounded(filter)?;
        self.topic_map().filter(filter, identity.domain())
    }

    fn bounded(&self, text: &str) -> Result<(), Malformed> {
        if text.len() > self.shared.limits.topic_bytes { Err(Malformed::Topic) } else { Ok(()) }
    }
}
