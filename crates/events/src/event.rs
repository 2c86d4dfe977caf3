//! One thing that happened.

use std::borrow::Cow;

use kernel::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// What the names of streams begin with, unless configured otherwise (reference 01 §0: `supermq.` in other builds).
pub const STREAM_PREFIX: &str = "magistrala.";

/// A change of an entity, as the reference's catalogues describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    operation: Cow<'static, str>,
    entity: String,
    at: Timestamp,
    payload: Map<String, Value>,
}

impl Event {
    /// The event `operation` (`client.create`) about `entity` (`client:<id>`, the key within which order is kept), at
    /// the instant of the use case.
    pub fn new(operation: &'static str, entity: String, at: Timestamp) -> Self {
        let mut payload = Map::new();
        payload.insert("operation".to_owned(), operation.into());
        payload.insert("occurred_at".to_owned(), at.micros().saturating_mul(1000).into());
        Self { operation: Cow::Borrowed(operation), entity, at, payload }
    }

    /// From the outbox.
    pub(crate) const fn stored(
        operation: String,
        entity: String,
        at: Timestamp,
        payload: Map<String, Value>,
    ) -> Self {
        Self { operation: Cow::Owned(operation), entity, at, payload }
    }

    /// One line that [`Event::heard`] reads.
    pub(crate) fn told(&self) -> String {
        let Self { operation, entity, at, payload } = self;
        serde_json::json!([operation, entity, at.micros(), payload]).to_string()
    }

    /// From another node.
    pub(crate) fn heard(line: &str) -> Option<Self> {
        let (operation, entity, at, payload) = serde_json::from_str(line).ok()?;
        Some(Self::stored(operation, entity, Timestamp::from_micros(at), payload))
    }

    /// With one more member. A value that has no JSON form (a map whose keys are no strings) becomes null: a change
    /// must not fail because of what is told about it.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_else(|error| {
            tracing::error!(operation = %self.operation, member, %error, "a member of an event has no JSON form");
            Value::Null
        });
        self.payload.insert(member.to_owned(), value);
        self
    }

    /// With one more member, if there is a value for it.
    #[must_use]
    pub fn with_some(self, member: &'static str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(member, value),
            None => self,
        }
    }

    /// What happened: `client.create`.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What it happened to: `client:<id>`.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// The flat object that consumers get.
    pub const fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// A text member of the payload.
    pub fn text(&self, member: &str) -> Option<&str> {
        self.payload.get(member).and_then(Value::as_str)
    }

    /// The stream under which others find it: the prefix and the operation, but one stream for all role operations of
    /// a kind of entity, `<prefix><kind>.roles` (reference 02 §10).
    pub fn stream(&self, prefix: &str) -> String {
        match self.operation.split_once('.') {
            Some((kind, rest)) if rest.starts_with("role.") || rest.starts_with("members.") => {
                format!("{prefix}{kind}.roles")
            }
            _ => format!("{prefix}{}", self.operation),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_payload_is_one_flat_object() {
        let event = Event::new("client.create", "client:c".to_owned(), Timestamp::from_micros(1_500_000))
            .with("id", "c")
            .with_some("name", None::<&str>)
            .with_some("status", Some(kernel::Status::Enabled));
        assert_eq!(
            Value::from(event.payload().clone()),
            json!({"operation": "client.create", "occurred_at": 1_500_000_000, "id": "c", "status": "enabled"})
        );
        assert_eq!(event.text("id"), Some("c"));
    }

    #[test]
    fn what_one_node_tells_another_hears() {
        let event = Event::new("client.create", "client:c".to_owned(), Timestamp::from_micros(1_500_000))
            .with("name", "two\nlines");
        let line = event.told();
        assert!(!line.contains('\n'));
        assert_eq!(Event::heard(&line), Some(event));
    }

    #[test]
    fn role_operations_of_a_kind_share_a_stream() {
        for (operation, stream) in [
            ("client.create", "magistrala.client.create"),
            ("client.role.add", "magistrala.client.roles"),
            ("domain.role.members.add", "magistrala.domain.roles"),
            ("group.members.list", "magistrala.group.roles"),
            ("user.issue_token", "magistrala.user.issue_token"),
        ] {
            let event = Event::new(operation, String::new(), Timestamp::from_micros(0));
            assert_eq!(event.stream(STREAM_PREFIX), stream);
        }
    }
}
