//! The rule file as it is written, and what is wrong with it, by line and column (reference 08 §6.1).

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use crate::{Action, Actions, Pattern, SubjectKind};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, IgnoredAny},
};

/// What a data file may hold for us; other members at the root, under `celine` and under `mqtt` belong to others.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    celine: Option<Celine>,
}

#[derive(Debug, Default, Deserialize)]
struct Celine {
    #[serde(default)]
    mqtt: Option<Mqtt>,
    #[serde(default)]
    roles: Option<Roles>,
}

#[derive(Debug, Default, Deserialize)]
struct Mqtt {
    #[serde(default)]
    acl: Option<Acl>,
}

#[derive(Debug, Default, Deserialize)]
struct Acl {
    #[serde(default)]
    rules: Option<Vec<RuleText>>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// Which groups and scopes may do what at all.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Roles {
    #[serde(default)]
    pub(super) group_permissions: Option<Table>,
    #[serde(default)]
    pub(super) scope_permissions: Option<Table>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

/// Names and what each may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table(pub(super) BTreeMap<String, Actions>);

/// One rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    #[serde(default, deserialize_with = "given")]
    pub(super) subjects: Option<SubjectsText>,
    #[serde(default, deserialize_with = "given")]
    pub(super) topics: Option<ListOrAll<Pattern>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) actions: Option<ListOrAll<Action>>,
    #[serde(default)]
    pub(super) effect: Effect,
    /// For people.
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// Whom a rule is for; every filter that is there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectsText {
    #[serde(default, deserialize_with = "given")]
    pub(super) types: Option<ListOrAll<Kind>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) ids: Option<ListOrAll<String>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) groups: Option<ListOrAll<String>>,
    #[serde(default, deserialize_with = "given")]
    pub(super) scopes: Option<ListOrAll<String>>,
}

/// What a rule may ask for as a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    User,
    Service,
}

impl From<Kind> for SubjectKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::User,
            Kind::Service => Self::Service,
        }
    }
}

/// Whether a rule lets somebody do something, or keeps somebody from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effect {
    #[default]
    Allow,
    Deny,
}

/// A list, or `"*"` for everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListOrAll<T> {
    All,
    These(Vec<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ListOrAll<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = ListOrAll<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or \"*\" for all")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "*" {
                    return Ok(ListOrAll::All);
                }
                Err(E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut these = Vec::new();
                while let Some(one) = list.next_element()? {
                    these.push(one);
                }
                Ok(ListOrAll::These(these))
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows;
        impl<'de> de::Visitor<'de> for Rows {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names, each with a list of actions")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut rows = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if rows.contains_key(&name) {
                        return Err(de::Error::custom(format!(
                            "`{}` stands here twice",
                            name.escape_debug()
                        )));
                    }
                    let actions = match map.next_value::<ListOrAll<Action>>()? {
                        ListOrAll::All => Actions::EVERY,
                        ListOrAll::These(actions) => actions.into_iter().collect(),
                    };
                    rows.insert(name, actions);
                }
                Ok(Table(rows))
            }
        }
        deserializer.deserialize_map(Rows)
    }
}

/// A member that is there has a value: `null` is no way to write "everybody".
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {what}")]
pub struct Fault {
    /// The file as it was named.
    pub file: String,
    /// From 1; 0 where no single line is to blame.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// Where in the document, and what is wrong.
    pub what: String,
}

/// Reads one JSON text as `T`; the error says where it is wrong.
pub(crate) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let fault = |path: String, error: &serde_json::Error| {
        let whole = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let words = whole.strip_suffix(&place).unwrap_or(&whole);
        let what =
            if path.is_empty() || path == "." { words.to_owned() } else { format!("`{path}`: {words}") };
        Fault { file: file.to_owned(), line: error.line(), column: error.column(), what }
    };
    let document = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| fault(error.path().to_string(), error.inner()))?;
    json.end().map_err(|error| fault(String::new(), &error))?;
    Ok(document)
}

/// What the rule files say together.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) rules: Option<(Vec<RuleText>, String)>,
    pub(super) roles: Option<Roles>,
    pub(super) warnings: Vec<String>,
}

impl Merged {
    /// Adds one file. The same member may stand in two files only with the same value.
    pub(super) fn add(&mut self, file: &str, text: &str) -> Result<(), Fault> {
        // Anything else than an object at the root would pass for a file without rules.
        read::<BTreeMap<String, IgnoredAny>>(file, text)?;
        let Document { celine } = read(file, text)?;
        let Celine { mqtt, roles } = celine.unwrap_or_default();
        let Acl { rules, others } = mqtt.unwrap_or_default().acl.unwrap_or_default();
        for name in others.into_keys() {
            self.unknown(file, "celine.mqtt.acl", &name);
        }
        let conflict = |member: &str, other: &str| Fault {
            file: file.to_owned(),
            line: 0,
            column: 0,
            what: format!("`{member}` differs from {other}; keep it in one file"),
        };
        if let Some(rules) = rules {
            match &self.rules {
                Some((known, from)) if *known != rules => {
                    return Err(conflict("celine.mqtt.acl.rules", from));
                }
                Some(_) => {}
                None => self.rules = Some((rules, file.to_owned())),
            }
        }
        if let Some(roles) = roles {
            for name in roles.others.keys() {
                self.unknown(file, "celine.roles", name);
            }
            let known = self.roles.get_or_insert_default();
            let pairs = [
                ("group_permissions", &mut known.group_permissions, roles.group_permissions),
                ("scope_permissions", &mut known.scope_permissions, roles.scope_permissions),
            ];
            for (member, known, new) in pairs {
                let Some(new) = new else { continue };
                let known = known.get_or_insert_default();
                for (name, actions) in new.0 {
                    if *known.0.entry(name.clone()).or_insert(actions) != actions {
                        return Err(conflict(&format!("celine.roles.{member}.{name}"), "another file"));
                    }
                }
            }
        }
        Ok(())
    }

    fn unknown(&mut self, file: &str, within: &str, name: &str) {
        self.warnings.push(format!("{file}: `{within}.{}` means nothing here", name.escape_debug()));
    }
}
