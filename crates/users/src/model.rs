//! What a user is.

use std::{fmt, str::FromStr};

use access::crypto::PasswordHash;
use kernel::{
    Error, Metadata, Result, Secret, Status, Tags, Timestamp, UserId,
    metadata::TagFilter,
    page::{Direction, PageRequest},
    status::StatusFilter,
};
use serde::{Deserialize, Deserializer, Serialize};

/// A person or a program that manages things.
#[derive(Debug, Clone)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// What the user logs in with.
    pub username: Username,
    /// What the user may log in with as well.
    pub email: Email,
    /// Where the mail with a link to a new password goes.
    pub recovery: Recovery,
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The user's tags.
    pub tags: Tags,
    /// Data that other users see.
    pub metadata: Metadata,
    /// Data that only the user and administrators see.
    pub private_metadata: Metadata,
    /// Where the user's picture is.
    pub picture: Picture,
    /// Who vouches for the user, and looks after its name, picture and address; none for our own accounts.
    pub provider: Option<Provider>,
    /// The role on the platform.
    pub role: Role,
    /// Whether the user may log in.
    pub status: Status,
    /// When the e-mail address was verified.
    pub verified_at: Option<Timestamp>,
    /// When the user was made.
    pub created_at: Timestamp,
    /// Who changed the user last.
    pub updated_by: Option<UserId>,
    /// When the user was changed last.
    pub updated_at: Option<Timestamp>,
}

/// The address that a lost password is set anew by.
///
/// INVARIANT: it is nobody else's, neither as this nor as the address of the profile; so it can become the user's
/// address again ([`crate::service::recovery`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The address.
    pub email: Email,
    /// When a later address of the user takes its place, once that is verified; none where there is no later one.
    pub due: Option<Timestamp>,
}

impl Recovery {
    /// By the user's own address.
    pub const fn by(email: Email) -> Self {
        Self { email, due: None }
    }
}

impl User {
    /// Lets the user's address be the one to set a lost password anew by, if it is verified and due at `now`.
    pub fn settle(&mut self, now: Timestamp) {
        if self.verified_at.is_some() && self.recovery.due.is_some_and(|due| due <= now) {
            self.recovery = Recovery::by(self.email.clone());
        }
    }

    /// Whether the user's address is the one to set a lost password anew by.
    pub fn is_settled(&self) -> bool {
        self.email.key() == self.recovery.email.key()
    }
}

/// A user together with the hash of the password.
#[derive(Debug, Clone)]
pub struct WithPassword {
    /// The user.
    pub user: User,
    /// The hash; none for accounts of other providers.
    pub hash: Option<PasswordHash>,
}

/// The role on the platform under its public names (reference 01 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An ordinary user.
    #[default]
    User,
    /// An administrator of the platform.
    Admin,
}

impl Role {
    /// The number in the database.
    pub const fn code(self) -> i64 {
        match self {
            Self::User => 0,
            Self::Admin => 1,
        }
    }

    /// The role with this number in the database.
    pub const fn from_code(code: i64) -> Option<Self> {
        match code {
            0 => Some(Self::User),
            1 => Some(Self::Admin),
            _ => None,
        }
    }

    /// The role as tokens carry it.
    pub const fn claimed(self) -> access::identity::Role {
        match self {
            Self::User => access::identity::Role::User,
            Self::Admin => access::identity::Role::Admin,
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    /// Reads the word; empty means an ordinary user.
    fn from_str(word: &str) -> Result<Self> {
        match word {
            "" | "user" => Ok(Self::User),
            "admin" => Ok(Self::Admin),
            _ => Err(Error::invalid("invalid client role")),
        }
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $valid:expr => $message:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(Error::invalid($message)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// `^[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}$` without `__` or `--` (reference 01 §1.6).
    Username: |text| {
        text.len() <= 32
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && !text.contains("__")
            && !text.contains("--")
    } => "invalid username";

    /// A bare address, `local@domain`; compared without case (reference 01 §13 item 13).
    Email: |text| {
        text.len() <= 254
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            })
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"".contains(c))
    } => "invalid email";

    /// A first or last name: at most 254 bytes without control characters.
    PersonName: |text| text.len() <= 254 && !text.chars().any(char::is_control) => "invalid name size";

    /// Where a picture is: empty, a path, or a URL of the web; at most 2048 bytes.
    Picture: |text| {
        text.len() <= 2048
            && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"'`\\".contains(c))
            && match text.split_once(':') {
                Some((scheme, _)) if !scheme.contains(['/', '?', '#']) => {
                    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
                }
                _ => true,
            }
    } => "invalid profile picture, expected an http or https URL of at most 2048 bytes";

    /// The name of a provider of accounts: 1 to 32 small letters, digits, `_` and `-`.
    Provider: |text| {
        (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    } => "invalid auth provider";
}

impl Username {
    /// The form in which names are compared: they differ in more than case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Picture {
    /// No picture.
    pub const fn none() -> Self {
        Self(String::new())
    }

    /// Whether there is no picture.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Email {
    /// The form in which addresses are compared.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// What it takes to make a user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What the user logs in with.
    pub username: Username,
    /// The e-mail address.
    pub email: Email,
    /// The first name.
    pub first_name: PersonName,
    /// The last name.
    pub last_name: PersonName,
    /// The password, still in the open.
    pub password: Secret<String>,
    /// The user's tags.
    pub tags: Tags,
    /// Data that other users see.
    pub metadata: Metadata,
    /// Data that only the user and administrators see.
    pub private_metadata: Metadata,
    /// Where the user's picture is.
    pub picture: Picture,
    /// Who vouches for the user; only an administrator's wish counts.
    pub provider: Option<Provider>,
    /// The role; only an administrator's wish counts.
    pub role: Role,
    /// Enabled or disabled; only an administrator's wish counts.
    pub status: Status,
}

/// What a user or an administrator changes of a profile; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The first name.
    pub first_name: Option<PersonName>,
    /// The last name.
    pub last_name: Option<PersonName>,
    /// Data that other users see, whole.
    pub metadata: Option<Metadata>,
    /// Data that only the user and administrators see, whole.
    pub private_metadata: Option<Metadata>,
    /// The tags, all of them.
    pub tags: Option<Tags>,
    /// The picture; an empty one takes it away.
    pub picture: Option<Picture>,
}

impl Change {
    /// Fails where something is too large.
    pub fn checked(self) -> Result<Self> {
        Ok(Self {
            metadata: self.metadata.map(Metadata::checked).transpose()?,
            private_metadata: self.private_metadata.map(Metadata::checked).transpose()?,
            tags: self.tags.map(Tags::checked).transpose()?,
            ..self
        })
    }

    /// Whether it touches what a provider of accounts looks after.
    pub const fn is_the_providers(&self) -> bool {
        self.first_name.is_some() || self.last_name.is_some() || self.picture.is_some()
    }

    /// Makes the change.
    pub fn apply(self, user: &mut User) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut user.first_name, self.first_name);
        set(&mut user.last_name, self.last_name);
        set(&mut user.metadata, self.metadata);
        set(&mut user.private_metadata, self.private_metadata);
        set(&mut user.tags, self.tags);
        set(&mut user.picture, self.picture);
    }
}

/// The column by which users are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By the time of creation.
    CreatedAt,
    /// By the time of the last change, or of creation where there was none; the default.
    #[default]
    UpdatedAt,
    /// By first name.
    FirstName,
    /// By last name.
    LastName,
    /// By user name.
    Username,
    /// By e-mail address.
    Email,
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "created_at" => Ok(Self::CreatedAt),
            "" | "updated_at" => Ok(Self::UpdatedAt),
            "first_name" => Ok(Self::FirstName),
            "last_name" => Ok(Self::LastName),
            "username" => Ok(Self::Username),
            "email" => Ok(Self::Email),
            _ => Err(Error::invalid("invalid list order provided")),
        }
    }
}

/// A page of users in some order, and parts of what they are called, whatever the case.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The page.
    pub page: PageRequest,
    /// The column to order by.
    pub order: Order,
    /// The direction.
    pub direction: Direction,
    /// Part of the user name.
    pub username: Option<String>,
    /// Part of the first name.
    pub first_name: Option<String>,
    /// Part of the last name.
    pub last_name: Option<String>,
    /// Part of the id.
    pub id: Option<String>,
}

/// Which users an administrator asks for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The page, the order and the names.
    pub listing: Listing,
    /// The status.
    pub status: StatusFilter,
    /// Part of the e-mail address, whatever the case.
    pub email: Option<String>,
    /// Tags.
    pub tags: Option<TagFilter>,
    /// JSON that the metadata contains.
    pub metadata: Option<Metadata>,
    /// Made at this instant or later.
    pub created_from: Option<Timestamp>,
    /// Made at this instant or earlier.
    pub created_to: Option<Timestamp>,
}

/// The fewest characters of a user name or an id that one may search for: fewer would list everybody.
const SEARCH_MIN_LEN: usize = 3;

/// What users look for other users by.
#[derive(Debug, Clone)]
pub struct Search(Listing);

impl Search {
    /// Fails where nothing is looked for, or a user name or id by too few characters.
    pub fn new(listing: Listing) -> Result<Self> {
        let Listing { username, first_name, last_name, id, .. } = &listing;
        if [username, first_name, last_name, id].into_iter().all(Option::is_none) {
            return Err(Error::invalid("search query must not be empty"));
        }
        if [username, id].into_iter().flatten().any(|part| part.chars().count() < SEARCH_MIN_LEN) {
            return Err(Error::invalid("search query must be at least 3 characters"));
        }
        Ok(Self(listing))
    }

    /// What is looked for.
    pub fn into_listing(self) -> Listing {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_are_short_words() {
        for good in ["a", "admin", "7up", "x_y-z", &"a".repeat(32)] {
            assert!(good.parse::<Username>().is_ok(), "{good}");
        }
        for bad in ["", "_a", "a__b", "a@b", "ä", &"a".repeat(33)] {
            assert_eq!(bad.parse::<Username>().unwrap_err().to_string(), "invalid username", "{bad}");
        }
    }

    #[test]
    fn a_picture_is_a_path_or_on_the_web() {
        for good in ["", "/me.png", "https://example.com/a?b=c:d", "HTTP://x/y", "me.png?x=a:b"] {
            assert!(good.parse::<Picture>().is_ok(), "{good}");
        }
        for bad in
            ["javascript:alert(1)", "data:image/png;base64,AA", "https://x/a b", "a\nb", &"a".repeat(2049)]
        {
            assert!(bad.parse::<Picture>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_is_one_of_two() {
        assert_eq!("".parse::<Role>().unwrap(), Role::User);
        assert_eq!("admin".parse::<Role>().unwrap(), Role::Admin);
        assert_eq!("all".parse::<Role>().unwrap_err().to_string(), "invalid client role");
    }

    #[test]
    fn only_a_bare_address_is_an_email() {
        assert_eq!("Ann@Example.com".parse::<Email>().unwrap().key(), "ann@example.com");
        for bad in ["", "a", "@b", "a@", "a@b@c", "Ann <a@b>", "a b@c", "a@b\n"] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
