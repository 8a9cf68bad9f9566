//! `lbd validate`: checks the file; needs neither a kernel nor privileges, unless it checks the host as well.

use std::io::{self, Write};

use super::advice::Detail;
use super::{CommandError, Console, DONE, ERROR, advice, inputs};
use crate::advice::{Advice, undrainable, unused_checks};
use crate::cli::{Arguments, ReportOutput, Validate};
use crate::config::Diagnostics;
use crate::escape;
use crate::model::Desired;
use crate::progress::Progress;
use crate::reconcile::{self, StateDiff};
use crate::report::{self, count};

pub(super) fn run(
    arguments: &Arguments,
    options: &Validate,
    console: &mut Console<'_>,
) -> Result<u8, CommandError> {
    match (inputs::desired(&arguments.file, &console.progress), options.output) {
        (Ok((source, desired)), output) => {
            let mut warnings = match options.host {
                true => look(arguments, &desired, console),
                false => advice::of_the_file(&desired),
            };
            let more = undrainable(&desired, &warnings);
            warnings.extend(more);
            warnings.extend(unused_checks(&desired));
            match output {
                ReportOutput::Text => {
                    let in_full =
                        if options.host { "lbd validate --host --verbose" } else { "lbd validate --verbose" };
                    let services = desired.state.services.len();
                    let servers = desired.state.services.values().map(|service| service.servers.len()).sum();
                    let included = match source.parts().len() {
                        0 | 1 => String::new(),
                        parts => format!(" with {}", count(parts - 1, "included file")),
                    };
                    writeln!(
                        console.out,
                        "{}{included}: valid: {}, {}",
                        escape::text(&source.name),
                        count(services, "virtual service"),
                        count(servers, "real server")
                    )?;
                    report::checks_text(console.out, &desired)?;
                    console.out.flush()?;
                    advice::print(&warnings, Detail::of(options.verbose, in_full), console);
                }
                ReportOutput::Json => {
                    let mut document = Diagnostics::none(source).json();
                    if let Some(keys) = document.as_object_mut() {
                        keys.extend(report::checks_json(&desired));
                        if !warnings.is_empty() {
                            keys.insert("warnings".to_owned(), report::warnings_json(&warnings).into());
                        }
                    }
                    write(console, &document)?;
                }
            }
            Ok(if options.strict && !warnings.is_empty() { ERROR } else { DONE })
        }
        (Err(CommandError::Invalid(problems)), ReportOutput::Json) => {
            write(console, &problems.json())?;
            Ok(ERROR)
        }
        (Err(CommandError::Unreadable(error)), ReportOutput::Json) => {
            write(console, &Diagnostics::unreadable(&error).json())?;
            Ok(ERROR)
        }
        (Err(error), _) => Err(error),
    }
}

fn write(console: &mut Console<'_>, document: &serde_json::Value) -> io::Result<()> {
    escape::json(console.out, document)?;
    writeln!(console.out)
}

/// Warnings about this host. Where the kernel's table cannot be read, the rest is checked all the same.
fn look(arguments: &Arguments, desired: &Desired, console: &mut Console<'_>) -> Vec<Advice> {
    // First, since reading the table loads the module, and only then are the settings of IPVS there.
    let comparison = compare(arguments, desired, &console.progress).map_err(|error| error.line());
    let host = advice::look(&desired.state, &arguments.file, console);
    match comparison {
        Ok(comparison) => advice::of(desired, &host, &comparison),
        Err(reason) => {
            console.note(format_args!("not compared with the live table: {reason}"));
            advice::without_plan(desired, &host)
        }
    }
}

fn compare(arguments: &Arguments, desired: &Desired, progress: &Progress) -> Result<StateDiff, CommandError> {
    let record = inputs::store(arguments)?.load().unwrap_or_default();
    let live = inputs::live(&reconcile::question(desired, &record), progress)?;
    Ok(StateDiff::new(live, desired, None, &record))
}
