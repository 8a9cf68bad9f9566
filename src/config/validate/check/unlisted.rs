//! Checks a mapping where a list of mappings belongs, as the list that was meant, so that it hides no mistake inside.

use serde_json::Value;

use super::schema::{JsonKind, Shape};
use super::{Kept, KeptContent, Walk};
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::validate::problem::Diagnostic;
use crate::config::yaml::tree::{Content, Id, Span};

impl<'a> Walk<'a> {
    /// Reads a mapping as one entry of the list that belongs here, or as an entry for each key, which names it. `None` where
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
        let is_named = required.into_iter().flatten().any(|key| key == "name");
        let is_map =
            |id: &Id| self.tree.target(*id).is_some_and(|node| matches!(node.content, Content::Map(_)));
        if !is_named || pairs.is_empty() || !pairs.iter().all(|(_, value)| is_map(value)) {
            return None;
        }
        let first = texts.iter().flatten().next().copied().unwrap_or("web");
        self.unlisted_problem(span, &format!("a list: `- name: {first}` and below it the other keys"));
        Some(Some(self.named(pairs, &texts, span, &entry)))
    }

    fn named(
        &mut self,
        pairs: &[(Id, Id)],
        names: &[Option<&str>],
        span: Span,
        entry: &Shape<'a>,
    ) -> (Value, Kept) {
        let (mut values, mut list) = (Vec::new(), Vec::new());
        for ((key, value), name) in pairs.iter().zip(names) {
            // The name is there, in another place.
            let path = KeyPath(self.path.clone()).then(list.len());
            self.checked.invalid.insert(path.then("name"));
            let Some((Value::Object(mut value), kept)) = self.entry(list.len(), *value, entry) else {
                self.checked.incomplete.insert(KeyPath(self.path.clone()));
                continue;
            };
            self.checked.invalid.remove(&path.then("name"));
            value.insert("name".to_owned(), name.unwrap_or_default().into());
            values.push(Value::Object(value));
            list.push(self.with_name(kept, *key));
        }
        (Value::Array(values), Kept { span, inside: KeptContent::List(list) })
    }

    /// An entry whose name stands in the key of a mapping.
    fn with_name(&self, mut kept: Kept, key: Id) -> Kept {
        let place = self.tree.node(key).map_or(kept.span, |node| node.span);
        if let KeptContent::Map(map) = &mut kept.inside {
            map.insert("name".to_owned(), (place, Kept { span: place, inside: KeptContent::Nothing }));
        }
        kept
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
