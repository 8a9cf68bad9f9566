//! Reads the desired file from a directory of this host, which another program writes.

use std::path::Path;

use super::{Content, SourceError};
use crate::agent::settings::DirectorySettings;
use crate::config::{ReadCause, ReadError, read_alone};
use crate::error_chain::ErrorChain;
use crate::files::sha256;

/// A directory of desired files. A revision is the digest of the file of this director (SHA-256): the directory has no others.
#[derive(Debug, Clone)]
pub struct Directory {
    settings: DirectorySettings,
}

impl Directory {
    /// Nothing is read yet.
    pub fn new(settings: DirectorySettings) -> Self {
        Self { settings }
    }

    /// The revision of the file that is there now.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub(super) async fn newest(&mut self) -> Result<String, SourceError> {
        self.read().await.map(|content| content.revision)
    }

    /// The file that is there now, if it is the one of this revision.
    ///
    /// # Errors
    /// Where it is another one as yet, there is none, or it cannot be read.
    pub(super) async fn content(&mut self, revision: &str) -> Result<Content, SourceError> {
        let content = self.read().await?;
        if content.revision == revision {
            return Ok(content);
        }
        let (path, is) = (content.path, content.revision);
        // It may come yet.
        Err(SourceError::Unreachable(format!("{path} is revision {is}, not {revision}")))
    }

    async fn read(&self) -> Result<Content, SourceError> {
        let settings = self.settings.clone();
        // A file that is being written is waited for.
        let read = tokio::task::spawn_blocking(move || first_of(&settings)).await;
        read.unwrap_or_else(|error| Err(SourceError::Unreachable(error.to_string())))
    }
}

/// The first file that exists.
fn first_of(settings: &DirectorySettings) -> Result<Content, SourceError> {
    let directory = settings.path.display();
    if !settings.path.is_dir() {
        return Err(SourceError::Unreachable(format!("{directory} is not there, or not a directory")));
    }
    for path in &settings.paths {
        match read_alone(&settings.path.join(path)) {
            Ok(source) => {
                let revision = sha256(&source.text);
                return Ok(Content { revision, path: path.clone(), text: source.text });
            }
            Err(ReadError { cause: ReadCause::Missing, .. }) => {}
            Err(error) => return Err(unreadable(&settings.path.join(path), &error)),
        }
    }
    Err(SourceError::Missing(format!("{directory} has no {}", settings.paths.join(" and no "))))
}

fn unreadable(path: &Path, error: &ReadError) -> SourceError {
    match &error.cause {
        ReadCause::Io(cause) => SourceError::Unreachable(format!("{}: {cause}", path.display())),
        ReadCause::StillWritten => SourceError::Unreachable(error.to_string()),
        ReadCause::NotFile(what) => SourceError::Refused(format!("{} is {what}", path.display())),
        _ => SourceError::Refused(ErrorChain(error).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_first_file_that_exists_is_the_revision() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let settings = DirectorySettings {
            path: path("files"),
            paths: vec!["lb1.yaml".to_owned(), "desired.yaml".to_owned()],
            interval: Duration::from_secs(30),
        };
        let shown = path("files").display().to_string();
        let mut source = Directory::new(settings);
        let error = |error: SourceError| match error {
            SourceError::Unreachable(text) => format!("unreachable: {text}"),
            SourceError::Refused(text) => format!("refused: {text}"),
            SourceError::Missing(text) => format!("missing: {text}"),
            SourceError::Etcd(error) => format!("{error:?}"),
        };
        let gone = format!("unreachable: {shown} is not there, or not a directory");
        assert_eq!(source.newest().await.map_err(error), Err(gone));
        fs::create_dir(path("files")).unwrap();
        let none = format!("missing: {shown} has no lb1.yaml and no desired.yaml");
        assert_eq!(source.newest().await.map_err(error), Err(none));
        let write = |name: &str, text: &str| {
            fs::write(path("files").join(name), text).unwrap();
            let file = fs::File::options().write(true).open(path("files").join(name)).unwrap();
            // Not a file that may still be in the making.
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        };
        write("desired.yaml", "abc");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(source.newest().await.map_err(error), Ok(abc.to_owned()));
        let content =
            |path: &str| Content { revision: abc.to_owned(), path: path.to_owned(), text: "abc".to_owned() };
        assert_eq!(source.content(abc).await.map_err(error), Ok(content("desired.yaml")));
        write("lb1.yaml", "abc");
        assert_eq!(source.content(abc).await.map_err(error), Ok(content("lb1.yaml")));
        write("lb1.yaml", "");
        let other = format!("unreachable: lb1.yaml is revision {}, not {abc}", sha256(""));
        assert_eq!(source.content(abc).await.map_err(error), Err(other));
        fs::remove_file(path("files/lb1.yaml")).unwrap();
        fs::create_dir(path("files/lb1.yaml")).unwrap();
        let refused = format!("refused: {shown}/lb1.yaml is a directory");
        assert_eq!(source.newest().await.map_err(error), Err(refused));
    }
}
