//! `lbd schema`: writes the JSON Schema of the desired file, or of the files that it includes.

use std::io::Write;

use super::{CommandError, Console, DONE};
use crate::config;

pub(super) fn run(is_fragment: bool, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let schema = if is_fragment { config::fragment_schema() } else { config::schema() };
    console.out.write_all(schema.as_bytes())?;
    Ok(DONE)
}
