//! A directory of this host, which another program writes.

use super::{Content, SourceError};
use crate::agent::settings::DirectorySettings;
use crate::files::{UntrustedFileError, read_regular, sha256};

/// The largest file, in bytes: that of a desired file.
const LARGEST: u64 = 32 << 20;

/// A directory of desired files. A revision is the digest of the file of this director.
#[derive(Debug, Clone)]
pub struct Directory {
    settings: DirectorySettings,
}

impl Directory {
    /// Nothing is read yet.
    pub fn new(settings: DirectorySettings) -> Self {
        Self { settings }
    }

    fn read(&self) -> Result<(String, String), SourceError> {
        for name in &self.settings.paths {
            let path = self.settings.path.join(name);
            match read_regular(&path, LARGEST) {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes).map_err(|_| {
                        SourceError::Refused(format!("{}: is not text in UTF-8", path.display()))
                    })?;
                    return Ok((path.display().to_string(), text));
                }
                Err(UntrustedFileError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(SourceError::Refused(format!("{}: {error}", path.display()))),
            }
        }
        let (directory, paths) = (self.settings.path.display(), self.settings.paths.join(" or "));
        Err(SourceError::Missing(format!("{directory} has no {paths}")))
    }

    pub(super) async fn newest(&mut self) -> Result<String, SourceError> {
        self.read().map(|(_, text)| sha256(&text))
    }

    pub(super) async fn content(&mut self, revision: &str) -> Result<Content, SourceError> {
        let (path, text) = self.read()?;
        match sha256(&text) == revision {
            true => Ok(Content { revision: revision.to_owned(), path, text }),
            false => {
                Err(SourceError::Missing(format!("{path}: has another content than revision {revision}")))
            }
        }
    }
}
