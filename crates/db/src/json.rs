//! The JSON questions that SQL asks, with the answers of PostgreSQL.
//!
//! On PostgreSQL these are operators (`@>`, `?|`); on SQLite the functions of the same name run this code. A property
//! test holds the two together (`tests/functions.rs`).

use std::collections::HashSet;

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
    if tags.len() < FEW || wanted.len() < FEW {
        return wanted.iter().any(|tag| tag.is_string() && tags.contains(tag));
    }
    let tags: HashSet<&str> = tags.iter().filter_map(Value::as_str).collect();
    wanted.iter().filter_map(Value::as_str).any(|tag| tags.contains(tag))
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
        (Value::Array(elements), Value::Array(wanted)) => contains_all(elements, wanted),
        _ => is_scalar(want) && same_scalar(doc, want),
    }
}

/// Arrays shorter than this are looked through; for longer ones a set is made.
const FEW: usize = 3;

/// Whether each of `wanted` is, or is contained in, one of the elements.
fn contains_all(elements: &[Value], wanted: &[Value]) -> bool {
    let is_element = |value| elements.iter().any(|element| contains_inside(element, value));
    if elements.len() < FEW || wanted.len() < FEW {
        return wanted.iter().all(is_element);
    }
    let scalars = Scalars::of(elements);
    wanted.iter().all(|value| if is_scalar(value) { scalars.contain(value) } else { is_element(value) })
}

/// The scalars of an array, to be asked for many: comparing each with each would let two long arrays take hours.
#[derive(Default)]
struct Scalars<'a> {
    null: bool,
    truths: [bool; 2],
    texts: HashSet<&'a str>,
    integers: HashSet<i128>,
    /// By bits: numbers that are no integers, and what each integer is as one of them.
    reals: HashSet<u64>,
    rounded: HashSet<u64>,
}

impl<'a> Scalars<'a> {
    fn of(elements: &'a [Value]) -> Self {
        let mut scalars = Self::default();
        for element in elements {
            match element {
                Value::Null => scalars.null = true,
                Value::Bool(truth) => {
                    let [no, yes] = &mut scalars.truths;
                    *(if *truth { yes } else { no }) = true;
                }
                Value::String(text) => {
                    scalars.texts.insert(text);
                }
                Value::Number(number) => scalars.insert_number(number),
                Value::Array(_) | Value::Object(_) => {}
            }
        }
        scalars
    }

    fn insert_number(&mut self, number: &Number) {
        let bits = real_bits(number);
        match number.as_i128() {
            Some(integer) => {
                self.integers.insert(integer);
                self.rounded.extend(bits);
            }
            None => self.reals.extend(bits),
        }
    }

    /// Whether [`same_scalar`] holds for one of them.
    fn contain(&self, value: &Value) -> bool {
        match value {
            Value::Null => self.null,
            Value::Bool(truth) => {
                let [no, yes] = self.truths;
                if *truth { yes } else { no }
            }
            Value::String(text) => self.texts.contains(text.as_str()),
            Value::Number(number) => {
                let is_real = real_bits(number).is_some_and(|bits| self.reals.contains(&bits));
                is_real
                    || match number.as_i128() {
                        Some(integer) => self.integers.contains(&integer),
                        None => real_bits(number).is_some_and(|bits| self.rounded.contains(&bits)),
                    }
            }
            Value::Array(_) | Value::Object(_) => false,
        }
    }
}

/// Equal numbers have equal bits: zero has no sign.
fn real_bits(number: &Number) -> Option<u64> {
    number.as_f64().map(|real| (real + 0.0).to_bits())
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What [`contains`] means for two arrays, word for word.
    fn each_with_each(elements: &[Value], wanted: &[Value]) -> bool {
        wanted.iter().all(|value| elements.iter().any(|element| contains_inside(element, value)))
    }

    fn element() -> impl Strategy<Value = Value> {
        let big = 1_i64 << 53;
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3_i64).prop_map(Value::from),
            (big..big + 3).prop_map(Value::from),
            (u64::MAX - 2..=u64::MAX).prop_map(Value::from),
            prop_oneof![
                Just(0.0),
                Just(-0.0),
                Just(1.0),
                Just(0.5),
                Just(9_007_199_254_740_992.0),
                Just(1.8446744073709552e19)
            ]
            .prop_map(Value::from),
            "[01ab]".prop_map(Value::from),
            (0..2_i64).prop_map(|n| json!([n])),
            (0..2_i64).prop_map(|n| json!({"a": n})),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_of_scalars_finds_what_comparing_each_with_each_does(
            elements in prop::collection::vec(element(), 0..12),
            wanted in prop::collection::vec(element(), 0..4),
        ) {
            let expected = each_with_each(&elements, &wanted);
            prop_assert_eq!(contains_all(&elements, &wanted), expected);
            let strings = wanted.iter().any(|tag| tag.is_string() && elements.contains(tag));
            prop_assert_eq!(has_any(&Value::from(elements), &Value::from(wanted)), strings);
        }
    }

    /// Comparing each with each would be 90,000,000,000 comparisons: the test would not end.
    #[test]
    fn long_arrays_are_searched_in_one_pass() {
        let texts = |order: &mut dyn Iterator<Item = u32>| order.map(|n| n.to_string()).collect::<Value>();
        let (doc, want) = (texts(&mut (0..300_000)), texts(&mut (0..300_000).rev()));
        assert!(contains(&doc, &want));
        assert!(has_all(&doc, &want));
        let others: Value = (0..300_000).map(|n| format!("other {n}")).collect();
        assert!(!has_any(&doc, &others));
    }

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
