//! Takes lines apart into words, as keepalived does, and takes comments off.

/// What separates words.
const SPACE: [char; 6] = [' ', '\t', '\x0c', '\n', '\r', '\x0b'];

/// The words of a line. Double quotes make one word of what is between them; one that is not closed ends the line.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(SPACE);
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(inside) => match inside.split_once('"') {
                Some(parts) => parts,
                None => break,
            },
            None => {
                let end = rest.find(|c| SPACE.contains(&c) || c == '"').unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        words.push(word.to_owned());
        rest = behind.trim_start_matches(SPACE);
    }
    words
}

/// The words of a command: quotes of both kinds may be anywhere in a word, and a backslash takes the meaning from a letter. None where
/// a quote is not closed.
pub(super) fn command_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut letters = line.chars().peekable();
    loop {
        while letters.next_if(|c| SPACE.contains(c)).is_some() {}
        if letters.peek().is_none() {
            return Some(words);
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(letter) = letters.peek().copied() {
            match quote {
                None if SPACE.contains(&letter) => break,
                None if letter == '"' || letter == '\'' => quote = Some(letter),
                Some(open) if letter == open => quote = None,
                _ if letter == '\\' => {
                    letters.next();
                    word.push(escaped(&mut letters)?);
                    continue;
                }
                _ => word.push(letter),
            }
            letters.next();
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
}

/// The letter behind a backslash.
fn escaped(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let letter = letters.next()?;
    let mut number = |first: u32, radix: u32, most: usize| {
        let mut value = first;
        for _ in 0..most {
            let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(radix)) else { break };
            letters.next();
            value = (value * radix + digit) & 0xff;
        }
        char::from_u32(value)
    };
    Some(match letter {
        'x' => return number(0, 16, usize::MAX),
        '0'..='7' => return number(letter.to_digit(8)?, 8, 2),
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => other,
    })
}

/// A line without its comment, and without the spaces around it. `!` and `#` begin a comment, but for those in double quotes and behind
/// a backslash. A backslash at the end stays there, for a definition of several lines.
pub(super) fn without_comment(line: &str) -> String {
    let line = line.trim_start_matches([' ', '\t']);
    let mut text = String::with_capacity(line.len());
    let (mut is_quoted, mut is_comment, mut goes_on) = (false, false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                None => goes_on = true,
                Some(next) if is_comment => {
                    let _ = next;
                }
                Some(next) => {
                    if is_quoted || !matches!(next, '#' | '!') {
                        text.push('\\');
                    }
                    text.push(next);
                }
            },
            _ if is_comment => {}
            '#' | '!' if !is_quoted => is_comment = true,
            _ => {
                is_quoted ^= letter == '"';
                text.push(letter);
            }
        }
    }
    text.truncate(text.trim_end_matches([' ', '\t']).len());
    if goes_on {
        text.push('\\');
    }
    text
}

/// The line up to its first bracket of a block, and the rest; a bracket at the beginning is a part of its own. Those in double quotes
/// are letters like others.
pub(super) fn split_at_bracket(line: &str) -> (&str, Option<&str>) {
    if line.starts_with(['{', '}']) {
        let (bracket, rest) = line.split_at(1);
        let rest = rest.trim_start_matches([' ', '\t']);
        return (bracket, Some(rest).filter(|rest| !rest.is_empty()));
    }
    let mut is_quoted = false;
    for (at, letter) in line.char_indices() {
        match letter {
            '"' if line.get(at + 1..).is_some_and(|rest| is_quoted || rest.contains('"')) => {
                is_quoted = !is_quoted;
            }
            // A quote that is not closed.
            '"' => break,
            '{' | '}' if !is_quoted => {
                let (head, rest) = line.split_at(at);
                return (head.trim_end_matches([' ', '\t']), Some(rest));
            }
            _ => {}
        }
    }
    (line, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_lines_but_not_in_quotes() {
        for (line, text) in [
            ("  lb_algo rr ! was wrr", "lb_algo rr"),
            ("lb_kind DR # NAT|DR|TUN", "lb_kind DR"),
            ("!!! old", ""),
            ("virtualhost \"a#b!c\" # d", "virtualhost \"a#b!c\""),
            ("path /a\\#b", "path /a#b"),
            ("regex \"a\\\"b#c\"", "regex \"a\\\"b#c\""),
            ("$A=x  \\", "$A=x\\"),
        ] {
            assert_eq!(without_comment(line), text, "{line}");
        }
    }

    #[test]
    fn double_quotes_make_one_word() {
        assert_eq!(words("a \"b c\"d  'e f'"), ["a", "b c", "d", "'e", "f'"]);
        assert_eq!(words("a \"b c"), ["a"]);
        assert_eq!(
            command_words("misc_path \"/a b\"c 'd \"e' f\\ g \\x41"),
            Some(["misc_path", "/a bc", "d \"e", "f g", "A"].map(str::to_owned).to_vec())
        );
        assert_eq!(command_words("a 'b"), None);
    }

    #[test]
    fn brackets_are_lines_of_their_own() {
        assert_eq!(split_at_bracket("a 1 { b }"), ("a 1", Some("{ b }")));
        assert_eq!(split_at_bracket("{ b }"), ("{", Some("b }")));
        assert_eq!(split_at_bracket("b \"{\" }"), ("b \"{\"", Some("}")));
        assert_eq!(split_at_bracket("b \"{ }"), ("b \"{ }", None));
        assert_eq!(split_at_bracket("}"), ("}", None));
    }
}
