//! Puts a text into the place of the desired file: a copy beside it, with its owner and mode, that is renamed once it is complete on disk.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use crate::files::{AGENT_FILE, beside};

/// The mode of a desired file where there was none.
const MODE: u32 = 0o644;

/// Why a text did not become the desired file. `Display` says what to do.
#[derive(Debug)]
pub enum InstallError {
    /// The desired file is a link to a file in another directory, where another program may write it.
    Elsewhere(PathBuf),
    /// The desired file is a link to the one that an agent puts into place.
    OfAgent(PathBuf),
    /// The copy cannot be made or put into place.
    Copy {
        /// The copy
        copy: PathBuf,
        /// The cause
        cause: io::Error,
    },
    /// Another program has changed the desired file meanwhile.
    Changed,
    /// The copy has changed since it was checked and shown.
    CopyChanged,
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere(target) => write!(
                f,
                "the desired file is a link to {}, in another directory; change it where it comes from, or name that file: `-f {}`",
                target.display(),
                target.display()
            ),
            Self::OfAgent(target) => write!(
                f,
                "the desired file is that of the fleet, a link to {}, which lbd-agent replaces; change it where the fleet has it, or make it a plain file \
                 for a time first: `lbd agent pause --for 2h`, and `lbd agent resume` afterwards",
                target.display()
            ),
            Self::Copy { copy, cause: _ } => write!(f, "{}", copy.display()),
            Self::Changed => f.write_str(
                "another program has changed the desired file meanwhile; nothing was changed; compare both, and try it again",
            ),
            Self::CopyChanged => f.write_str(
                "the copy has changed since it was checked and shown; nothing was changed; let the editor end before (its option to wait), \
                 and edit the file again",
            ),
        }
    }
}

impl std::error::Error for InstallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Copy { cause, .. } => Some(cause),
            Self::Elsewhere(_) | Self::OfAgent(_) | Self::Changed | Self::CopyChanged => None,
        }
    }
}

/// A copy beside the desired file. It is removed again, unless it is kept or installed.
pub(super) struct Copy {
    /// Where it is
    pub(super) path: PathBuf,
    /// Whether it stays when this is dropped
    pub(super) is_kept: bool,
}

impl Copy {
    /// Makes one of a text, with the owner and the mode of the desired file. `file` is a path without links.
    pub(super) fn of(file: &Path, text: &str) -> Result<Self, InstallError> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Editors know the language by the end of the name.
        let path = file.with_file_name(format!(".{name}.{}.yaml", process::id()));
        let copy = Self { path, is_kept: false };
        copy.write(file, text).map_err(|cause| copy.error(cause))?;
        Ok(copy)
    }

    fn error(&self, cause: io::Error) -> InstallError {
        InstallError::Copy { copy: self.path.clone(), cause }
    }

    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        copy.write_all(text.as_bytes())?;
        if beside::take_rights(&copy, file)? {
            return Ok(());
        }
        copy.set_permissions(Permissions::from_mode(MODE))
    }

    /// Renames it into the place of the desired file, complete on disk before.
    pub(super) fn install(mut self, file: &Path) -> Result<(), InstallError> {
        self.is_kept = true;
        // An editor may have written a new file.
        let installed = File::open(&self.path).and_then(|copy| beside::install(&copy, &self.path, file));
        installed.map_err(|cause| self.error(cause))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The desired file itself, by a path without links; it need not exist.
pub(super) fn place(file: &Path) -> Result<PathBuf, InstallError> {
    let error = |cause| InstallError::Copy { copy: file.to_owned(), cause };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = fs::canonicalize(parent).map_err(error)?;
    match fs::canonicalize(file) {
        Ok(target) if target.parent() == Some(&directory) => Ok(target),
        Ok(target) => Err(elsewhere(target, Path::new(AGENT_FILE))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && !file.is_symlink() => {
            Ok(directory.join(file.file_name().unwrap_or_default()))
        }
        Err(cause) => Err(error(cause)),
    }
}

/// Why a desired file cannot be replaced that is a link to this file in another directory.
fn elsewhere(target: PathBuf, agent_file: &Path) -> InstallError {
    // (Links on the way to the directory are followed in both.)
    match fs::canonicalize(agent_file) {
        Ok(of_agent) if of_agent == target => InstallError::OfAgent(target),
        Ok(_) | Err(_) => InstallError::Elsewhere(target),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_to_the_file_of_an_agent_names_what_makes_it_a_plain_file() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        for name in ["agent", "etc"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        symlink("agent", root.join("lib")).unwrap();
        for name in ["agent/desired.yaml", "agent/other.yaml"] {
            fs::write(root.join(name), "").unwrap();
        }
        let message = |target: &str, agent_file: &str| {
            elsewhere(root.join(target), &root.join(agent_file))
                .to_string()
                .replace(&*root.to_string_lossy(), "")
        };
        let of_agent = "the desired file is that of the fleet, a link to /agent/desired.yaml, which lbd-agent replaces; change it where the fleet has \
                        it, or make it a plain file for a time first: `lbd agent pause --for 2h`, and `lbd agent resume` afterwards";
        assert_eq!(message("agent/desired.yaml", "agent/desired.yaml"), of_agent);
        assert_eq!(message("agent/desired.yaml", "lib/desired.yaml"), of_agent);
        let elsewhere = "the desired file is a link to /agent/other.yaml, in another directory; change it where it comes from, or name that file: \
                         `-f /agent/other.yaml`";
        assert_eq!(message("agent/other.yaml", "agent/desired.yaml"), elsewhere);
        assert_eq!(message("agent/other.yaml", "none/desired.yaml"), elsewhere);
    }
}
