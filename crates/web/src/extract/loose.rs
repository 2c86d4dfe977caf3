//! JSON bodies read as leniently as the contract says (reference 01 §1.2), whatever type they are read into.
//!
//! An object's keys match its fields in any case, an exact match before others; `null` leaves a field at its default;
//! unknown fields are passed over. A field that comes twice is refused all the same, and an object is never filled from a
//! list, at whatever depth. What users attach as JSON of their own (metadata) is read as it stands.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::StrDeserializer,
    },
};
use serde_json::{Error, value::RawValue};

/// One value of a body, as text that is known to be JSON.
///
/// It is scanned again where something is read from it; types are only a few objects deep, so that this stays cheap, and
/// nothing is kept of what no field takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loose<'de>(&'de str);

impl<'de> Loose<'de> {
    /// The first document in the bytes; what follows it is not looked at.
    pub(super) fn first(bytes: &'de [u8]) -> Result<Self, Error> {
        let mut document = serde_json::Deserializer::from_slice(bytes);
        <&RawValue>::deserialize(&mut document).map(|raw| Self(raw.get()))
    }

    fn is_null(self) -> bool {
        self.0 == "null"
    }

    fn strict(self) -> serde_json::Deserializer<serde_json::de::StrRead<'de>> {
        serde_json::Deserializer::from_str(self.0)
    }
}

macro_rules! strictly {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.strict().$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Loose<'de> {
    type Error = Error;

    strictly! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_map deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.strict().deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let list = if self.is_null() { Self("[]") } else { self };
        list.strict().deserialize_seq(ElementsOf(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let object = if self.is_null() { Self("{}") } else { self };
        object.strict().deserialize_map(FieldsOf { fields, visitor })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.strict().deserialize_enum(name, variants, visitor)
    }
}

/// Shows a visitor of a list each element loosely.
struct ElementsOf<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for ElementsOf<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Elements(list))
    }
}

struct Elements<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        let Some(raw) = self.0.next_element::<&'de RawValue>()? else { return Ok(None) };
        seed.deserialize(Loose(raw.get())).map(Some).map_err(de::Error::custom)
    }
}

/// Shows a visitor of an object the fields that it knows.
struct FieldsOf<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for FieldsOf<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Fields { fields: self.fields, object, value: None })
    }
}

struct Fields<'de, A> {
    fields: &'static [&'static str],
    object: A,
    value: Option<Loose<'de>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(field) = self.object.next_key_seed(KnownField(self.fields))? {
            let Some(field) = field else {
                self.object.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = Loose(self.object.next_value::<&'de RawValue>()?.get());
            if value.is_null() {
                continue;
            }
            self.value = Some(value);
            let field: StrDeserializer<'_, A::Error> = field.into_deserializer();
            return seed.deserialize(field).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let value =
            self.value.take().ok_or_else(|| de::Error::custom("a value was asked for before its key"))?;
        seed.deserialize(value).map_err(de::Error::custom)
    }
}

/// Reads a key: as the field that it means, or as none.
struct KnownField(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KnownField {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KnownField {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        let exact = self.0.iter().find(|field| **field == key);
        Ok(exact.or_else(|| self.0.iter().find(|field| field.eq_ignore_ascii_case(key))).copied())
    }
}
