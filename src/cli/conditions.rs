//! Defines the options of the commands that set conditions: `drain`, `weight`, `undo`, `pause` and `try`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// What an override is about, and how long it lasts.
#[derive(Debug, Clone, Args)]
pub struct Lasting {
    /// The servers: `web/192.168.8.14` in one cluster, `192.168.8.14` in every cluster that has it, or a cluster's name for all of it
    #[arg(value_name = "SERVER")]
    pub name: String,

    /// How long: `90s`, `30m`, `2h` or `1d`, at most 30 days, or `ever`
    #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = term)]
    pub length: Term,

    /// Why, for those who see it in `lbd status`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,

    /// Do not ask where the last usable server of a service is taken out
    #[arg(long, short)]
    pub yes: bool,

    /// Bring it into the kernel by a pass of this command, where no daemon runs
    #[arg(long)]
    pub apply: bool,
}

/// How long an override lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// So long
    Limited(Duration),
    /// Until it is undone, or the file ends it
    Unlimited,
}

fn term(text: &str) -> Result<Term, &'static str> {
    if text == "ever" {
        return Ok(Term::Unlimited);
    }
    length(text)
        .map(Term::Limited)
        .map_err(|_| "expected a time from 1s to 30d, such as 90s, 30m, 2h or 1d, or `ever`")
}

/// Arguments of `drain`.
#[derive(Debug, Clone, Args)]
pub struct DrainOptions {
    /// What, how long and why
    #[command(flatten)]
    pub lasting: Lasting,

    /// Take the servers out of the table: clients with a persistence template move at once, too, and connections end
    #[arg(long)]
    pub hard: bool,

    /// Return when the connections are gone, or with 2 when the time is over
    #[arg(long)]
    pub wait: bool,
}

/// Arguments of `weight`.
#[derive(Debug, Clone, Args)]
pub struct WeightOptions {
    /// What, how long and why
    #[command(flatten)]
    pub lasting: Lasting,

    /// The weight, from 0 to 2147483647
    #[arg(value_name = "WEIGHT", value_parser = clap::value_parser!(u32).range(0..=2_147_483_647))]
    pub weight: u32,

    /// Let the servers have it whatever their checks say, as where a check is wrong
    #[arg(long)]
    pub despite_checks: bool,
}

/// Arguments of `undo`.
#[derive(Debug, Clone, Args)]
pub struct UndoOptions {
    /// What `drain` or `weight` was given
    #[arg(value_name = "SERVER", required_unless_present = "all")]
    pub names: Vec<String>,

    /// All of them
    #[arg(long, conflicts_with = "names")]
    pub all: bool,

    /// Bring it into the kernel by a pass of this command, where no daemon runs
    #[arg(long)]
    pub apply: bool,
}

/// Arguments of `pause`.
#[derive(Debug, Clone, Args)]
pub struct PauseOptions {
    /// Pause only these clusters: their services and servers
    #[arg(value_name = "CLUSTER")]
    pub clusters: Vec<String>,

    /// How long: `90s`, `30m`, `2h` or `1d`, at most 30 days
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = length)]
    pub length: Duration,

    /// Why, for those who see the pause in `lbd status`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,

    /// Let checks go on taking servers out of service and putting them back
    #[arg(long)]
    pub keep_checks: bool,
}

/// Arguments of `try`.
#[derive(Debug, Clone, Args)]
pub struct TryOptions {
    /// The file to be tried, a complete desired file; `-` is standard input
    #[arg(value_name = "NEW")]
    pub tried: PathBuf,

    /// Try it in place of this file, which the desired file includes, by its path from the directory of that file on
    #[arg(long, value_name = "FILE")]
    pub fragment: Option<PathBuf>,

    /// How long: `90s`, `2m` or `1h`, at most 30 days
    #[arg(long = "for", value_name = "TIME", default_value = "2m", value_parser = length)]
    pub length: Duration,

    /// Why, for those who see the trial in `lbd status`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: Option<String>,

    /// Go on also where an operation fails, or a service loses its last usable server
    #[arg(long)]
    pub keep_going: bool,

    /// Allow services to lose their last server with a weight above 0, and a file with no clusters; also once it is confirmed
    #[arg(long)]
    pub allow_empty: bool,

    /// Allow more deletions of services and servers than `policy.max_delete`; also once it is confirmed
    #[arg(long)]
    pub allow_deletes: bool,
}

/// How long a condition lasts; a bare number counts seconds, as in the file.
pub(super) fn length(text: &str) -> Result<Duration, &'static str> {
    const LONGEST: Duration = Duration::from_secs(30 * 24 * 3_600);
    let seconds = text.parse().map(Duration::from_secs).ok();
    let length = seconds.or_else(|| humantime::parse_duration(text).ok());
    length
        .filter(|length| (Duration::from_secs(1)..=LONGEST).contains(length))
        .ok_or("expected a time from 1s to 30d, such as 90s, 30m, 2h or 1d")
}

/// How long a server that leaves the file drains; a bare number counts seconds, as in the file.
pub(super) fn drain_length(text: &str) -> Result<Duration, &'static str> {
    if text == "0" { Ok(Duration::ZERO) } else { length(text) }
        .map_err(|_| "expected 0, or a time from 1s to 30d, such as 90s, 30m, 2h or 1d")
}

/// The reason of a condition: a line.
pub(super) fn reason(text: &str) -> Result<String, &'static str> {
    const LONGEST: usize = 200;
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err("expected one line of at most 200 characters");
    }
    Ok(text.to_owned())
}
