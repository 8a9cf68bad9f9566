//! Finds a daemon that keeps another file than the one that a command was given, and would undo the command.

use std::fmt;
use std::fs;
use std::path::{self, Path};

use crate::status::Writer;
use crate::store::Store;

/// A daemon that keeps another file. `Display` says what it will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFile {
    /// The process
    daemon: String,
    /// Its file
    file: String,
}

impl fmt::Display for OtherFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keeps {} and will undo this", self.daemon, self.file)
    }
}

/// The daemon of this state directory, if one runs and keeps another file than `file`. Where it is not known which one it keeps,
/// the command goes on.
pub(super) fn other_file(file: &Path, store: &Store) -> Option<OtherFile> {
    let daemon = store.daemon().ok()??;
    let status = store.load_status().ok()??;
    // The status may be that of an earlier process.
    let is_its_own = |Writer { process, .. }: &Writer| daemon == format!("process {process}");
    if status.writer.as_ref().is_some_and(|writer| !is_its_own(writer)) {
        return None;
    }
    // An older lbd wrote the name as it was given, relative to a directory that is not known.
    if !Path::new(&status.file).is_absolute() || is_same(file, &status.file) {
        return None;
    }
    Some(OtherFile { daemon, file: status.file })
}

/// Whether two names are of one file. Standard input is never a file that a daemon keeps.
fn is_same(file: &Path, kept: &str) -> bool {
    if file == Path::new("-") {
        return false;
    }
    let is_named_so = path::absolute(file).is_ok_and(|file| file.to_string_lossy() == kept);
    let resolved = fs::canonicalize(file).and_then(|file| Ok(file == fs::canonicalize(kept)?));
    is_named_so || resolved.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process;

    use super::*;
    use crate::status::Status;

    // `lbd apply -f OTHER` said "verified", and the daemon undid it half a minute later.
    #[test]
    fn a_daemon_that_keeps_another_file_is_found_and_one_that_keeps_the_same_by_another_name_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/kept.yaml"), "").unwrap();
        fs::write(path("other.yaml"), "").unwrap();
        symlink("folder/kept.yaml", path("link.yaml")).unwrap();
        let store = Store::new(&path("state"), None).unwrap();
        let found = |name: &str| other_file(&path(name), &store);
        let kept = path("link.yaml").to_string_lossy().into_owned();
        store.save_status(&Status { file: kept.clone(), ..Status::default() }).unwrap();
        assert_eq!(found("other.yaml"), None);

        let daemon = store.lock_daemon("run").unwrap();
        let another = OtherFile { daemon: format!("process {}", process::id()), file: kept.clone() };
        assert_eq!(another.to_string(), format!("process {} keeps {kept} and will undo this", process::id()));
        for (name, expected) in [
            ("other.yaml", Some(&another)),
            ("missing.yaml", Some(&another)),
            ("link.yaml", None),
            ("folder/kept.yaml", None),
            ("folder/../link.yaml", None),
        ] {
            assert_eq!(found(name).as_ref(), expected, "{name}");
        }
        assert_eq!(other_file(Path::new("-"), &store), Some(another));

        // An older lbd wrote a relative name.
        store.save_status(&Status { file: "desired.yaml".into(), ..Status::default() }).unwrap();
        assert_eq!(found("other.yaml"), None);
        drop(daemon);
        // A command that must not run beside a daemon is none.
        store.save_status(&Status { file: kept, ..Status::default() }).unwrap();
        let _teardown = store.lock_daemon("teardown").unwrap();
        assert_eq!(found("other.yaml"), None);
    }
}
