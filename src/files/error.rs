//! Defines why a file was not read or written, with the next step for the operator.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rustix::fs::FileType;

/// Why a file was not read or written.
#[derive(Debug)]
pub struct FileError {
    /// The file
    pub path: PathBuf,
    /// The cause
    pub cause: FileCause,
}

/// The cause of a [`FileError`].
#[derive(Debug)]
pub enum FileCause {
    /// A system call failed.
    Io(io::Error),
    /// The directory cannot be entered.
    Closed,
    /// It is not a regular file.
    NotRegular(FileType),
    /// It is no directory, where one belongs.
    NotDirectory,
    /// It has several names, and can be changed by another one.
    HardLinks,
    /// It belongs to a user who is neither root nor the owner of the directory.
    Owner(u32),
    /// Other users may write it; its mode.
    Writable(u32),
    /// It is longer than this many bytes.
    TooLarge(u64),
}

impl FileError {
    pub(super) fn new(path: PathBuf, cause: impl Into<FileCause>) -> Self {
        Self { path, cause: cause.into() }
    }

    /// Whether the file, or the directory that it would be in, does not exist.
    pub fn is_absent(&self) -> bool {
        let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        matches!(&self.cause, FileCause::Io(error) if kinds.contains(&error.kind()))
    }
}

impl From<io::Error> for FileCause {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for FileCause {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            FileCause::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{path}: {error}; run lbd as root, or give the file to the owner of its directory")
            }
            FileCause::Io(error) => write!(f, "{path}: {error}"),
            FileCause::Closed => write!(f, "{path}: not allowed to enter it; run lbd as root"),
            FileCause::NotRegular(kind) => {
                write!(f, "{path}: is {}, not a regular file; remove it", name(*kind))
            }
            FileCause::NotDirectory => write!(f, "{path}: is not a directory; remove it"),
            FileCause::HardLinks => {
                write!(f, "{path}: has more than one hard link, so that other users can change it; remove it")
            }
            FileCause::Owner(user) => write!(
                f,
                "{path}: belongs to user {user}, not to root or the owner of its directory; remove it, or change its owner"
            ),
            FileCause::Writable(mode) => {
                write!(f, "{path}: can be written by other users (mode {mode:04o}); only root may be able to")
            }
            FileCause::TooLarge(limit) => {
                write!(f, "{path}: is larger than the limit of {} MiB; remove it", limit >> 20)
            }
        }
    }
}

impl std::error::Error for FileError {}

fn name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}
