//! Makes directories in `/run` that one user writes and a group may read.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, openat};

use super::error::{FileCause, FileError};

/// Its owner writes, its group reads.
const MODE: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP);

/// Makes a directory with mode 0750 where it is missing, and gives it its user and group; of one that is there already, too. Who is not
/// permitted to do so leaves them as they are.
///
/// # Errors
/// Where it cannot be made, or is a link or no directory.
pub fn make_group_directory(path: &Path, user: Option<u32>, group: Option<u32>) -> Result<(), FileError> {
    let make = || -> io::Result<()> {
        match DirBuilder::new().mode(MODE.as_raw_mode()).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, path, flags, Mode::empty())?;
        let now = fstat(&directory)?;
        let (user, group) =
            (user.filter(|user| *user != now.st_uid), group.filter(|group| *group != now.st_gid));
        if user.is_some() || group.is_some() {
            let _ = fchown(&directory, user.map(Uid::from_raw), group.map(Gid::from_raw));
        }
        if now.st_mode & 0o7777 != MODE.as_raw_mode() {
            let _ = fchmod(&directory, MODE);
        }
        Ok(())
    };
    make().map_err(|error| match error.kind() {
        // (So the kernel calls a link, too.)
        ErrorKind::NotADirectory => FileError::new(path.to_owned(), FileCause::NotDirectory),
        _ => FileError::new(path.to_owned(), error),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_is_for_its_owner_and_its_group_whatever_was_there() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("run");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        make_group_directory(&path, None, None).unwrap();
        assert_eq!(mode(), 0o750);
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        make_group_directory(&path, None, None).unwrap();
        assert_eq!(mode(), 0o750);
        let link = outer.path().join("link");
        symlink(&path, &link).unwrap();
        fs::write(outer.path().join("file"), "").unwrap();
        for name in ["link", "file"] {
            let error = make_group_directory(&outer.path().join(name), None, None).unwrap_err().to_string();
            assert!(error.ends_with("is not a directory; remove it"), "{error}");
        }
        assert!(make_group_directory(&outer.path().join("no/run"), None, None).is_err());
    }
}
