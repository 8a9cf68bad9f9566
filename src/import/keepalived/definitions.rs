//! The variables of a configuration: `$NAME=value`, also of several lines, and where they are used.

use std::collections::HashMap;

/// How often variables are replaced in one line: one whose value names itself would never end.
const MOST: usize = 64;
/// The longest line that this may make, in bytes.
const LONGEST: usize = 4_096;
/// How many lines one line may become.
const MOST_LINES: usize = 1_000;

/// The variables so far.
#[derive(Debug)]
pub(super) struct Definitions {
    values: HashMap<String, Value>,
}

/// A value: one line, or several of a multi-line definition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    lines: Vec<String>,
    has_lines: bool,
}

/// The beginning of a definition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Begun {
    name: String,
    /// Whether its next line belongs to it
    pub(super) goes_on: bool,
}

/// A line with the values of its variables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) line: String,
    /// The lines behind it
    pub(super) more: Vec<String>,
}

impl Definitions {
    /// What keepalived defines itself, in a directory.
    pub(super) fn new(directory: &str) -> Self {
        let own = [("_PWD", directory), ("_INSTANCE", ""), ("_HASH", "#"), ("_BANG", "!")];
        let value = |text: &str| Value { lines: vec![text.to_owned()], has_lines: false };
        Self { values: own.into_iter().map(|(name, text)| (name.to_owned(), value(text))).collect() }
    }

    /// Takes a definition, if the line is one.
    pub(super) fn define(&mut self, line: &str) -> Option<Begun> {
        let (name, text) = line.strip_prefix('$')?.split_once('=')?;
        if !is_name(name) {
            return None;
        }
        let text = text.trim_start_matches([' ', '\t']);
        let goes_on = text.ends_with('\\');
        let text = text.trim_end_matches('\\').trim_end_matches([' ', '\t']);
        let lines = if goes_on && text.is_empty() { Vec::new() } else { vec![text.to_owned()] };
        self.values.insert(name.to_owned(), Value { lines, has_lines: goes_on });
        Some(Begun { name: name.to_owned(), goes_on })
    }

    /// Takes the next line of a definition.
    pub(super) fn go_on(&mut self, begun: &mut Begun, line: &str) {
        begun.goes_on = line.ends_with('\\');
        let text = line.trim_end_matches('\\').trim_end_matches([' ', '\t']);
        if let Some(value) = self.values.get_mut(&begun.name)
            && !text.is_empty()
        {
            value.lines.push(text.to_owned());
        }
    }

    /// Replaces the variables of a line, if there are any that are defined.
    pub(super) fn replace(&self, line: &str) -> Option<Replaced> {
        let mut replaced = Replaced { line: line.to_owned(), more: Vec::new() };
        let (mut from, mut count) = (0, 0);
        while let Some(at) = replaced.line.get(from..).and_then(|rest| rest.find('$')).map(|at| from + at) {
            let rest = replaced.line.get(at + 1..).unwrap_or_default();
            let Some((length, value)) = self.find(rest) else {
                from = at + 1;
                continue;
            };
            let first = value.lines.first().map(String::as_str).unwrap_or_default();
            count += 1;
            if count > MOST
                || replaced.line.len() + first.len() > LONGEST
                || replaced.more.len() + value.lines.len() > MOST_LINES
            {
                break;
            }
            let more = value.lines.iter().skip(1).cloned();
            replaced.more.splice(0..0, more);
            replaced.line.replace_range(at..at + 1 + length, first);
            from = at;
        }
        (count > 0).then_some(replaced)
    }

    /// The value of the variable at the beginning of a text behind `$`, and how long its name is, with brackets.
    fn find(&self, text: &str) -> Option<(usize, &Value)> {
        let (inside, is_bracketed) = match text.strip_prefix('{') {
            Some(inside) => (inside, true),
            None => (text, false),
        };
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, behind) = inside.split_at(end);
        let (length, behind) = match behind.strip_prefix('}') {
            Some(behind) if is_bracketed => (end + 2, behind),
            _ if is_bracketed => return None,
            _ if behind.is_empty() || behind.starts_with([' ', '\t', ',', ')']) => (end, behind),
            _ => return None,
        };
        let value = self.values.get(name)?;
        // One of several lines stands at the end of its line.
        (!value.has_lines || behind.is_empty()).then_some((length, value))
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_by_their_last_value() {
        let mut known = Definitions::new("/etc");
        assert_eq!(known.define("$NET=198.51.100").map(|begun| begun.goes_on), Some(false));
        assert!(known.define("$NET = 1").is_none() && known.define("$N-T=1").is_none());
        known.define("$W=12");
        let line = |text: &str| known.replace(text).map(|replaced| replaced.line);
        assert_eq!(line("real_server ${NET}.21 $W").as_deref(), Some("real_server 198.51.100.21 12"));
        assert_eq!(line("weight ${W}0").as_deref(), Some("weight 120"));
        assert_eq!((line("$NET.21"), line("$X ${X} $"), line("a")), (None, None, None));
        let mut known = Definitions::new("");
        known.define("$A=$A $A");
        assert!(known.replace("$A").is_some_and(|replaced| replaced.line.len() <= LONGEST));
    }

    #[test]
    fn a_definition_of_several_lines_becomes_several_lines() {
        let mut known = Definitions::new("");
        let mut begun = known.define("$RS=real_server 10.0.0.1 80 {\\").unwrap();
        known.go_on(&mut begun, "weight $W\\");
        known.go_on(&mut begun, "}");
        assert!(!begun.goes_on);
        assert_eq!(
            known.replace("$RS"),
            Some(Replaced {
                line: "real_server 10.0.0.1 80 {".to_owned(),
                more: vec!["weight $W".to_owned(), "}".to_owned()]
            })
        );
        assert_eq!(known.replace("$RS and more"), None);
    }
}
