//! Expands the variables of a script, as far as the script itself says what they are.

use std::collections::HashMap;

use super::lexer::{Part, Word};

/// What is known of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Known(String),
    /// Why it is not known
    Unknown(String),
}

/// The variables of a script.
#[derive(Debug, Default)]
pub(super) struct Variables {
    values: HashMap<String, Value>,
    /// The number of the line that read another file
    sourced: Option<usize>,
}

impl Variables {
    /// Sets a variable by `NAME=value`; `line` is where.
    pub(super) fn assign(&mut self, word: &Word, line: usize) {
        let Some((Part::Text(first, false), rest)) = word.parts.split_first() else { return };
        let Some((name, start)) = first.split_once('=') else { return };
        let mut value = Word { parts: vec![Part::Text(start.to_owned(), true)] };
        value.parts.extend_from_slice(rest);
        let value = match self.expand(&value) {
            Ok(words) => Value::Known(words.concat()),
            Err(_) => match program_path(&value) {
                Some(program) => Value::Known(program),
                None => Value::Unknown(format!("line {line} works it out when the script runs")),
            },
        };
        self.values.insert(name.to_owned(), value);
    }

    /// Notes that a variable may be set in a way that is not known.
    pub(super) fn forget(&mut self, name: &str, why: String) {
        self.values.insert(name.to_owned(), Value::Unknown(why));
    }

    /// Takes a variable away.
    pub(super) fn unset(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Notes that a line reads another file, which may set any variable.
    pub(super) fn source(&mut self, line: usize) {
        self.sourced = Some(line);
    }

    /// The words that a word becomes.
    ///
    /// # Errors
    /// Where something in it is not known: what, as a sentence.
    pub(super) fn expand(&self, word: &Word) -> Result<Vec<String>, String> {
        let (mut words, mut open): (Vec<String>, Option<String>) = (Vec::new(), None);
        for part in &word.parts {
            match part {
                Part::Text(text, _) => open.get_or_insert_default().push_str(text),
                Part::Computed(text) => {
                    return Err(format!("`{text}` is only known when the script runs"));
                }
                Part::Variable { name, default, quoted: true } => {
                    open.get_or_insert_default().push_str(&self.value(name, default.as_deref())?);
                }
                Part::Variable { name, default, quoted: false } => {
                    let value = self.value(name, default.as_deref())?;
                    let mut pieces = value.split_whitespace().peekable();
                    if value.starts_with(char::is_whitespace) {
                        words.extend(open.take());
                    }
                    while let Some(piece) = pieces.next() {
                        open.get_or_insert_default().push_str(piece);
                        if pieces.peek().is_some() || value.ends_with(char::is_whitespace) {
                            words.extend(open.take());
                        }
                    }
                }
            }
        }
        words.extend(open);
        Ok(words)
    }

    fn value(&self, name: &str, default: Option<&str>) -> Result<String, String> {
        match (self.values.get(name), default) {
            (Some(Value::Known(value)), None) => Ok(value.clone()),
            (Some(Value::Known(value)), Some(default)) if value.is_empty() => Ok(default.to_owned()),
            (Some(Value::Known(value)), Some(_)) => Ok(value.clone()),
            (Some(Value::Unknown(why)), _) => Err(format!("the value of `${name}` is not known: {why}")),
            (None, Some(default)) if self.sourced.is_none() => Ok(default.to_owned()),
            (None, _) => Err(match self.sourced {
                Some(line) => format!(
                    "the value of `${name}` is not known: line {line} reads another file, which may set it"
                ),
                None => format!("the value of `${name}` is not known: no line above sets it"),
            }),
        }
    }
}

/// The program whose path `$(which PROGRAM)` gives.
fn program_path(word: &Word) -> Option<String> {
    let [Part::Text(start, _), Part::Computed(text)] = word.parts.as_slice() else { return None };
    let inner = text.strip_prefix("$(").and_then(|text| text.strip_suffix(')'));
    let inner = inner.or_else(|| text.strip_prefix('`').and_then(|text| text.strip_suffix('`')))?;
    let mut words = inner.split_whitespace();
    let program = match words.next()? {
        "which" | "type" => words.next_back()?,
        "command" => words.next_back()?,
        _ => return None,
    };
    (start.is_empty() && !program.contains(['$', '`'])).then(|| program.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::ipvsadm::lexer::{Token, tokens};

    fn words(text: &str) -> Vec<Word> {
        let word = |(_, token)| match token {
            Token::Word(word) => Some(word),
            _ => None,
        };
        tokens(text).into_iter().filter_map(word).collect()
    }

    fn expand(script: &str, word: &str) -> Result<Vec<String>, String> {
        let mut variables = Variables::default();
        words(script).iter().for_each(|word| variables.assign(word, 1));
        variables.expand(&words(word)[0])
    }

    #[test]
    fn a_variable_is_what_the_lines_above_say() {
        let script = "VIP=10.0.0.1 PORT=80 ALL=\"-s rr  -p 50\" IPVSADM=$(which ipvsadm) NOW=`date` E=";
        assert_eq!(expand(script, "$VIP:${PORT}").unwrap(), ["10.0.0.1:80"]);
        assert_eq!(expand(script, "$ALL").unwrap(), ["-s", "rr", "-p", "50"]);
        assert_eq!(expand(script, "\"$ALL\"").unwrap(), ["-s rr  -p 50"]);
        assert_eq!(expand(script, "x$ALL.y").unwrap(), ["x-s", "rr", "-p", "50.y"]);
        assert_eq!(expand(script, "$IPVSADM").unwrap(), ["ipvsadm"]);
        assert_eq!(expand(script, "${W:-3}").unwrap(), ["3"]);
        assert_eq!(expand(script, "${E:-3}").unwrap(), ["3"]);
        assert!(expand(script, "$E").unwrap().is_empty());
        assert_eq!(
            expand(script, "$NOW").unwrap_err(),
            "the value of `$NOW` is not known: line 1 works it out when the script runs"
        );
        assert_eq!(expand(script, "$1").unwrap_err(), "`$1` is only known when the script runs");
        assert_eq!(
            expand(script, "$W").unwrap_err(),
            "the value of `$W` is not known: no line above sets it"
        );
    }
}
