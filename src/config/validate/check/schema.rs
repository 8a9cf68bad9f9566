//! The little of JSON Schema that the schema of the desired file uses, as questions about one value.

use serde_json::{Value, json};

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    /// A mapping
    Map,
    /// A list
    List,
    /// Text
    Text,
    /// A whole number
    Integer,
    /// `true` or `false`
    Boolean,
}

impl JsonKind {
    fn word(self) -> &'static str {
        match self {
            Self::Map => "object",
            Self::List => "array",
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
        }
    }
}

/// What is allowed at one place.
#[derive(Debug)]
pub(super) struct Shape<'a> {
    /// The schema itself, where its title and examples are
    schema: &'a Value,
    /// The schemas of which the value must fit one
    choices: Vec<&'a Value>,
}

impl<'a> Shape<'a> {
    /// The shape that a schema describes; `root` has the definitions.
    pub(super) fn new(schema: &'a Value, root: &'a Value) -> Self {
        let schema = follow(schema, root);
        let mut choices = Vec::new();
        collect(schema, root, &mut choices);
        Self { schema, choices }
    }

    /// The schema for values of a kind, if they are allowed here.
    pub(super) fn of(&self, kind: JsonKind) -> Option<&'a Value> {
        self.choices.iter().copied().find(|choice| match choice.get("type") {
            Some(Value::Array(words)) => words.iter().any(|word| word == kind.word()),
            Some(word) => word == kind.word(),
            None => false,
        })
    }

    /// The names of a closed list, if only those are allowed here.
    pub(super) fn words(&self) -> Option<Vec<&'a str>> {
        self.choices.iter().map(|choice| choice.get("const").and_then(Value::as_str)).collect()
    }

    /// The number, if only one is allowed here.
    pub(super) fn only(&self) -> Option<&'a Value> {
        match self.choices.as_slice() {
            [only] => only.get("const").filter(|value| value.is_number()),
            _ => None,
        }
    }

    /// What the values are called.
    pub(super) fn title(&self) -> Option<&'a str> {
        self.schema.get("title").and_then(Value::as_str)
    }

    /// What is allowed here, as the text of a message.
    pub(super) fn expected(&self) -> String {
        if let Some(words) = self.words().filter(|words| !words.is_empty()) {
            return one_of(words.into_iter());
        }
        let title = match self.choices.as_slice() {
            [only] if self.title().is_none() && only.get("type").is_some_and(|word| word == "array") => {
                "a list"
            }
            [only] if self.title().is_none() && only.get("type").is_some_and(|word| word == "boolean") => {
                "true or false"
            }
            [only] if self.title().is_none() && only.get("type").is_some_and(|word| word == "object") => {
                "a mapping"
            }
            _ => self.title().unwrap_or("another value"),
        };
        let examples: Vec<String> = self
            .schema
            .get("examples")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|example| example.is_string() || example.is_number())
            .take(2)
            .map(|example| match example {
                Value::String(text) => format!("`{text}`"),
                other => format!("`{other}`"),
            })
            .collect();
        if examples.is_empty() { title.into() } else { format!("{title} such as {}", examples.join(" or ")) }
    }

    /// A value that is allowed here and has no effect, in place of one that could not be read.
    pub(super) fn placeholder(&self) -> Option<Value> {
        if self.of(JsonKind::List).is_some() {
            return Some(json!([]));
        }
        if let Some(only) = self.only() {
            return Some(only.clone());
        }
        let text = matches!(self.choices.as_slice(), [only] if only.get("const").is_none());
        (text && self.of(JsonKind::Text).is_some()).then(|| json!(""))
    }
}

fn follow<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A definition that leads to itself would be a mistake in the types, and must not hang the program.
    for _ in 0..8 {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix("#/$defs/"))
            .and_then(|name| root.get("$defs")?.get(name));
        match target {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

fn collect<'a>(schema: &'a Value, root: &'a Value, choices: &mut Vec<&'a Value>) {
    let schema = follow(schema, root);
    let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array);
    match alternatives {
        // Where the type is given already, the alternatives are patterns of text, which `resolve` checks.
        Some(alternatives) if schema.get("type").is_none() => {
            for alternative in alternatives {
                collect(alternative, root, choices);
            }
        }
        _ => choices.push(schema),
    }
}

/// `one of a, b, c`, or the one alone.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        [only] => format!("`{only}`"),
        _ => format!("one of {}", words.join(", ")),
    }
}
