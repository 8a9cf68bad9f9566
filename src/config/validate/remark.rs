//! Prints what is worth saying of single lines of files in another format, in the look of the problems of a desired file.

use annotate_snippets::Level;

use super::diagnose::{push_places, render};
use super::problem::Diagnostic;

/// What is worth saying of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark<'a> {
    /// The file
    pub file: &'a str,
    /// The number of the line, from 1
    pub line: usize,
    /// The line as it is
    pub text: &'a str,
    /// What there is to say, as a sentence
    pub message: &'a str,
    /// Whether something is lost by it; else it is a note
    pub is_warning: bool,
}

impl Remark<'_> {
    /// The line from its first letter to its last, underlined as a whole.
    fn problem(&self) -> Diagnostic {
        let indentation = self.text.chars().take_while(|letter| letter.is_whitespace()).count();
        let width = self.text.trim().chars().count();
        Diagnostic::new(self.line, indentation + 1, width, self.message)
    }
}

/// The remarks in their order, each with its line; of those that say the same, the first is, and the places of the others follow.
pub fn remarks(list: &[Remark<'_>], colour: bool) -> String {
    let mut groups: indexmap::IndexMap<(&str, bool), Vec<&Remark<'_>>> = indexmap::IndexMap::new();
    for remark in list {
        groups.entry((remark.message, remark.is_warning)).or_default().push(remark);
    }
    let mut text = String::new();
    for ((_, is_warning), group) in groups {
        let Some((first, others)) = group.split_first() else { continue };
        let level = if is_warning { Level::WARNING } else { Level::NOTE };
        text.push_str(&render(level, first.file, &first.problem(), Some(first.text), colour));
        text.push('\n');
        let place = |other: &&Remark<'_>| {
            let of = other.problem();
            (other.file.to_owned(), of.line, of.column)
        };
        let places: Vec<_> = others.iter().map(place).collect();
        let places: Vec<_> = places.iter().map(|(file, line, column)| (&**file, *line, *column)).collect();
        push_places(&mut text, &places);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_several_lines_is_shown_once() {
        let remark = |file, line, text, message, is_warning| Remark { file, line, text, message, is_warning };
        let list = [
            remark("a.conf", 2, "  nb_get_retry 3", "no such word", true),
            remark("b.conf", 7, "vrrp_instance x {", "not lbd's", false),
            remark("b.conf", 9, "\tnb_get_retry 4", "no such word", true),
        ];
        assert_eq!(
            remarks(&list, false),
            "\
warning: no such word
 --> a.conf:2:3
  |
2 |   nb_get_retry 3
  |   ^^^^^^^^^^^^^^

the same in 1 more place:
  b.conf:9:2
note: not lbd's
 --> b.conf:7:1
  |
7 | vrrp_instance x {
  | ^^^^^^^^^^^^^^^^^
"
        );
    }
}
