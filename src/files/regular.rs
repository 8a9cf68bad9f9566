//! Opens and reads files of other users, without blocking on pipes and devices and with a limit.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file of another user was not read.
#[derive(Debug)]
pub enum UntrustedFileError {
    /// It cannot be opened or read.
    Io(io::Error),
    /// It is not a regular file but, for example, `a pipe` or `a device`.
    NotRegular(&'static str),
    /// It is longer than this many bytes.
    TooLong(u64),
}

impl fmt::Display for UntrustedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotRegular(what) => write!(f, "it is {what}, not a regular file"),
            Self::TooLong(limit) => write!(f, "it is longer than {limit} bytes"),
        }
    }
}

impl std::error::Error for UntrustedFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotRegular(_) | Self::TooLong(_) => None,
        }
    }
}

impl From<io::Error> for UntrustedFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens a file only if it is regular. Links are followed.
///
/// # Errors
/// Where it is not regular, or cannot be opened.
pub fn open_regular(path: &Path) -> Result<File, UntrustedFileError> {
    // Examined before it is opened, since opening a device can have an effect.
    check_regular(&std::fs::metadata(path)?)?;
    // It may have been replaced meanwhile: opening a pipe without a writer must not block. (std sets O_CLOEXEC itself.)
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes outside of the state directory.
///
/// # Errors
/// Where it is not regular, too long, or cannot be read.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, UntrustedFileError> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    if length > limit {
        return Err(UntrustedFileError::TooLong(limit));
    }
    read_limited(&file, length, limit)
}

/// Reads at most `limit` bytes to the end; `length` is how many are expected.
///
/// # Errors
/// Those of the reader, and where there are more bytes.
pub fn read_limited(reader: impl Read, length: u64, limit: u64) -> Result<Vec<u8>, UntrustedFileError> {
    // One byte more, to find the end without another allocation.
    let mut bytes = Vec::with_capacity(length.min(limit) as usize + 1);
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(UntrustedFileError::TooLong(limit)) } else { Ok(bytes) }
}

fn check_regular(metadata: &Metadata) -> Result<(), UntrustedFileError> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "something else",
    };
    Err(UntrustedFileError::NotRegular(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A process of nobody's named a pipe, and root's `apply` waited in it with the lock in its hands; with /dev/zero it grew
    // to two gigabytes.
    #[test]
    fn only_regular_files_are_read_and_only_so_far() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let read = |path: &Path, limit| read_regular(path, limit).map_err(|error| error.to_string());
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        let failed = |words: &str| Err(words.to_owned());
        assert_eq!(read(&path("pipe"), 9), failed("it is a pipe, not a regular file"));
        assert_eq!(read(Path::new("/dev/zero"), 9), failed("it is a device, not a regular file"));
        assert_eq!(read(directory.path(), 9), failed("it is a directory, not a regular file"));
        assert_eq!(read(&path("none"), 9), failed("No such file or directory (os error 2)"));
        std::fs::write(path("file"), "123456789").unwrap();
        assert_eq!(read(&path("file"), 9).unwrap(), b"123456789");
        assert_eq!(read(&path("file"), 8), failed("it is longer than 8 bytes"));
        // What tells no length of its own has an end as well.
        assert!(matches!(read_limited(io::repeat(0), 0, 8), Err(UntrustedFileError::TooLong(8))));
        assert!(matches!(
            read_regular(Path::new("/proc/self/mounts"), 1),
            Err(UntrustedFileError::TooLong(1))
        ));
    }
}
