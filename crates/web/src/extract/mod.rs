//! What handlers take from a request. Whatever does not fit is refused with the contract's words.

mod bearer;
mod json;
mod listing;
mod loose;
mod path;
mod payload;
pub(crate) mod query;
mod query_value;

pub use bearer::Bearer;
pub use json::{Json, JsonList};
pub use listing::List;
pub(crate) use listing::ListParameters;
pub use path::Path;
pub use payload::Payload;
pub(crate) use payload::too_large;
pub use query::Query;
