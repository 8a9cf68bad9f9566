//! Writes and reads JSON files that count only in the boot and the network namespace in which they were written.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::error::{FileCause, FileError};
use super::origin::Origin;
use super::seal::{self, SealError};

/// Why a bound file cannot be used. `Display` names the file.
#[derive(Debug)]
pub enum BoundFileError {
    /// It cannot be read, or not be trusted.
    File(FileError),
    /// It is not what was written, or a newer lbd wrote it.
    Content(PathBuf, SealError),
}

impl fmt::Display for BoundFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Content(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BoundFileError {}

impl From<FileError> for BoundFileError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// A file of a directory that is bound to its origin.
#[derive(Debug, Clone, Copy)]
pub struct BoundFile {
    /// Its name
    pub name: &'static str,
    /// The newest version that is read, and that is written; at least 2, since version 1 has no checksum
    pub version: u32,
    /// How long it is at most, in bytes
    pub limit: u64,
}

/// What is in the file, beside its version and its checksum.
#[derive(Serialize, Deserialize)]
struct Content<T> {
    boot: String,
    namespace: String,
    cookie: Option<u64>,
    content: T,
}

impl BoundFile {
    /// Writes the file of a process of this origin.
    ///
    /// # Errors
    /// Where it would be too long, or cannot be written.
    pub fn write(
        &self,
        directory: &Directory,
        origin: &Origin,
        content: &impl Serialize,
    ) -> Result<(), FileError> {
        let Origin { boot, namespace, cookie } = origin.clone();
        let text = seal::compact_json(self.version, &Content { boot, namespace, cookie, content });
        let error = |cause| FileError::new(directory.path().join(self.name), cause);
        let text = text.map_err(|cause| error(FileCause::Io(io::Error::from(cause))))?;
        if text.len() as u64 > self.limit {
            return Err(error(FileCause::TooLarge(self.limit)));
        }
        directory.replace(self.name, |file| file.write_all(&text))
    }

    /// Reads the file; `None` where there is none, or where it comes from another boot or network namespace.
    ///
    /// # Errors
    /// Where it is there and cannot be read, cannot be trusted, or is not what was written.
    pub fn read<T: DeserializeOwned>(
        &self,
        directory: &Directory,
        origin: &Origin,
    ) -> Result<Option<T>, BoundFileError> {
        let Some(text) = directory.read(self.name, self.limit)? else { return Ok(None) };
        self.parse(&text, origin)
            .map_err(|error| BoundFileError::Content(directory.path().join(self.name), error))
    }

    /// Reads the content of the file.
    ///
    /// # Errors
    /// Where it is not what was written.
    pub fn parse<T: DeserializeOwned>(&self, text: &[u8], origin: &Origin) -> Result<Option<T>, SealError> {
        seal::check_json(text, self.version)?;
        let read: Content<T> =
            serde_json::from_slice(text).map_err(|error| SealError::Corrupt(error.to_string()))?;
        let Content { boot, namespace, cookie, content } = read;
        let its = Origin { boot, namespace, cookie };
        Ok(its.is(origin).then_some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_in_its_own_boot_and_namespace_alone() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Directory::new(directory.path());
        let file = BoundFile { name: "a.json", version: 2, limit: 200 };
        let here = Origin { boot: "this".into(), namespace: "4:1".into(), cookie: Some(7) };
        let read = |origin: &Origin| {
            file.read::<Vec<u32>>(&directory, origin)
                .map_err(|error| error.to_string().replace(directory.path().to_str().unwrap(), "DIR"))
        };
        assert_eq!(read(&here), Ok(None));
        file.write(&directory, &here, &[1, 2]).unwrap();
        assert_eq!(read(&here), Ok(Some(vec![1, 2])));
        for other in [
            Origin { boot: "another".into(), ..here.clone() },
            Origin { namespace: "4:2".into(), ..here.clone() },
            Origin { cookie: Some(8), ..here.clone() },
        ] {
            assert_eq!(read(&other), Ok(None));
        }
        // What would not be read is not written.
        assert!(file.write(&directory, &here, &vec![1; 100]).is_err());
        assert_eq!(read(&here), Ok(Some(vec![1, 2])));
        std::fs::write(directory.path().join("a.json"), "{}").unwrap();
        assert_eq!(read(&here), Err("DIR/a.json: missing field `boot` at line 1 column 2".to_owned()));
    }
}
