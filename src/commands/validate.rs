//! `lbd validate`: checks the file; needs no kernel and no privileges.

use super::{Console, DONE, Stop, TROUBLE, inputs};
use crate::cli::{Arguments, ReportOutput, Validate};
use crate::config::Problems;
use crate::report::count;

pub(super) fn run(arguments: &Arguments, options: &Validate, console: &mut Console<'_>) -> Result<u8, Stop> {
    match (inputs::desired(&arguments.file), options.output) {
        (Ok((source, desired)), ReportOutput::Text) => {
            let services = desired.state.services.len();
            let servers = desired.state.services.values().map(|service| service.servers.len()).sum();
            writeln!(
                console.out,
                "{}: valid: {}, {}",
                source.name,
                count(services, "virtual service"),
                count(servers, "real server")
            )?;
            Ok(DONE)
        }
        (Ok((source, _)), ReportOutput::Json) => {
            writeln!(console.out, "{:#}", Problems::none(source).json())?;
            Ok(DONE)
        }
        (Err(Stop::Invalid(problems)), ReportOutput::Json) => {
            writeln!(console.out, "{:#}", problems.json())?;
            Ok(TROUBLE)
        }
        (Err(Stop::Unreadable(error)), ReportOutput::Json) => {
            writeln!(console.out, "{:#}", Problems::unreadable(&error).json())?;
            Ok(TROUBLE)
        }
        (Err(stop), _) => Err(stop),
    }
}
