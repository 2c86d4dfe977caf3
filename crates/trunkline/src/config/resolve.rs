//! From the layers to one value per setting: flags, then environment, then file, then defaults.

use std::collections::BTreeMap;

use super::environment::EnvironmentLayer;
use super::error::Problem;
use super::file::FileLayer;
use super::setting::Setting;
use super::source::Source;
use super::value::Value;

/// What one layer says about one setting.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) text: String,
    /// The text is the path of a file that holds the value.
    pub(super) is_path: bool,
    pub(super) source: Source,
}

impl Given {
    pub(super) fn value(text: impl Into<String>, source: Source) -> Self {
        Self { text: text.into(), is_path: false, source }
    }

    pub(super) fn in_file(path: &str, source: Source) -> Self {
        Self { text: path.to_owned(), is_path: true, source }
    }
}

/// A setting with the value that counts.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    pub(crate) setting: &'static Setting,
    text: String,
    pub(crate) source: Source,
}

impl Effective {
    /// The value as it may be shown; `None` where there is none.
    pub(crate) fn shown(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| (self.setting.shown)(&self.text))
    }
}

/// One value for every setting.
#[derive(Debug)]
pub(super) struct Values(BTreeMap<&'static str, Effective>);

impl Values {
    /// Takes for each setting the strongest layer that has it, and checks it.
    pub(super) fn resolve(
        table: &[&'static Setting],
        flags: &BTreeMap<&'static str, Given>,
        environment: &EnvironmentLayer,
        file: &FileLayer,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut values = BTreeMap::new();
        for setting in table {
            let given = flags
                .get(setting.key)
                .or_else(|| environment.get(setting))
                .or_else(|| file.get(setting))
                .cloned()
                .unwrap_or_else(|| Given::value(setting.default, Source::Default));
            match checked(setting, given) {
                Ok(effective) => {
                    values.insert(setting.key, effective);
                }
                Err(problem) => problems.push(problem),
            }
        }
        Self(values)
    }

    /// The typed value of a setting.
    pub(super) fn get<T: Value>(&self, key: &'static str) -> Result<T, Problem> {
        let effective = self.0.get(key);
        let text = effective.map_or("", |effective| effective.text.as_str());
        T::parse(text).ok_or_else(|| Problem::WrongValue {
            place: effective.map_or(Source::Default, |effective| effective.source.clone()),
            key: key.to_owned(),
            value: T::shown(text),
            expected: T::EXPECTED.to_owned(),
        })
    }

    /// Where a setting's value comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.0.get(key).map_or(Source::Default, |effective| effective.source.clone())
    }

    /// All of them, in the order of the table.
    pub(super) fn into_effective(mut self, table: &[&'static Setting]) -> Vec<Effective> {
        table.iter().filter_map(|setting| self.0.remove(setting.key)).collect()
    }
}

fn checked(setting: &'static Setting, given: Given) -> Result<Effective, Problem> {
    let Given { mut text, is_path, source } = given;
    if is_path {
        let what = format!("the file of `{}` ({source})", setting.key);
        match std::fs::read_to_string(&text) {
            Ok(content) => text = content.trim_end_matches(['\n', '\r']).to_owned(),
            Err(cause) => return Err(Problem::Unreadable { what, path: text, cause }),
        }
    }
    let is_empty_file = is_path && text.is_empty();
    if (setting.holds)(&text) && !is_empty_file {
        return Ok(Effective { setting, text, source });
    }
    let value = if is_empty_file { "an empty file".to_owned() } else { (setting.shown)(&text) };
    let (key, expected) = (setting.key.to_owned(), setting.expected.to_owned());
    Err(Problem::WrongValue { place: source, key, value, expected })
}
