//! What callouts are told of a request beyond who does what.

use kernel::{Direction, Listing, page::Order};
use serde_json::{Value, json};

/// Members that hold secrets, wherever they stand. Upstream tells them (reference 03 §9); nobody needs them to decide.
const SECRETS: &[&str] = &["secret", "password", "old_secret", "new_secret", "token", "key", "private_key"];

/// The payload without any secret.
pub fn without_secrets(payload: Value) -> Value {
    match payload {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !SECRETS.contains(&name.as_str()))
            .map(|(name, value)| (name, without_secrets(value)))
            .collect(),
        Value::Array(values) => values.into_iter().map(without_secrets).collect(),
        plain => plain,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_told_however_deep_it_is() {
        let told = without_secrets(json!({
            "entities": [{"name": "x", "credentials": {"identity": "i", "secret": "s"}}], "count": 1,
            "password": "p",
        }));
        assert_eq!(told, json!({"entities": [{"name": "x", "credentials": {"identity": "i"}}], "count": 1}));
    }
}
