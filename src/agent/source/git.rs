//! A repository of git.

use std::path::PathBuf;

use super::{Content, SourceError};
use crate::agent::settings::GitSettings;

/// A repository of git.
pub struct Git;

impl Git {
    /// Nothing is fetched yet.
    pub fn new(_settings: GitSettings, _directory: PathBuf) -> Self {
        Self
    }

    pub(super) async fn newest(&mut self, _: Option<&str>, _: Option<&str>) -> Result<String, SourceError> {
        Err(SourceError::Unreachable("git".to_owned()))
    }

    pub(super) async fn content(
        &mut self,
        _: &str,
        _: Option<&str>,
        _: bool,
    ) -> Result<Content, SourceError> {
        Err(SourceError::Unreachable("git".to_owned()))
    }
}
