//! Finds the paths and patterns that a desired file includes, before it is read as a whole.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::yaml::stream;
use super::yaml::tree::{Content, Id, Span, Tree};
use crate::files::Pattern;

/// The key.
const KEY: &str = "include";

/// What a main file includes, as far as it can be read: what is wrong with it is found when it is loaded.
pub fn includes(text: &str) -> Vec<Pattern> {
    // Nearly all files include nothing, and are not to be read twice for that.
    if !text.contains(KEY) {
        return Vec::new();
    }
    let texts = match stream::read::<Head>(text) {
        Ok(Head(texts)) => texts,
        // Such as an anchor. What the fast reader does not know is rare.
        Err(_) => of_tree(text).unwrap_or_default(),
    };
    texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
}

/// The texts under the key of a main file, and nothing else of it.
struct Head(Vec<String>);

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadVisitor;

        impl<'de> Visitor<'de> for HeadVisitor {
            type Value = Head;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<Head, A::Error> {
                let mut texts = Vec::new();
                while let Some(key) = keys.next_key::<String>()? {
                    if key == KEY {
                        texts = keys.next_value()?;
                    } else {
                        keys.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Head(texts))
            }
        }

        deserializer.deserialize_any(HeadVisitor)
    }
}

/// The same by way of the tree, which knows all of YAML.
fn of_tree(text: &str) -> Option<Vec<String>> {
    let tree = Tree::parse(text).ok()?;
    let scalar = |id: usize| match &tree.target(id)?.content {
        Content::Scalar { text, .. } => Some(text.to_string()),
        Content::Map(_) | Content::List(_) | Content::Alias(_) => None,
    };
    let (_, value) = pair(&tree)?;
    let Content::List(entries) = &tree.target(value)?.content else { return None };
    Some(entries.iter().filter_map(|entry| scalar(*entry)).collect())
}

/// Where the key of a main file is, if it has it.
pub(super) fn place(text: &str) -> Option<Span> {
    let tree = Tree::parse(text).ok()?;
    let (key, _) = pair(&tree)?;
    tree.target(key).map(|key| key.span)
}

/// The key and its value in the tree of a main file.
fn pair(tree: &Tree<'_>) -> Option<(Id, Id)> {
    let Content::Map(pairs) = &tree.target(tree.root?)?.content else { return None };
    let is_key = |id: Id| match tree.target(id).map(|node| &node.content) {
        Some(Content::Scalar { text, .. }) => text == KEY,
        Some(Content::Map(_) | Content::List(_) | Content::Alias(_)) | None => false,
    };
    pairs.iter().copied().find(|(key, _)| is_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_however_it_is_written() {
        let found = |text: &str| {
            let texts = includes(text).into_iter().map(|pattern| pattern.steps().join("/"));
            texts.collect::<Vec<_>>()
        };
        for text in [
            "include: [a, b/*]\nversion: 1\n",
            "version: 1\n\"include\":\n- a\n- 'b/*'\nclusters: [{ a: b }]\n",
            "{version: 1, include: [a, /etc/x, b/*]}",
            "x-a: &files [a, b/*]\ninclude: *files\n",
        ] {
            assert_eq!(found(text), ["a", "b/*"], "{text}");
        }
        for text in
            ["include: a\n", "include: [[a]]\n", "a: { include: [a] }\n", "# include: [a]\n", "include: [a\n"]
        {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
