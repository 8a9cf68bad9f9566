//! Ignores the keys at the top of the file that begin with `x-`: a place for YAML anchors, as compose files have it.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde_json::Value;

/// What the ignored keys begin with.
const PREFIX: &str = "x-";

/// Whether a key of a mapping is ignored; `schema` describes the mapping, and allows such keys where it is the top.
pub(in crate::config) fn is_ignored(key: &str, schema: &Value) -> bool {
    key.starts_with(PREFIX) && schema.get("patternProperties").is_some()
}

/// A document, or a fragment, without the ignored keys of its file.
pub(in crate::config) struct Extended<T>(pub(in crate::config) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Extended<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExtendedVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ExtendedVisitor<T> {
            type Value = Extended<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<Extended<T>, A::Error> {
                let known = KnownKeys { keys, ignored: HashSet::new() };
                T::deserialize(MapAccessDeserializer::new(known)).map(Extended)
            }
        }

        deserializer.deserialize_any(ExtendedVisitor(PhantomData))
    }
}

/// The keys and values of a mapping without the ignored ones.
struct KnownKeys<A> {
    keys: A,
    /// The ignored keys so far: two equal ones are a mistake, as everywhere
    ignored: HashSet<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for KnownKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.keys.next_key::<String>()? {
            if !key.starts_with(PREFIX) {
                let key: StringDeserializer<A::Error> = key.into_deserializer();
                return seed.deserialize(key).map(Some);
            }
            self.keys.next_value::<IgnoredAny>()?;
            if !self.ignored.insert(key) {
                return Err(A::Error::custom("duplicate key"));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.keys.next_value_seed(seed)
    }
}
