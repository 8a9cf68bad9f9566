//! Finds out whether others than root may change the desired file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// How many links lead to a file at most; the kernel follows no more.
const LINKS: usize = 40;

/// A file or directory that others may write than root and the user that lbd runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    /// Where it is
    pub path: PathBuf,
    /// Whether it is a directory: whoever may write that may put another file in the place of the one in it
    pub is_directory: bool,
    /// Its owner's number
    pub owner: u32,
    /// Its permissions, with the sticky bit
    pub mode: u32,
    /// Whether its owner is one of others
    pub is_foreign: bool,
}

/// What of the desired file others may write: itself, the directory that it is in, and where it is a link, the directory at
/// each of its ends. Directories further up are not looked at. Standard input (`-`) is nobody's file.
pub fn writable(file: &Path) -> Vec<Writable> {
    if file == Path::new("-") { Vec::new() } else { writable_but_by(file, geteuid().as_raw()) }
}

/// `user` may write, as root may.
fn writable_but_by(file: &Path, user: u32) -> Vec<Writable> {
    let mut path = file.to_owned();
    let mut found: Vec<Writable> = Vec::new();
    let mut look = |path: &Path| {
        let Ok(metadata) = fs::metadata(path) else { return };
        let (owner, mode, is_directory) = (metadata.uid(), metadata.mode() & 0o7777, metadata.is_dir());
        let is_foreign = owner != 0 && owner != user;
        let is_known = found.iter().any(|known| known.path == path);
        if (is_foreign || mode & 0o022 != 0) && !is_known {
            found.push(Writable { path: path.to_owned(), is_directory, owner, mode, is_foreign });
        }
    };
    for _ in 0..LINKS {
        let directory = match path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            _ => Path::new("."),
        };
        look(directory);
        let Ok(target) = fs::read_link(&path) else { break };
        path = directory.join(target);
    }
    look(&path);
    found
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_and_its_directory_are_looked_at_and_both_ends_of_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let user = fs::metadata(directory.path()).unwrap().uid();
        for name in ["etc", "srv"] {
            fs::create_dir(path(name)).unwrap();
            set(&path(name), 0o755);
        }
        fs::write(path("srv/real.yaml"), "").unwrap();
        set(&path("srv/real.yaml"), 0o644);
        symlink("../srv/real.yaml", path("etc/desired.yaml")).unwrap();
        let file = path("etc/desired.yaml");
        let found = |file: &Path| -> Vec<(PathBuf, bool, u32)> {
            let found = writable_but_by(file, user);
            found.into_iter().map(|one| (one.path, one.is_directory, one.mode)).collect()
        };
        assert_eq!(found(&file), []);
        let (real, srv) = (path("etc/../srv/real.yaml"), path("etc/../srv"));
        set(&path("srv/real.yaml"), 0o664);
        assert_eq!(found(&file), [(real.clone(), false, 0o664)]);
        set(&path("srv"), 0o1777);
        assert_eq!(found(&file), [(srv, true, 0o1777), (real.clone(), false, 0o664)]);
        set(&path("srv/real.yaml"), 0o602);
        set(&path("srv"), 0o755);
        set(&path("etc"), 0o775);
        assert_eq!(found(&file), [(path("etc"), true, 0o775), (real, false, 0o602)]);
        set(&path("etc"), 0o755);
        set(&path("srv/real.yaml"), 0o600);
        assert_eq!(found(&file), []);
        // Links that go round in a circle end, and what is not there has no permissions.
        symlink("b", path("etc/a")).unwrap();
        symlink("a", path("etc/b")).unwrap();
        assert_eq!(found(&path("etc/a")), []);
        assert_eq!(found(&path("none/none")), []);
        assert_eq!(writable(Path::new("-")), []);
    }

    #[test]
    fn a_file_of_another_user_is_one_that_others_may_write() {
        let found = |file: &str, user| {
            let found = writable_but_by(Path::new(file), user);
            found.into_iter().map(|one| (one.path, one.is_foreign)).collect::<Vec<_>>()
        };
        assert_eq!(found("/proc/version", 65_534), []);
        assert_eq!(found("/tmp/none", 65_534), [(PathBuf::from("/tmp"), false)]);
        let directory = tempfile::tempdir().unwrap();
        let user = fs::metadata(directory.path()).unwrap().uid();
        let file = directory.path().join("desired.yaml");
        fs::write(&file, "").unwrap();
        set(&file, 0o600);
        // Tests run as root, too, whose files are nobody else's.
        let expected =
            if user == 0 { vec![] } else { vec![(directory.path().to_owned(), true), (file.clone(), true)] };
        assert_eq!(found(&file.display().to_string(), user + 1), expected);
    }
}
