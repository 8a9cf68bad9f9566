//! Runs the commands of `lbd-agent`, one file each.

mod error;
mod fleet;
mod link;
mod run;
mod show;
mod small;

use std::io::Write;

use crate::cli::{AgentCommand, AgentOptions, Arguments, Command};
use crate::commands::{CommandError, Console};

pub use self::error::AgentError;

/// Carries out a command of `agent` or `fleet`; gives its exit code.
///
/// # Errors
/// Why the command ended early; its exit code is 2 then.
pub fn run(arguments: &Arguments, console: &mut Console<'_>) -> Result<u8, AgentError> {
    let code = match &arguments.command {
        Command::Agent(options) => agent(arguments, options, console)?,
        Command::Fleet(options) => fleet::run(options, console)?,
        _ => return Err(AgentError::OtherCommand),
    };
    console.out.flush().map_err(CommandError::from)?;
    Ok(code)
}

fn agent(arguments: &Arguments, options: &AgentOptions, console: &mut Console<'_>) -> Result<u8, AgentError> {
    match &options.command {
        AgentCommand::Run { log_level } => run::run(arguments, options, log_level.as_deref()),
        AgentCommand::Status { output } => show::status(arguments, options, *output, console),
        AgentCommand::Metrics { output } => show::metrics(arguments, options, output.as_deref(), console),
        AgentCommand::Validate { output } => small::validate(options, *output, console),
        AgentCommand::Sync => small::sync(options, console),
        AgentCommand::Pause { length, reason } => {
            link::pause(arguments, options, *length, reason.as_deref(), console)
        }
        AgentCommand::Resume { due } => link::resume(arguments, options, *due, console),
        AgentCommand::Enable { no_start } => link::enable(arguments, options, *no_start, console),
        AgentCommand::Disable { no_stop } => link::disable(arguments, options, *no_stop, console),
        AgentCommand::AllowRewind { commit } => small::allow_rewind(options, commit, console),
    }
}
