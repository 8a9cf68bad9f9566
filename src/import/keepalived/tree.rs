//! Puts lines into blocks, as keepalived does it: a word that it does not know is ignored, and the bracket of an unknown block closes
//! the block around it.

use super::address;
use super::keywords::{Kind, Level, kind};
use super::text::{Origin, Text};
use super::words::words;

/// A line and the block behind it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    /// The line as it is read
    pub(super) line: String,
    pub(super) words: Vec<String>,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// The word that says what the line is.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// The blocks of a configuration, without those of keepalived's that have nothing to do with load balancing.
pub(super) fn tree(text: &mut Text) -> Vec<Node> {
    let mut builder = Builder { text, next: 0 };
    builder.block(Level::Root, false)
}

struct Builder<'a> {
    text: &'a mut Text,
    next: usize,
}

impl Builder<'_> {
    fn next(&mut self) -> Option<(Origin, String, Vec<String>)> {
        loop {
            let line = self.text.lines.get_mut(self.next)?;
            self.next += 1;
            let words = words(&line.text);
            if !words.is_empty() {
                return Some((line.origin, std::mem::take(&mut line.text), words));
            }
        }
    }

    /// Whether the next line is an opening bracket.
    fn is_open(&self) -> bool {
        self.text.lines.get(self.next).is_some_and(|line| line.text == "{")
    }

    fn block(&mut self, level: Level, mut needs_bracket: bool) -> Vec<Node> {
        let mut nodes = Vec::new();
        while let Some((origin, line, words)) = self.next() {
            let word = words.first().map_or("", String::as_str);
            if std::mem::take(&mut needs_bracket) {
                if word == "{" {
                    continue;
                }
                self.text
                    .note(origin, "a block begins here without `{`, and keepalived reads it all the same");
            } else if word == "{" {
                self.text.note(
                    origin,
                    "keepalived ignores this `{`, and its `}` closes the block around it: the lines behind that are outside",
                );
                continue;
            }
            if word == "}" {
                if level != Level::Root {
                    break;
                }
                self.text.note(origin, "keepalived ignores this `}`: no block is open");
                continue;
            }
            match kind(level, word) {
                Kind::Line => {
                    if let Some(ignored) = second_word(level, &words) {
                        let message = format!(
                            "keepalived ignores `{ignored}` behind the value of `{word}`: each word begins a line"
                        );
                        self.text.note(origin, message);
                    }
                    nodes.push(Node { origin, line, words, children: Vec::new() });
                }
                Kind::Values => {
                    let children = self.values();
                    nodes.push(Node { origin, line, words, children });
                }
                Kind::Foreign(whose) => {
                    let children = self.foreign(origin, word, whose);
                    nodes.push(Node { origin, line, words, children });
                }
                Kind::Unknown => {
                    let message = format!("keepalived does not know `{word}` here, and ignores it");
                    self.text.note(origin, message);
                }
                Kind::Block(of) => {
                    if let Some(why) = refused(of, &words) {
                        // keepalived takes mark 0 for the address 0.0.0.0, which lbd does not.
                        if words.get(1).is_some_and(|word| word == "fwmark") {
                            self.text.lost(origin, why);
                        } else {
                            self.text.note(origin, format!("left out, as by keepalived: {why}"));
                        }
                        self.skip();
                        continue;
                    }
                    if matches!(of, Level::VirtualServer | Level::RealServer)
                        && let Some(port) =
                            words.get(2).filter(|_| words.get(1).is_none_or(|word| word != "group"))
                        && !port.chars().all(|digit| digit.is_ascii_digit())
                    {
                        let message = format!("keepalived reads the number at the beginning of `{port}`");
                        self.text.note(origin, message);
                    }
                    let children = self.block(of, true);
                    if of == Level::VirtualServer {
                        let last = self.next.checked_sub(1).and_then(|last| self.text.lines.get(last));
                        let last = last.map_or(origin, |last| last.origin);
                        self.text.virtuals.push((origin, last));
                    }
                    nodes.push(Node { origin, line, words, children });
                }
            }
        }
        nodes
    }

    /// The lines of a block, whatever they are.
    fn values(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        if self.is_open() {
            self.next += 1;
        }
        while let Some((origin, line, words)) = self.next() {
            if words.first().is_some_and(|word| word == "}") {
                break;
            }
            nodes.push(Node { origin, line, words, children: Vec::new() });
        }
        nodes
    }

    /// Leaves out a block and all in it; gives its lines.
    fn skip(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        if !self.is_open() {
            return nodes;
        }
        let mut depth = 0_usize;
        while let Some((origin, line, words)) = self.next() {
            match words.first().map(String::as_str) {
                Some("{") => depth += 1,
                Some("}") => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                _ => nodes.push(Node { origin, line, words, children: Vec::new() }),
            }
        }
        nodes
    }

    /// Reads over a block of something else, and names the addresses in it.
    fn foreign(&mut self, origin: Origin, word: &str, whose: &str) -> Vec<Node> {
        self.text.note(origin, format!("{whose} are not lbd's; keepalived keeps `{word}`"));
        let lines = self.skip();
        for line in &lines {
            if address::without_range(line.name()).is_some() {
                let message = format!("the address {} stays with keepalived's `{word}`", line.name());
                self.text.note(line.origin, message);
            }
        }
        lines
    }
}

/// The word behind a value that would begin a line of its own: `url { path / digest 12 }` has none but `path`.
fn second_word(level: Level, words: &[String]) -> Option<&String> {
    match level {
        // Which words there are is not known.
        Level::Global => None,
        _ => words.iter().skip(2).find(|word| kind(level, word) != Kind::Unknown),
    }
}

/// Why keepalived skips a block, if so.
fn refused(level: Level, words: &[String]) -> Option<String> {
    let word = |index: usize| words.get(index).map(String::as_str);
    match level {
        Level::VirtualServer => match word(1) {
            Some("group") => word(2).is_none().then(|| "the name of the group is missing".to_owned()),
            Some("fwmark") => address::mark(word(2)).err(),
            _ => address::endpoint(word(1), word(2)).err(),
        },
        Level::RealServer => address::endpoint(word(1), word(2)).err(),
        Level::Root
        | Level::Global
        | Level::Connection
        | Level::Http
        | Level::Url
        | Level::Misc
        | Level::Dns
        | Level::Udp
        | Level::Smtp
        | Level::SmtpHost
        | Level::FileCheck
        | Level::Bfd
        | Level::Ssl => None,
    }
}
