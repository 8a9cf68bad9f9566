//! Finds out whether a configuration of keepalived has virtual servers, without trusting what it names.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::process::Process;
use crate::files::{UntrustedFileError, open_regular, read_limited};

/// What it reads unless it is given another file.
const DEFAULT: &str = "/etc/keepalived/keepalived.conf";
/// How deep files may include each other.
const DEPTH: usize = 5;
/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// The most entries of a directory that are looked at.
const ENTRIES: usize = 10_000;

/// What may still be read of configurations in one look at a host.
pub(super) struct Budget {
    bytes: u64,
    files: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 16 << 20, files: 1_000 }
    }
}

/// A configuration, and what is known of it.
pub(super) struct Configuration {
    /// The file's name, as the process was given it
    pub(super) file: PathBuf,
    /// Whether it has virtual servers, or why that could not be seen
    pub(super) has_virtual_servers: Result<bool, ConfigurationError>,
}

/// Why a configuration is not known.
#[derive(Debug)]
pub(super) enum ConfigurationError {
    /// Files include each other over more levels than are followed.
    TooDeep,
    /// It includes more files than are read.
    TooManyFiles,
    /// It includes files of a directory that has more entries than are listed.
    TooManyEntries,
    /// A file belongs to this user, who is not trusted.
    Owner(u32),
    /// Others than its owner may write a file.
    Writable,
    /// A file cannot be read.
    File(UntrustedFileError),
    /// A file or a directory cannot be looked at.
    Io(io::Error),
    /// An included file is not known.
    Included {
        /// Its name without the directory
        name: String,
        /// Why
        error: Box<ConfigurationError>,
    },
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => f.write_str("its files include each other too deep"),
            Self::TooManyFiles => f.write_str("it includes too many files"),
            Self::TooManyEntries => f.write_str("it includes files of a directory with too many entries"),
            Self::Owner(user) => write!(f, "it belongs to uid {user}"),
            Self::Writable => f.write_str("others than its owner may write it"),
            Self::File(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Included { name, .. } => write!(f, "{name}, which it includes"),
        }
    }
}

impl Error for ConfigurationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Included { error, .. } => Some(error),
            // Their text is this one's; a `UntrustedFileError` shows its cause, too.
            Self::File(error) => error.source().and_then(Error::source),
            Self::Io(error) => error.source(),
            Self::TooDeep | Self::TooManyFiles | Self::TooManyEntries | Self::Owner(_) | Self::Writable => {
                None
            }
        }
    }
}

impl From<io::Error> for ConfigurationError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<UntrustedFileError> for ConfigurationError {
    fn from(error: UntrustedFileError) -> Self {
        Self::File(error)
    }
}

/// Reads the configuration of a process that is believed to be keepalived. Files count only where they are `owner`'s and
/// nobody else may write them.
pub(super) fn configuration(process: &Process, owner: u32, budget: &mut Budget) -> Configuration {
    let words = process.arguments();
    let given = words.iter().enumerate().find_map(|(place, word)| {
        if let Some(file) = word.strip_prefix("--use-file=") {
            return Some(file.to_owned());
        }
        matches!(word.as_str(), "-f" | "--use-file").then(|| words.get(place + 1).cloned())?
    });
    let file = PathBuf::from(given.unwrap_or_else(|| DEFAULT.to_owned()));
    // Its files may be those of a container.
    let root = process.path().join("root");
    let start = if file.is_absolute() { root.clone() } else { process.path().join("cwd") };
    let inside = start.join(file.strip_prefix("/").unwrap_or(&file));
    let has_virtual_servers = Reader { root: &root, owner, budget }.has_virtual_server(&inside, 0);
    Configuration { file, has_virtual_servers }
}

/// The same for keepalived as its unit starts it, whose arguments are not known: by its default file in `etc`, on this host.
pub(super) fn configuration_of_unit(etc: &Path, owner: u32, budget: &mut Budget) -> Configuration {
    let root = etc.parent().unwrap_or(etc);
    let has_virtual_servers =
        Reader { root, owner, budget }.has_virtual_server(&etc.join("keepalived/keepalived.conf"), 0);
    Configuration { file: PathBuf::from(DEFAULT), has_virtual_servers }
}

struct Reader<'a> {
    root: &'a Path,
    owner: u32,
    budget: &'a mut Budget,
}

impl Reader<'_> {
    /// Whether a configuration, or a file that it includes, has virtual servers; the error says why that is not known.
    fn has_virtual_server(&mut self, file: &Path, depth: usize) -> Result<bool, ConfigurationError> {
        if depth > DEPTH {
            return Err(ConfigurationError::TooDeep);
        }
        for line in self.read(file)?.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("virtual_server") => return Ok(true),
                Some(word) if word.starts_with("include") => {
                    let pattern = words.next().unwrap_or_default();
                    let pattern = match pattern.strip_prefix('/') {
                        Some(inside) => self.root.join(inside),
                        None => file.parent().unwrap_or(self.root).join(pattern),
                    };
                    for included in matching(&pattern)? {
                        let name = included.file_name().unwrap_or_default().to_string_lossy();
                        let found = self.has_virtual_server(&included, depth + 1);
                        if found.map_err(|error| ConfigurationError::Included {
                            name: name.into_owned(),
                            error: Box::new(error),
                        })? {
                            return Ok(true);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }

    fn read(&mut self, path: &Path) -> Result<String, ConfigurationError> {
        let Some(files) = self.budget.files.checked_sub(1) else {
            return Err(ConfigurationError::TooManyFiles);
        };
        self.budget.files = files;
        let file = open_regular(path)?;
        let metadata = file.metadata()?;
        if metadata.uid() != self.owner {
            return Err(ConfigurationError::Owner(metadata.uid()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(ConfigurationError::Writable);
        }
        let limit = LONGEST.min(self.budget.bytes);
        let bytes = read_limited(&file, metadata.len(), limit)?;
        self.budget.bytes = self.budget.bytes.saturating_sub(bytes.len() as u64);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The files that a pattern names; a `*` may stand in its last part.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, ConfigurationError> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (Some((first, last)), Some(directory)) = (name.split_once('*'), pattern.parent()) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let mut files = Vec::new();
    for (number, entry) in fs::read_dir(directory)?.enumerate() {
        if number >= ENTRIES {
            return Err(ConfigurationError::TooManyEntries);
        }
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // A directory among them is none of keepalived's either.
        if name.starts_with(first) && name.ends_with(last) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}
