//! Checks a mapping where a list of mappings belongs, as the list that was meant, so that it hides no mistake inside.

use serde_json::Value;

use super::schema::{JsonKind, Shape};
use super::{Kept, KeptContent, Walk};
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::validate::problem::Diagnostic;
use crate::config::yaml::tree::{Content, Id, Span};

/// The keys by which entries are identified: people write these as the keys of a mapping.
const IDENTITIES: [&str; 4] = ["name", "mark", "role", "address"];

impl<'a> Walk<'a> {
    /// Reads a mapping as one entry of the list that belongs here, or as an entry for each key, which identifies it. `None` where
    /// it is neither, and nothing is reported; `Some(None)` where it is one that could not be read.
    pub(super) fn unlisted(
        &mut self,
        id: Id,
        pairs: &[(Id, Id)],
        span: Span,
        list: &'a Value,
    ) -> Option<Option<(Value, Kept)>> {
        let entry = self.shape(list.get("items")?);
        let schema = entry.of(JsonKind::Map)?;
        let known = schema.get("properties")?.as_object()?;
        let texts: Vec<Option<&str>> = pairs.iter().map(|(key, _)| self.text(*key)).collect();
        if texts.iter().flatten().any(|key| known.contains_key(*key)) {
            self.unlisted_problem(span, "a list: `- ` before its first key");
            let whole = |(value, kept)| {
                (Value::Array(vec![value]), Kept { span, inside: KeptContent::List(vec![kept]) })
            };
            return Some(self.entry(0, id, &entry).map(whole));
        }
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |key: &&str| required.into_iter().flatten().any(|required| required == key);
        let identity = IDENTITIES.into_iter().find(is_required)?;
        let is_map =
            |id: &Id| self.tree.target(*id).is_some_and(|node| matches!(node.content, Content::Map(_)));
        if pairs.is_empty() || !pairs.iter().all(|(_, value)| is_map(value)) {
            return None;
        }
        let first = texts.iter().flatten().next().copied().unwrap_or("…");
        self.unlisted_problem(span, &format!("a list: `- {identity}: {first}` and below it the other keys"));
        let of_key = self.shape(known.get(identity)?);
        Some(Some(self.identified(pairs, span, &entry, (identity, &of_key))))
    }

    /// The list of what a mapping has, each entry with its key as the value of `identity`.
    fn identified(
        &mut self,
        pairs: &[(Id, Id)],
        span: Span,
        entry: &Shape<'a>,
        (identity, of_key): (&'static str, &Shape<'a>),
    ) -> (Value, Kept) {
        let (mut values, mut list) = (Vec::new(), Vec::new());
        for (key, value) in pairs {
            // It is there, in another place.
            let path = KeyPath(self.path.clone()).then(list.len()).then(identity);
            self.checked.invalid.insert(path.clone());
            let place = self.key(list.len(), *key, identity, of_key).map(|(known, place)| {
                self.checked.invalid.remove(&path);
                self.given.insert(identity.to_owned(), known);
                place
            });
            let read = self.entry(list.len(), *value, entry);
            self.given.clear();
            let Some((value, mut kept)) = read else {
                self.checked.incomplete.insert(KeyPath(self.path.clone()));
                continue;
            };
            if let (Some(place), KeptContent::Map(map)) = (place, &mut kept.inside) {
                map.insert(identity.to_owned(), (place.span, place));
            }
            values.push(value);
            list.push(kept);
        }
        (Value::Array(values), Kept { span, inside: KeptContent::List(list) })
    }

    /// A key, read as the value that identifies the entry.
    fn key(
        &mut self,
        index: usize,
        key: Id,
        identity: &'static str,
        shape: &Shape<'a>,
    ) -> Option<(Value, Kept)> {
        self.path.extend([PathStep::Index(index), PathStep::from(identity)]);
        let read = self.value(key, shape, None);
        self.path.truncate(self.path.len() - 2);
        read
    }

    fn entry(&mut self, index: usize, id: Id, shape: &Shape<'a>) -> Option<(Value, Kept)> {
        self.path.push(PathStep::Index(index));
        let read = self.value(id, shape, None);
        self.path.pop();
        read
    }

    fn text(&self, id: Id) -> Option<&'a str> {
        match &self.tree.target(id)?.content {
            Content::Scalar { text, .. } => Some(text.as_ref()),
            Content::List(_) | Content::Map(_) | Content::Alias(_) => None,
        }
    }

    fn unlisted_problem(&mut self, span: Span, expected: &str) {
        let message = format!("{} cannot be a mapping", self.noun());
        self.report(Diagnostic::at(span, message).expecting(expected));
    }
}
