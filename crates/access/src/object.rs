//! The things that rights are about.

use std::fmt;

use kernel::{ChannelId, ClientId, ConfigId, DomainId, GroupId};
use uuid::Uuid;

/// A thing in a domain, or a domain itself: what an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object {
    kind: &'static str,
    id: Uuid,
    domain: DomainId,
}

impl Object {
    /// A domain.
    pub const fn domain(id: DomainId) -> Self {
        Self { kind: DomainId::KIND, id: id.uuid(), domain: id }
    }

    /// A client that is said to be in `domain`.
    pub const fn client(domain: DomainId, id: ClientId) -> Self {
        Self { kind: ClientId::KIND, id: id.uuid(), domain }
    }

    /// A channel that is said to be in `domain`.
    pub const fn channel(domain: DomainId, id: ChannelId) -> Self {
        Self { kind: ChannelId::KIND, id: id.uuid(), domain }
    }

    /// A group that is said to be in `domain`.
    pub const fn group(domain: DomainId, id: GroupId) -> Self {
        Self { kind: GroupId::KIND, id: id.uuid(), domain }
    }

    /// What a device of `domain` fetches. It has no relations of its own.
    pub const fn config(domain: DomainId, id: ConfigId) -> Self {
        Self { kind: ConfigId::KIND, id: id.uuid(), domain }
    }

    /// The thing whose relations say who may do something with this one: itself, or its domain where it has none.
    #[must_use]
    pub fn decided_by(self) -> Self {
        if self.kind == ConfigId::KIND { Self::domain(self.domain) } else { self }
    }

    /// A thing of a kind that is known only at run time, by the schema's word for it, said to be in `domain`.
    pub const fn of(kind: &'static str, domain: DomainId, id: Uuid) -> Self {
        Self { kind, id, domain }
    }

    /// The schema's word for the kind of thing.
    pub const fn kind(self) -> &'static str {
        self.kind
    }

    /// Its id.
    pub const fn id(self) -> Uuid {
        self.id
    }

    /// The domain that it is said to be in.
    pub const fn in_domain(self) -> DomainId {
        self.domain
    }

    /// The id as text, for the database.
    pub fn id_text(self) -> String {
        self.id.as_hyphenated().to_string()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id.as_hyphenated())
    }
}
