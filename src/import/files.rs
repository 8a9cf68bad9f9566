//! The files that a configuration includes: how they are found and read.

use std::path::{Path, PathBuf};

use crate::config;

/// Where included files come from.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read, as a sentence without its name.
    fn read(&self, path: &Path) -> Result<String, String>;

    /// The names in a directory, in any order; none where it cannot be read.
    fn names(&self, directory: &Path) -> Vec<String>;

    /// Whether there is such a file or directory.
    fn exists(&self, path: &Path) -> bool;
}

/// The files of this host.
#[derive(Debug, Clone, Copy)]
pub struct HostFiles;

/// How many names of a directory are read.
const MOST: usize = 10_000;

impl Files for HostFiles {
    fn read(&self, path: &Path) -> Result<String, String> {
        let source = config::read(path).map_err(|error| {
            let text = error.to_string();
            let name = format!("{}: ", path.display());
            text.strip_prefix(&name).unwrap_or(&text).to_owned()
        })?;
        Ok(source.text)
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let directory = if directory == Path::new("") { Path::new(".") } else { directory };
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let names = entries.take(MOST).filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// A configuration that includes nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> Result<String, String> {
        Err("there is no such file".to_owned())
    }

    fn names(&self, _: &Path) -> Vec<String> {
        Vec::new()
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }
}

/// A path inside of a directory, or by itself where it is absolute.
pub(super) fn inside(directory: &Path, path: &str) -> PathBuf {
    directory.join(path)
}
