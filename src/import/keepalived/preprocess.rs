//! Reads a configuration line by line: comments, variables, conditions, files that it includes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::definitions::{Begun, Definitions};
use super::pattern::expanded;
use super::text::{Line, Origin, Text};
use super::words::{split_at_bracket, without_comment};
use crate::config::Source;
use crate::files::pattern;
use crate::import::Files;
use crate::import::files::inside;

/// How deep files may include each other.
const DEEPEST: usize = 32;
/// How many files are read.
const MOST_FILES: usize = 10_000;
/// How many lines are read: variables of several lines can make many of few.
const MOST_LINES: usize = 2_000_000;
/// How many lines variables may make.
const MOST_MADE: usize = 50_000;
/// How many bytes variables may make of each byte that is read, and of none: one whose value names itself makes lines without an end.
const MOST_BYTES: (usize, usize) = (64, 1 << 20);
/// How often a line may become one with other variables.
const ROUNDS: usize = 4;
/// The words with which a file is included; the last letter says what of it is checked.
const INCLUDES: [&str; 6] = ["include", "includer", "includem", "includew", "includeb", "includea"];

/// Reads a configuration and what it includes.
pub(super) fn read(source: &Source, files: &dyn Files) -> Text {
    let directory = Path::new(&source.name).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut text = Text::default();
    let first = text.add_file(source.name.clone(), &source.text);
    let reader = Reader {
        files,
        definitions: Definitions::new(&directory.to_string_lossy()),
        open: vec![Open { file: first, next: 1, directory }],
        waiting: VecDeque::new(),
        begun: None,
        skipped: 0,
        read: 1,
        made: 0,
        room: MOST_BYTES.1.saturating_add(source.text.len().saturating_mul(MOST_BYTES.0)),
        text,
    };
    reader.run()
}

struct Reader<'a> {
    files: &'a dyn Files,
    definitions: Definitions,
    /// The files that are being read, the included one last
    open: Vec<Open>,
    /// What comes before the next line of a file
    waiting: VecDeque<(Origin, String)>,
    /// The definition of several lines that is being read
    begun: Option<Begun>,
    /// How many blocks are open of those that a line has begun that is not taken
    skipped: usize,
    /// How many files were read
    read: usize,
    /// How many lines variables have made
    made: usize,
    /// How many bytes they may still make
    room: usize,
    text: Text,
}

struct Open {
    file: usize,
    next: usize,
    directory: PathBuf,
}

impl Reader<'_> {
    fn run(mut self) -> Text {
        let mut count = 0;
        while let Some((origin, line)) = self.next() {
            count += 1;
            if count > MOST_LINES || self.made > MOST_MADE || self.room == 0 {
                self.text.lost(origin, "the configuration is too long; what follows is not read");
                break;
            }
            self.line(origin, line);
        }
        self.text
    }

    /// The next line that is not empty.
    fn next(&mut self) -> Option<(Origin, String)> {
        loop {
            if let Some(waiting) = self.waiting.pop_front() {
                return Some(waiting);
            }
            let open = self.open.last_mut()?;
            let Some((origin, raw)) = self.text.raw(open.file, open.next) else {
                self.open.pop();
                continue;
            };
            open.next += 1;
            let raw = raw.trim_end_matches('\r');
            if raw.is_empty() {
                self.begun = None;
                continue;
            }
            let line = without_comment(raw);
            if !line.is_empty() {
                return Some((origin, line));
            }
        }
    }

    fn line(&mut self, origin: Origin, line: String) {
        if let Some(begun) = &mut self.begun {
            self.definitions.go_on(begun, &line);
            if !begun.goes_on {
                self.begun = None;
            }
            return;
        }
        if self.skipped > 0 {
            self.skipped = depth(&line, self.skipped);
            return;
        }
        let Some(line) = self.preprocessed(origin, line) else { return };
        if line.is_empty() || self.include(origin, &line) {
            return;
        }
        let (part, rest) = split_at_bracket(&line);
        if let Some(rest) = rest {
            self.waiting.push_front((origin, rest.to_owned()));
        }
        let part = part.trim_end_matches([' ', '\t']);
        if !part.is_empty() {
            self.text.lines.push(Line { origin, text: part.to_owned() });
        }
    }

    /// A line under its condition and with the values of its variables; none where it is a definition, or not taken.
    fn preprocessed(&mut self, origin: Origin, mut line: String) -> Option<String> {
        for _ in 0..ROUNDS {
            if let Some(condition) = line.strip_prefix('@') {
                let (id, rest) = condition.split_once([' ', '\t'])?;
                let rest = rest.trim_start_matches([' ', '\t']).to_owned();
                match id.strip_prefix('^') {
                    Some(id) => self.text.note(
                        origin,
                        format!("taken, as by a keepalived that runs without `-i {id}`; with it, the line does not count"),
                    ),
                    None => {
                        self.text.lost(
                            origin,
                            format!("not taken, since it counts only where keepalived runs with `-i {id}`; write what this host needs without `@{id}`"),
                        );
                        return None;
                    }
                }
                line = rest;
            }
            if let Some(begun) = self.definitions.define(&line) {
                self.begun = Some(begun).filter(|begun| begun.goes_on);
                return None;
            }
            for sequence in ["~SEQ", "~LST"] {
                if line.starts_with(sequence) {
                    self.text.lost(
                        origin,
                        format!("`{sequence}` is not taken; write out the lines that it stands for"),
                    );
                    // What it repeats may begin a block that ends on another line.
                    let text = line.split_once(')').map_or("", |(_, text)| text);
                    self.skipped = depth(text, 0);
                    return None;
                }
            }
            if line.starts_with('~') {
                return Some(line);
            }
            let Some(replaced) = self.definitions.replace(&line) else { return Some(line) };
            self.made += replaced.more.len();
            let bytes = replaced.more.iter().map(String::len).sum::<usize>() + replaced.line.len();
            self.room = self.room.saturating_sub(bytes);
            for more in replaced.more.into_iter().rev() {
                self.waiting.push_front((origin, without_comment(&more)));
            }
            line = without_comment(&replaced.line);
            if !line.starts_with('@') && !line.contains('$') {
                return Some(line);
            }
        }
        Some(line)
    }

    /// Opens the files that a line includes, if it does.
    fn include(&mut self, origin: Origin, line: &str) -> bool {
        let Some((word, patterns)) = line.split_once([' ', '\t']) else { return false };
        if !INCLUDES.contains(&word) {
            return false;
        }
        let patterns = patterns.trim_matches([' ', '\t']);
        let directory = self.open.last().map(|open| open.directory.clone()).unwrap_or_default();
        if self.open.len() >= DEEPEST || self.read >= MOST_FILES {
            self.text.lost(origin, "too many files include each other; this one is not read");
            return true;
        }
        let mut found = Vec::new();
        for pattern in expanded(patterns) {
            let mut of = self.matching(&directory, &pattern);
            of.sort();
            found.append(&mut of);
        }
        if found.is_empty() {
            self.text.lost(
                origin,
                format!("there is no file `{patterns}`, which keepalived would go on without; convert on the host that has it"),
            );
        }
        // The last one opened is read first.
        for path in found.into_iter().rev() {
            if self.read >= MOST_FILES {
                break;
            }
            match self.files.read(&path) {
                Ok(content) => {
                    self.read += 1;
                    self.room = self.room.saturating_add(content.len().saturating_mul(MOST_BYTES.0));
                    let file = self.text.add_file(path.to_string_lossy().into_owned(), &content);
                    let directory = path.parent().map(Path::to_path_buf).unwrap_or_default();
                    self.open.push(Open { file, next: 1, directory });
                }
                Err(why) => self.text.lost(origin, format!("{}: {why}", path.display())),
            }
        }
        true
    }

    /// The files that a pattern describes.
    fn matching(&self, directory: &Path, pattern: &str) -> Vec<PathBuf> {
        let mut found =
            vec![if pattern.starts_with('/') { PathBuf::from("/") } else { directory.to_path_buf() }];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if !pattern::is_pattern(part) {
                found.iter_mut().for_each(|path| *path = inside(path, part));
                continue;
            }
            let names = |path: PathBuf| {
                let names = self.files.names(&path).into_iter().filter(|name| pattern::matches(part, name));
                names.map(|name| inside(&path, &name)).collect::<Vec<_>>()
            };
            found = found.into_iter().flat_map(names).take(MOST_FILES).collect();
        }
        found.retain(|path| self.files.exists(path));
        found
    }
}

/// How many blocks are open behind a line, where so many were before it.
fn depth(line: &str, before: usize) -> usize {
    line.chars().fold(before, |depth, letter| match letter {
        '{' => depth + 1,
        '}' => depth.saturating_sub(1),
        _ => depth,
    })
}
