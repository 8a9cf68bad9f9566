//! Checks single values: their type in YAML, and whether the schema allows it there.

use serde_json::{Value, json};

use super::schema::{JsonKind, Shape};
use crate::config::format::nearest::nearest;
use crate::config::yaml::plain_scalar::PlainScalar;
use crate::config::yaml::tree::{Content, Node};

/// Why a value is not allowed at its place.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) expected: String,
    pub(super) suggestion: Option<String>,
}

/// Whether a value is not there: `key:`, `~` or `null`.
pub(super) fn is_null(node: &Node<'_>) -> bool {
    match &node.content {
        Content::Scalar { text, plain: true } => {
            node.tag.is_none() && PlainScalar::of_plain(text) == PlainScalar::Null
        }
        _ => false,
    }
}

/// The value as the document takes it, or why it does not.
pub(super) fn check(text: &str, plain: bool, shape: &Shape<'_>, noun: &str) -> Result<Value, Wrong> {
    let scalar = if plain { PlainScalar::of_plain(text) } else { PlainScalar::Text };
    if let Some(words) = shape.words().filter(|words| !words.is_empty()) {
        if scalar == PlainScalar::Text && words.contains(&text) {
            return Ok(text.into());
        }
        let kind = shape.title().and_then(|title| title.split_once(' ')).map_or("word", |(_, noun)| noun);
        let message = match shape.title() {
            Some(title) if title.starts_with("a ") || title.starts_with("an ") => {
                format!("unknown {kind} `{text}`")
            }
            _ => format!("{noun} cannot be `{text}`"),
        };
        let suggestion = nearest(text, words.iter().copied()).map(Into::into);
        return Err(Wrong { message, expected: shape.expected(), suggestion });
    }
    match scalar {
        PlainScalar::Text if shape.of(JsonKind::Text).is_some() => Ok(text.into()),
        PlainScalar::Boolean(flag) if shape.of(JsonKind::Boolean).is_some() => Ok(flag.into()),
        PlainScalar::Integer(number) if shape.of(JsonKind::Integer).is_some() => {
            integer(number, text, shape, noun)
        }
        _ => Err(mismatch(text, scalar, shape, noun)),
    }
}

fn integer(number: i128, text: &str, shape: &Shape<'_>, noun: &str) -> Result<Value, Wrong> {
    let wrong = |message: String| Err(Wrong { message, expected: shape.expected(), suggestion: None });
    let schema = shape.of(JsonKind::Integer);
    let bound = |key: &str| schema.and_then(|schema| schema.get(key)).and_then(Value::as_i64).map(i128::from);
    if let Some(only) = bound("const") {
        if number == only {
            return Ok(json!(only as i64));
        }
        return wrong(format!("{noun} cannot be `{text}`"));
    }
    // Where text is allowed too, the range depends on its meaning, and `resolve` has the better message.
    let open = shape.of(JsonKind::Text).is_some();
    match i64::try_from(number) {
        Ok(number) if open => Ok(number.into()),
        Ok(small)
            if bound("minimum").is_none_or(|least| number >= least)
                && bound("maximum").is_none_or(|most| number <= most) =>
        {
            Ok(small.into())
        }
        _ if number < 0 || bound("minimum").is_some_and(|least| number < least) => {
            wrong(format!("`{text}` is too small for {noun}"))
        }
        _ => wrong(format!("`{text}` is too large for {noun}")),
    }
}

fn mismatch(text: &str, scalar: PlainScalar, shape: &Shape<'_>, noun: &str) -> Wrong {
    let found = match scalar {
        PlainScalar::Boolean(_) => "true or false",
        PlainScalar::Integer(_) => "a number",
        PlainScalar::Fraction => "a fraction",
        PlainScalar::Null => "nothing",
        PlainScalar::Text => "text",
    };
    let (integer, words) = (shape.of(JsonKind::Integer), shape.of(JsonKind::Text));
    // Where any text is allowed, the value in quotes is, too.
    let any_text =
        words.is_some_and(|schema| schema.get("pattern").is_none() && schema.get("anyOf").is_none());
    let suggestion = match scalar {
        // The common slip with kernel settings.
        PlainScalar::Boolean(flag) if any_text && integer.is_some() => {
            Some(if flag { "1" } else { "0" }.into())
        }
        PlainScalar::Boolean(_) | PlainScalar::Integer(_) | PlainScalar::Fraction if any_text => {
            Some(format!("\"{text}\""))
        }
        PlainScalar::Text if shape.of(JsonKind::Boolean).is_some() => match text.to_lowercase().as_str() {
            "yes" | "y" | "on" | "true" | "1" => Some("true".into()),
            "no" | "n" | "off" | "false" | "0" => Some("false".into()),
            _ => None,
        },
        PlainScalar::Text if integer.is_some() => {
            text.trim().parse::<u32>().ok().map(|number| number.to_string())
        }
        _ if words.is_none()
            && shape.of(JsonKind::List).is_some()
            && !text.contains(['[', ']', '{', '}', ',', '\n', '"']) =>
        {
            Some(format!("[{text}]"))
        }
        _ => None,
    };
    Wrong { message: format!("{noun} cannot be {found}"), expected: shape.expected(), suggestion }
}
