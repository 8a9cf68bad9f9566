//! The lines of a text, by the breaks that YAML knows.

/// The lines of a text, read in ascending order.
pub(super) struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, number: 1 }
    }

    pub(super) fn get(&mut self, number: usize) -> Option<&'a str> {
        while self.number < number {
            let (_, rest) = split_line(self.rest)?;
            self.rest = rest;
            self.number += 1;
        }
        (!self.rest.is_empty()).then(|| split_line(self.rest).map_or(self.rest, |(line, _)| line))
    }
}

/// A line and what follows it; a break is what YAML takes for one.
fn split_line(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let (line, rest) = text.split_at(at);
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    Some((line, rest))
}

/// All lines of a text; the one after the last break is there, too.
pub(super) fn all(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let (line, after) = split_line(rest?).map_or((rest?, None), |(line, after)| (line, Some(after)));
        rest = after;
        Some(line)
    })
}
