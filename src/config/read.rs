//! Reads the desired file with all that it includes, at one moment.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::include::includes;
use super::set::{self, Part};
use super::source::{
    LARGEST, MARK, PATIENCE, PAUSE, ReadCause, ReadError, ReadStamp, Source, decode, equals, named,
    read_once, read_settled,
};
use crate::files::pattern::{self, ListError, Pattern};
use crate::files::{open_regular, read_limited};

/// Reads a desired file with all that it includes; `-` is standard input, beside which nothing can be included.
pub fn read(path: &Path) -> Result<Source, ReadError> {
    if path == Path::new("-") {
        let bytes = read_limited(io::stdin().lock(), 0, LARGEST).map_err(Into::into);
        return Ok(Source { directory: None, ..named("<stdin>".to_owned(), bytes)? });
    }
    let main = named(path.to_string_lossy().into_owned(), read_settled(path))?;
    if includes(&main.text).is_empty() { Ok(main) } else { read_set_settled(path) }
}

/// Reads a file that is read only once, such as an export: as [`read`], or a pipe to its end, such as `<(…)` of a shell.
pub fn read_or_pipe(path: &Path) -> Result<Source, ReadError> {
    let is_pipe = std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    if !is_pipe {
        return read(path);
    }
    let pipe = File::open(path).map_err(ReadCause::from);
    let bytes = pipe.and_then(|pipe| read_limited(pipe, 0, LARGEST).map_err(Into::into));
    Ok(Source { directory: None, ..named(path.to_string_lossy().into_owned(), bytes)? })
}

/// Reads a desired file, and what it includes, once, for a caller that saw the writers close them and would see another writer open one.
pub fn read_closed(path: &Path) -> Result<Source, ReadError> {
    read_set(path).map(|set| set.source)
}

/// Reads one file by itself, without what it includes; `-` is standard input.
pub fn read_alone(path: &Path) -> Result<Source, ReadError> {
    if path == Path::new("-") {
        return read(path);
    }
    named(path.to_string_lossy().into_owned(), read_settled(path))
}

/// A desired file, without what it includes, of the bytes that another way of reading has found under this name.
///
/// # Errors
/// Where they are not text in UTF-8, or that of several files.
pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Result<Source, ReadError> {
    named(name.into(), Ok(bytes))
}

/// Reads what another process of lbd writes to standard input: also the text of several files.
pub fn read_from_lbd() -> Result<Source, ReadError> {
    let name = "<stdin>".to_owned();
    let bytes = read_limited(io::stdin().lock(), 0, LARGEST).map_err(ReadCause::from);
    match bytes.and_then(decode) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(cause) => Err(ReadError { name, cause }),
    }
}

/// A desired file with another text, and with what that includes beside it.
pub fn with_main(path: &Path, text: &str) -> Result<Source, ReadError> {
    join(path, text, &mut Vec::new())
}

/// A main file with all that it includes, as it was at one moment.
#[derive(Debug, PartialEq)]
struct Set {
    source: Source,
    /// What each file was like, the main file first
    stamps: Vec<ReadStamp>,
}

/// Reads a main file and all that it includes, one after the other.
fn read_set(path: &Path) -> Result<Set, ReadError> {
    let name = path.to_string_lossy().into_owned();
    let (stamp, bytes) = match read_once(path) {
        Ok(read) => read,
        Err(cause) => return Err(ReadError { name, cause }),
    };
    let mut stamps = vec![stamp];
    let main = named(name, Ok(bytes))?;
    let source = join(path, &main.text, &mut stamps)?;
    Ok(Set { source, stamps })
}

/// The text of a main file with all that it includes.
fn join(path: &Path, text: &str, stamps: &mut Vec<ReadStamp>) -> Result<Source, ReadError> {
    let shown = path.to_string_lossy().into_owned();
    let patterns = includes(text);
    if patterns.is_empty() {
        return named(shown, Ok(text.to_owned().into_bytes()));
    }
    let names = list(path, &patterns)?;
    let mut parts = Vec::with_capacity(names.len());
    let mut length = text.len() as u64 + 1_024;
    for name in &names {
        let place = path.with_file_name(name);
        let of_part = place.to_string_lossy().into_owned();
        let (stamp, bytes) = match read_once(&place) {
            Ok(read) => read,
            Err(ReadCause::Missing) => {
                return Err(ReadError { name: of_part, cause: ReadCause::MissingIncluded(shown) });
            }
            Err(cause) => return Err(ReadError { name: of_part, cause }),
        };
        stamps.push(stamp);
        let part = named(of_part, Ok(bytes))?;
        length += (part.text.len() + name.len() + 64) as u64;
        if length > LARGEST {
            return Err(ReadError { name: shown, cause: ReadCause::TooLargeTogether });
        }
        parts.push(part.text);
    }
    let main = [Part { name: own_name(path), text }];
    let included = names.iter().zip(&parts).map(|(name, text)| Part { name, text });
    let text = set::join(main.into_iter().chain(included));
    let parent = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(Source { name: shown, text, directory: Some(parent) })
}

/// The name of a main file in the text of all files.
fn own_name(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str());
    name.filter(|name| pattern::is_name(name)).unwrap_or("desired.yaml")
}

/// The files that a main file includes.
fn list(path: &Path, patterns: &[Pattern]) -> Result<Vec<String>, ReadError> {
    pattern::list(path, patterns).map_err(|error| {
        let (of, cause) = match error {
            ListError::Directory(directory, error) => (directory, ReadCause::Io(error)),
            ListError::Name(file) => (file, ReadCause::OddName),
            ListError::TooMany => (path.to_owned(), ReadCause::TooManyFiles),
        };
        ReadError { name: of.to_string_lossy().into_owned(), cause }
    })
}

/// Reads a main file and all that it includes until none of them was written to for a while, or two readings agree. A symlink that is swapped
/// between two of the files must not mix old ones and new ones.
fn read_set_settled(path: &Path) -> Result<Source, ReadError> {
    let start = Instant::now();
    let (mut last, mut is_first) = (None, true);
    loop {
        match read_set(path) {
            // While files are moved, one that was listed may be gone.
            Err(_) if is_first => {}
            Err(error) => return Err(error),
            Ok(next) => {
                let is_recent = next.stamps.iter().any(ReadStamp::is_recent);
                if (!is_recent && is_unmoved(path, &next)) || last.as_ref() == Some(&next) {
                    return Ok(next.source);
                }
                last = Some(next);
            }
        }
        if start.elapsed() > PATIENCE {
            let name = path.to_string_lossy().into_owned();
            return Err(ReadError { name, cause: ReadCause::StillWritten });
        }
        is_first = false;
        thread::sleep(PAUSE);
    }
}

/// Whether all paths still lead to the files that were read, and no others are there.
fn is_unmoved(path: &Path, set: &Set) -> bool {
    let parts = set.source.parts();
    let Some((main, included)) = parts.split_first() else { return false };
    let names = list(path, &includes(main.text)).unwrap_or_default();
    let places = std::iter::once(path.to_owned()).chain(names.iter().map(|name| path.with_file_name(name)));
    names.iter().map(String::as_str).eq(included.iter().map(|part| part.name))
        && set.stamps.iter().zip(places).all(|(stamp, place)| stamp.is_at(&place))
}

/// Whether a desired file with all that it includes is this text, to the byte, but for byte order marks, which no text has that was read. It is
/// compared piece by piece: megabytes are not held twice.
pub fn is_still(path: &Path, text: &str) -> bool {
    if !set::is_set(text) {
        return is_one(path, text);
    }
    let parts = set::parts(text).unwrap_or_default();
    let Some((main, included)) = parts.split_first() else { return false };
    is_one(path, main.text)
        && main.name == own_name(path)
        && list(path, &includes(main.text))
            .is_ok_and(|names| names.iter().map(String::as_str).eq(included.iter().map(|part| part.name)))
        && included.iter().all(|part| is_one(&path.with_file_name(part.name), part.text))
}

/// Whether one file is this text.
pub fn is_one(path: &Path, text: &str) -> bool {
    open_regular(path).is_ok_and(|file| {
        let mut begin = Vec::with_capacity(MARK.len());
        let read = (&file).take(MARK.len() as u64).read_to_end(&mut begin);
        let rest = begin.strip_prefix(MARK).unwrap_or(&begin);
        read.is_ok() && equals(rest.chain(&file), text.as_bytes()).unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use std::time::Duration;

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
