//! The JSON questions that SQL asks, with the answers of PostgreSQL.
//!
//! On PostgreSQL these are operators (`@>`, `?|`); on SQLite the functions of the same name run this code. A property
//! test holds the two together (`tests/functions.rs`).

use serde_json::{Number, Value};

/// Whether `doc` contains `want`, as PostgreSQL's `doc @> want`.
///
/// An object contains another whose members it all has, with values that contain theirs. An array contains another
/// each of whose elements one of its own equals or, for elements that are containers, contains. Otherwise scalars must
/// be equal; on the outermost level alone an array also contains a scalar that is one of its elements.
pub fn contains(doc: &Value, want: &Value) -> bool {
    match (doc, want) {
        (Value::Array(elements), scalar) if is_scalar(scalar) => {
            elements.iter().any(|element| same_scalar(element, scalar))
        }
        _ => contains_inside(doc, want),
    }
}

/// Whether one of the texts in the array `want` is an element of the array `doc`, as PostgreSQL's `doc ?| want`.
pub fn has_any(doc: &Value, want: &Value) -> bool {
    let (Value::Array(tags), Value::Array(wanted)) = (doc, want) else { return false };
    wanted.iter().any(|tag| tag.is_string() && tags.contains(tag))
}

/// Whether each text in the array `want` is an element of the array `doc`.
pub fn has_all(doc: &Value, want: &Value) -> bool {
    contains(doc, want)
}

/// Whether `text` contains `part`, whatever the case of either. Both are put in capitals, which has no regard for
/// neighbours (unlike small letters: the Greek sigma) and is the same in every locale's root.
pub fn name_contains(text: &str, part: &str) -> bool {
    if text.is_ascii() && part.is_ascii() {
        let part = part.as_bytes();
        return part.is_empty()
            || text.as_bytes().windows(part.len()).any(|at| at.eq_ignore_ascii_case(part));
    }
    text.to_uppercase().contains(&part.to_uppercase())
}

fn contains_inside(doc: &Value, want: &Value) -> bool {
    match (doc, want) {
        (Value::Object(members), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| members.get(name).is_some_and(|member| contains_inside(member, value))),
        (Value::Array(elements), Value::Array(wanted)) => {
            wanted.iter().all(|value| elements.iter().any(|element| contains_inside(element, value)))
        }
        _ => is_scalar(want) && same_scalar(doc, want),
    }
}

const fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

fn same_scalar(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => same_number(one, other),
        _ => is_scalar(one) && one == other,
    }
}

/// Numbers are compared by value: `1` is `1.0`.
fn same_number(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn containment_follows_the_manual_of_postgresql() {
        for (doc, want, answer) in [
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 1}}), true),
            (json!({"a": {"b": 1, "c": 2}}), json!({"b": 1}), false),
            (json!([1, 2, [1, 3]]), json!([1, 3]), false),
            (json!([1, 2, [1, 3]]), json!([[1, 3]]), true),
            (json!(["foo", "bar"]), json!("bar"), true),
            (json!("bar"), json!(["bar"]), false),
            (json!({"a": ["x"]}), json!({"a": "x"}), false),
            (json!([1, 2]), json!([2, 2, 1]), true),
            (json!({"a": 1.0}), json!({"a": 1}), true),
            (json!({"a": null}), json!({"a": null}), true),
            (json!({}), json!({"a": null}), false),
            (json!([]), json!({}), false),
            (json!({"a": {}}), json!({"a": {}}), true),
        ] {
            assert_eq!(contains(&doc, &want), answer, "{doc} @> {want}");
        }
    }

    #[test]
    fn tags_are_compared_whole() {
        let tags = json!(["red", "blue"]);
        assert!(has_any(&tags, &json!(["green", "blue"])));
        assert!(!has_any(&tags, &json!(["re"])));
        assert!(has_all(&tags, &json!(["blue", "red"])));
        assert!(!has_all(&tags, &json!(["blue", "green"])));
        assert!(has_all(&tags, &json!([])));
        assert!(!has_any(&tags, &json!([])));
    }

    #[test]
    fn case_does_not_matter_in_any_script() {
        for (text, part, answer) in [
            ("Boiler Room", "ler r", true),
            ("Boiler", "%", false),
            ("ÜBERLAUF", "über", true),
            ("ΟΔΟΣ", "οδος", true),
            ("Straße", "STRASSE", true),
            ("anything", "", true),
            ("", "x", false),
        ] {
            assert_eq!(name_contains(text, part), answer, "{text} / {part}");
        }
    }
}
