//! Values of templates: from JSON, and as Go prints them.

use std::sync::Arc;

use gotmpl::Value;

/// From JSON, whose numbers are doubles to Go.
pub(super) fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Nil, Value::Float),
        serde_json::Value::String(text) => Value::String(Arc::from(text.as_str())),
        serde_json::Value::Array(items) => Value::List(items.iter().map(value).collect()),
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(name, member)| (Arc::from(name.as_str()), value(member)));
            Value::Map(Arc::new(members.collect()))
        }
    }
}

/// To JSON, as `toJSON` has it: whole numbers without a fraction.
pub(super) fn json(shown: &Value) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match shown {
        Value::Nil | Value::Function(_) => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and fits 53 bits")]
            let whole = *number as i64;
            whole.into()
        }
        Value::Float(number) => (*number).into(),
        Value::String(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(members) => {
            members.iter().map(|(name, member)| (name.as_ref().to_owned(), json(member))).collect()
        }
    }
}

/// As Go prints it; text and nothing as they are, for the library prints these as Go does.
pub(super) fn shown(printed: &Value) -> Value {
    match printed {
        Value::Float(_) | Value::List(_) | Value::Map(_) => Value::String(Arc::from(text(printed).as_str())),
        plain => plain.clone(),
    }
}

fn text(printed: &Value) -> String {
    match printed {
        Value::Float(number) => float(*number),
        Value::List(items) => format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Map(members) => {
            let member = |(name, value): (&Arc<str>, &Value)| format!("{name}:{}", text(value));
            format!("map[{}]", members.iter().map(member).collect::<Vec<_>>().join(" "))
        }
        plain => plain.to_string(),
    }
}

/// `%v` of a float64: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e6 on
/// (strconv's `%g`).
fn float(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN",
            _ if number > 0.0 => "+Inf",
            _ => "-Inf",
        }
        .to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_go_prints_them() {
        for (number, text) in [
            (0.0, "0"),
            (1883.0, "1883"),
            (-2.5, "-2.5"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(float(number), text);
        }
    }
}
