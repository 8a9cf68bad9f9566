//! Keeps files of root beside a file of the operator, where no other user can have written or replaced them.
//!
//! The state directory belongs to the user that the daemon runs as. What root is to install later must not lie there.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use super::error::{FileCause, FileError};
use super::regular::{UntrustedFileError, read_limited};

/// The permission of others to write.
const OTHERS_WRITE: u32 = 0o022;

/// The path of a hidden file beside another one: `.NAME.END`.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{end}"))
}

/// Checks that no other user can create and replace files in the directory of this file.
///
/// # Errors
/// Where one can, or the directory cannot be examined.
pub fn check_place(file: &Path) -> Result<(), FileError> {
    let directory = directory(file);
    let metadata = fs::metadata(directory).map_err(|error| FileError::new(directory.to_owned(), error))?;
    check(&metadata).map_err(|cause| FileError::new(directory.to_owned(), cause))
}

/// Writes a new file with the group and the mode of another, but so that nobody else may write it. One of this name is removed before.
///
/// # Errors
/// Where it cannot be written.
pub fn create(path: &Path, like: &Metadata, content: &[u8]) -> Result<(), FileError> {
    let create = || -> io::Result<()> {
        let mut file = new_file(path)?;
        file.write_all(content)?;
        if file.metadata()?.gid() != like.gid() {
            fchown(&file, None, Some(like.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(like.mode() & 0o777 & !OTHERS_WRITE))?;
        file.sync_all()?;
        sync_directory(path)
    };
    create().map_err(|error| FileError::new(path.to_owned(), error))
}

/// Gives a file this content, readable for all: who reads it finds the old content or the new one, and never a part. It is not waited for the disk,
/// since the next content comes soon.
///
/// # Errors
/// Where it cannot be written. The old content stays then.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let new = beside(path, "new");
    let replace = || -> io::Result<()> {
        let mut file = new_file(&new)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        fs::rename(&new, path)
    };
    replace().map_err(|error| {
        // Where it cannot be removed, the next writer does.
        let _ = remove_file(&new);
        FileError::new(path.to_owned(), error)
    })
}

/// Makes a new file, which nobody else can read or write; one of this name is removed before.
fn new_file(path: &Path) -> io::Result<File> {
    remove_file(path)?;
    // (A new file is never reached by a link.)
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// Opens a file that nobody else can have written: it is regular, has one name, and belongs to root or to the user of this process.
///
/// # Errors
/// Where it is not so, or cannot be opened.
pub fn open(path: &Path) -> Result<File, FileError> {
    let error = |cause: FileCause| FileError::new(path.to_owned(), cause);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file =
        OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|cause| error(cause.into()))?;
    let metadata = file.metadata().map_err(|cause| error(cause.into()))?;
    if !metadata.is_file() {
        let kind = rustix::fs::FileType::from_raw_mode(metadata.mode());
        return Err(error(FileCause::NotRegular(kind)));
    }
    if metadata.nlink() > 1 {
        return Err(error(FileCause::HardLinks));
    }
    check(&metadata).map_err(error)?;
    Ok(file)
}

/// Reads a file of at most `limit` bytes that [`open`] has opened.
///
/// # Errors
/// Where it cannot be read, or is longer.
pub fn read(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let cause = |error| match error {
        UntrustedFileError::Io(error) => FileCause::Io(error),
        UntrustedFileError::NotRegular(_) | UntrustedFileError::TooLong(_) => FileCause::TooLarge(limit),
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    read_limited(file, length, limit).map_err(|error| FileError::new(path.to_owned(), cause(error)))
}

/// Renames an open file to another name in its directory, with the owner, group and mode of what had that name, if it was there; complete
/// on disk before.
///
/// # Errors
/// Where it cannot be renamed, or given its owner.
pub fn install(file: &File, path: &Path, to: &Path) -> io::Result<()> {
    take_rights(file, to)?;
    file.sync_all()?;
    fs::rename(path, to)?;
    sync_directory(to)
}

/// Gives a file the owner, group and mode of the one of this name; says whether that exists.
///
/// # Errors
/// Where it cannot be examined, or the rights cannot be given.
pub fn take_rights(file: &File, from: &Path) -> io::Result<bool> {
    let of = match fs::metadata(from) {
        Ok(of) => of,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (of.uid(), of.gid()) {
        fchown(file, Some(of.uid()), Some(of.gid()))?;
    }
    if now.mode() != of.mode() {
        file.set_permissions(Permissions::from_mode(of.mode()))?;
    }
    Ok(true)
}

/// Removes a file, if it exists.
///
/// # Errors
/// Where it cannot be removed.
pub fn remove(path: &Path) -> Result<(), FileError> {
    remove_file(path).map_err(|error| FileError::new(path.to_owned(), error))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether nobody but root and the user of this process can write it.
fn check(metadata: &Metadata) -> Result<(), FileCause> {
    if metadata.uid() != 0 && metadata.uid() != geteuid().as_raw() {
        return Err(FileCause::Owner(metadata.uid()));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        Err(FileCause::Writable(metadata.mode() & 0o7777))
    } else {
        Ok(())
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the directory of a file to disk, without which a rename is not durable.
fn sync_directory(file: &Path) -> io::Result<()> {
    File::open(directory(file))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_can_have_written_or_could_replace_is_not_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (file, copy) =
            (directory.path().join("desired.yaml"), directory.path().join(".desired.yaml.trial"));
        assert_eq!(beside(&file, "trial"), copy);
        fs::write(&file, "old").unwrap();
        mode(&file, 0o664);
        let create = || create(&copy, &fs::metadata(&file).unwrap(), b"new").unwrap();
        create();
        let read = || {
            let file =
                open(&copy).map_err(|error| error.to_string().replace(copy.to_str().unwrap(), "COPY"))?;
            read(&file, &copy, 3).map_err(|error| error.to_string())
        };
        assert_eq!(read(), Ok(b"new".to_vec()));
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o7777, 0o644);
        mode(&copy, 0o666);
        assert_eq!(
            read(),
            Err("COPY: can be written by other users (mode 0666); only root may be able to".to_owned())
        );
        create();
        fs::hard_link(&copy, directory.path().join("other")).unwrap();
        assert!(read().unwrap_err().contains("more than one hard link"));
        fs::remove_file(&copy).unwrap();
        symlink(&file, &copy).unwrap();
        assert!(read().is_err());
        // Only the link is replaced.
        create();
        assert_eq!((read(), fs::read_to_string(&file).unwrap()), (Ok(b"new".to_vec()), "old".to_owned()));
        fs::write(&copy, "newer").unwrap();
        assert!(read().is_err());
        assert!(check_place(&file).is_ok());
        mode(directory.path(), 0o1777);
        assert!(check_place(&file).is_err());
    }

    #[test]
    fn a_file_for_others_is_replaced_and_neither_a_link_nor_a_failure_changes_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let [file, other] = ["lbd.prom", "other"].map(|name| directory.path().join(name));
        fs::write(&other, "other").unwrap();
        symlink(&other, &file).unwrap();
        symlink(&other, directory.path().join(".lbd.prom.new")).unwrap();
        for content in ["one", "two"] {
            replace(&file, content.as_bytes()).unwrap();
            let metadata = fs::symlink_metadata(&file).unwrap();
            assert_eq!((metadata.is_file(), metadata.mode() & 0o7777), (true, 0o644));
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "other");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(replace(&file, b"three").unwrap_err().to_string().starts_with(file.to_str().unwrap()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_is_installed_with_the_rights_of_the_one_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let (file, copy) = (directory.path().join("desired.yaml"), directory.path().join("copy"));
        fs::write(&file, "old").unwrap();
        create(&copy, &fs::metadata(&file).unwrap(), b"new").unwrap();
        mode(&file, 0o640);
        install(&open(&copy).unwrap(), &copy, &file).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!((fs::metadata(&file).unwrap().mode() & 0o7777, copy.exists()), (0o640, false));
        remove(&copy).unwrap();
    }
}
