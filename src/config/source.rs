//! Reads one file, whole and at rest, without ever hanging on what is no file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, thread};

use super::set::{self, Part};
use crate::files::pattern::MOST_FILES;
use crate::files::{UntrustedFileError, open_regular, read_limited};

/// The largest file that is read, in bytes: some 500,000 servers.
pub const LARGEST: u64 = 32 << 20;
/// The byte order mark, with which some editors begin a file.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";
/// A file that was changed this recently may still be in the making.
const RECENT: Duration = Duration::from_secs(1);
/// How long to look away between two readings of such a file.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait for two readings that agree.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The text of a desired file and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as it was given
    pub name: String,
    /// Its text, without a byte order mark; where it includes others, that of all files (see [`set`])
    pub text: String,
    /// The directory of what it includes, where it was read from a file
    pub directory: Option<PathBuf>,
}

impl Source {
    /// The files that it consists of, the main file first; one where it includes none. Nothing where the text is not as lbd writes it.
    pub fn parts(&self) -> Vec<Part<'_>> {
        if set::is_set(&self.text) {
            return set::parts(&self.text).unwrap_or_default();
        }
        vec![Part { name: &self.name, text: &self.text }]
    }

    /// Whether it consists of several files.
    pub fn is_set(&self) -> bool {
        set::is_set(&self.text)
    }

    /// What to call one of its files; `index` counts them, and `name` is that of the part.
    pub(super) fn part_name(&self, index: usize, name: &str) -> String {
        match &self.directory {
            _ if index == 0 => self.name.clone(),
            Some(directory) => directory.join(name).to_string_lossy().into_owned(),
            None => format!("{}, {name}", self.name),
        }
    }

    /// A text that comes from elsewhere than a file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), directory: None }
    }
}

/// Why there is no text to work on.
#[derive(Debug)]
pub struct ReadError {
    /// The file's name, as it was given
    pub name: String,
    /// What stood in the way
    pub cause: ReadCause,
}

/// What stood in the way of reading a desired file.
#[derive(Debug)]
pub enum ReadCause {
    /// There is no file of that name.
    Missing,
    /// The file cannot be opened or read.
    Io(io::Error),
    /// It is something else than a regular file.
    NotFile(&'static str),
    /// It is longer than 32 MiB.
    TooLarge,
    /// It kept on changing while it was read.
    StillWritten,
    /// It is not there, and a main file includes it: which.
    MissingIncluded(String),
    /// With all that it includes, it is longer than 32 MiB.
    TooLargeTogether,
    /// It includes too many files.
    TooManyFiles,
    /// The path of a file that is included is not UTF-8, or has a control character.
    OddName,
    /// It is the text of several files, as the history has it.
    SeveralFiles,
    /// It is text in another encoding.
    Utf16,
    /// It is not text.
    NotUtf8 {
        /// Line of the first bad byte, from 1
        line: usize,
        /// Its column in characters, from 1
        column: usize,
        /// The byte
        byte: u8,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.cause {
            ReadCause::Missing => {
                write!(f, "{name}: there is no such file; create it, or name another one with -f")
            }
            ReadCause::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{name}: not allowed to read it; run lbd as root, or make the file readable")
            }
            ReadCause::Io(_) => write!(f, "{name}: cannot be read"),
            ReadCause::NotFile(what) => {
                write!(
                    f,
                    "{name}: is {what}, not a regular file; name a file with -f, or pipe one into `-f -`"
                )
            }
            ReadCause::TooLarge => {
                let limit = LARGEST >> 20;
                write!(f, "{name}: is larger than the limit of {limit} MiB; is it a desired file?")
            }
            ReadCause::StillWritten => {
                let seconds = PATIENCE.as_secs();
                write!(
                    f,
                    "{name}: was still being written after {seconds} seconds; try again when it is complete"
                )
            }
            ReadCause::MissingIncluded(main) => {
                write!(
                    f,
                    "{name}: there is no such file, and {main} includes it; create it, or take it out of `include`"
                )
            }
            ReadCause::TooLargeTogether => {
                let limit = LARGEST >> 20;
                write!(f, "{name}: is larger than the limit of {limit} MiB with all that it includes")
            }
            ReadCause::TooManyFiles => write!(f, "{name}: includes more than {MOST_FILES} files"),
            ReadCause::OddName => {
                write!(f, "{name}: its name is not UTF-8, or has a control character; rename it")
            }
            ReadCause::SeveralFiles => write!(
                f,
                "{name}: is the text of several files, as the history has it; `lbd history show N --to DIR` writes them out"
            ),
            ReadCause::Utf16 => write!(f, "{name}: is text in UTF-16; save it as UTF-8"),
            ReadCause::NotUtf8 { line, column, byte } => {
                write!(f, "{name}:{line}:{column}: the byte {byte:#04x} is not UTF-8; save the file as UTF-8")
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ReadCause::Io(error) => Some(error),
            _ => None,
        }
    }
}

pub(super) fn equals(mut reader: impl Read, mut rest: &[u8]) -> io::Result<bool> {
    let mut piece = [0; 1 << 14];
    loop {
        let length = reader.read(&mut piece)?;
        if length == 0 {
            return Ok(rest.is_empty());
        }
        match rest.split_at_checked(length) {
            Some((same, after)) if Some(same) == piece.get(..length) => rest = after,
            _ => return Ok(false),
        }
    }
}

pub(super) fn named(name: String, bytes: Result<Vec<u8>, ReadCause>) -> Result<Source, ReadError> {
    match bytes.and_then(decode) {
        // Only lbd writes it, and only where it is read by another way.
        Ok(text) if set::is_set(&text) => Err(ReadError { name, cause: ReadCause::SeveralFiles }),
        Ok(text) => {
            let directory = Path::new(&name).parent().unwrap_or(Path::new("")).to_owned();
            Ok(Source { name, text, directory: Some(directory) })
        }
        Err(cause) => Err(ReadError { name, cause }),
    }
}

impl From<UntrustedFileError> for ReadCause {
    fn from(cause: UntrustedFileError) -> Self {
        match cause {
            UntrustedFileError::Io(error) => error.into(),
            UntrustedFileError::NotRegular(what) => Self::NotFile(what),
            UntrustedFileError::TooLong(_) => Self::TooLarge,
        }
    }
}

impl From<io::Error> for ReadCause {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Io(error),
        }
    }
}

/// What a file was like when it was read: any write changes it.
#[derive(Debug, PartialEq)]
pub(super) struct ReadStamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Which file it was: device and inode number
    inode: (u64, u64),
}

impl ReadStamp {
    /// Whether a path leads to the file that was read.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.inode)
    }

    /// Whether the last write may not have been the last one.
    pub(super) fn is_recent(&self) -> bool {
        self.modified.is_none_or(|time| time.elapsed().map_or(true, |age| age < RECENT))
    }
}

/// Reads a file that was not written to for a while, or reads until two readings agree: a caller that polls sees no close,
/// and must not take half a file for a whole one.
pub(super) fn read_settled(path: &Path) -> Result<Vec<u8>, ReadCause> {
    let start = Instant::now();
    let mut last = read_once(path)?;
    loop {
        // The stamp was taken after the last byte: any write until then would have made it a recent one.
        if !last.0.is_recent() && last.0.length == last.1.len() as u64 {
            return Ok(last.1);
        }
        thread::sleep(PAUSE);
        let next = read_once(path)?;
        if next == last {
            return Ok(next.1);
        }
        if start.elapsed() > PATIENCE {
            return Err(ReadCause::StillWritten);
        }
        last = next;
    }
}

pub(super) fn read_once(path: &Path) -> Result<(ReadStamp, Vec<u8>), ReadCause> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    if length > LARGEST {
        return Err(ReadCause::TooLarge);
    }
    let bytes = read_limited(&file, length, LARGEST)?;
    Ok((stamp(&file)?, bytes))
}

pub(super) fn stamp(file: &File) -> Result<ReadStamp, ReadCause> {
    let metadata = file.metadata()?;
    let inode = (metadata.dev(), metadata.ino());
    Ok(ReadStamp { length: metadata.len(), modified: metadata.modified().ok(), inode })
}

pub(super) fn decode(mut bytes: Vec<u8>) -> Result<String, ReadCause> {
    match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=u8::MAX, ..] | [1..=u8::MAX, 0, ..] => {
            return Err(ReadCause::Utf16);
        }
        marked if marked.starts_with(MARK) => {
            bytes.drain(..MARK.len());
        }
        _ => {}
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = error.utf8_error().valid_up_to();
        let (before, rest) = error.as_bytes().split_at(sound);
        let before = String::from_utf8_lossy(before);
        let line = before.rsplit('\n').next().unwrap_or_default();
        ReadCause::NotUtf8 {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: line.chars().count() + 1,
            byte: rest.first().copied().unwrap_or_default(),
        }
    })
}
