//! From the relay to the consumers, within this process.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::Event;

/// Hands each event to every subscription. Clones are the same bus.
#[derive(Debug, Clone)]
pub struct Bus {
    /// `None`: some may have been missed.
    sender: broadcast::Sender<Option<Arc<Event>>>,
}

impl Bus {
    /// Events that a slow consumer may lag behind before it misses some.
    pub const DEFAULT_ROOM: usize = 4096;

    /// A bus on which a consumer may lag behind by `room` events (rounded up to a power of two, at least one).
    pub fn new(room: usize) -> Self {
        Self { sender: broadcast::Sender::new(room.max(1)) }
    }

    /// All events from now on.
    pub fn subscribe(&self) -> Subscription {
        Subscription { receiver: self.sender.subscribe() }
    }

    /// Never waits, whoever is slow.
    pub(crate) fn publish(&self, event: Event) {
        // An error means that nobody has subscribed.
        let _ = self.sender.send(Some(Arc::new(event)));
    }

    /// Tells everybody that some events may not have come.
    pub(crate) fn missed(&self) {
        let _ = self.sender.send(None);
    }
}

impl Default for Bus {
    fn default() -> Self {
        Self::new(Self::DEFAULT_ROOM)
    }
}

/// One consumer's place on the bus.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<Option<Arc<Event>>>,
}

/// What a consumer gets.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// The next event.
    Event(Arc<Event>),
    /// The consumer was too slow for this many events, or nobody knows for how many (0), because other nodes were not
    /// heard for a while; what it derives from events must be read again.
    Missed(u64),
    /// The bus is gone: the program is stopping.
    Closed,
}

impl Subscription {
    /// Waits for the next event. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Received {
        match self.receiver.recv().await {
            Ok(Some(event)) => Received::Event(event),
            Ok(None) => Received::Missed(0),
            Err(RecvError::Lagged(missed)) => {
                metrics::counter!("trunkline_events_missed_total").increment(missed);
                Received::Missed(missed)
            }
            Err(RecvError::Closed) => Received::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use kernel::Timestamp;

    use super::*;

    fn numbered(number: i64) -> Event {
        Event::new("client.create", format!("client:{number}"), Timestamp::from_micros(number))
    }

    #[tokio::test]
    async fn a_slow_consumer_is_told_what_it_missed_and_goes_on() {
        let bus = Bus::new(4);
        let mut slow = bus.subscribe();
        for number in 0..10 {
            bus.publish(numbered(number));
        }
        assert_eq!(slow.recv().await, Received::Missed(6));
        assert_eq!(slow.recv().await, Received::Event(Arc::new(numbered(6))));
    }

    #[tokio::test]
    async fn the_end_of_the_bus_is_told() {
        let bus = Bus::default();
        let mut consumer = bus.subscribe();
        bus.publish(numbered(1));
        drop(bus);
        assert!(matches!(consumer.recv().await, Received::Event(_)));
        assert_eq!(consumer.recv().await, Received::Closed);
    }
}
