//! Reads the desired file, whole and at rest, without ever hanging on what is no file.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, thread};

use crate::files::{UntrustedFileError, open_regular, read_limited};

/// The largest file that is read, in bytes: some 500,000 servers.
const LARGEST: u64 = 32 << 20;
/// The byte order mark, with which some editors begin a file.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// A file that was changed this recently may still be in the making.
const RECENT: Duration = Duration::from_secs(1);
/// How long to look away between two readings of such a file.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait for two readings that agree.
const PATIENCE: Duration = Duration::from_secs(5);

/// The text of a desired file and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as it was given
    pub name: String,
    /// Its text, without a byte order mark
    pub text: String,
}

impl Source {
    /// A text that comes from elsewhere than a file.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
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

/// Reads a desired file; `-` is standard input.
pub fn read(path: &Path) -> Result<Source, ReadError> {
    if path == Path::new("-") {
        return named("<stdin>".to_owned(), read_limited(io::stdin().lock(), 0, LARGEST).map_err(Into::into));
    }
    named(path.to_string_lossy().into_owned(), read_settled(path))
}

/// Reads a file that is read only once, such as an export: as [`read`], or a pipe to its end, such as `<(…)` of a shell.
pub fn read_or_pipe(path: &Path) -> Result<Source, ReadError> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    if !is_pipe {
        return read(path);
    }
    let pipe = File::open(path).map_err(ReadCause::from);
    let bytes = pipe.and_then(|pipe| read_limited(pipe, 0, LARGEST).map_err(Into::into));
    named(path.to_string_lossy().into_owned(), bytes)
}

/// Reads a desired file once, for a caller that saw its writer close it and would see another writer open it.
pub fn read_closed(path: &Path) -> Result<Source, ReadError> {
    named(path.to_string_lossy().into_owned(), read_once(path).map(|(_, bytes)| bytes))
}

/// Whether a desired file is this text, to the byte, but for a byte order mark, which no text has that was read. It is compared piece by
/// piece: megabytes are not held twice.
pub fn is_still(path: &Path, text: &str) -> bool {
    open_regular(path).is_ok_and(|file| {
        let mut begin = Vec::with_capacity(MARK.len());
        let read = (&file).take(MARK.len() as u64).read_to_end(&mut begin);
        let rest = begin.strip_prefix(MARK).unwrap_or(&begin);
        read.is_ok() && equals(rest.chain(&file), text.as_bytes()).unwrap_or(false)
    })
}

fn equals(mut reader: impl Read, mut rest: &[u8]) -> io::Result<bool> {
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

fn named(name: String, bytes: Result<Vec<u8>, ReadCause>) -> Result<Source, ReadError> {
    match bytes.and_then(decode) {
        Ok(text) => Ok(Source { name, text }),
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
struct ReadStamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// Reads a file that was not written to for a while, or reads until two readings agree: a caller that polls sees no close,
/// and must not take half a file for a whole one.
fn read_settled(path: &Path) -> Result<Vec<u8>, ReadCause> {
    let start = Instant::now();
    let mut last = read_once(path)?;
    // The stamp was taken after the last byte: any write until then would have made it a recent one.
    let is_recent =
        |stamp: &ReadStamp| stamp.modified.is_none_or(|time| time.elapsed().map_or(true, |age| age < RECENT));
    loop {
        if !is_recent(&last.0) && last.0.length == last.1.len() as u64 {
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

fn read_once(path: &Path) -> Result<(ReadStamp, Vec<u8>), ReadCause> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    if length > LARGEST {
        return Err(ReadCause::TooLarge);
    }
    let bytes = read_limited(&file, length, LARGEST)?;
    Ok((stamp(&file)?, bytes))
}

fn stamp(file: &File) -> Result<ReadStamp, ReadCause> {
    let metadata = file.metadata()?;
    Ok(ReadStamp { length: metadata.len(), modified: metadata.modified().ok() })
}

fn decode(mut bytes: Vec<u8>) -> Result<String, ReadCause> {
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

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn message(path: &Path) -> String {
        read(path).unwrap_err().to_string().replace(&*path.to_string_lossy(), "FILE")
    }

    #[test]
    fn a_file_is_read_whole_and_without_its_byte_order_mark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desired.yaml");
        std::fs::write(&path, "\u{feff}version: 1\n").unwrap();
        assert_eq!(read(&path).unwrap().text, "version: 1\n");
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&path).unwrap().text, "");
    }

    #[test]
    fn a_file_is_still_a_text_when_every_byte_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desired.yaml");
        let text = "# a comment\n".repeat(5_000);
        let mut other = text.clone();
        other.replace_range(59_000..59_001, "!");
        std::fs::write(&path, &text).unwrap();
        let (shorter, longer) = (&text[1..], format!("{text}#"));
        let is = [&*text, &other, shorter, &longer, ""].map(|text| is_still(&path, text));
        assert_eq!(is, [true, false, false, false, false]);
        // With the mark of an editor: `lbd edit` said that another program had changed the file.
        std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
        assert_eq!([&*text, &other].map(|text| is_still(&path, text)), [true, false]);
        std::fs::write(&path, "").unwrap();
        assert_eq!(["", "#", &text].map(|text| is_still(&path, text)), [true, false, false]);
        assert!(!is_still(&directory.path().join("none"), ""));
        assert!(!is_still(directory.path(), ""));
    }

    #[test]
    fn what_is_no_file_is_named_and_never_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let tail = "not a regular file; name a file with -f, or pipe one into `-f -`";
        assert_eq!(
            message(&path("none")),
            "FILE: there is no such file; create it, or name another one with -f"
        );
        assert_eq!(message(directory.path()), format!("FILE: is a directory, {tail}"));
        assert_eq!(message(Path::new("/dev/zero")), format!("FILE: is a device, {tail}"));
        let _socket = UnixListener::bind(path("socket")).unwrap();
        assert_eq!(message(&path("socket")), format!("FILE: is a socket, {tail}"));
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        assert_eq!(message(&path("pipe")), format!("FILE: is a pipe, {tail}"));
    }

    #[test]
    fn what_is_no_utf8_says_where() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desired.yaml");
        std::fs::write(&path, b"version: 1\n# gr\xc3\xbc\xdf dich\n").unwrap();
        assert_eq!(message(&path), "FILE:2:6: the byte 0xdf is not UTF-8; save the file as UTF-8");
        for start in [&b"\xff\xfev\0e\0"[..], b"\xfe\xff\0v\0e", b"v\0e\0r\0", b"\0v\0e\0r"] {
            std::fs::write(&path, start).unwrap();
            assert_eq!(message(&path), "FILE: is text in UTF-16; save it as UTF-8");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_refused_before_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desired.yaml");
        File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert_eq!(message(&path), "FILE: is larger than the limit of 32 MiB; is it a desired file?");
    }

    #[test]
    fn a_file_that_is_being_written_is_read_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("desired.yaml");
        std::fs::write(&path, "").unwrap();
        let writer = {
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            thread::spawn(move || {
                for _ in 0..20 {
                    file.write_all(b"# more\n").unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let read = read(&path).unwrap();
        writer.join().unwrap();
        assert_eq!(read.text, "# more\n".repeat(20));
    }
}
