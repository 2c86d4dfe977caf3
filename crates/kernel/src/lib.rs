//! The words that every part of Trunkline speaks: ids, names, status, metadata, pages, time, secrets, errors.
//!
//! Nothing here does I/O. A value of one of these types is valid by construction: whoever holds a [`Name`] or a
//! [`Route`] need not check it again. Wire shapes (JSON) follow reference 01 §1, 02 §0.4 and 03 §2.
//!
//! Start reading at [`error`] (one error for all crates) and [`id`] (one type per kind of thing).

pub mod change;
pub mod clock;
pub mod duration;
pub mod error;
pub mod id;
pub mod metadata;
pub mod name;
mod nearest;
pub mod operation;
pub mod page;
pub mod secret;
pub mod status;
pub mod time;

pub use change::Change;
pub use clock::{Clock, Rng};
pub use error::{Error, Kind, Result};
pub use id::{
    ChannelId, ClientId, ConfigId, DomainId, EntityId, GroupId, KeyId, PatId, ProfileId, RoleId, UserId,
};
pub use metadata::{Metadata, Tags};
pub use name::{Name, Route};
pub use nearest::nearest;
pub use operation::Operation;
pub use page::{Direction, Listing, Page, PageRequest};
pub use secret::Secret;
pub use status::Status;
pub use time::Timestamp;
