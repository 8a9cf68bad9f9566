//! The lines of a configuration and of what it includes, as they were and as they are read.

use crate::import::Effect;

/// What was read: the files, and the lines that mean something.
#[derive(Debug, Default)]
pub(super) struct Text {
    files: Vec<File>,
    pub(super) lines: Vec<Line>,
    pub(super) remarks: Vec<Remark>,
    /// The first and the last line of each virtual server
    pub(super) virtuals: Vec<(Origin, Origin)>,
}

/// A file as it is.
#[derive(Debug)]
struct File {
    name: String,
    lines: Vec<String>,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Origin {
    file: usize,
    number: usize,
}

/// A line without comments and with the values of its variables; a bracket of a block is a line of its own.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) origin: Origin,
    pub(super) text: String,
}

/// What there is to say of a line.
#[derive(Debug, Clone)]
pub(super) struct Remark {
    pub(super) origin: Origin,
    pub(super) effect: Effect,
    pub(super) message: String,
}

impl Text {
    /// Adds a file; returns its number.
    pub(super) fn add_file(&mut self, name: String, text: &str) -> usize {
        self.files.push(File { name, lines: text.lines().map(str::to_owned).collect() });
        self.files.len() - 1
    }

    /// The line of a file by its number from 1, with its place.
    pub(super) fn raw(&self, file: usize, number: usize) -> Option<(Origin, &str)> {
        let line = self.files.get(file)?.lines.get(number.checked_sub(1)?)?;
        Some((Origin { file, number }, line))
    }

    /// The file, the number and the line at a place.
    pub(super) fn place(&self, origin: Origin) -> (&str, usize, &str) {
        let name = self.files.get(origin.file).map_or("", |file| &file.name);
        let line = self.raw(origin.file, origin.number).map_or("", |(_, line)| line);
        (name, origin.number, line)
    }

    /// Something of which the result has less than the configuration.
    pub(super) fn lost(&mut self, origin: Origin, message: impl Into<String>) {
        self.remarks.push(Remark { origin, effect: Effect::Lost, message: message.into() });
    }

    /// Something that changes nothing.
    pub(super) fn note(&mut self, origin: Origin, message: impl Into<String>) {
        self.remarks.push(Remark { origin, effect: Effect::Note, message: message.into() });
    }
}
