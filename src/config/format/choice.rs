//! Values of closed lists as the file has them: by their names, which the model defines.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::model::{
    CheckType, Checksum, FailurePolicy, ForwardingMethod, Named, PersistenceEngine, Protocol, Prune,
    SchedulerFlag, SyncRole, TunnelKind, WeightSource,
};

/// A closed list that has a place in the schema.
pub trait Listed: Named {
    /// Its name among the definitions of the schema.
    const DEFINITION: &'static str;
    /// What one of its values is called, with its article.
    const TITLE: &'static str;
}

/// A value of a closed list, written by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice<T>(pub T);

/// Defines how the file and its schema call a list of the model.
macro_rules! listed {
    ($($type:ident: $definition:literal, $title:literal;)+) => {$(
        impl Listed for $type {
            const DEFINITION: &'static str = $definition;
            const TITLE: &'static str = $title;
        }
    )+};
}

listed! {
    ForwardingMethod: "Forward", "a forwarding method";
    SchedulerFlag: "SchedulerFlag", "a scheduler flag";
    PersistenceEngine: "Engine", "a persistence engine";
    TunnelKind: "TunnelType", "an encapsulation";
    Checksum: "Checksum", "a checksum";
    Protocol: "MatchProtocol", "a protocol";
    SyncRole: "Role", "a role";
    Prune: "Prune", "what to prune";
    CheckType: "CheckType", "a type of check";
    WeightSource: "WeightSource", "where a weight is read from";
    FailurePolicy: "OnFailure", "what a failing check does";
}

impl<T: Listed> Serialize for Choice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name().unwrap_or_default())
    }
}

impl<'de, T: Listed> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor<T>(PhantomData<T>);

        impl<T: Listed> Visitor<'_> for NameVisitor<T> {
            type Value = Choice<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::TITLE)
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Choice<T>, E> {
                T::from_name(name).map(Choice).ok_or_else(|| E::invalid_value(Unexpected::Str(name), &self))
            }
        }

        deserializer.deserialize_str(NameVisitor(PhantomData))
    }
}

impl<T: Listed> JsonSchema for Choice<T> {
    fn schema_name() -> Cow<'static, str> {
        T::DEFINITION.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let values: Vec<_> = T::ALL
            .iter()
            .map(|value| {
                json!({ "type": "string", "const": value.name(), "description": value.about().trim() })
            })
            .collect();
        json_schema!({ "oneOf": values, "title": T::TITLE, "description": T::ABOUT.trim() })
    }
}
