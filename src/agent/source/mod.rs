//! Where the desired file of a director comes from.

mod directory;
mod error;
mod etcd;
mod git;

use std::path::Path;

pub use self::directory::Directory;
pub use self::error::SourceError;
pub use self::etcd::{EtcdSource, files_of};
pub use self::git::Git;

use super::settings::{Settings, SourceSettings};

/// The desired file of a director in a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The revision
    pub revision: String,
    /// Where the file is in it
    pub path: String,
    /// The file
    pub text: String,
}

/// The source of a director.
pub enum ContentSource {
    /// A repository of git
    Git(Box<Git>),
    /// What `lbd fleet push` has put into etcd
    Etcd(Box<EtcdSource>),
    /// A directory of this host
    Directory(Directory),
}

impl ContentSource {
    /// That of this director; what it keeps is below `directory`.
    pub fn new(settings: &Settings, directory: &Path) -> Self {
        match &settings.source {
            SourceSettings::Git(git) => Self::Git(Box::new(Git::new(git.clone(), directory.to_owned()))),
            SourceSettings::Etcd(etcd) => Self::Etcd(Box::new(EtcdSource::new(settings, etcd))),
            SourceSettings::Directory(files) => Self::Directory(Directory::new(files.clone())),
        }
    }

    /// Looks for the newest revision that may be taken.
    ///
    /// # Errors
    /// Where there is none, or it is not known.
    pub async fn newest(
        &mut self,
        applied: Option<&str>,
        allowed_rewind: Option<&str>,
    ) -> Result<String, SourceError> {
        match self {
            Self::Git(git) => git.newest(applied, allowed_rewind).await,
            Self::Etcd(etcd) => etcd.newest().await,
            Self::Directory(directory) => directory.newest().await,
        }
    }

    /// The file of this director in a revision. With `is_rollback` the revision may be an older one.
    ///
    /// # Errors
    /// Where there is none, or it may not be taken, or the source does not answer.
    pub async fn content(
        &mut self,
        revision: &str,
        applied: Option<&str>,
        is_rollback: bool,
    ) -> Result<Content, SourceError> {
        match self {
            Self::Git(git) => git.content(revision, applied, is_rollback).await,
            Self::Etcd(etcd) => etcd.content(revision).await,
            Self::Directory(directory) => directory.content(revision).await,
        }
    }
}
