//! The format that a profile says its content has.

use kernel::{Error, Result};
use serde_json::{Map, Value};

use crate::{model::ContentFormat, yaml};

/// The content in its format: as it was rendered where it is of that format, written anew where it is of another one.
/// Unprocessable where it is of none.
pub(super) fn checked(content: String, format: ContentFormat) -> Result<String> {
    if matches!(format, ContentFormat::GoTemplate | ContentFormat::Raw) || read(&content, format).is_some() {
        return Ok(content);
    }
    let word = format.word();
    let others = [ContentFormat::Json, ContentFormat::Yaml, ContentFormat::Toml];
    let value = others.into_iter().find_map(|other| read(&content, other).filter(is_structured));
    let value = value.ok_or_else(|| {
        Error::unprocessable(format!("the profile cannot be rendered: the result is no {word}"))
    })?;
    write(&value, format).ok_or_else(|| {
        Error::unprocessable(format!("the profile cannot be rendered: the result has no form in {word}"))
    })
}

/// Any line of text is YAML; what is to be written anew should be more than that.
const fn is_structured(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn read(content: &str, format: ContentFormat) -> Option<Value> {
    match format {
        ContentFormat::Json => serde_json::from_str(content).ok(),
        ContentFormat::Yaml => yaml::read(content).ok(),
        ContentFormat::Toml => toml::from_str(content).ok().map(Value::Object),
        ContentFormat::GoTemplate | ContentFormat::Raw => None,
    }
}

fn write(value: &Value, format: ContentFormat) -> Option<String> {
    match format {
        ContentFormat::Json => serde_json::to_string_pretty(&sorted(value)).ok().map(|text| escaped(&text)),
        ContentFormat::Yaml => yaml_serde::to_string(&sorted(value)).ok(),
        ContentFormat::Toml => toml::to_string(&sorted(value)).ok(),
        ContentFormat::GoTemplate | ContentFormat::Raw => None,
    }
}

/// Go writes maps in the order of their keys.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members = members.into_iter().map(|(name, member)| (name.clone(), sorted(member)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

/// Go's JSON can stand in HTML.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_format_stays_as_it_was_rendered() {
        for (content, format) in [
            ("{ \"b\":1,\n\"a\":2}", ContentFormat::Json),
            ("b: 1\na: 2\n", ContentFormat::Yaml),
            ("b = 1\n", ContentFormat::Toml),
            ("<anything", ContentFormat::GoTemplate),
        ] {
            assert_eq!(checked(content.to_owned(), format).unwrap(), content);
        }
    }

    #[test]
    fn what_has_another_format_is_written_anew() {
        let json = checked("b: 1\na: <x>\n".to_owned(), ContentFormat::Json).unwrap();
        assert_eq!(json, "{\n  \"a\": \"\\u003cx\\u003e\",\n  \"b\": 1\n}");
        assert_eq!(
            checked("{\"b\": 1, \"a\": \"x\"}".to_owned(), ContentFormat::Toml).unwrap(),
            "a = \"x\"\nb = 1\n"
        );
    }

    #[test]
    fn what_has_none_is_refused() {
        for format in [ContentFormat::Json, ContentFormat::Toml] {
            assert!(checked("just: [a: line".to_owned(), format).is_err());
        }
    }
}
