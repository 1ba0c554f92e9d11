//! Any value of a type that can be read, made from a seed: a source for serde that answers what the type asks for. It needs no word about a
//! type's fields, so that a new field is covered the day it is there.
//!
//! Ids, dates and digests refuse most texts. Reading stops at the text that was refused, so that one is exchanged for the next and all is
//! read again, until everything fits.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
    value::{StrDeserializer, U32Deserializer},
};

use crate::mutation::Dice;

/// How deep values nest before lists end up empty and options absent.
const DEPTH: usize = 10;

/// Texts in all the forms that our ids, dates and digests have, and some that none of them has.
const TEXTS: &[&str] = &[
    "m-05766044",
    "prod",
    "2026",
    "2026-09",
    "2026-09-01",
    "2026-09-01T00:00:00Z",
    "00000000-0000-4000-8000-000000000001",
    "924fbafa385f68f6bd2e1c2664f01deeff3649d4f29518ea68415152620ce933",
    "05334-IT01-11",
    "nvidia.com/gpu",
    "Straße 1, Zürich \"\\\n",
    "",
];

const NUMBERS: &[i64] = &[0, 1, -1, 7, 1_000, i64::MAX, i64::MIN];

/// Why no value was made.
#[derive(Debug)]
pub struct NotMade(String);

impl std::fmt::Display for NotMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotMade {}

impl de::Error for NotMade {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A value made from this seed.
///
/// # Errors
/// When none of the texts is of the form that some field needs: add one.
pub fn make<T: DeserializeOwned>(seed: u64) -> Result<T, NotMade> {
    let mut refused: Vec<usize> = Vec::new();
    loop {
        let mut source = Source { dice: Dice::new(seed), seed, refused, asked: 0, depth: 0 };
        let error = match T::deserialize(&mut source) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let last = source.asked.checked_sub(1).ok_or_else(|| NotMade(error.to_string()))?;
        refused = source.refused;
        refused.truncate(source.asked);
        refused[last] += 1;
        if refused[last] >= TEXTS.len() {
            return Err(error);
        }
    }
}

/// What a type reads from.
#[derive(Debug)]
struct Source {
    dice: Dice,
    seed: u64,
    /// How many texts were refused at each place.
    refused: Vec<usize>,
    /// How many texts were given.
    asked: usize,
    depth: usize,
}

impl Source {
    fn text(&mut self) -> &'static str {
        if self.asked == self.refused.len() {
            self.refused.push(0);
        }
        let first = Dice::new(self.seed.wrapping_add(self.asked as u64)).below(TEXTS.len());
        let text = TEXTS[(first + self.refused[self.asked]) % TEXTS.len()];
        self.asked += 1;
        text
    }

    fn length(&mut self) -> usize {
        if self.depth >= DEPTH { 0 } else { self.dice.below(3) }
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
            let number = *self.dice.one(NUMBERS);
            visitor.$visit(<$type>::try_from(number).unwrap_or(<$type>::MAX))
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
            visitor.visit_str(self.text())
        }
    )*};
}

macro_rules! units {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, NotMade> {
            visitor.visit_unit()
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Source {
    type Error = NotMade;

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
    }

    texts! { deserialize_any deserialize_str deserialize_string deserialize_identifier deserialize_char deserialize_bytes
    deserialize_byte_buf }

    units! { deserialize_unit() deserialize_unit_struct(_name: &'static str) deserialize_ignored_any() }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        visitor.visit_bool(self.dice.below(2) == 1)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        visitor.visit_f32(0.5)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        visitor.visit_f64(0.5)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        if self.length() == 0 {
            visitor.visit_none()
        } else {
            self.deeper(|source| visitor.visit_some(source))
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NotMade> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        let left = self.length();
        self.deeper(|source| visitor.visit_seq(Elements { source, left }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, NotMade> {
        self.deeper(|source| visitor.visit_seq(Elements { source, left }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, NotMade> {
        self.deserialize_tuple(left, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotMade> {
        let left = self.length();
        self.deeper(|source| visitor.visit_map(Elements { source, left }))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotMade> {
        self.deeper(|source| visitor.visit_map(Fields { source, fields: fields.iter() }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotMade> {
        self.deeper(|source| visitor.visit_enum(Variant { count: variants.len(), source }))
    }
}

/// Of a list or a map.
struct Elements<'a> {
    source: &'a mut Source,
    left: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = NotMade;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotMade> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.source).map(Some)
    }
}

impl<'de> MapAccess<'de> for Elements<'_> {
    type Error = NotMade;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotMade> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotMade> {
        seed.deserialize(&mut *self.source)
    }
}

/// Of a struct.
struct Fields<'a> {
    source: &'a mut Source,
    fields: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = NotMade;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotMade> {
        self.fields.next().map(|name| seed.deserialize(StrDeserializer::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotMade> {
        seed.deserialize(&mut *self.source)
    }
}

/// Of an enum.
struct Variant<'a> {
    source: &'a mut Source,
    count: usize,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = NotMade;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), NotMade> {
        let chosen = u32::try_from(self.source.dice.below(self.count)).unwrap_or_default();
        seed.deserialize(U32Deserializer::new(chosen)).map(|value| (value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = NotMade;

    fn unit_variant(self) -> Result<(), NotMade> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, NotMade> {
        seed.deserialize(self.source)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, NotMade> {
        self.source.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotMade> {
        self.source.deserialize_struct("", fields, visitor)
    }
}
