//! Compares the file with the schema: every key that is unknown, duplicate or missing, and every value of the wrong kind.
//!
//! The schema is the one that is generated from the types, so that the format is defined in one place.

mod files;
mod place;
mod scalar;
mod schema;
mod unlisted;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::problem::Diagnostic;
use super::syntax;
use crate::config::format::extension::is_ignored;
use crate::config::format::fragment::OF_MAIN_FILE;
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::nearest::nearest;
use crate::config::format::path::{KeyPath, PathStep};
use crate::config::yaml::tree::{Content, Id, Node, Span, Tree};
pub(in crate::config) use files::CheckedFiles;
use place::{Kept, KeptContent, locate};
use schema::{JsonKind, Shape};

/// What of the file can be read, with the place of each value.
#[derive(Debug, Default)]
pub(in crate::config) struct Checked {
    /// What could be read, filled up where something needed was not; `None` where nothing could
    pub(in crate::config) value: Option<Value>,
    /// What is wrong with the rest
    pub(in crate::config) problems: Vec<Diagnostic>,
    /// How many more problems there are
    pub(in crate::config) more: usize,
    kept: Option<Kept>,
    /// Values that could not be read
    invalid: HashSet<KeyPath>,
    /// Lists of which an entry could not be read, mappings of which a key could not
    incomplete: HashSet<KeyPath>,
}

/// What a file that is included has to be.
const TOP_OF_FRAGMENT: &str = "a mapping with `clusters`, `marks`, `checks` or `defaults`";

impl Checked {
    /// Compares a file with the schema, one that is included with that of fragments.
    pub(in crate::config) fn new(tree: &Tree<'_>, schema: &Value, is_fragment: bool) -> Self {
        let (checked, path) = (Self::default(), Vec::new());
        let mut walk = Walk { tree, schema, checked, path, given: Map::new(), is_fragment };
        let top = walk.shape(schema);
        let empty = |node: &Node<'_>| scalar::is_null(node);
        match tree.root.and_then(|root| Some((root, tree.target(root)?))) {
            Some((root, node)) if !empty(node) => {
                if let Some((value, kept)) = walk.value(root, &top, None) {
                    walk.checked.value = Some(value);
                    walk.checked.kept = Some(kept);
                }
            }
            _ => {
                let here = Span { line: 1, column: 1, width: 0 };
                walk.report(Diagnostic::at(here, "the file is empty").expecting(if is_fragment {
                    "at least `clusters: []`".into()
                } else {
                    format!("at least {}", walk.required(true))
                }));
            }
        }
        walk.checked
    }

    /// An issue with its place in the file, or `None` where it only follows from what could not be read.
    pub(in crate::config) fn locate(&self, issue: Issue) -> Option<Diagnostic> {
        locate(issue, &|path| (0, path.clone()), &[self], &[])
    }
}

/// Whether a text begins with the dash of an entry without a space behind it.
fn is_glued_entry(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|value| value.starts_with(|letter: char| !letter.is_whitespace()))
}

struct Walk<'a> {
    tree: &'a Tree<'a>,
    schema: &'a Value,
    checked: Checked,
    path: Vec<PathStep>,
    /// What the next mapping has beside its own keys
    given: Map<String, Value>,
    is_fragment: bool,
}

impl<'a> Walk<'a> {
    /// What the file has to be.
    fn top(&self) -> String {
        if self.is_fragment {
            return TOP_OF_FRAGMENT.to_owned();
        }
        format!("a mapping with at least {}", self.required(false))
    }

    /// The keys that a file has to have, as the text of a message; with their values, where each has but one that is short.
    fn required(&self, with_values: bool) -> String {
        let properties = self.schema.get("properties");
        let keys = self.schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let shown = keys.filter_map(Value::as_str).map(|key| {
            let shape = properties.and_then(|known| known.get(key)).map(|schema| self.shape(schema));
            let value = shape.filter(|_| with_values).and_then(|shape| match shape.only() {
                Some(only) => Some(only.to_string()),
                None => shape.of(JsonKind::List).map(|_| "[]".to_owned()),
            });
            value.map_or_else(|| format!("`{key}`"), |value| format!("`{key}: {value}`"))
        });
        shown.collect::<Vec<_>>().join(" and ")
    }

    fn shape(&self, schema: &'a Value) -> Shape<'a> {
        Shape::new(schema, self.schema)
    }

    fn report(&mut self, problem: Diagnostic) {
        if self.checked.problems.len() < Issues::KEPT {
            self.checked.problems.push(problem)
        } else {
            self.checked.more += 1
        }
    }

    /// What people call the value that is being looked at.
    fn noun(&self) -> String {
        match self.path.as_slice() {
            [.., PathStep::Key(key)] => format!("`{key}`"),
            [.., PathStep::Key(key), PathStep::Index(_)] => format!("an entry of `{key}`"),
            [.., PathStep::Index(_)] => "an entry".into(),
            [] | [.., PathStep::File(_)] => "the file".into(),
        }
    }

    /// A value, if it is of a kind that is allowed here; `key` is the place of its key.
    fn value(&mut self, id: Id, shape: &Shape<'a>, key: Option<Span>) -> Option<(Value, Kept)> {
        let span = self.tree.node(id)?.span;
        let node = self.tree.target(id)?;
        if let Some(tag) = &node.tag
            && !tag.is_yaml_core_schema()
        {
            let message = format!("the tag `{tag}` is not supported");
            self.report(Diagnostic::at(span, message).expecting("the value without a tag"));
            return None;
        }
        if let Some(token) = self.bare_address(node)
            && shape.of(JsonKind::Text).is_some()
        {
            self.report(syntax::unquoted(span.line, span.column, &token));
            return None;
        }
        match &node.content {
            Content::Map(pairs) => match shape.of(JsonKind::Map) {
                Some(found) => self.mapping(pairs, span, found),
                None => {
                    let list = shape.of(JsonKind::List);
                    match list.and_then(|list| self.unlisted(id, pairs, span, list)) {
                        Some(read) => read,
                        None => self.wrong(span, shape, "a mapping"),
                    }
                }
            },
            Content::List(entries) => match shape.of(JsonKind::List) {
                Some(found) => self.list(entries, span, found),
                None => self.wrong(span, shape, "a list"),
            },
            Content::Scalar { .. } if scalar::is_null(node) => {
                let span = key.unwrap_or(Span { width: span.width.max(1), ..span });
                let message = format!("{} is empty", self.noun());
                let expected = match shape.of(JsonKind::List) {
                    Some(_) if shape.of(JsonKind::Text).is_none() => "a list; `[]` for none".into(),
                    _ => shape.expected(),
                };
                self.report(Diagnostic::at(span, message).expecting(expected));
                None
            }
            // Several lines of such text are one, and a list is expected.
            Content::Scalar { text, plain: true }
                if shape.of(JsonKind::List).is_some() && is_glued_entry(text) =>
            {
                let value = text.trim_start_matches('-').split(" -").next().unwrap_or_default();
                self.report(syntax::missing_after_dash(span.line, span.column, value));
                None
            }
            Content::Scalar { text, plain: true }
                if span.width == usize::MAX
                    && text.contains(" -")
                    && matches!(self.path.last(), Some(PathStep::Index(_))) =>
            {
                let message = format!("{} goes on in the next line, which begins with a `-`", self.noun());
                self.report(
                    Diagnostic::at(span, message)
                        .expecting("`- value` with a space, indented as the other entries"),
                );
                None
            }
            Content::Scalar { text, plain } => {
                let forced = node.tag.as_ref().is_some_and(|tag| tag.suffix == "str");
                match scalar::check(text, *plain && !forced, shape, &self.noun()) {
                    Ok(value) => Some((value, Kept { span, inside: KeptContent::Nothing })),
                    Err(wrong) => {
                        let expected = if self.path.is_empty() { self.top() } else { wrong.expected };
                        let problem = Diagnostic::at(span, wrong.message).expecting(expected);
                        self.report(problem.suggest(wrong.suggestion));
                        None
                    }
                }
            }
            Content::Alias(_) => None,
        }
    }

    fn wrong(&mut self, span: Span, shape: &Shape<'_>, found: &str) -> Option<(Value, Kept)> {
        let expected = if self.path.is_empty() { self.top() } else { shape.expected() };
        self.report(Diagnostic::at(span, format!("{} cannot be {found}", self.noun())).expecting(expected));
        None
    }

    /// What was meant to be `"[fd00::1]"` or `"[fd00::1]:80"`: a list with an address in it, also as a key.
    fn bare_address(&self, node: &Node<'_>) -> Option<String> {
        let plain = |id: Id| match &self.tree.node(id)?.content {
            Content::Scalar { text, plain: true } => Some(text.as_ref()),
            _ => None,
        };
        match &node.content {
            Content::List(entries) => {
                let [only] = entries.as_slice() else { return None };
                let address = plain(*only).filter(|text| text.parse::<std::net::Ipv6Addr>().is_ok())?;
                Some(format!("[{address}]"))
            }
            Content::Map(pairs) => {
                let [(key, value)] = pairs.as_slice() else { return None };
                let address = self.tree.node(*key).filter(|key| matches!(key.content, Content::List(_)))?;
                Some(format!("{}:{}", self.bare_address(address)?, plain(*value)?))
            }
            Content::Scalar { .. } | Content::Alias(_) => None,
        }
    }

    fn list(&mut self, entries: &[Id], span: Span, schema: &'a Value) -> Option<(Value, Kept)> {
        let shape = self.shape(schema.get("items").unwrap_or(&Value::Bool(true)));
        let (mut values, mut list) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
        for entry in entries {
            self.path.push(PathStep::Index(list.len()));
            let read = self.value(*entry, &shape, None);
            self.path.pop();
            match read {
                Some((value, kept)) => {
                    values.push(value);
                    list.push(kept);
                }
                None => {
                    self.checked.incomplete.insert(KeyPath(self.path.clone()));
                }
            }
        }
        Some((Value::Array(values), Kept { span, inside: KeptContent::List(list) }))
    }

    fn mapping(&mut self, pairs: &[(Id, Id)], span: Span, schema: &'a Value) -> Option<(Value, Kept)> {
        let none = Map::new();
        let known = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut seen: HashMap<&str, Span> = HashMap::new();
        // The key that a mistyped one was probably meant to be is not reported as missing, nor what follows from its absence.
        let mut meant: HashSet<&str> = HashSet::new();
        let (mut values, mut map) = (std::mem::take(&mut self.given), HashMap::new());
        for (key, value) in pairs {
            let Some(node) = self.tree.target(*key) else { continue };
            let key_span = self.tree.node(*key).map_or(node.span, |node| node.span);
            let Content::Scalar { text: name, .. } = &node.content else {
                self.odd_key(node, key_span);
                continue;
            };
            let name = name.as_ref();
            if let Some(first) = seen.get(name) {
                let message = format!("duplicate key `{name}`; first on line {}", first.line);
                self.report(Diagnostic::at(key_span, message));
                continue;
            }
            seen.insert(name, key_span);
            if is_ignored(name, schema) {
                continue;
            }
            let Some(schema) = known.and_then(|known| known.get(name)).or(rest) else {
                if self.is_fragment && self.path.is_empty() && OF_MAIN_FILE.contains(&name) {
                    let message = format!("`{name}` belongs in the main file, and this one is included");
                    self.report(
                        Diagnostic::at(key_span, message)
                            .expecting("`clusters`, `marks`, `checks` or `defaults`"),
                    );
                    continue;
                }
                let words = known.unwrap_or(&none).keys().map(String::as_str);
                let near = nearest(name, words.clone());
                meant.extend(near);
                self.checked.incomplete.insert(KeyPath(self.path.clone()));
                let problem = if name == "<<" {
                    Diagnostic::at(key_span, "merge keys (`<<`) are not supported")
                        .expecting("the keys themselves, or an alias (`*name`) for a whole value")
                } else {
                    Diagnostic::at(key_span, format!("unknown key `{name}`"))
                        .expecting(schema::one_of(words))
                        .suggest(near)
                };
                self.report(problem);
                continue;
            };
            self.path.push(PathStep::Key(name.to_owned().into()));
            let shape = self.shape(schema);
            match self.value(*value, &shape, Some(key_span)) {
                Some((value, kept)) => {
                    map.insert(name.to_owned(), (key_span, kept));
                    values.insert(name.to_owned(), value);
                }
                None => {
                    self.checked.invalid.insert(KeyPath(self.path.clone()));
                }
            }
            self.path.pop();
        }
        for word in meant {
            self.checked.invalid.insert(KeyPath(self.path.clone()).then(word.to_owned()));
        }
        self.fill(schema, &seen, span, &mut values)?;
        Some((Value::Object(values), Kept { span, inside: KeptContent::Map(map) }))
    }

    fn odd_key(&mut self, node: &Node<'_>, span: Span) {
        match self.bare_address(node) {
            Some(token) => self.report(syntax::unquoted(span.line, span.column, &token)),
            None => self.report(Diagnostic::at(span, "a list or mapping cannot be a key").expecting("text")),
        }
    }

    /// Reports the keys that are missing and puts a placeholder in their place, so that the rest can be checked.
    /// `None` where there is no placeholder: then the whole mapping is left out.
    fn fill(
        &mut self,
        schema: &'a Value,
        seen: &HashMap<&str, Span>,
        span: Span,
        values: &mut Map<String, Value>,
    ) -> Option<()> {
        let mut whole = Some(());
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let Some(name) = name.as_str() else { continue };
            if values.contains_key(name) {
                continue;
            }
            let shape = self.shape(schema.get("properties").and_then(|known| known.get(name))?);
            let path = KeyPath(self.path.clone()).then(name.to_owned());
            if !seen.contains_key(name) && !self.checked.invalid.contains(&path) {
                let noun = if self.path.is_empty() { String::new() } else { format!(" in {}", self.noun()) };
                let expected = match (shape.only(), shape.of(JsonKind::List)) {
                    (Some(only), _) => format!("`{name}: {only}`"),
                    (None, Some(_)) if shape.of(JsonKind::Text).is_none() => {
                        format!("`{name}`, a list; `[]` for none")
                    }
                    (None, _) => format!("`{name}`, {}", shape.expected()),
                };
                self.report(Diagnostic::at(span, format!("`{name}` is missing{noun}")).expecting(expected));
            }
            self.checked.invalid.insert(path);
            match shape.placeholder() {
                Some(value) => {
                    values.insert(name.to_owned(), value);
                }
                None => whole = None,
            }
        }
        whole
    }
}
