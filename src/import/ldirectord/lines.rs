//! Reads the lines of an ldirectord.cf: which settings are global, and which belong to which virtual service.

use std::collections::HashMap;

use super::keys::{GLOBAL, Key, VIRTUAL, value};
use crate::config;
use crate::import::Effect;

/// A value and the number of its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) line: usize,
}

/// Settings by their keys; the last line of a key wins.
pub(super) type Settings = HashMap<&'static str, Setting>;

/// A virtual service as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Virtual {
    /// The number of its first line
    pub(super) line: usize,
    /// Whether it is `virtual6`
    pub(super) is_v6: bool,
    /// What stands behind `virtual =`
    pub(super) target: String,
    pub(super) settings: Settings,
    /// What stands behind each `real =`
    pub(super) reals: Vec<Setting>,
}

/// What there is to say of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) effect: Effect,
    /// Which virtual service it is about, by its place in the file; none is a global setting
    pub(super) service: Option<usize>,
}

/// A file as it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) globals: Settings,
    pub(super) services: Vec<Virtual>,
    pub(super) remarks: Vec<Remark>,
}

/// Reads a file.
pub(super) fn read(text: &str) -> Lines {
    let mut lines = Lines::default();
    // Whether a virtual service goes on in the next line
    let mut is_open = false;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        if is_open {
            if line.trim_start().starts_with('#') {
                continue;
            }
            match indented(line) {
                Some(inside) => {
                    lines.inside(number, &inside);
                    continue;
                }
                None => is_open = false,
            }
        }
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        is_open = lines.outside(number, line);
    }
    lines
}

/// What stands in a line of a virtual service: behind at least four spaces, where a tab counts as four, and without a comment.
fn indented(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().replace('\t', "    ");
    let inside = line.trim_start_matches(' ');
    // (Of more than four spaces the last is what stands behind the others.)
    let spaces = line.len() - inside.len();
    (spaces > 4 || spaces == 4 && !inside.is_empty()).then(|| inside.to_owned())
}

impl Lines {
    fn remark(&mut self, line: usize, effect: Effect, service: Option<usize>, message: String) {
        self.remarks.push(Remark { line, message, effect, service });
    }

    /// Reads a line of the virtual service that is open.
    fn inside(&mut self, number: usize, line: &str) {
        let place = self.services.len().checked_sub(1);
        if line.is_empty() {
            let why = "it has spaces and nothing else".to_owned();
            return self.remark(number, Effect::Lost, place, refused(why));
        }
        let Some(service) = self.services.last_mut() else { return };
        let (word, found) = key(line);
        match (word, found) {
            ("real" | "real6", Some(text)) => {
                if (word == "real6") == service.is_v6 {
                    service.reals.push(Setting { value: text.to_owned(), line: number });
                } else {
                    let right = if service.is_v6 { "real6" } else { "real" };
                    self.remark(number, Effect::Lost, place, refused(format!("it wants `{right}` here")));
                }
            }
            _ => match setting(line, &VIRTUAL) {
                Ok((name, value, note)) => {
                    service.settings.insert(name, Setting { value, line: number });
                    if let Some(note) = note {
                        self.remark(number, Effect::Note, place, note);
                    }
                }
                Err(why) => self.remark(number, Effect::Lost, place, refused(why)),
            },
        }
    }

    /// Reads a line outside of virtual services, and returns whether one begins with it.
    fn outside(&mut self, number: usize, line: &str) -> bool {
        for (word, is_v6) in [("virtual", false), ("virtual6", true)] {
            if let Some(target) = behind(line, word) {
                self.services.push(Virtual {
                    line: number,
                    is_v6,
                    target: target.trim_end().to_owned(),
                    settings: Settings::new(),
                    reals: Vec::new(),
                });
                return true;
            }
        }
        if line.starts_with([' ', '\t']) {
            let why = if line.replace('\t', "    ").starts_with("    ") {
                "it belongs to no virtual service: an empty line, or one that is not indented, ends that"
            } else {
                "a line of a virtual service begins with a tab or at least four spaces"
            };
            let place = self.services.len().checked_sub(1);
            self.remark(number, Effect::Lost, place, refused(why.to_owned()));
            return false;
        }
        match setting(line, &GLOBAL) {
            Ok((name, value, note)) => {
                self.globals.insert(name, Setting { value, line: number });
                if let Some(note) = note {
                    self.remark(number, Effect::Note, None, note);
                }
            }
            Err(why) => self.remark(number, Effect::Lost, None, refused(why)),
        }
        false
    }
}

/// That ldirectord refuses a line; then it does not start at all.
pub(super) fn refused(why: String) -> String {
    format!("ldirectord refuses this line, and with it the whole file: {why}")
}

/// What stands behind `WORD =`.
fn behind<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix(word)?.trim_start().strip_prefix('=').map(str::trim_start)
}

/// The key of a line, with what stands behind its `=`.
fn key(line: &str) -> (&str, Option<&str>) {
    let word = line.split(|c: char| c.is_whitespace() || c == '=').next().unwrap_or_default();
    (word, behind(line, word))
}

/// The setting of a line: its key, its value, and what there is to say of it.
fn setting(line: &str, keys: &[Key]) -> Result<(&'static str, String, Option<String>), String> {
    let (word, text) = key(line);
    let known = keys.iter().find(|key| key.name == word);
    let (Some(known), Some(text)) = (known, text) else {
        let near = config::nearest(word, keys.iter().map(|key| key.name).filter(|name| *name != word));
        return Err(match (known, near) {
            (Some(_), _) => format!("`{word}` lacks its value"),
            (None, Some(near)) => format!("unknown word `{word}`; did you mean `{near}`?"),
            (None, None) => format!("unknown word `{word}`"),
        });
    };
    let value = value(known, text)?;
    Ok((known.name, value, known.note()))
}
