//! Writes the files of a desired state into one text, and finds them in it again: what is verified, hashed and kept is always one text.

use std::fmt::Write as _;

/// The first line of such a text; no file that is read may begin with it.
const HEAD: &str = "# lbd: a desired state of several files, 1\n";
/// How the line before each file begins; its length in bytes and its name follow.
const FILE: &str = "# file ";

/// A file of a desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its path from the directory of the main file; of the main file, its name
    pub name: &'a str,
    /// Its text
    pub text: &'a str,
}

/// Whether a text is that of several files.
pub fn is_set(text: &str) -> bool {
    text.starts_with(HEAD)
}

/// The one text of several files, the main file first. A name is on one line (see `include::is_name`).
pub(super) fn join<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> String {
    let mut text = HEAD.to_owned();
    for Part { name, text: of_part } in parts {
        let _ = write!(text, "{FILE}{} {name}\n{of_part}\n", of_part.len());
    }
    text
}

/// The files of a text, the main file first; `None` where it is not the text of several files, as [`join`] writes it.
pub fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let mut rest = text.strip_prefix(HEAD)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (line, behind) = rest.strip_prefix(FILE)?.split_once('\n')?;
        let (length, name) = line.split_once(' ')?;
        let (text, behind) = behind.split_at_checked(length.parse().ok()?)?;
        rest = behind.strip_prefix('\n')?;
        parts.push(Part { name, text });
    }
    (!parts.is_empty()).then_some(parts)
}

/// The text of several files with another text in place of one of them, or with one more; nothing where it is not the text of several files.
pub fn with_part(text: &str, name: &str, of_part: &str) -> Option<String> {
    let mut parts = parts(text)?;
    let new = Part { name, text: of_part };
    match parts.iter_mut().find(|part| part.name == name) {
        Some(part) => *part = new,
        None => {
            let at = parts.iter().skip(1).take_while(|part| part.name < name).count() + 1;
            parts.insert(at, new);
        }
    }
    Some(join(parts))
}

/// The text of the main file in a text of several; that text itself where it is one file.
pub fn main_text(text: &str) -> &str {
    parts(text).and_then(|parts| parts.first().map(|part| part.text)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_again_in_the_text_that_they_were_written_into() {
        let evil = "# file 3 x\nabc\n# lbd: a desired state of several files, 1\n";
        let parts =
            [("desired.yaml", "include: [a.yaml]\n"), ("a b/ä.yaml", ""), ("c.yaml", evil), ("d", "é")];
        let parts = parts.map(|(name, text)| Part { name, text });
        let text = join(parts);
        assert_eq!(super::parts(&text), Some(parts.to_vec()));
        let names = |text: &str| -> Vec<String> {
            super::parts(text).unwrap().iter().map(|part| format!("{}={:.3}", part.name, part.text)).collect()
        };
        assert_eq!(
            names(&with_part(&text, "c.yaml", "new").unwrap()),
            ["desired.yaml=inc", "a b/ä.yaml=", "c.yaml=new", "d=é"]
        );
        let more = with_part(&text, "b.yaml", "b").unwrap();
        assert_eq!(names(&more), ["desired.yaml=inc", "a b/ä.yaml=", "b.yaml=b", "c.yaml=# f", "d=é"]);
        assert!(is_set(&text));
    }

    #[test]
    fn what_was_not_written_so_is_no_set() {
        for text in [
            "",
            "version: 1\n",
            HEAD,
            "# lbd: a desired state of several files, 1\n# file 9 a\nb\n",
            "# lbd: a desired state of several files, 1\n# file 1 a\nb\nversion: 1\n",
            "# lbd: a desired state of several files, 1\n# file 1 a\né\n",
            "# lbd: a desired state of several files, 1\nversion: 1\n",
        ] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }
}
