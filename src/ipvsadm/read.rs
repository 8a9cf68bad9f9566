//! Reads what `ipvsadm -S` saved, or a script of `ipvsadm` commands, into a state, and names each line that it cannot.

use std::collections::HashMap;
use std::fmt;

use super::ServiceNames;
use super::command_line::{CommandLine, is_odd_dash, split};
use super::error::LineError;
use super::names::Lookup;
use super::reading::{Origin, Reading};
use super::values;
use crate::model::{Servers, ServiceKey, Services, State, VirtualService};

/// What was read from a text of rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// The table that the rules make, with timeouts and sync daemons where they set any. Marks are none of ipvsadm's
    /// business, nor are sysctls.
    pub state: State,
    /// The lines that are not in the state, and why
    pub problems: Vec<LineProblem>,
}

/// A line that is not in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// Its number, from 1
    pub line: usize,
    /// The line itself
    pub text: String,
    /// Why, and what to do
    pub error: LineError,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.error, self.text)
    }
}

impl std::error::Error for LineProblem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The error itself is part of the message.
        self.error.source()
    }
}

/// Whether a text is rules of ipvsadm, and not YAML or JSON. A text with nothing in it but comments is: it is what
/// `ipvsadm -Sn` prints of an empty table.
pub fn is_rules_text(text: &str) -> bool {
    if text.starts_with("#!") {
        return true;
    }
    let Some(first) = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))
    else {
        return !text.contains("yaml-language-server");
    };
    let option = first.trim_start_matches(|first| first == '-' || is_odd_dash(first));
    match first.chars().count() - option.chars().count() {
        0 => first.split_whitespace().take(2).any(is_ipvsadm),
        1 | 2 => option.starts_with(|c: char| c.is_ascii_alphabetic()),
        _ => false,
    }
}

/// Whether any line of a text is a rule of ipvsadm, also in a script among other commands; so is a text with nothing in it but
/// comments, and a listing.
pub fn has_rules(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    is_rules_text(text) || lines.any(|line| is_listing(line) || line.split_whitespace().any(is_ipvsadm))
}

/// Reads rules, with the names of ports from `/etc/services`.
pub fn read(text: &str) -> Parsed {
    read_with(text, &ServiceNames::default())
}

/// Reads rules, line by line and in their order. Never fails as a whole: what is not understood, and what the kernel would refuse, is
/// named.
pub fn read_with(text: &str, names: &ServiceNames) -> Parsed {
    let mut table = TableReader::new(names, Origin::Table);
    let lines = logical_lines(text);
    if let Some((line, first)) = lines.first().filter(|(_, first)| is_listing(first)) {
        // None of its lines is a command: it is one problem.
        let problem = LineProblem { line: *line, text: first.clone(), error: LineError::Listing };
        return Parsed { problems: vec![problem], ..Parsed::default() };
    }
    let mut problems = Vec::new();
    for (line, text) in lines {
        if let Err(error) = run_line(&mut table, line, &text) {
            problems.push(LineProblem { line, text, error });
        }
    }
    Parsed { state: table.state, problems }
}

fn run_line(table: &mut TableReader<'_>, number: usize, text: &str) -> Result<(), LineError> {
    // What many scripts have around their commands, and what has no effect on the table.
    if matches!(text, "exit" | "exit 0" | "true" | ":") || text.starts_with("set -") {
        return Ok(());
    }
    if text.contains(" (null) ") {
        return Err(LineError::UnknownMethod);
    }
    let mut words = split(text)?;
    if words.first().is_some_and(|word| word == "sudo") {
        words.remove(0);
    }
    match words.first() {
        Some(word) if is_ipvsadm(word) => {
            words.remove(0);
        }
        Some(word) if word.starts_with(|first| first == '-' || is_odd_dash(first)) => {}
        _ => return Err(LineError::NotIpvsadm),
    }
    table.run(number, words)
}

/// The lines that are neither empty nor a comment, each with its number; one that ends in a backslash goes on in the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    // A byte order mark is what a Windows editor leaves.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let (number, mut whole) = open.take().unwrap_or((index + 1, String::new()));
        let comment = whole.is_empty() && line.starts_with('#');
        match line.strip_suffix('\\').filter(|_| !comment) {
            Some(start) => {
                whole.push_str(start);
                open = Some((number, whole));
            }
            None => {
                whole.push_str(line);
                lines.push((number, whole));
            }
        }
    }
    lines.extend(open);
    lines.retain(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
}

/// Whether a line is the first of a listing of `ipvsadm -L`.
pub fn is_listing(line: &str) -> bool {
    line.starts_with("IP Virtual Server version") || line.starts_with("Prot LocalAddress:Port")
}

/// Whether a word of a shell starts ipvsadm.
pub fn is_ipvsadm(word: &str) -> bool {
    word.rsplit('/').next() == Some("ipvsadm")
}

/// A table that commands of ipvsadm fill, one after the other.
#[derive(Debug)]
pub struct TableReader<'a> {
    reading: Reading<'a>,
    /// The table up to now, with timeouts and sync daemons where a command set any
    pub state: State,
    /// The number of the line that added each service
    pub lines: HashMap<ServiceKey, usize>,
    /// Services whose own line was refused, with its number, for the errors of their servers
    lost: HashMap<ServiceKey, usize>,
}

impl<'a> TableReader<'a> {
    /// An empty table.
    pub fn new(names: &'a dyn Lookup, origin: Origin) -> Self {
        Self {
            reading: Reading::new(names, origin),
            state: State::default(),
            lines: HashMap::new(),
            lost: HashMap::new(),
        }
    }

    /// Takes what has to be said of the commands since the last time, in sentences.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.reading.notes)
    }

    /// Runs one command: the words behind `ipvsadm`, and the number of the line that they are from.
    ///
    /// # Errors
    /// Where ipvsadm or the kernel refuses it, or it cannot be read.
    pub fn run(&mut self, number: usize, words: Vec<String>) -> Result<(), LineError> {
        if words.iter().any(|word| word == "(null)") {
            return Err(LineError::UnknownMethod);
        }
        let mut line = CommandLine::parse(words)?;
        match line.command {
            "add-service" | "edit-service" | "delete-service" => self.on_service(number, &mut line),
            "add-server" | "edit-server" | "delete-server" => self.on_server(&mut line),
            "clear" => {
                line.finish()?;
                let (lost, count) = (self.lost.len(), self.state.services.len());
                if count + lost > 0 {
                    self.reading.note(|| clears(count, lost));
                }
                self.state.services = Services::default();
                self.lost.clear();
                Ok(())
            }
            "set" => {
                let mut timeouts = self.state.timeouts;
                values::timeouts(&mut line, &mut timeouts)?;
                line.finish()?;
                self.state.timeouts = timeouts;
                Ok(())
            }
            "start-daemon" | "stop-daemon" => self.on_sync(&mut line),
            "restore" => Err(LineError::Restore),
            // To list, to save, to zero the counters: nothing that changes the table.
            _ => Ok(()),
        }
    }

    fn on_service(&mut self, number: usize, line: &mut CommandLine) -> Result<(), LineError> {
        let key = values::service(line, &mut self.reading)?;
        let services = &mut self.state.services;
        if line.command == "delete-service" {
            line.finish()?;
            let known = self.lost.remove(&key).is_some();
            return services
                .shift_remove(&key)
                .map(drop)
                .or(known.then_some(()))
                .ok_or_else(|| self.missing(key));
        }
        let scheduling = values::scheduling(line, key, &mut self.reading).map_err(LineError::from).and_then(
            |scheduling| {
                line.finish()?;
                Ok(scheduling)
            },
        );
        match (line.command, services.get_mut(&key), scheduling) {
            ("add-service", Some(_), _) => Err(LineError::ServiceExists(key)),
            ("add-service", None, Ok(scheduling)) => {
                services.insert(key, VirtualService::new(scheduling, Servers::default()));
                self.lines.insert(key, number);
                Ok(())
            }
            ("add-service", None, Err(error)) => {
                self.lost.insert(key, number);
                Err(error)
            }
            (_, Some(service), Ok(scheduling)) => {
                service.scheduling = scheduling.into();
                Ok(())
            }
            (_, Some(_), Err(error)) => Err(error),
            (_, None, _) => Err(self.missing(key)),
        }
    }

    fn on_server(&mut self, line: &mut CommandLine) -> Result<(), LineError> {
        let key = values::service(line, &mut self.reading)?;
        let server = values::server(line, key, &mut self.reading)?;
        let Some(service) = self.state.services.get_mut(&key) else { return Err(self.missing(key)) };
        if line.command == "delete-server" {
            line.finish()?;
            return match service.servers_mut().shift_remove(&server) {
                Some(_) => Ok(()),
                None => Err(LineError::NoServer(key, server)),
            };
        }
        let (server, of) = values::real_server(line, key, server)?;
        line.finish()?;
        match (line.command, service.servers_mut().get_mut(&server)) {
            ("add-server", None) => {
                service.servers_mut().insert(server, of);
                Ok(())
            }
            ("add-server", Some(_)) => Err(LineError::ServerExists(key, server)),
            (_, Some(there)) => {
                *there = of;
                Ok(())
            }
            (_, None) => Err(LineError::NoServer(key, server)),
        }
    }

    fn on_sync(&mut self, line: &mut CommandLine) -> Result<(), LineError> {
        let role = values::role(line)?;
        let running = &mut self.state.sync;
        if line.command == "stop-daemon" {
            line.finish()?;
            running.retain(|daemon| daemon.role != role);
            return Ok(());
        }
        let daemon = values::sync_daemon(line)?;
        line.finish()?;
        if running.iter().any(|other| other.role == role) {
            return Err(LineError::SyncRuns(role));
        }
        running.push(daemon);
        Ok(())
    }

    fn missing(&self, service: ServiceKey) -> LineError {
        match self.lost.get(&service) {
            Some(line) => LineError::ServiceLost { service, line: *line },
            None => LineError::NoService(service),
        }
    }
}

/// What `-C` takes away of the lines above.
fn clears(services: usize, lost: usize) -> String {
    let unread = match lost {
        0 => String::new(),
        _ => format!(", and {lost} that could not be read"),
    };
    format!("clears the whole table: the {services} virtual services of the lines above{unread}")
}
