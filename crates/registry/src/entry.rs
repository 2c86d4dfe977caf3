//! The part that all things of the registry share.

use std::{
    fmt::{Debug, Display},
    hash::Hash,
};

use access::{Object, Permit};
use db::{BoxFuture, FromVal, Row, Tx, Val};
use events::Event;
use kernel::{
    Change, ChannelId, ClientId, DomainId, Error, GroupId, Metadata, Name, Operation, Result, Rng, Status,
    Tags, Timestamp, UserId,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// The id of a thing of the registry.
pub trait EntryId:
    Copy
    + Ord
    + Hash
    + Debug
    + Display
    + Serialize
    + DeserializeOwned
    + Into<Val>
    + FromVal
    + Send
    + Sync
    + 'static
{
    /// The schema's word for the kind, for example `client`.
    const KIND: &'static str;
    /// The table, which is also the kind's name in paths: `clients`.
    const TABLE: &'static str;

    /// A new id.
    fn generate(rng: &Rng) -> Self;

    /// Reads an id; Invalid for what is none.
    fn parse(text: &str) -> Result<Self>;

    /// What rights on the thing are about.
    fn object(self, domain: DomainId) -> Object;
}

macro_rules! entry_ids {
    ($($id:ident $object:ident $table:literal;)*) => {$(
        impl EntryId for $id {
            const KIND: &'static str = $id::KIND;
            const TABLE: &'static str = $table;

            fn generate(rng: &Rng) -> Self {
                $id::generate(rng)
            }

            fn parse(text: &str) -> Result<Self> {
                text.parse()
            }

            fn object(self, domain: DomainId) -> Object {
                Object::$object(domain, self)
            }
        }
    )*};
}

entry_ids! {
    ClientId client "clients";
    ChannelId channel "channels";
    GroupId group "groups";
}

/// What every thing of the registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<I> {
    /// Its id.
    pub id: I,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it.
    pub name: Name,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Whether it is in use.
    pub status: Status,
    /// The group that contains it.
    pub parent: Option<GroupId>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub updated_by: Option<UserId>,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

impl<I> Entry<I> {
    /// Applies a change.
    pub fn change(&mut self, change: Change) {
        change.apply(&mut self.name, &mut self.tags, &mut self.metadata);
    }

    /// Notes who changes it, and when.
    pub const fn touch(&mut self, permit: &Permit) {
        self.updated_by = Some(permit.actor());
        self.updated_at = Some(permit.at());
    }
}

/// What a caller gives to make a thing; everything is optional.
#[derive(Debug, Clone)]
pub struct NewEntry<I> {
    /// An id of the caller's choice.
    pub id: Option<I>,
    /// What people call it.
    pub name: Name,
    /// The user's tags.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Metadata,
    /// Enabled or disabled.
    pub status: Status,
    /// The group to put it into.
    pub parent: Option<GroupId>,
}

impl<I: EntryId> NewEntry<I> {
    /// The thing, as `permit`'s holder makes it. Invalid for a status that nothing new has, and for what is too large.
    pub fn build(self, domain: DomainId, permit: &Permit, rng: &Rng) -> Result<Entry<I>> {
        if self.status == Status::Deleted {
            return Err(Error::invalid("invalid status"));
        }
        Ok(Entry {
            id: self.id.unwrap_or_else(|| I::generate(rng)),
            domain,
            name: self.name,
            tags: self.tags.checked()?,
            metadata: self.metadata.checked()?,
            status: self.status,
            parent: self.parent,
            created_by: permit.actor(),
            created_at: permit.at(),
            updated_by: None,
            updated_at: None,
        })
    }
}

/// What a caller gives to make a thing of one kind, as far as every kind has it.
pub trait New<I> {
    /// The part that all kinds have.
    fn entry(&self) -> &NewEntry<I>;

    /// What callouts are told of the rest; never a secret.
    fn own(&self) -> Map<String, Value>;

    /// What callouts are told of it (reference 03 §9).
    fn told(&self) -> Value
    where
        I: Serialize,
    {
        let entry = self.entry();
        let mut told = self.own();
        let shared = [
            ("name", json!(entry.name)),
            ("tags", json!(entry.tags)),
            ("metadata", json!(entry.metadata)),
            ("status", json!(entry.status)),
            ("parent_group_id", json!(entry.parent)),
        ];
        told.extend(shared.map(|(name, value)| (name.to_owned(), value)));
        if let Some(id) = &entry.id {
            told.insert("id".to_owned(), json!(id));
        }
        Value::Object(told)
    }
}

/// The operations of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Operations {
    /// Make things in a domain.
    pub create: Operation,
    /// List the things of a domain.
    pub list: Operation,
    /// The same as another user sees it: what callouts are told.
    pub list_of_user: Operation,
    /// View one.
    pub view: Operation,
    /// Change name or metadata.
    pub update: Operation,
    /// Replace the tags.
    pub update_tags: Operation,
    /// Put it back into use.
    pub enable: Operation,
    /// Take it out of use.
    pub disable: Operation,
    /// Remove it.
    pub delete: Operation,
    /// Put it into a group.
    pub set_parent: Operation,
    /// Take it out of its group.
    pub remove_parent: Operation,
    /// Let a group have it; asked for on the group.
    pub set_child: Operation,
    /// Let a group lose it; asked for on the group.
    pub remove_child: Operation,
}

/// The names of one kind's events (reference 03 §8).
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// One was made.
    pub create: &'static str,
    /// Name or metadata changed.
    pub update: &'static str,
    /// The tags changed.
    pub update_tags: &'static str,
    /// It is in use again.
    pub enable: &'static str,
    /// It is out of use.
    pub disable: &'static str,
    /// It is gone.
    pub remove: &'static str,
    /// It is in a group.
    pub set_parent: &'static str,
    /// It is in no group any more.
    pub remove_parent: &'static str,
}

/// The contract's words for what one kind refuses (reference 03 §5.2, §6).
#[derive(Debug, Clone, Copy)]
pub struct Refusals {
    /// It is in that group already.
    pub same_parent: &'static str,
    /// It is in another group.
    pub other_parent: &'static str,
    /// The group is in another domain.
    pub foreign_group: &'static str,
    /// The group is not in use.
    pub group_not_enabled: &'static str,
    /// The id is taken.
    pub id_taken: &'static str,
}

/// A kind of thing in the registry: what sets it apart from the others.
pub trait Registered: Clone + Send + Sync + 'static {
    /// Its ids.
    type Id: EntryId;

    /// Its operations.
    const OPERATIONS: Operations;
    /// The names of its events.
    const WORDS: Words;
    /// The words of its refusals.
    const REFUSALS: Refusals;
    /// How callouts are told the group (reference 03 §9).
    const PARENT_IN_CALLOUTS: &'static str;
    /// The columns of its table that are its own, for a SELECT.
    const OWN_COLUMNS: &'static str;

    /// The part that it shares with all.
    fn entry(&self) -> &Entry<Self::Id>;

    /// The same, to be changed.
    fn entry_mut(&mut self) -> &mut Entry<Self::Id>;

    /// From a row that holds the shared columns and its own.
    fn read(entry: Entry<Self::Id>, row: &Row) -> Result<Self>;

    /// Those of its own columns that a change writes.
    fn changed_values(&self) -> Vec<(&'static str, Val)> {
        Vec::new()
    }

    /// Adds to an event what is known of this kind alone; never a secret.
    fn describe(&self, event: Event) -> Event;

    /// The error for a row that breaks a unique index of its own.
    fn taken(index: &str) -> Option<&'static str>;

    /// Fails where the group is not in the domain or not in use; holds it as it is until the transaction ends.
    fn hold_group(tx: &mut Tx, domain: DomainId, group: GroupId) -> BoxFuture<'_, Result<()>>;

    /// Removes what goes with the thing, in the transaction that removes it.
    fn forget(tx: &mut Tx, id: Self::Id) -> BoxFuture<'_, Result<()>>;
}
