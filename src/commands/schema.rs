//! `lbd schema`: writes the JSON Schema of the desired file.

use std::io::Write;

use super::{CommandError, Console, DONE};
use crate::config;

pub(super) fn run(console: &mut Console<'_>) -> Result<u8, CommandError> {
    console.out.write_all(config::schema().as_bytes())?;
    Ok(DONE)
}
