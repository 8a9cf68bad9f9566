//! Finds out whether others than root may change the desired file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::files::{AGENT_DIR, AGENT_USER, User};

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
/// each of its ends. Directories further up are not looked at. Standard input (`-`) is nobody's file. An agent's own directory is that of its user.
pub fn writable(file: &Path) -> Vec<Writable> {
    if file == Path::new("-") {
        return Vec::new();
    }
    let agent =
        Agent { directory: Path::new(AGENT_DIR), user: &|| User::named(AGENT_USER).map(|user| user.id) };
    writable_but_by(file, geteuid().as_raw(), &agent)
}

/// What writes the desired file of a fleet.
struct Agent<'a> {
    /// Its directory
    directory: &'a Path,
    /// Looks for the number of its user
    user: &'a dyn Fn() -> Option<u32>,
}

impl Agent<'_> {
    /// Whether a user is the agent's, and the place its directory or a file in it: there, and nowhere else, it is meant to write.
    fn may_write(&self, owner: u32, path: &Path, is_directory: bool) -> bool {
        let place = if is_directory { Some(path) } else { path.parent() };
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let own = identity(self.directory);
        own.is_some() && place.and_then(identity) == own && (self.user)() == Some(owner)
    }
}

/// `user` may write, as root may, and the agent in its directory.
fn writable_but_by(file: &Path, user: u32, agent: &Agent<'_>) -> Vec<Writable> {
    let mut path = file.to_owned();
    let mut found: Vec<Writable> = Vec::new();
    let mut look = |path: &Path| {
        let Ok(metadata) = fs::metadata(path) else { return };
        let (owner, mode, is_directory) = (metadata.uid(), metadata.mode() & 0o7777, metadata.is_dir());
        let is_foreign = owner != 0 && owner != user && !agent.may_write(owner, path, is_directory);
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
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A host without an agent.
    fn none() -> Agent<'static> {
        Agent { directory: Path::new("/no/such/directory"), user: &|| None }
    }

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
            let found = writable_but_by(file, user, &none());
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
            let found = writable_but_by(Path::new(file), user, &none());
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

    // The file of a fleet belongs to the agent, which is to write it: `lbd status` on each director would warn of it for ever.
    #[test]
    fn an_agent_may_write_in_its_own_directory_and_nowhere_else_and_nobody_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["etc", "agent", "agent/in", "other"] {
            fs::create_dir(path(name)).unwrap();
            set(&path(name), 0o755);
        }
        for name in ["agent/desired.yaml", "agent/in/desired.yaml", "other/desired.yaml"] {
            fs::write(path(name), "").unwrap();
            set(&path(name), 0o644);
        }
        symlink(path("agent/desired.yaml"), path("etc/desired.yaml")).unwrap();
        symlink("../agent/./desired.yaml", path("etc/relative.yaml")).unwrap();
        symlink(path("other/desired.yaml"), path("etc/other.yaml")).unwrap();
        // Only root can give files to another user.
        if !geteuid().is_root() {
            return;
        }
        let owner = 4_321;
        for name in ["agent", "agent/in", "agent/desired.yaml", "agent/in/desired.yaml", "other/desired.yaml"]
        {
            chown(path(name), Some(owner), None).unwrap();
        }
        let found = |file: &str, user: Option<u32>| -> Vec<(PathBuf, bool)> {
            let agent = Agent { directory: &path("agent"), user: &|| user };
            let found = writable_but_by(&path(file), 0, &agent);
            found.into_iter().map(|one| (one.path, one.is_foreign)).collect()
        };
        let (agent, file) = (path("agent"), path("agent/desired.yaml"));
        for link in ["etc/desired.yaml", "etc/relative.yaml", "agent/desired.yaml"] {
            assert_eq!(found(link, Some(owner)), [], "{link}");
        }
        let foreign = [(agent.clone(), true), (file.clone(), true)];
        assert_eq!(found("etc/desired.yaml", Some(owner + 1)), foreign);
        assert_eq!(found("etc/desired.yaml", None), foreign);
        assert_eq!(found("etc/other.yaml", Some(owner)), [(path("other/desired.yaml"), true)]);
        let inner = [(path("agent/in"), true), (path("agent/in/desired.yaml"), true)];
        assert_eq!(found("agent/in/desired.yaml", Some(owner)), inner);
        set(&file, 0o664);
        set(&agent, 0o757);
        assert_eq!(found("etc/desired.yaml", Some(owner)), [(agent, false), (file, false)]);
    }
}
