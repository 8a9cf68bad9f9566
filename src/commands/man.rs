//! `lbd man`: writes the man pages into a directory.

use std::fs;
use std::path::Path;

use super::history::WriteError;
use super::{CommandError, DONE};
use crate::cli::ManPage;

pub(super) fn run(directory: &Path) -> Result<u8, CommandError> {
    for page in ManPage::all()? {
        let path = directory.join(page.name);
        fs::write(&path, page.text).map_err(|cause| CommandError::WriteOut(WriteError::new(path, cause)))?;
    }
    Ok(DONE)
}
