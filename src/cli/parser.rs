//! Reads the words of a command line, and decides which of the options of all commands each command lists.

use std::ffi::OsString;

use clap::{Arg, CommandFactory, FromArgMatches};

use super::{Arguments, tips};

impl Arguments {
    /// Parses the words of a command line, the name of the program first.
    ///
    /// # Errors
    /// Where they are not valid, or ask for help or the version.
    pub fn from_words(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<OsString> = words.into_iter().collect();
        let mut parser = Self::command();
        for option in options_of_all(&parser) {
            let hidden = option.global(false).hide(true);
            for command in names(&parser).iter().filter(|command| !uses(command, &hidden)) {
                parser = parser.mut_subcommand(command, |command| accepting(command, &hidden));
            }
        }
        let names = names(&parser);
        let typed = words.iter().skip(1).filter_map(|word| word.to_str());
        let command = typed.into_iter().find_map(|word| names.iter().find(|name| *name == word));
        parser
            .try_get_matches_from(&words)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| tips::add(error, command.map(String::as_str)))
    }

    /// The command line as completions list it: each command with the options that it uses.
    pub fn completed() -> clap::Command {
        let all = Self::command();
        // A hidden command would be listed, too.
        let listed = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
        let mut completed = clap::Command::new("lbd")
            .version(env!("CARGO_PKG_VERSION"))
            .long_about(all.get_long_about().cloned().unwrap_or_default())
            .args(all.get_arguments().cloned())
            .subcommands(listed);
        for option in options_of_all(&completed) {
            let option = option.global(false);
            completed = completed.mut_arg(option.get_id(), |option| option.global(false));
            for command in names(&completed).iter().filter(|command| uses(command, &option)) {
                completed = completed.mut_subcommand(command, |command| command.arg(option.clone()));
            }
        }
        completed
    }
}

/// The command, and all of its own, with one more option.
fn accepting(command: clap::Command, option: &Arg) -> clap::Command {
    command.arg(option.clone()).mut_subcommands(|command| accepting(command, option))
}

/// Whether a command uses an option of all commands. The others accept it, since scripts pass it to each, and do not list it.
fn uses(command: &str, option: &Arg) -> bool {
    match command {
        "schema" | "completions" | "man" => false,
        // The agent has a directory of its own.
        "agent" => option.get_id() != "state_dir",
        "fleet" => false,
        "check" => option.get_id() == "file",
        "checker" => option.get_id() == "run_dir",
        // What is probed is no matter of these.
        "validate" | "overrides" | "connections" | "zero" if option.get_id() == "run_dir" => false,
        "teardown" | "resume" | "export" | "overrides" | "history" => option.get_id() != "file",
        _ => true,
    }
}

fn options_of_all(parser: &clap::Command) -> Vec<Arg> {
    parser.get_arguments().filter(|option| option.is_global_set()).cloned().collect()
}

fn names(parser: &clap::Command) -> Vec<String> {
    parser.get_subcommands().map(|command| command.get_name().to_owned()).collect()
}
