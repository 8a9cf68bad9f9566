//! `lbd schema`: writes the JSON Schema of the desired file, of the files that it includes, or of the replies of the socket.

use std::io::Write;

use super::{CommandError, Console, DONE};
use crate::{api, config};

pub(super) fn run(is_fragment: bool, is_api: bool, console: &mut Console<'_>) -> Result<u8, CommandError> {
    let schema = match (is_fragment, is_api) {
        (true, _) => config::fragment_schema(),
        (false, true) => api::schema(),
        (false, false) => config::schema(),
    };
    console.out.write_all(schema.as_bytes())?;
    Ok(DONE)
}
