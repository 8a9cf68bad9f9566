//! Follows a path through its symlinks: which directories have to be watched for which names.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files::Pattern;
use crate::files::pattern::{directory, is_pattern, list, matches};

/// As many symlinks as the kernel follows.
const MOST_SYMLINKS: usize = 40;

/// A file or directory, whatever its name: device and inode number.
pub(super) type Inode = (u64, u64);

/// What a name on the path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A component of the path: a symlink, or what should be a directory
    Component,
    /// The file itself, by its real name
    File,
    /// A component of the path to a file beside it
    ComponentBeside,
    /// A file beside it, by its real name
    Beside,
}

impl Role {
    /// Whether it is of a file beside the one that is watched.
    pub(super) fn is_beside(self) -> bool {
        match self {
            Self::Component | Self::File => false,
            Self::ComponentBeside | Self::Beside => true,
        }
    }

    /// Whether it is a file, and not a component of a path.
    pub(super) fn is_file(self) -> bool {
        match self {
            Self::Component | Self::ComponentBeside => false,
            Self::File | Self::Beside => true,
        }
    }
}

/// Names in a directory that matter by a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamesBeside {
    directory: PathBuf,
    pattern: String,
    role: Role,
}

/// The path from the root to a file, with every symlink followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct WatchedPath {
    /// The real directories that contain a name on the path, each once, or the nearest one that exists
    pub(super) directories: Vec<(PathBuf, Inode)>,
    /// The names, as paths under `directories`
    pub(super) names: HashMap<PathBuf, Role>,
    /// Further names in `directories`
    pub(super) beside: Vec<NamesBeside>,
    /// The file, if it exists
    pub(super) file: Option<PathBuf>,
}

impl WatchedPath {
    /// Follows an absolute path as the kernel does. A directory that is no symlink is not watched from its parent, which may
    /// be a busy one such as `/etc`.
    pub(super) fn to(path: &Path) -> Self {
        let mut watched = Self::default();
        watched.file = watched.follow(path, Role::File).filter(|found| found.exists).map(|found| found.name);
        watched
    }

    /// The same with the files that match patterns beside it, and the directories in which others can appear.
    pub(super) fn with_beside(path: &Path, patterns: &[Pattern]) -> Self {
        let mut watched = Self::to(path);
        for pattern in patterns {
            watched.add_beside(directory(path), pattern.steps());
        }
        watched
    }

    fn add_beside(&mut self, directory: &Path, steps: &[String]) {
        let Some((step, rest)) = steps.split_first() else { return };
        let path = directory.join(step);
        if !is_pattern(step) {
            match rest.is_empty() {
                true => drop(self.follow(&path, Role::Beside)),
                false => self.add_beside(&path, rest),
            }
            return;
        }
        // No file has that name; its directory is the one to watch.
        let role = if rest.is_empty() { Role::Beside } else { Role::ComponentBeside };
        let Some(directory) = self.follow(&path, role).and_then(|found| found.directory) else { return };
        self.beside.push(NamesBeside { directory: directory.clone(), pattern: step.clone(), role });
        let Ok(entries) = fs::read_dir(&directory) else { return };
        for entry in entries.flatten() {
            if !matches(step, &entry.file_name().to_string_lossy()) {
                continue;
            }
            if !rest.is_empty() {
                self.add_beside(&entry.path(), rest);
            } else if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                self.follow(&entry.path(), Role::Beside);
            }
        }
    }

    /// What a name under one of the directories is, where it matters.
    pub(super) fn role(names: &HashMap<PathBuf, Role>, beside: &[NamesBeside], path: &Path) -> Option<Role> {
        names.get(path).copied().or_else(|| {
            let (directory, name) = (path.parent()?, path.file_name()?.to_string_lossy());
            let is_of = |of: &&NamesBeside| of.directory == directory && matches(&of.pattern, &name);
            beside.iter().find(is_of).map(|of| of.role)
        })
    }

    /// Follows a path to a name that has this role; nothing where a directory on the way is not there.
    fn follow(&mut self, path: &Path, role: Role) -> Option<Found> {
        let component = if role.is_beside() { Role::ComponentBeside } else { Role::Component };
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
                    self.add(&here, &part, component);
                    let target = fs::read_link(&name).unwrap_or_default();
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    ahead.extend(parts(&target));
                }
                Ok(found) if found.is_dir() && !ahead.is_empty() => here = name,
                found => {
                    let directory = self.add(&here, &part, if ahead.is_empty() { role } else { component });
                    return ahead.is_empty().then_some(Found { name, directory, exists: found.is_ok() });
                }
            }
        }
        None
    }

    /// One directory may be reached by two paths (bind mounts), and inotify knows it by one only.
    fn add(&mut self, directory: &Path, name: &OsString, role: Role) -> Option<PathBuf> {
        let found = fs::metadata(directory).ok()?;
        let identity = (found.dev(), found.ino());
        let known = self.directories.iter().find(|(_, known)| *known == identity);
        let watched = known.map_or(directory, |(path, _)| path).to_owned();
        if known.is_none() {
            self.directories.push((watched.clone(), identity));
        }
        if role.is_beside() {
            self.names.entry(watched.join(name)).or_insert(role);
        } else {
            self.names.insert(watched.join(name), role);
        }
        Some(watched)
    }
}

/// The end of a path that was followed.
struct Found {
    name: PathBuf,
    /// The directory that is watched for it
    directory: Option<PathBuf>,
    exists: bool,
}

/// The components of a path that name something, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let steps =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    steps.map(|part| part.as_os_str().to_owned()).collect()
}

/// What distinguishes one content of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileStamp {
    identity: Inode,
    size: u64,
    modified: (i64, i64),
    /// The kernel sets it at every change; unlike the time of modification, no process can set it
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of the file that a path leads to, if there is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::from)
    }

    /// Whether the last change is younger than this.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        // A time in the future comes from a clock that was set back since: it counts as young.
        let seconds = Duration::from_secs(u64::try_from(self.changed.0).unwrap_or(0));
        let changed = seconds + Duration::from_nanos(u64::try_from(self.changed.1).unwrap_or(0));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(changed).is_none_or(|passed| passed < age)
    }

    /// Whether every later change leads to another stamp. A change within the same tick of the kernel's clock (at most 10 ms)
    /// does not, nor one within the same second where the file system keeps whole seconds.
    pub(super) fn is_settled(&self) -> bool {
        let tick = if self.changed.1 == 0 { Duration::from_secs(3) } else { Duration::from_millis(20) };
        !self.is_younger_than(tick)
    }

    /// Whether the file is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }
}

/// The stamps of a file and of all files beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamps {
    /// That of the file, if it exists
    pub(super) file: Option<FileStamp>,
    /// Those beside it, with their names, as a hash; 0 for none
    beside: u64,
    /// When the last of those was changed
    changed: Option<FileStamp>,
}

impl Stamps {
    /// Those of a file and of what matches patterns beside it.
    pub(super) fn of(path: &Path, patterns: &[Pattern]) -> Self {
        let file = FileStamp::of(path);
        if patterns.is_empty() {
            return Self { file, ..Self::default() };
        }
        let (mut hasher, mut changed) = (DefaultHasher::new(), None);
        for name in list(path, patterns).unwrap_or_default() {
            let stamp = FileStamp::of(&directory(path).join(&name));
            (name, stamp).hash(&mut hasher);
            changed = [changed, stamp].into_iter().flatten().max_by_key(|stamp: &FileStamp| stamp.changed);
        }
        Self { file, beside: hasher.finish(), changed }
    }

    /// Whether the last change of any of them is younger than this.
    pub(super) fn are_younger_than(&self, age: Duration) -> bool {
        self.file.iter().chain(&self.changed).any(|stamp| stamp.is_younger_than(age))
    }
}

impl From<&Metadata> for FileStamp {
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

    /// The directories and names on the path to `path`, relative to `root`.
    fn watched(root: &Path, path: &str) -> (Vec<String>, Vec<(String, Role)>, Option<String>) {
        let root = fs::canonicalize(root).unwrap();
        let short = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        let watched = WatchedPath::to(&root.join(path));
        let mut names: Vec<_> = watched.names.iter().map(|(path, role)| (short(path), *role)).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        (
            watched.directories.iter().map(|(path, _)| short(path)).collect(),
            names,
            watched.file.as_ref().map(short),
        )
    }

    #[test]
    fn of_a_plain_file_only_its_directory_is_watched() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("lbd")).unwrap();
        let names = vec![("lbd/file".to_owned(), Role::File)];
        assert_eq!(watched(root.path(), "lbd/../lbd/file"), (vec!["lbd".to_owned()], names.clone(), None));
        fs::write(root.path().join("lbd/file"), "").unwrap();
        assert_eq!(
            watched(root.path(), "lbd/file"),
            (vec!["lbd".to_owned()], names, Some("lbd/file".to_owned()))
        );
    }

    #[test]
    fn a_missing_directory_is_watched_for_in_its_nearest_ancestor() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        let names = vec![("a/b".to_owned(), Role::Component)];
        assert_eq!(watched(root.path(), "a/b/c/file"), (vec!["a".to_owned()], names, None));
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
            ("map/..data".to_owned(), Role::Component),
            ("map/file".to_owned(), Role::Component),
        ];
        let directories = vec!["map".to_owned(), "map/..1".to_owned()];
        assert_eq!(watched(root.path(), "map/file"), (directories, names, Some("map/..1/file".to_owned())));
    }

    #[test]
    fn a_circle_of_symlinks_ends() {
        let root = tempfile::tempdir().unwrap();
        symlink("b", root.path().join("a")).unwrap();
        symlink("a", root.path().join("b")).unwrap();
        let (directories, names, _) = watched(root.path(), "a");
        assert_eq!((directories, names.len()), (vec![String::new()], 2));
    }
}
