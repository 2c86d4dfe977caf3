//! Callouts: HTTP endpoints of the operator's own that may refuse a request after it was authorized (reference 02 §6).

use kernel::{Direction, Listing, Operation, Result, page::Order};
use serde_json::{Value, json};

use crate::{Object, identity::Caller};

/// The callouts of this installation.
#[derive(Debug, Clone, Default)]
pub struct Callouts;

impl Callouts {
    /// Whether anybody wants to be asked about `operation` on a thing of this kind.
    pub const fn wants(&self, _operation: Operation) -> bool {
        false
    }

    /// Asks each endpoint in turn; the first that does not answer 200 refuses the request.
    #[expect(clippy::unused_async, reason = "the endpoints are elsewhere")]
    pub async fn consult(
        &self,
        _caller: &Caller,
        _operation: Operation,
        _object: Object,
        _payload: Value,
    ) -> Result<()> {
        Ok(())
    }
}

/// The payload of a list: what was asked for.
pub fn page_meta(listing: &Listing) -> Value {
    json!({ "pagemeta": {
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
