//! Writes keepalived's health checks as checks of lbd.

use std::net::IpAddr;
use std::time::Duration;

use super::model::{Checker, CheckerKind, Pace, Real, Url, Virtual};
use super::text::{Origin, Text};
use crate::config;
use crate::config::document::{CheckEntry, CheckTime, Choice, Count, Ip, PortNumber, StatusText};
use crate::model::{CheckType, Protocol, ServerKey, ServiceKey};

/// How long keepalived waits between two checks, where nothing is said.
const DELAY: Duration = Duration::from_secs(60);
/// How long it waits for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// The limits of the times of a check.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(86_400);
/// How many checks a server may have.
const MOST: usize = 16;

/// The checks of a server, as far as they can be written, without the ports.
pub(super) fn checks(real: &Real, of: &Virtual, text: &mut Text) -> Vec<Check> {
    let mut checks = Vec::new();
    for checker in &real.checkers {
        for entry in entries(checker, real, of, text) {
            let port = checker.port.unwrap_or(real.port);
            let check = Check { entry, port, origin: checker.origin };
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
    }
    if let Some(first) = checks.get(MOST) {
        text.lost(
            first.origin,
            format!("a server has at most {MOST} checks; this one and those below it are left out"),
        );
        checks.truncate(MOST);
    }
    checks
}

/// A check, and the port that it looks at.
#[derive(Debug, Clone)]
pub(super) struct Check {
    entry: CheckEntry,
    /// 0 where keepalived has none
    port: u16,
    pub(super) origin: Origin,
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        (&self.entry, self.port) == (&other.entry, other.port)
    }
}

impl Check {
    /// The check for a server behind a service. With `explicit` it has its port in any case; none where it needs a port and has none.
    pub(super) fn behind(
        &self,
        service: &ServiceKey,
        server: &ServerKey,
        explicit: bool,
    ) -> Option<CheckEntry> {
        let mut entry = self.entry.clone();
        let kind = entry.kind.map_or(CheckType::Tcp, |Choice(kind)| kind);
        let is_tcp = match kind {
            CheckType::Ping | CheckType::Exec => return Some(entry),
            CheckType::Tcp | CheckType::Tls | CheckType::Http | CheckType::Https => true,
            CheckType::Dns | CheckType::Udp => false,
        };
        // Without a port of its own keepalived would look at port 0.
        let port = if self.port == 0 { server.port } else { self.port };
        let is_udp = matches!(service, ServiceKey::Address { protocol: Protocol::Udp, .. });
        if explicit || port != server.port || (is_tcp && is_udp) || server.port == 0 {
            entry.port = Some(PortNumber::new(port.into())?);
        }
        Some(entry)
    }
}

/// The checks that one of keepalived's becomes: one for each page.
fn entries(checker: &Checker, real: &Real, of: &Virtual, text: &mut Text) -> Vec<CheckEntry> {
    let pace = checker.pace.or(&real.pace).or(&of.pace);
    let common = |kind: CheckType, defaults: Defaults, text: &mut Text| {
        let mut entry = CheckEntry { kind: Some(Choice(kind)), ..CheckEntry::default() };
        entry.address = checker.address.filter(|address| *address != real.address).map(ip);
        entry.source = checker.source.map(ip);
        times(&mut entry, &pace, &defaults, checker.origin, text);
        entry
    };
    let usual = Defaults { retry: 1, before_retry: Some(Duration::from_secs(1)), timeout: None };
    match &checker.kind {
        CheckerKind::Tcp | CheckerKind::Smtp => vec![common(CheckType::Tcp, usual, text)],
        CheckerKind::Ping => vec![common(CheckType::Ping, usual, text)],
        CheckerKind::Http { tls, virtualhost, urls } => {
            if urls.is_empty() {
                text.note(checker.origin, "left out, as by keepalived: the check has no page");
            }
            let kind = if *tls { CheckType::Https } else { CheckType::Http };
            let defaults = Defaults { before_retry: Some(Duration::from_secs(3)), ..usual };
            let entry = common(kind, defaults, text);
            let host = virtualhost.as_ref().or(real.virtualhost.as_ref()).or(of.virtualhost.as_ref());
            urls.iter().map(|url| page(url, host, entry.clone(), text)).collect()
        }
        CheckerKind::Misc { command, timeout } => {
            if command.is_empty() {
                return Vec::new();
            }
            let timeout = timeout.or(pace.delay_loop).unwrap_or(DELAY);
            let defaults = Defaults { retry: 0, timeout: Some(timeout), ..usual };
            let mut entry = common(CheckType::Exec, defaults, text);
            entry.source = None;
            entry.command = Some(command.iter().map(|word| word.as_str().into()).collect());
            match config::problem_of_check(&entry) {
                None => vec![entry],
                Some(why) => {
                    text.lost(checker.origin, format!("the check is left out: {why}"));
                    Vec::new()
                }
            }
        }
        CheckerKind::Dns { name, record } => {
            let defaults = Defaults { retry: 3, before_retry: None, timeout: None };
            let mut entry = common(CheckType::Dns, defaults, text);
            let name = name.as_deref().filter(|name| !name.is_empty()).unwrap_or(".");
            let record = record.as_deref().unwrap_or("SOA");
            if (name, record) != (".", "SOA") {
                entry.query = Some(format!("{name} {record}").into());
            }
            sound(entry, |entry| entry.query = None, checker.origin, text)
        }
        CheckerKind::Udp { payload, reply } => {
            let mut entry = common(CheckType::Udp, usual, text);
            entry.send = payload.as_deref().map(Into::into);
            entry.expect = reply.as_deref().map(Into::into);
            let plain = |entry: &mut CheckEntry| {
                entry.send = None;
                entry.expect = None;
            };
            sound(entry, plain, checker.origin, text)
        }
    }
}

/// A check, or a simpler one where it is not valid.
fn sound(
    mut entry: CheckEntry,
    simpler: impl FnOnce(&mut CheckEntry),
    origin: Origin,
    text: &mut Text,
) -> Vec<CheckEntry> {
    if let Some(why) = config::problem_of_check(&entry) {
        text.lost(origin, format!("the check is simpler: {why}"));
        simpler(&mut entry);
    }
    if config::problem_of_check(&entry).is_some() { Vec::new() } else { vec![entry] }
}

fn page(url: &Url, host: Option<&String>, mut entry: CheckEntry, text: &mut Text) -> CheckEntry {
    let mut lost = |why: String| {
        if let Some(origin) = url.origin {
            text.lost(origin, why);
        }
    };
    let tls = entry.kind == Some(Choice(CheckType::Https));
    if tls {
        // keepalived takes any certificate.
        entry.verify = Some(config::document::VerifyEntry::Word("none".to_owned()));
    }
    let plain =
        CheckEntry { kind: Some(Choice(if tls { CheckType::Tls } else { CheckType::Tcp })), ..entry.clone() };
    entry.path = url.path.as_deref().filter(|path| *path != "/").map(Into::into);
    entry.host = url.virtualhost.as_ref().or(host).map(|host| host.as_str().into());
    let code = |(first, last): &(u16, u16)| match first == last {
        true => StatusText::from(u32::from(*first)),
        false => StatusText::from(format!("{first}-{last}")),
    };
    entry.status = Some(match url.status.as_slice() {
        [] => vec![code(&(200, 299))],
        codes => codes.iter().map(code).collect(),
    });
    if let Some(regex) = url.regex.as_ref().filter(|_| !url.regex_options.contains('!')) {
        let options = &url.regex_options;
        let options = if options.is_empty() { String::new() } else { format!("(?{options})") };
        let with_body = CheckEntry { body: Some(format!("/{options}{regex}/").into()), ..entry.clone() };
        match config::problem_of_check(&with_body) {
            None => return with_body,
            Some(why) if config::problem_of_check(&entry).is_none() => {
                lost(format!("the body is not looked at: {why}"));
            }
            Some(_) => {}
        }
    }
    match config::problem_of_check(&entry) {
        None => entry,
        Some(why) => {
            lost(format!("a connection is enough: {why}"));
            plain
        }
    }
}

/// What one of keepalived's checks takes where nothing is said.
struct Defaults {
    retry: u32,
    /// None: as long as between two checks
    before_retry: Option<Duration>,
    /// How long it takes at most, where that is not the time for a connection
    timeout: Option<Duration>,
}

fn times(entry: &mut CheckEntry, pace: &Pace, defaults: &Defaults, origin: Origin, text: &mut Text) {
    let within = |time: Duration| time.clamp(SHORTEST, LONGEST);
    let delay = pace.delay_loop.unwrap_or(DELAY);
    let mut interval = within(delay);
    let timeout = within(defaults.timeout.or(pace.connect_timeout).unwrap_or(CONNECT));
    let timeout = timeout.min(LONGEST - Duration::from_secs(1));
    if timeout >= interval {
        // keepalived waits for the end of one check before it counts the time to the next one.
        interval = within(timeout + Duration::from_secs(1));
        text.note(
            origin,
            format!(
                "`interval` is {}, since a probe of lbd ends before the next one begins, and this one may take {}",
                shown(interval),
                shown(timeout)
            ),
        );
    }
    let before_retry = pace.delay_before_retry.or(defaults.before_retry).unwrap_or(delay);
    let fast = within(before_retry).min(interval);
    let retries = pace.retry.unwrap_or(defaults.retry);
    let fall = retries.saturating_add(1).min(Count::MOST);
    if fall <= retries {
        text.lost(origin, format!("{} failures in a row are enough, the most that there are", Count::MOST));
    }
    entry.interval = Some(time(interval));
    entry.timeout = Some(time(timeout));
    entry.fast = Some(time(fast));
    entry.fall = Count::new(fall);
    // One success is enough.
    entry.rise = Count::new(1);
}

/// A time in the unit in which it is a whole number.
fn shown(time: Duration) -> String {
    match (time.as_secs(), time.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", time.as_millis()),
    }
}

fn time(time: Duration) -> CheckTime {
    shown(time).into()
}

fn ip(address: IpAddr) -> Ip {
    address.to_string().into()
}
