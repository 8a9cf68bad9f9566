//! Follows a path through its symlinks: which directories have to be watched for which names.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As many symlinks as the kernel follows.
const MOST_SYMLINKS: usize = 40;

/// A file or directory, whatever its name: device and inode number.
pub(super) type Identity = (u64, u64);

/// What a name on the way is to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A symlink on the way, or what should be a directory
    Step,
    /// The file itself, by its real name
    File,
}

/// The way from the root to a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Way {
    /// The real directories that hold a name of the way, each once, or the nearest one that there is
    pub(super) directories: Vec<(PathBuf, Identity)>,
    /// The names, as paths under `directories`
    pub(super) names: HashMap<PathBuf, Role>,
    /// The file, where there is one
    pub(super) file: Option<PathBuf>,
}

impl Way {
    /// Follows an absolute path as the kernel would. Directories that are no symlinks are not watched from above: the
    /// directories above are busy ones, `/etc` for instance.
    pub(super) fn to(path: &Path) -> Self {
        let mut way = Self::default();
        let mut here = PathBuf::from("/");
        let mut ahead = parts(path);
        let mut symlinks = 0;
        while let Some(part) = ahead.pop() {
            if part == ".." {
                here.pop();
                continue;
            }
            let name = here.join(&part);
            match fs::symlink_metadata(&name) {
                Ok(found) if found.is_symlink() && symlinks < MOST_SYMLINKS => {
                    symlinks += 1;
                    way.add(&here, &part, Role::Step);
                    let target = fs::read_link(&name).unwrap_or_default();
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    ahead.extend(parts(&target));
                }
                Ok(found) if found.is_dir() && !ahead.is_empty() => here = name,
                found => {
                    way.add(&here, &part, if ahead.is_empty() { Role::File } else { Role::Step });
                    way.file = found.ok().filter(|_| ahead.is_empty()).map(|_| name);
                    break;
                }
            }
        }
        way
    }

    /// One directory may be reached by two paths (bind mounts), and inotify knows it by one only.
    fn add(&mut self, directory: &Path, name: &OsString, role: Role) {
        let Ok(found) = fs::metadata(directory) else { return };
        let identity = (found.dev(), found.ino());
        let known = self.directories.iter().find(|(_, known)| *known == identity);
        let watched = known.map_or(directory, |(path, _)| path).to_owned();
        if known.is_none() {
            self.directories.push((watched.clone(), identity));
        }
        self.names.insert(watched.join(name), role);
    }
}

/// The parts of a path that mean a step, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let steps =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    steps.map(|part| part.as_os_str().to_owned()).collect()
}

/// What tells one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    identity: Identity,
    size: u64,
    modified: (i64, i64),
    /// Set by the kernel at every change and, unlike the time of modification, by nobody else
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what a path leads to, if it leads to something.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from)
    }

    /// Whether the last change is younger than this.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        // A time in the future was set by a clock that was put back since: it says nothing, take it for young.
        let seconds = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        let changed = seconds + Duration::from_nanos(u64::try_from(self.changed.1).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(changed).is_none_or(|passed| passed < age)
    }

    /// Whether any later change must show as another stamp: not in the same tick of the kernel's clock (at most 10 ms), or
    /// in the same second where the file system keeps whole ones.
    pub(super) fn is_settled(&self) -> bool {
        let tick = if self.changed.1 == 0 { Duration::from_secs(3) } else { Duration::from_millis(20) };
        !self.is_younger_than(tick)
    }

    /// Whether there is nothing in the file.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

impl From<&Metadata> for Stamp {
    fn from(file: &Metadata) -> Self {
        Self {
            identity: (file.dev(), file.ino()),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::symlink;

    /// The directories and names of the way to `path`, relative to `root`.
    fn way(root: &Path, path: &str) -> (Vec<String>, Vec<(String, Role)>, Option<String>) {
        let root = fs::canonicalize(root).unwrap();
        let short = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        let way = Way::to(&root.join(path));
        let mut names: Vec<_> = way.names.iter().map(|(path, role)| (short(path), *role)).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        (way.directories.iter().map(|(path, _)| short(path)).collect(), names, way.file.as_ref().map(short))
    }

    #[test]
    fn a_plain_file_needs_its_directory_only() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lbd")).unwrap();
        let names = vec![("lbd/file".to_owned(), Role::File)];
        assert_eq!(way(root.path(), "lbd/../lbd/file"), (vec!["lbd".to_owned()], names.clone(), None));
        fs::write(root.path().join("lbd/file"), "").unwrap();
        assert_eq!(
            way(root.path(), "lbd/file"),
            (vec!["lbd".to_owned()], names, Some("lbd/file".to_owned()))
        );
    }

    #[test]
    fn a_missing_directory_is_awaited_in_the_nearest_one_above() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        let names = vec![("a/b".to_owned(), Role::Step)];
        assert_eq!(way(root.path(), "a/b/c/file"), (vec!["a".to_owned()], names, None));
    }

    #[test]
    fn a_mounted_config_map_is_followed_through_its_symlinks() {
        let root = tempfile::tempdir().unwrap();
        let map = root.path().join("map");
        fs::create_dir_all(map.join("..1")).unwrap();
        fs::write(map.join("..1/file"), "").unwrap();
        symlink("..1", map.join("..data")).unwrap();
        symlink("..data/file", map.join("file")).unwrap();
        let names = vec![
            ("map/..1/file".to_owned(), Role::File),
            ("map/..data".to_owned(), Role::Step),
            ("map/file".to_owned(), Role::Step),
        ];
        let directories = vec!["map".to_owned(), "map/..1".to_owned()];
        assert_eq!(way(root.path(), "map/file"), (directories, names, Some("map/..1/file".to_owned())));
    }

    #[test]
    fn a_circle_of_symlinks_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let (directories, names, _) = way(root.path(), "a");
        assert_eq!((directories, names.len()), (vec![String::new()], 2));
    }
}
