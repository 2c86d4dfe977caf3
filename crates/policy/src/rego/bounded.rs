//! What a single call in a policy may make.
//!
//! Between its steps the interpreter looks at the clock, but not within a builtin, and some builtins make as much as they are
//! told: a policy that replaces something in a topic lets whoever chooses the topic choose the size of the result. These are
//! asked in our name first, and called by an interpreter of their own if what they would make is not too much.

use regorus::{Engine as Program, Value};
use serde_json::Value as Json;

/// The most bytes of a text.
const MAX_TEXT: usize = 1 << 20;
/// The most items of a list.
const MAX_ITEMS: f64 = 20_000.0;
/// The most bits by which a number is shifted, and of addresses that are listed.
const MAX_SHIFT: f64 = 4096.0;
const MAX_HOST_BITS: u8 = 16;
/// The most digits of a width or an exponent.
const MAX_DIGITS: usize = 4;

/// A call that would make too much.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` would make more than a policy may")]
struct TooMuch(&'static str);

/// A builtin, how many arguments it takes, and whether it makes little enough of them.
type Bound = (&'static str, u8, fn(&[Value]) -> bool);

const BOUNDS: [Bound; 14] = [
    ("numbers.range", 2, |of| span(of) <= MAX_ITEMS),
    ("numbers.range_step", 3, |of| span(of) / number(of, 2).abs().max(1.0) <= MAX_ITEMS),
    ("array.concat", 2, |of| items(of, 0) + items(of, 1) <= MAX_ITEMS),
    ("concat", 2, |of| joined(text(of, 0), of.get(1)) <= MAX_TEXT),
    ("replace", 3, |of| replaced(text(of, 0), text(of, 1), text(of, 2)) <= MAX_TEXT),
    ("strings.replace_n", 2, |of| all_replaced(of).is_some()),
    ("regex.replace", 3, |of| matched(text(of, 0), text(of, 2)) <= MAX_TEXT),
    ("sprintf", 2, |of| !has_long_number(text(of, 0), &['%', '.'])),
    ("bits.lsh", 2, |of| number(of, 1) <= MAX_SHIFT),
    ("net.cidr_expand", 1, |of| host_bits(text(of, 0)).is_none_or(|bits| bits <= MAX_HOST_BITS)),
    ("units.parse", 1, |of| !has_long_number(text(of, 0), &['e', 'E', '+', '-'])),
    ("units.parse_bytes", 1, |of| !has_long_number(text(of, 0), &['e', 'E', '+', '-'])),
    ("json.unmarshal", 1, |of| serde_json::from_str(text(of, 0)).map_or(true, |json| is_plain(&json))),
    ("json.is_valid", 1, |of| serde_json::from_str(text(of, 0)).map_or(true, |json| is_plain(&json))),
];

/// Puts the bounds before the builtins of `program`.
pub(super) fn add(program: &mut Program) -> Result<(), String> {
    for (name, arguments, bound) in BOUNDS {
        let mut builtin = Program::new();
        let given: Vec<_> = (0..arguments).map(|place| format!("input[{place}]")).collect();
        let policy = format!("package bounded\nresult := {name}({})\n", given.join(", "));
        builtin.add_policy(name.to_owned(), policy).map_err(|error| error.to_string())?;
        let result = "data.bounded.result";
        builtin.compile_with_entrypoint(&result.into()).map_err(|error| error.to_string())?;
        let call = move |given: Vec<Value>| {
            if !bound(&given) {
                return Err(TooMuch(name).into());
            }
            let mut builtin = builtin.clone();
            builtin.set_input(Value::from(given));
            builtin.eval_rule(result.to_owned())
        };
        program
            .add_extension(name.to_owned(), arguments, Box::new(call))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Whether no part of it stands for a number in the interpreter's own notation, which could be endless.
pub(super) fn is_plain(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.iter().all(is_plain),
        Json::Object(members) => {
            members.iter().all(|(name, value)| name != "$serde_json::private::Number" && is_plain(value))
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

/// What is no text is for the builtin to refuse.
fn text(of: &[Value], place: usize) -> &str {
    of.get(place).and_then(|value| value.as_string().ok()).map(AsRef::as_ref).unwrap_or_default()
}

fn number(of: &[Value], place: usize) -> f64 {
    of.get(place).and_then(|value| value.as_f64().ok()).unwrap_or_default()
}

fn span(of: &[Value]) -> f64 {
    (number(of, 1) - number(of, 0)).abs()
}

fn items(of: &[Value], place: usize) -> f64 {
    let Some(list) = of.get(place).and_then(|value| value.as_array().ok()) else { return 0.0 };
    f64::from(u32::try_from(list.len()).unwrap_or(u32::MAX))
}

fn joined(between: &str, of: Option<&Value>) -> usize {
    let length = |value: &Value| value.as_string().map_or(0, |text| text.len()).saturating_add(between.len());
    let array = of.and_then(|value| value.as_array().ok()).map(|items| items.iter().map(length).sum());
    let set = || of.and_then(|value| value.as_set().ok()).map(|items| items.iter().map(length).sum());
    array.or_else(set).unwrap_or_default()
}

fn replaced(text: &str, old: &str, new: &str) -> usize {
    text.matches(old).count().saturating_mul(new.len()).saturating_add(text.len())
}

/// One after the other, as the builtin does it; `None` as soon as it is too much.
fn all_replaced(of: &[Value]) -> Option<String> {
    let mut whole = text(of, 1).to_owned();
    let Some(pairs) = of.first().and_then(|pairs| pairs.as_object().ok()) else { return Some(whole) };
    for (old, new) in pairs.iter_sorted() {
        let (Ok(old), Ok(new)) = (old.as_string(), new.as_string()) else { continue };
        if replaced(&whole, old, new) > MAX_TEXT {
            return None;
        }
        whole = whole.replace(old.as_ref(), new);
    }
    Some(whole)
}

/// The most that can come of replacing matches of any pattern; each `$` may stand for all of the text.
fn matched(text: &str, new: &str) -> usize {
    let each = new.matches('$').count().saturating_mul(text.len()).saturating_add(new.len());
    text.len().saturating_add(1).saturating_mul(each).saturating_add(text.len())
}

/// Whether a number of many digits follows one of these signs.
fn has_long_number(text: &str, after: &[char]) -> bool {
    text.split(after)
        .skip(1)
        .any(|rest| rest.chars().take_while(|c| c.is_numeric() || *c == '_').count() > MAX_DIGITS)
}

/// How many bits of a network's addresses are free; `None`: it is no network.
fn host_bits(network: &str) -> Option<u8> {
    let (address, prefix) = network.split_once('/')?;
    let all = if address.contains(':') { 128_u8 } else { 32 };
    all.checked_sub(prefix.parse().ok()?)
}
