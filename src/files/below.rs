//! Reads files below a directory of another user: by paths in which nothing is a link, and with limits.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::beside;
use super::error::{FileCause, FileError};

/// A directory that is only gone through: it need not be readable.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Links are not followed, pipes do not block, children do not inherit, no terminal becomes the controlling one.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Reads a regular file of at most `limit` bytes that is `inside` of a directory: its owner may have prepared everything there. Links are
/// followed up to the directory, and none from there on. A file with another name may be one of a third user, and is not read.
///
/// # Errors
/// Where it is not regular, has several names, is too long or cannot be read, and where the path leads out of the directory.
pub fn read_below(directory: &Path, inside: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let path = directory.join(inside);
    let file = open(directory, inside).map_err(|cause| FileError::new(path.clone(), cause))?;
    beside::read(&file, &path, limit)
}

fn open(directory: &Path, inside: &Path) -> Result<File, FileCause> {
    let outside = || FileCause::Io(io::Error::new(io::ErrorKind::InvalidInput, "not below its directory"));
    let mut at: OwnedFd = openat(CWD, directory, DIRECTORY, Mode::empty())?;
    let mut steps = inside.components().peekable();
    while let Some(step) = steps.next() {
        let Component::Normal(name) = step else { return Err(outside()) };
        if steps.peek().is_some() {
            let next = openat(&at, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty());
            at = next.map_err(|error| match error {
                Errno::NOTDIR => FileCause::NotDirectory,
                error => error.into(),
            })?;
            continue;
        }
        // Examined before it is opened, since opening a device can have an effect.
        check(&statat(&at, name, AtFlags::SYMLINK_NOFOLLOW)?)?;
        let file = openat(&at, name, OFlags::RDONLY | SAFELY, Mode::empty())?;
        // It may have been replaced meanwhile.
        check(&fstat(&file)?)?;
        return Ok(File::from(file));
    }
    Err(outside())
}

fn check(stat: &Stat) -> Result<(), FileCause> {
    match FileType::from_raw_mode(stat.st_mode) {
        // (Zero: it was removed a moment ago.)
        FileType::RegularFile if stat.st_nlink > 1 => Err(FileCause::HardLinks),
        FileType::RegularFile => Ok(()),
        kind => Err(FileCause::NotRegular(kind)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_a_regular_file_below_the_directory_is_read_and_no_link_is_followed_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("agent/in")).unwrap();
        fs::write(path("agent/in/file"), "123456789").unwrap();
        fs::write(path("outside"), "secret").unwrap();
        symlink(path("agent"), path("link")).unwrap();
        symlink(path("outside"), path("agent/link")).unwrap();
        symlink("in", path("agent/into")).unwrap();
        symlink("/", path("agent/top")).unwrap();
        fs::hard_link(path("outside"), path("agent/second")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("agent/pipe")).status().unwrap();
        assert!(made.success());
        let read = |of: &str, inside: &str, limit| {
            let read = read_below(&path(of), Path::new(inside), limit);
            let text = read.map(|bytes| String::from_utf8(bytes).unwrap());
            text.map_err(|error| error.to_string().replace(&*path("").to_string_lossy(), ""))
        };
        // The administrator may have put the directory elsewhere.
        for of in ["agent", "link"] {
            assert_eq!(read(of, "in/file", 9), Ok("123456789".to_owned()));
        }
        let errors = [
            ("in/file", "agent/in/file: is larger than the limit of 0 MiB; remove it"),
            ("link", "agent/link: is a symbolic link, not a regular file; remove it"),
            ("into/file", "agent/into/file: is not a directory; remove it"),
            ("top/etc/passwd", "agent/top/etc/passwd: is not a directory; remove it"),
            (
                "second",
                "agent/second: has more than one hard link, so that other users can change it; remove it",
            ),
            ("pipe", "agent/pipe: is a pipe, not a regular file; remove it"),
            ("in", "agent/in: is a directory, not a regular file; remove it"),
            ("none/file", "agent/none/file: No such file or directory (os error 2)"),
            ("../outside", "agent/../outside: not below its directory"),
            ("in/../../outside", "agent/in/../../outside: not below its directory"),
            ("/etc/passwd", "/etc/passwd: not below its directory"),
            ("", "agent/: not below its directory"),
        ];
        for (inside, error) in errors {
            assert_eq!(read("agent", inside, 8), Err(error.to_owned()), "{inside}");
        }
    }
}
