//! Finds full-width punctuation, which looks like that of YAML and is text.

use super::lines::Lines;
use super::problem::Diagnostic;

/// The ASCII character that a full-width one looks like.
fn look_alike(letter: char) -> Option<char> {
    match letter {
        '\u{3000}' => Some(' '),
        '\u{ff01}'..='\u{ff5e}' => u32::from(letter).checked_sub(0xfee0).and_then(char::from_u32),
        _ => None,
    }
}

/// The first full-width character of a line outside of quotes and comments: how many characters are before it, and which it
/// is.
fn first(line: &str) -> Option<(usize, char)> {
    let mut quote = None;
    let mut before = ' ';
    for (position, letter) in line.chars().enumerate() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '#') if before.is_whitespace() => return None,
            (None, _) if look_alike(letter).is_some() => return Some((position, letter)),
            (None, _) => {}
        }
        before = letter;
    }
    None
}

/// The problem of a line that YAML refuses, if a full-width character is in it.
pub(super) fn problem(number: usize, line: &str) -> Option<Diagnostic> {
    let (position, letter) = first(line)?;
    let right = look_alike(letter)?;
    let behind = if right == ':' { " with a space behind it" } else { "" };
    let message =
        format!("the full-width character `{letter}` (U+{:04X}) is not `{right}`", u32::from(letter));
    Some(Diagnostic::new(number, position + 1, 1, message).expecting(format!("`{right}`{behind}")))
}

/// Names the full-width characters in the places of problems, which come in the order of their lines.
pub(in crate::config) fn name(text: &str, problems: &mut [Diagnostic]) {
    // Nearly all files have none.
    if !text.contains(|letter| look_alike(letter).is_some()) {
        return;
    }
    let mut lines = Lines::new(text);
    for problem in problems {
        let Some(line) = lines.get(problem.line) else { return };
        let place: String = line.chars().skip(problem.column - 1).take(problem.width).collect();
        let Some((_, letter)) = first(&place) else { continue };
        // It was named, or two that are equal are valid each for itself.
        if problem.message.contains("full-width") || problem.message.starts_with("duplicate") {
            continue;
        }
        if let Some(right) = look_alike(letter) {
            let number = u32::from(letter);
            problem.message.push_str(&format!(
                "; it contains the full-width character `{letter}` (U+{number:04X}), which is not `{right}`"
            ));
            problem.suggestion = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_width_character_is_found_outside_of_quotes_and_comments() {
        for (line, expected) in [
            ("version： 1", Some((7, '：'))),
            ("  - 10.0.0.1，10.0.0.2", Some((12, '，'))),
            ("a: \"，\" # ；", None),
            ("a: '：'；", Some((6, '；'))),
            ("port: ８０", Some((6, '８'))),
            ("name: 网站", None),
        ] {
            assert_eq!(first(line), expected, "{line}");
        }
    }
}
