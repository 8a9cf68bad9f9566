//! The brackets in the patterns of `include`.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_several_patterns() {
        assert_eq!(expanded("a/{b,c{d,e}}.conf"), ["a/b.conf", "a/cd.conf", "a/ce.conf"]);
        assert_eq!(expanded("{a"), ["{a"]);
    }
}
