//! Runs the commands of a script in the mind: those of ipvsadm fill a table, those that set kernel settings are kept.

use std::collections::HashSet;

use super::commands::{Kind, kind, setting_of_path};
use super::lexer::{HereDocument, Part, Token, Word, tokens};
use super::script::{Connector, Construct, Item, Simple, assigned, items};
use super::variables::Variables;
use crate::import::Effect;
use crate::ipvsadm::{LineError, LineProblem, TableReader, is_ipvsadm, is_listing};

/// What there is to say of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) effect: Effect,
    /// Whether it is about the host, and not about a virtual service
    pub(super) of_host: bool,
}

/// A script that is run in the mind.
pub(super) struct Run<'a> {
    pub(super) table: TableReader<'a>,
    pub(super) remarks: Vec<Remark>,
    variables: Variables,
    functions: HashSet<String>,
}

/// Whether it is known that a command succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is taken to succeed.
    Succeeds,
    /// It depends on the host, or the script ends with it.
    Open,
    /// The script ends with it.
    Ends,
}

/// The first line of a listing of `ipvsadm -L`, if a text is one.
pub(super) fn listing(text: &str) -> Option<LineProblem> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let (line, first) = lines.find(|(_, line)| !line.is_empty() && !line.starts_with('#'))?;
    is_listing(first).then(|| LineProblem { line, text: first.to_owned(), error: LineError::Listing })
}

impl<'a> Run<'a> {
    /// A script that starts with an empty table.
    pub(super) fn new(table: TableReader<'a>) -> Self {
        Self { table, remarks: Vec::new(), variables: Variables::default(), functions: HashSet::new() }
    }

    /// Runs a script.
    pub(super) fn script(&mut self, text: &str) {
        let items = items(text);
        let mut last = Outcome::Succeeds;
        let mut rest = items.iter();
        for item in rest.by_ref() {
            match item {
                Item::OpenQuote(line, quote) => {
                    self.lost(*line, format!("a quote ({quote}) is not closed"));
                }
                Item::Construct(construct) => {
                    self.construct(construct);
                    last = Outcome::Open;
                }
                Item::Pipeline(connector, pipeline) => {
                    last = match (connector, last) {
                        (Connector::Then, _) | (Connector::And, Outcome::Succeeds) => self.pipeline(pipeline),
                        (Connector::And | Connector::Or, last) => {
                            self.perhaps(*connector, last, pipeline);
                            last
                        }
                    };
                }
            }
            if last == Outcome::Ends {
                break;
            }
        }
        let matter = |item: &Item| match item {
            Item::Pipeline(_, pipeline) => {
                pipeline.iter().find(|simple| simple.matters()).map(|simple| simple.line)
            }
            Item::Construct(construct) => construct.matters.then_some(construct.first),
            Item::OpenQuote(..) => None,
        };
        if let Some(line) = rest.find_map(matter) {
            self.note(line, "the script ends before this line, so nothing from here on was read".to_owned());
        }
    }

    fn lost(&mut self, line: usize, message: String) {
        self.remarks.push(Remark { line, message, effect: Effect::Lost, of_host: false });
    }

    fn note(&mut self, line: usize, message: String) {
        self.remarks.push(Remark { line, message, effect: Effect::Note, of_host: false });
    }

    fn of_host(&mut self, line: usize, effect: Effect, message: String) {
        self.remarks.push(Remark { line, message, effect, of_host: true });
    }

    /// Goes past a construct that decides what runs, in one sentence.
    fn construct(&mut self, construct: &Construct) {
        let Construct { keyword, is_function, first, last, sets, matters } = construct;
        for name in sets {
            let why = format!("`{keyword}` in line {first} decides what it is when the script runs");
            self.variables.forget(name, why);
        }
        if *is_function {
            self.functions.insert(keyword.clone());
        }
        if !matters {
            return;
        }
        let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        let cause = if *is_function {
            format!("what the function `{keyword}` does depends on its calls")
        } else {
            format!("`{keyword}` decides what is run")
        };
        self.lost(
            *first,
            format!(
                "{cause}, so {lines} were not read; run the script, then `lbd export` writes the table that it made"
            ),
        );
    }

    /// Goes past commands that run only where the one before succeeds, or fails.
    fn perhaps(&mut self, connector: Connector, last: Outcome, pipeline: &[Simple]) {
        for simple in pipeline {
            for name in simple.words.iter().filter_map(assigned) {
                self.variables.forget(name, format!("whether line {} sets it is open", simple.line));
            }
            if matches!(simple.words.first().and_then(Word::plain), Some("." | "source")) {
                self.variables.source(simple.line);
            }
            if !simple.matters() {
                continue;
            }
            if connector == Connector::Or && last == Outcome::Succeeds {
                let message = "not read: it runs only where the command before `||` fails".to_owned();
                self.note(simple.line, message);
            } else {
                let sign = if connector == Connector::Or { "||" } else { "&&" };
                let message = format!(
                    "`{sign}` decides whether it is run, so it was not read; run the script, then `lbd export` writes the table that it made"
                );
                self.lost(simple.line, message);
            }
        }
    }

    fn pipeline(&mut self, pipeline: &[Simple]) -> Outcome {
        // `echo 1 | tee /proc/sys/…`
        if let [echo, tee] = pipeline
            && matches!(self.name(echo), Some(name) if name == "echo" || name == "printf")
            && let Some(path) = self.tee(tee)
        {
            let words = self.words(echo);
            match words {
                Ok(words) => self.set_by_path(echo.line, &path, &words),
                Err(why) => self.of_host(echo.line, Effect::Lost, why),
            }
            return Outcome::Succeeds;
        }
        let mut last = Outcome::Succeeds;
        for simple in pipeline {
            last = self.simple(simple);
        }
        last
    }

    /// The kernel setting that `tee PATH` writes.
    fn tee(&self, simple: &Simple) -> Option<String> {
        let words = self.words(simple).ok()?;
        words.iter().any(|word| word == "tee").then_some(())?;
        words.into_iter().find(|word| word.starts_with("/proc/sys/"))
    }

    /// The words of a command, without what sets a variable for it alone.
    fn words(&self, simple: &Simple) -> Result<Vec<String>, String> {
        let words = simple.words.iter().skip_while(|word| assigned(word).is_some());
        let mut expanded = Vec::new();
        for word in words {
            expanded.extend(self.variables.expand(word)?);
        }
        Ok(expanded)
    }

    /// The name of the program that a command starts, without its directory.
    fn name(&self, simple: &Simple) -> Option<String> {
        let word = simple.words.iter().find(|word| {
            assigned(word).is_none() && !matches!(word.plain(), Some("sudo" | "command" | "exec" | "nohup"))
        })?;
        match self.variables.expand(word) {
            Ok(words) => words.first().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned()),
            // `$IPVSADM` of a file that is not here
            Err(_) => match word.parts.as_slice() {
                [Part::Variable { name, .. }] if name.to_ascii_lowercase().contains("ipvs") => {
                    Some("ipvsadm".to_owned())
                }
                _ => None,
            },
        }
    }

    fn simple(&mut self, simple: &Simple) -> Outcome {
        let line = simple.line;
        if !simple.words.is_empty() && simple.words.iter().all(|word| assigned(word).is_some()) {
            simple.words.iter().for_each(|word| self.variables.assign(word, line));
            return Outcome::Succeeds;
        }
        let Some(name) = self.name(simple) else {
            let Some(first) = simple.words.first() else { return Outcome::Succeeds };
            match self.variables.expand(first) {
                // It is empty.
                Ok(_) => {}
                Err(why) => self.lost(line, why),
            }
            return Outcome::Open;
        };
        match kind(&name) {
            Kind::Ipvsadm => self.ipvsadm(simple),
            Kind::Restore => {
                match &simple.input {
                    Some(document) => {
                        self.run_words(line, vec!["-C".to_owned()]);
                        self.here(document);
                    }
                    None => self.lost(line, LineError::Restore.to_string()),
                }
                Outcome::Succeeds
            }
            Kind::Sysctl => self.sysctl(simple),
            Kind::Echo => {
                let target = simple.redirects.iter().filter(|(kind, _)| kind.starts_with('>'));
                let path =
                    target.filter_map(|(_, target)| self.variables.expand(target).ok()?.pop()).next_back();
                if let Some(path) = path.filter(|path| path.starts_with("/proc/sys/")) {
                    match self.words(simple) {
                        Ok(words) => self.set_by_path(line, &path, &words),
                        Err(why) => self.of_host(line, Effect::Lost, why),
                    }
                }
                Outcome::Succeeds
            }
            Kind::Assigns => {
                simple.words.iter().for_each(|word| self.variables.assign(word, line));
                Outcome::Succeeds
            }
            Kind::Unset => {
                simple.words.iter().filter_map(Word::plain).for_each(|name| self.variables.unset(name));
                Outcome::Succeeds
            }
            Kind::Reads => {
                for name in simple.words.iter().skip(1).filter_map(Word::plain) {
                    self.variables.forget(name, format!("line {line} reads it when the script runs"));
                }
                Outcome::Open
            }
            Kind::Sources => {
                self.variables.source(line);
                self.of_host(line, Effect::Note, "runs another file, which was not read".to_owned());
                Outcome::Open
            }
            Kind::Ends => Outcome::Ends,
            Kind::Harmless => Outcome::Succeeds,
            Kind::Tests => Outcome::Open,
            Kind::OfHost(what) => {
                self.of_host(line, Effect::Note, what.to_owned());
                Outcome::Succeeds
            }
            Kind::Unknown if self.functions.contains(&name) => Outcome::Open,
            Kind::Unknown => {
                self.lost(line, LineError::NotIpvsadm.to_string());
                Outcome::Open
            }
        }
    }

    fn ipvsadm(&mut self, simple: &Simple) -> Outcome {
        let line = simple.line;
        let mut words = Vec::new();
        let is_start = |word: &&Word| {
            assigned(word).is_some() || matches!(word.plain(), Some("sudo" | "command" | "exec" | "nohup"))
        };
        let mut rest = simple.words.iter().skip_while(is_start).peekable();
        // The program itself, which may be a variable that is not known.
        let is_option = rest
            .peek()
            .and_then(|word| self.variables.expand(word).ok())
            .and_then(|words| words.first().cloned());
        if is_option.is_none_or(|first| is_ipvsadm(&first))
            && let Some(word) = rest.next()
        {
            words.extend(self.variables.expand(word).unwrap_or_default().into_iter().skip(1));
        }
        for word in rest {
            match self.variables.expand(word) {
                Ok(expanded) => words.extend(expanded),
                Err(why) => {
                    self.lost(line, why);
                    return Outcome::Open;
                }
            }
        }
        if words.is_empty() {
            // It lists the table.
            return Outcome::Succeeds;
        }
        let restores = words.iter().any(|word| word == "-R" || word == "--restore");
        match &simple.input {
            Some(document) if restores => {
                self.here(document);
                Outcome::Succeeds
            }
            Some(_) | None => self.run_words(line, words),
        }
    }

    /// Runs the lines that `ipvsadm -R` gets as its input.
    fn here(&mut self, document: &HereDocument) {
        for (index, text) in document.lines.iter().enumerate() {
            let line = document.line + index;
            let mut words = Vec::new();
            let mut unknown = None;
            for (_, token) in tokens(text) {
                match token {
                    Token::Word(word) => match self.variables.expand(&word) {
                        Ok(expanded) => words.extend(expanded),
                        Err(why) => unknown = Some(why),
                    },
                    Token::Newline
                    | Token::Operator(_)
                    | Token::Redirect(..)
                    | Token::Here(_)
                    | Token::OpenQuote(_) => unknown = Some(LineError::NotIpvsadm.to_string()),
                }
            }
            match unknown {
                Some(why) => self.lost(line, why),
                None if words.is_empty() => {}
                None => {
                    self.run_words(line, words);
                }
            }
        }
    }

    fn run_words(&mut self, line: usize, words: Vec<String>) -> Outcome {
        let done = self.table.run(line, words);
        for note in self.table.take_notes() {
            self.note(line, note);
        }
        match done {
            Ok(()) => Outcome::Succeeds,
            Err(error) => {
                self.lost(line, error.to_string());
                Outcome::Succeeds
            }
        }
    }

    fn sysctl(&mut self, simple: &Simple) -> Outcome {
        let line = simple.line;
        let words = match self.words(simple) {
            Ok(words) => words,
            Err(why) => {
                self.of_host(line, Effect::Lost, why);
                return Outcome::Open;
            }
        };
        let arguments = words.iter().skip_while(|word| !word.ends_with("sysctl")).skip(1);
        for argument in arguments {
            if matches!(argument.as_str(), "-p" | "--load" | "-f" | "--system") || argument.starts_with("-p")
            {
                let message =
                    "loads kernel settings from another file; give those that a director needs as `sysctls`";
                self.of_host(line, Effect::Note, message.to_owned());
                break;
            }
            // (Without a value it only shows the setting.)
            if let Some((name, value)) = argument.split_once('=').filter(|_| !argument.starts_with('-')) {
                self.set(line, name.trim(), value.trim());
            }
        }
        Outcome::Succeeds
    }

    /// `echo 1 > /proc/sys/net/ipv4/ip_forward`
    fn set_by_path(&mut self, line: usize, path: &str, words: &[String]) {
        let value =
            words.iter().skip_while(|word| !word.ends_with("echo") && !word.ends_with("printf")).skip(1);
        let value: Vec<&str> = value
            .map(String::as_str)
            .skip_while(|word| matches!(*word, "-n" | "-e" | "-en" | "-ne"))
            .collect();
        let value = value.join(" ");
        self.set(line, &setting_of_path(path), value.trim_end_matches("\\n"));
    }

    fn set(&mut self, line: usize, name: &str, value: &str) {
        if name.contains('*') {
            let message = format!("`{name}` is several kernel settings; name each of them in `sysctls`");
            return self.of_host(line, Effect::Lost, message);
        }
        let is_of_net = name.starts_with("net.") || name.starts_with("net/");
        if !is_of_net {
            let message = format!("`{name}` is no setting of the network, and lbd keeps no other");
            return self.of_host(line, Effect::Note, message);
        }
        self.table.state.sysctls.insert(name.to_owned(), value.to_owned());
    }
}
