//! Topic aliases that the server gives: short numbers in the place of topics, for as long as a connection lasts
//! (MQTT 5.0 §3.3.2.3.4).
//!
//! The first topics of a connection get one each, as many as the client accepts and [`MOST`] at most, and keep it. What
//! is written again on another connection has its whole topic, or an alias of that connection.

use std::num::NonZeroU16;

use hashbrown::HashMap;

use crate::wire::Text;

/// Aliases of one connection, so that what is remembered for it has a bound.
const MOST: u16 = 64;

/// The aliases of one connection.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    /// What the client accepts; 0: none.
    maximum: u16,
    by_topic: HashMap<Text, NonZeroU16>,
}

/// What a topic is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alias {
    /// There is no alias for it.
    None,
    /// The client is to learn this one.
    New(NonZeroU16),
    /// The client knows it under this one.
    Known(NonZeroU16),
}

impl Aliases {
    /// For a client that accepts this many ([MQTT-3.1.2-26]).
    pub(crate) fn new(accepted: u16) -> Self {
        Self { maximum: accepted.min(MOST), by_topic: HashMap::new() }
    }

    /// Whether the client accepts any ([MQTT-3.1.2-27]).
    pub(crate) const fn are_accepted(&self) -> bool {
        self.maximum > 0
    }

    /// What to call a topic.
    pub(crate) fn of(&self, topic: &Text) -> Alias {
        if let Some(known) = self.by_topic.get(topic) {
            return Alias::Known(*known);
        }
        let next = u16::try_from(self.by_topic.len() + 1).unwrap_or(u16::MAX);
        NonZeroU16::new(next).filter(|_| next <= self.maximum).map_or(Alias::None, Alias::New)
    }

    /// The client has been told.
    pub(crate) fn learn(&mut self, topic: &Text, alias: NonZeroU16) {
        self.by_topic.insert(topic.clone(), alias);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topics_get_an_alias_each_and_keep_it() {
        let alias = |number| NonZeroU16::new(number).unwrap();
        let mut aliases = Aliases::new(2);
        assert!(aliases.are_accepted());
        let [a, b, c] = ["a", "b", "c"].map(Text::from);
        for (topic, number) in [(&a, 1), (&b, 2)] {
            assert_eq!(aliases.of(topic), Alias::New(alias(number)));
            assert_eq!(aliases.of(topic), Alias::New(alias(number)), "until the client has been told");
            aliases.learn(topic, alias(number));
            assert_eq!(aliases.of(topic), Alias::Known(alias(number)));
        }
        assert_eq!(aliases.of(&c), Alias::None);
        assert_eq!(aliases.of(&a), Alias::Known(alias(1)));
        assert!(!Aliases::new(0).are_accepted());
        assert_eq!(Aliases::new(0).of(&a), Alias::None);
        assert_eq!(Aliases::new(u16::MAX).maximum, MOST);
    }
}
