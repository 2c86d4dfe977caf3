//! One setting as a row of the table, and the macro that makes the row and the typed field from one declaration.

use super::error::Problem;
use super::resolve::Values;
use super::value::{Form, Value};

/// A row of the table of settings.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its name in `trunkline.toml`: `data_dir` or `admin.password`.
    pub(crate) key: &'static str,
    /// What it is for; one line of text per element.
    pub(crate) doc: &'static [&'static str],
    /// The value where nobody gives one, as text; empty = none.
    pub(crate) default: &'static str,
    /// How a value is written in the file.
    pub(crate) form: Form,
    /// What a value looks like, for errors.
    pub(crate) expected: &'static str,
    /// Whether the value must not be shown.
    pub(crate) secret: bool,
    /// Hides the part of a value that must not be shown; for values that are secret in part.
    pub(crate) shown: fn(&str) -> String,
    /// Whether a text is a value.
    pub(super) holds: fn(&str) -> bool,
    /// Names after `MG_` and `SMQ_` (reference 07 §3), first wins.
    pub(crate) suffixes: &'static [&'static str],
    /// Names of older generations, complete (reference 07 §1).
    pub(crate) legacy: &'static [&'static str],
}

impl Setting {
    pub(super) const fn of<T: Value>(
        key: &'static str,
        doc: &'static [&'static str],
        default: &'static str,
        suffixes: &'static [&'static str],
        legacy: &'static [&'static str],
    ) -> Self {
        Self {
            key,
            doc,
            default,
            form: T::FORM,
            expected: T::EXPECTED,
            secret: T::SECRET,
            shown: T::shown,
            holds: holds::<T>,
            suffixes,
            legacy,
        }
    }

    /// The variable of our own: `TRUNKLINE_` and the key in capitals.
    pub(crate) fn variable(&self) -> String {
        format!("TRUNKLINE_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// All variables that set it, strongest first: ours, `MG_`, `SMQ_`, then older names.
    pub(super) fn variables(&self) -> Vec<String> {
        let prefixed =
            |prefix: &'static str| self.suffixes.iter().map(move |suffix| format!("{prefix}{suffix}"));
        let mut names = vec![self.variable()];
        names.extend(prefixed("MG_"));
        names.extend(prefixed("SMQ_"));
        names.extend(self.legacy.iter().map(|&name| name.to_owned()));
        names
    }

    /// The section of the file that it stands in; empty at the top.
    pub(crate) fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section.
    pub(crate) fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }
}

fn holds<T: Value>(text: &str) -> bool {
    T::parse(text).is_some()
}

/// A section of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// What it is for; one line of text per element.
    pub(crate) about: &'static [&'static str],
    /// Its rows.
    pub(crate) table: &'static [Setting],
}

impl Section {
    /// Its name; empty at the top of the file.
    pub(crate) fn name(&self) -> &'static str {
        self.table.first().map_or("", Setting::section)
    }
}

/// A group of settings: the struct that capabilities get, and the rows of the table.
pub(super) trait Group: Sized {
    /// The rows, in the order in which they are documented.
    const TABLE: &'static [Setting];

    /// The section's name and what it is about, for the documentation.
    const SECTION: Section;

    /// The typed values.
    fn read(values: &Values) -> Result<Self, Problem>;
}

/// Declares a group: `field: Type = "default"`, then the suffixes after `MG_`/`SMQ_` in brackets, then older names.
/// The doc comment of a field becomes the documentation of the setting.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $group:ident in $prefix:literal;
        $(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $default:literal $([$($suffix:literal),+])? $(also $($legacy:literal),+)?;
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $group {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $crate::config::setting::Group for $group {
            const TABLE: &'static [$crate::config::setting::Setting] = &[$(
                $crate::config::setting::Setting::of::<$type>(
                    concat!($prefix, stringify!($field)),
                    &[$($doc),+],
                    $default,
                    &[$($($suffix),+)?],
                    &[$($($legacy),+)?],
                ),
            )+];

            const SECTION: $crate::config::setting::Section =
                $crate::config::setting::Section { about: &[$($about),+], table: Self::TABLE };

            fn read(
                values: &$crate::config::resolve::Values,
            ) -> Result<Self, $crate::config::error::Problem> {
                Ok(Self { $($field: values.get(concat!($prefix, stringify!($field)))?,)+ })
            }
        }
    };
}
pub(super) use settings;
