//! YAML as a JSON value. Its aliases may stand for each other, so that a short text means more than fits any memory:
//! what is read is counted, aliases as often as they are used.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The most values in one text, and the most bytes of all its words.
const VALUES_MAX: usize = 1024 * 1024;

/// The value that the text stands for, or the reader's words for what is no YAML or too much.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let mut left = VALUES_MAX;
    let reader = yaml_serde::Deserializer::from_str(text);
    Counted(&mut left).deserialize(reader).map_err(|error| error.to_string())
}

struct Counted<'a>(&'a mut usize);

impl Counted<'_> {
    fn take<E: Error>(&mut self, text: &str) -> Result<(), E> {
        let price = text.len().saturating_add(1);
        *self.0 = self.0.checked_sub(price).ok_or_else(|| E::custom("its aliases stand for too much"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        words.write_str("a value that JSON has too")
    }

    fn visit_unit<E: Error>(mut self) -> Result<Value, E> {
        self.take("")?;
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(mut self, truth: bool) -> Result<Value, E> {
        self.take("")?;
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(mut self, number: i64) -> Result<Value, E> {
        self.take("")?;
        Ok(Value::from(number))
    }

    fn visit_u64<E: Error>(mut self, number: u64) -> Result<Value, E> {
        self.take("")?;
        Ok(Value::from(number))
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<Value, E> {
        self.take("")?;
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<Value, E> {
        self.take(text)?;
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.take("")?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Counted(&mut *self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.take("")?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.take(&name)?;
            let member = members.next_value_seed(Counted(&mut *self.0))?;
            object.insert(name, member);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_with_what_their_aliases_stand_for() {
        let text = "a: &x [1, -2, 2.5, true, null, text]\nb: *x\n\"3\": {}\n";
        let list = json!([1, -2, 2.5, true, null, "text"]);
        assert_eq!(read(text), Ok(json!({"a": list, "b": list, "3": {}})));
        assert!(read("a: [1").is_err());
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let list = "x,".repeat(10_000);
        let many = "*a,".repeat(10_000);
        let error = read(&format!("a: &a [{list}]\nb: [{many}]\n")).unwrap_err();
        assert!(error.contains("its aliases stand for too much"), "{error}");
    }
}
