//! The patterns of `include`: brackets, and `*`, `?` and `[…]` in the names of files.

/// The most patterns that brackets may stand for.
const MOST: usize = 1_000;

/// The patterns that one with brackets stands for: `{a,b}.conf` is `a.conf` and `b.conf`.
pub(super) fn expanded(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        if done.len() + open.len() >= MOST {
            return vec![pattern.to_owned()];
        }
        match alternatives(&next) {
            // The last one in is the next one out.
            Some(mut more) => {
                more.reverse();
                open.append(&mut more);
            }
            None => done.push(next),
        }
    }
    done
}

fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let start = pattern.find('{')?;
    let (mut depth, mut from) = (0_usize, start + 1);
    let mut parts = Vec::new();
    for (at, letter) in pattern.char_indices().skip_while(|(at, _)| *at < start) {
        match letter {
            '{' => depth += 1,
            ',' if depth == 1 => {
                parts.push(pattern.get(from..at)?);
                from = at + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    parts.push(pattern.get(from..at)?);
                    let (before, after) = (pattern.get(..start)?, pattern.get(at + 1..)?);
                    return Some(parts.iter().map(|part| format!("{before}{part}{after}")).collect());
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether a part of a path is a pattern.
pub(super) fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Whether the name of a file is one that a pattern describes. A point at the beginning is described by a point alone.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Behind the last star there is one place to go back to.
    let (mut at, mut of, mut star) = (0, 0, None);
    while let Some(letter) = name.get(of) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of));
                at += 1;
                continue;
            }
            Some(same) => {
                let (is_in, length) = match set(pattern.get(at + 1..).unwrap_or_default(), *letter) {
                    Some((is_in, length)) if *same == '[' => (is_in, 1 + length),
                    _ => (*same == '?' || same == letter, 1),
                };
                if is_in {
                    at += length;
                    of += 1;
                    continue;
                }
            }
            None => {}
        }
        match &mut star {
            Some((begin, taken)) => {
                *taken += 1;
                at = *begin + 1;
                of = *taken;
            }
            None => return false,
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

/// Whether a letter is in the set that begins here, and how long the set is; none where it is not closed.
fn set(pattern: &[char], letter: char) -> Option<(bool, usize)> {
    let is_not = matches!(pattern.first(), Some('!' | '^'));
    let first = usize::from(is_not);
    let (mut at, mut is_in) = (first, false);
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((is_in != is_not, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                is_in |= (low..=*high).contains(&letter);
                at += 3;
            }
            _ => {
                is_in |= low == letter;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_describe_names() {
        for (pattern, name, is) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".a.conf", false),
            (".*", ".a", true),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("[0-9]?[!a]", "1xb", true),
            ("[0-9]?[!a]", "1xa", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
        assert_eq!(expanded("a/{b,c{d,e}}.conf"), ["a/b.conf", "a/cd.conf", "a/ce.conf"]);
        assert_eq!(expanded("{a"), ["{a"]);
    }
}
