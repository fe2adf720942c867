//! Elements of tensors as documents write them, kept flat: lists in lists would take many times the
//! memory of their text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// The elements of flat or nested lists, in order.
#[derive(Debug, Default)]
pub struct Elements(pub Vec<Element>);

/// An element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Element {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// What no tensor has.
    Null,
    /// What no tensor has.
    Text,
    /// What no tensor has.
    Object,
}

impl Element {
    /// How error messages show it.
    pub fn shown(self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Null => "null".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Object => "an object".to_owned(),
        }
    }
}

impl From<Vec<f32>> for Elements {
    fn from(numbers: Vec<f32>) -> Self {
        Self(numbers.into_iter().map(|number| Element::Number(number.into())).collect())
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Whole(number) => serializer.serialize_i64(number),
            Self::Number(number) => serializer.serialize_f64(number),
            Self::Null | Self::Text | Self::Object => serializer.serialize_unit(),
        }
    }
}

impl Serialize for Elements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Vec::new();
        Flat(&mut elements).deserialize(deserializer)?;
        Ok(Self(elements))
    }
}

/// Puts whatever comes behind what is there.
struct Flat<'a>(&'a mut Vec<Element>);

impl<'de> DeserializeSeed<'de> for Flat<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flat<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements, flat or in lists")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(Element::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.0.push(Element::Whole(number));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        let whole = i64::try_from(number).map(Element::Whole);
        self.0.push(whole.unwrap_or(Element::Number(number as f64)));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.0.push(Element::Number(number));
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.0.push(Element::Text);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push(Element::Null);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Flat(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.push(Element::Object);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_lists_are_flat_and_keep_what_their_elements_are() {
        let text = r#"[[1, -2.5], [], [[true]], null, "x", {"a": [1]}, 18446744073709551615]"#;
        let elements: Elements = serde_json::from_str(text).unwrap();
        let expected = [
            Element::Whole(1),
            Element::Number(-2.5),
            Element::Bool(true),
            Element::Null,
            Element::Text,
            Element::Object,
            Element::Number(18_446_744_073_709_551_615.0),
        ];
        assert_eq!(elements.0, expected);
        let alone: Elements = serde_json::from_str("7").unwrap();
        assert_eq!(alone.0, [Element::Whole(7)]);
        let deep = "[".repeat(1000);
        assert!(serde_json::from_str::<Elements>(&deep).is_err());
    }
}
