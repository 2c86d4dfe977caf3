//! Templates of configurations.

use std::{collections::BTreeSet, str::FromStr};

use kernel::{DomainId, Error, Metadata, Name, PageRequest, ProfileId, Result, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::render;

/// What a template makes (reference 04 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentFormat {
    /// Whatever the template says.
    #[default]
    GoTemplate,
    /// The template itself.
    Raw,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// TOML.
    Toml,
}

const WORDS: [(ContentFormat, &str); 5] = [
    (ContentFormat::GoTemplate, "go-template"),
    (ContentFormat::Raw, "raw"),
    (ContentFormat::Json, "json"),
    (ContentFormat::Yaml, "yaml"),
    (ContentFormat::Toml, "toml"),
];

impl ContentFormat {
    /// The word in JSON and in the database.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(format, _)| *format == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for ContentFormat {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let known = WORDS.iter().find(|(_, known)| *known == word);
        known.map(|(format, _)| *format).ok_or_else(|| {
            Error::invalid(format!(
                "invalid content format `{}`, use go-template, raw, json, yaml or toml",
                word.chars().take(64).collect::<String>()
            ))
        })
    }
}

/// A place in a template for a client or a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// What the template calls it.
    #[serde(default)]
    pub name: String,
    /// `client`, `channel` or `cert`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Whether nothing is rendered while it is empty.
    #[serde(default)]
    pub required: bool,
    /// Which members of the snapshot the template may use; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// The most slots of one profile.
const SLOTS_MAX: usize = 128;
/// The longest name of a slot, of its type or of a field, in bytes.
const SLOT_TEXT_MAX: usize = 256;

/// Slots as a caller gives them: each with a name of its own and a type.
fn checked_slots(slots: Vec<Slot>) -> Result<Vec<Slot>> {
    if slots.len() > SLOTS_MAX {
        return Err(Error::invalid(format!("too many binding slots, at most {SLOTS_MAX}")));
    }
    let mut names = BTreeSet::new();
    for slot in &slots {
        if slot.name.is_empty() || slot.kind.is_empty() {
            return Err(Error::invalid("invalid binding slots, each needs a name and a type"));
        }
        let texts = [&slot.name, &slot.kind].into_iter().chain(&slot.fields);
        if slot.fields.len() > SLOTS_MAX || texts.into_iter().any(|text| text.len() > SLOT_TEXT_MAX) {
            return Err(Error::invalid("invalid binding slots, names are at most 256 bytes long"));
        }
        if !names.insert(slot.name.as_str()) {
            return Err(Error::invalid(format!("the binding slot `{}` is there twice", slot.name)));
        }
    }
    Ok(slots)
}

/// A template of configurations.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its id.
    pub id: ProfileId,
    /// The domain it belongs to.
    pub domain: DomainId,
    /// What people call it; one in the domain.
    pub name: Name,
    /// What it is for.
    pub description: String,
    /// What the template makes.
    pub format: ContentFormat,
    /// The template.
    pub template: String,
    /// Values where the configuration has none.
    pub defaults: Metadata,
    /// The places for clients and channels.
    pub slots: Vec<Slot>,
    /// How often it was changed, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Option<Timestamp>,
}

/// What a caller gives to make a profile.
#[derive(Debug, Clone, Default)]
pub struct NewProfile {
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: String,
    /// What the template makes.
    pub format: ContentFormat,
    /// The template.
    pub template: String,
    /// Values where the configuration has none.
    pub defaults: Metadata,
    /// The places for clients and channels.
    pub slots: Vec<Slot>,
}

impl NewProfile {
    /// Fails where the name is missing, a text is too large, slots are ambiguous, or the template cannot be read.
    pub fn checked(self) -> Result<Self> {
        if self.name.is_empty() {
            return Err(Error::invalid("missing identity name"));
        }
        let template = super::text("template", self.template)?;
        if self.format != ContentFormat::Raw {
            render::parse(&template)?;
        }
        Ok(Self {
            description: super::text("description", self.description)?,
            defaults: self.defaults.checked()?,
            slots: checked_slots(self.slots)?,
            template,
            ..self
        })
    }
}

/// What a caller changes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ProfileChange {
    /// Another name.
    pub name: Option<Name>,
    /// Another description.
    pub description: Option<String>,
    /// Another format.
    pub format: Option<ContentFormat>,
    /// Another template.
    pub template: Option<String>,
    /// Other defaults.
    pub defaults: Option<Metadata>,
    /// Other slots.
    pub slots: Option<Vec<Slot>>,
}

impl ProfileChange {
    /// The profile with the change, whole and checked as a new one is.
    pub fn apply(self, profile: Profile, at: Timestamp) -> Result<Profile> {
        let changed = NewProfile {
            name: self.name.unwrap_or(profile.name),
            description: self.description.unwrap_or(profile.description),
            format: self.format.unwrap_or(profile.format),
            template: self.template.unwrap_or(profile.template),
            defaults: self.defaults.unwrap_or(profile.defaults),
            slots: self.slots.unwrap_or(profile.slots),
        };
        let new = changed.checked()?;
        Ok(Profile {
            name: new.name,
            description: new.description,
            format: new.format,
            template: new.template,
            defaults: new.defaults,
            slots: new.slots,
            version: profile.version.saturating_add(1),
            updated_at: Some(at),
            ..profile
        })
    }
}

/// Which profiles are asked for, newest first.
#[derive(Debug, Clone)]
pub struct ProfileQuery {
    /// The page.
    pub page: PageRequest,
    /// Part of the name, whatever the case.
    pub name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> NewProfile {
        NewProfile { name: name.parse().unwrap(), ..NewProfile::default() }
    }

    #[test]
    fn every_format_is_read_back_from_its_word() {
        for (format, word) in WORDS {
            assert_eq!(word.parse::<ContentFormat>().unwrap(), format);
            assert_eq!(format.word(), word);
        }
        assert!("xml".parse::<ContentFormat>().is_err());
    }

    #[test]
    fn a_profile_that_could_never_be_rendered_is_refused() {
        let slot = |name: &str, kind: &str| Slot {
            name: name.to_owned(),
            kind: kind.to_owned(),
            required: true,
            fields: Vec::new(),
        };
        assert_eq!(named("").checked().unwrap_err().to_string(), "missing identity name");
        let bad = NewProfile { template: "{{ .Device.ID".to_owned(), ..named("p") };
        assert!(bad.clone().checked().unwrap_err().to_string().starts_with("the template cannot be read"));
        assert!(NewProfile { format: ContentFormat::Raw, ..bad }.checked().is_ok());
        for slots in
            [vec![slot("", "client")], vec![slot("a", "")], vec![slot("a", "client"), slot("a", "channel")]]
        {
            assert!(NewProfile { slots, ..named("p") }.checked().is_err());
        }
    }
}
