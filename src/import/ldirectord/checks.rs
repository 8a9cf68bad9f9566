//! Turns the checks of ldirectord into those of a desired file.

use super::lines::{Setting, Settings, Virtual};
use crate::config::document::{
    CheckEntry, CheckList, CheckUse, Choice, Count, Number, StatusText, Text, VerifyEntry,
};
use crate::import::Effect;
use crate::model::CheckType;

/// The ports that ldirectord knows services by.
const SERVICES: [(&str, u16); 19] = [
    ("ftp", 21),
    ("smtp", 25),
    ("dns", 53),
    ("http", 80),
    ("pop", 110),
    ("nntp", 119),
    ("imap", 143),
    ("ldap", 389),
    ("https", 443),
    ("submission", 587),
    ("ldaps", 636),
    ("imaps", 993),
    ("pops", 995),
    ("oracle", 1521),
    ("radius", 1812),
    ("http_proxy", 3128),
    ("mysql", 3306),
    ("sip", 5060),
    ("pgsql", 5432),
];

/// Services without a port that is known.
const OTHERS: [&str; 2] = ["none", "simpletcp"];

/// How the servers of a virtual service are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Connect,
    Negotiate,
    /// Mostly by a connection
    Combined,
    Ping,
    External,
    ExternalPerl,
    /// No server is added.
    Off,
    On,
}

/// What is known of the checks of a virtual service.
#[derive(Debug, Clone)]
pub(super) struct Checking<'a> {
    pub(super) how: How,
    /// The service that is spoken, such as `http`
    pub(super) service: &'a str,
    pub(super) is_udp: bool,
    /// The address, or the mark, of the virtual service, as a program gets it
    pub(super) address: String,
    /// Its port
    pub(super) port: u16,
    pub(super) of: &'a Virtual,
    pub(super) globals: &'a Settings,
}

/// A real server, as a check sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server<'a> {
    /// The port that its line has; 0 without one
    pub(super) written: u16,
    /// The port that it has in the table
    pub(super) port: u16,
    /// What is sent and expected, where its line says so
    pub(super) own: Option<&'a (String, String)>,
}

/// A check, and what there is to say of it: each with the key whose line it is about.
pub(super) type Converted = (Option<CheckList>, Vec<(&'static str, Effect, String)>);

/// How a virtual service is checked.
///
/// # Errors
/// Why ldirectord refuses the type.
pub(super) fn how(setting: Option<&Setting>) -> Result<How, String> {
    let Some(Setting { value, .. }) = setting else { return Ok(How::Negotiate) };
    if value.contains(|c: char| c.is_ascii_digit()) {
        return Ok(How::Combined);
    }
    match value.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).find(|word| !word.is_empty())
    {
        Some("connect") => Ok(How::Connect),
        Some("negotiate") => Ok(How::Negotiate),
        Some("ping") => Ok(How::Ping),
        Some("external") => Ok(How::External),
        Some("external-perl") => Ok(How::ExternalPerl),
        Some("off") => Ok(How::Off),
        Some("on") => Ok(How::On),
        Some(_) | None => Err(format!("`{value}` is no type of check")),
    }
}

/// The service that is spoken: what the file says, else what the port says.
///
/// # Errors
/// Why ldirectord refuses the service.
pub(super) fn service(setting: Option<&Setting>, port: Option<u16>) -> Result<&'static str, String> {
    let names = || SERVICES.iter().map(|(name, _)| *name).chain(OTHERS);
    match setting {
        None => {
            let known = port.and_then(|port| SERVICES.iter().find(|(_, of)| *of == port));
            Ok(known.map_or("none", |(name, _)| *name))
        }
        Some(Setting { value, .. }) => {
            let word =
                value.split(|c: char| !(c.is_alphanumeric() || c == '_')).find(|word| !word.is_empty());
            let found = word.and_then(|word| names().find(|name| *name == word));
            found.ok_or_else(|| format!("`{value}` is no service that it can check"))
        }
    }
}

impl Checking<'_> {
    /// The check of a server.
    pub(super) fn of_server(&self, server: Server<'_>) -> Converted {
        let mut remarks = Vec::new();
        let entry = match self.how {
            How::On | How::Off => None,
            How::Ping => Some(typed(CheckType::Ping)),
            How::Connect if self.is_udp => Some(typed(CheckType::Ping)),
            How::Connect => Some(typed(CheckType::Tcp)),
            How::External => self.external(&mut remarks),
            How::ExternalPerl => {
                let message = "`external-perl` is code that runs inside of ldirectord: make a program of it, and a check of type `exec`";
                remarks.push(("checktype", Effect::Lost, message.to_owned()));
                None
            }
            How::Combined => {
                let message = "checked by the protocol each time, and not only after so many connections";
                remarks.push(("checktype", Effect::Note, message.to_owned()));
                self.negotiate(server, &mut remarks)
            }
            How::Negotiate => self.negotiate(server, &mut remarks),
        };
        let Some(mut entry) = entry else {
            return (Some(CheckList::One(CheckUse::Name("none".into()))), remarks);
        };
        if !matches!(entry.kind, Some(Choice(CheckType::Ping | CheckType::Exec))) {
            match self.port(server) {
                Some(port) if port == server.port => {}
                Some(port) => entry.port = Number::new(port.into()),
                None => {
                    let message = "ldirectord knows no port to check, so these servers never pass; give the check a `port`";
                    remarks.push(("virtual", Effect::Lost, message.to_owned()));
                    return (Some(CheckList::One(CheckUse::Name("none".into()))), remarks);
                }
            }
        }
        self.times(&mut entry, &mut remarks);
        (Some(CheckList::One(CheckUse::Inline(Box::new(entry)))), remarks)
    }

    /// The port that is checked: that of `checkport`, of the line of the server, or of the service that is spoken.
    fn port(&self, server: Server<'_>) -> Option<u16> {
        let given = self.of.settings.get("checkport").and_then(|setting| setting.value.parse().ok());
        let own = Some(server.written).filter(|port| *port != 0);
        let known = || SERVICES.iter().find(|(name, _)| *name == self.service).map(|(_, port)| *port);
        given.or(own).or_else(known)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.of.settings.get(key).map(|setting| setting.value.as_str())
    }

    /// A number of the virtual service, or of all.
    fn number(&self, key: &str) -> Option<u32> {
        let global = || self.globals.get(key).map(|setting| setting.value.as_str());
        self.value(key).or_else(global).map(|text| text.parse().unwrap_or(u32::MAX))
    }

    fn times(&self, entry: &mut CheckEntry, remarks: &mut Vec<(&'static str, Effect, String)>) {
        let forks = self.globals.get("fork").is_some_and(|setting| setting.value == "yes");
        let global = |key: &str| self.globals.get(key).and_then(|setting| setting.value.parse::<u32>().ok());
        let own = |key: &str| self.value(key).and_then(|text| text.parse::<u32>().ok());
        let interval = own("checkinterval").filter(|_| forks).or(global("checkinterval")).unwrap_or(10);
        if !forks && own("checkinterval").is_some() {
            let message =
                format!("without `fork = yes` ldirectord takes the global `checkinterval`, {interval} s");
            remarks.push(("checkinterval", Effect::Note, message));
        }
        let (check, negotiate) = ("checktimeout", "negotiatetimeout");
        let is_negotiated = matches!(self.how, How::Negotiate | How::Combined);
        let given = if is_negotiated {
            own(negotiate).or(own(check)).or(global(negotiate)).or(global(check))
        } else {
            own(check).or(own(negotiate)).or(global(check)).or(global(negotiate))
        };
        let timeout = given.unwrap_or(if is_negotiated { 30 } else { 5 });
        let (interval, timeout) = fitting(interval, timeout, given.is_some(), remarks);
        entry.interval = (interval != "5s").then(|| interval.into());
        entry.timeout = (timeout != "2s").then(|| timeout.into());
        let mut fall = self.number("failurecount").unwrap_or(1);
        if matches!(entry.kind, Some(Choice(CheckType::Ping))) {
            fall = fall.saturating_mul(self.number("checkcount").unwrap_or(1));
        }
        if fall > Count::MOST {
            let message = format!("{fall} failures in a row; a check has at most {}", Count::MOST);
            remarks.push(("failurecount", Effect::Lost, message));
        }
        entry.fall = Count::new(fall.min(Count::MOST)).filter(|fall| fall.get() != 3);
        entry.rise = Count::new(1);
    }

    fn external(&self, remarks: &mut Vec<(&'static str, Effect, String)>) -> Option<CheckEntry> {
        let program = self.value("checkcommand").unwrap_or("/bin/true");
        if !program.starts_with('/') || program.contains(char::is_whitespace) {
            let message = format!(
                "`{program}` is not the absolute path of a program, which a check of type `exec` needs"
            );
            remarks.push(("checkcommand", Effect::Lost, message));
            return None;
        }
        let message = "the program runs as the user of the checker, without privileges";
        remarks.push(("checkcommand", Effect::Note, message.to_owned()));
        let words = [
            program.to_owned(),
            self.address.clone(),
            self.port.to_string(),
            "{address}".into(),
            "{port}".into(),
        ];
        let command = words.into_iter().map(Text::from).collect();
        Some(CheckEntry { command: Some(command), ..typed(CheckType::Exec) })
    }

    /// What is sent, and what is expected.
    fn exchange<'a>(&'a self, server: Server<'a>) -> (&'a str, &'a str) {
        match server.own {
            Some((request, receive)) => (request, receive),
            None => (self.value("request").unwrap_or("/"), self.value("receive").unwrap_or_default()),
        }
    }

    fn negotiate(
        &self,
        server: Server<'_>,
        remarks: &mut Vec<(&'static str, Effect, String)>,
    ) -> Option<CheckEntry> {
        let (request, receive) = self.exchange(server);
        let weaker = |what: &str, remarks: &mut Vec<(&'static str, Effect, String)>| {
            let message = format!("{} is not spoken by the checker: {what}", self.service);
            remarks.push(("service", Effect::Lost, message));
        };
        match self.service {
            "none" => None,
            "http" | "https" => Some(self.http(request, receive, remarks)),
            "dns" => self.dns(request, receive, remarks),
            "simpletcp" => Some(self.simple(request, receive, remarks)),
            "imaps" | "pops" | "ldaps" => {
                weaker("the check makes a TLS connection", remarks);
                Some(CheckEntry { verify: Some(VerifyEntry::Word("none".into())), ..typed(CheckType::Tls) })
            }
            service if self.is_udp || service == "radius" => {
                weaker("the servers are pinged", remarks);
                Some(typed(CheckType::Ping))
            }
            _ => {
                weaker("the check makes a TCP connection", remarks);
                Some(typed(CheckType::Tcp))
            }
        }
    }

    fn http(
        &self,
        request: &str,
        receive: &str,
        remarks: &mut Vec<(&'static str, Effect, String)>,
    ) -> CheckEntry {
        let kind = if self.service == "https" { CheckType::Https } else { CheckType::Http };
        let mut path = format!("/{}", request.trim_start_matches('/'));
        if request.contains("://") {
            let message =
                format!("`{request}` is a whole URL; the check asks the server itself for its path");
            remarks.push(("request", Effect::Lost, message));
            path = request.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |rest| format!("/{rest}"));
        }
        remarks.push((
            "service",
            Effect::Note,
            "ldirectord follows redirects, the check does not: give it the path that answers with 200"
                .to_owned(),
        ));
        let method = self.value("httpmethod").map(str::to_ascii_uppercase).filter(|method| method == "HEAD");
        let mut body = body(receive);
        if method.is_some() && body.is_some() {
            let message = "the answer to HEAD has no body that could be compared";
            remarks.push(("receive", Effect::Lost, message.to_owned()));
            body = None;
        }
        CheckEntry {
            path: Some(path).filter(|path| path != "/").map(Text::from),
            host: self.value("virtualhost").map(Text::from),
            method: method.map(Text::from),
            status: Some(vec![StatusText::from("200-299")]),
            body,
            verify: (kind == CheckType::Https).then(|| VerifyEntry::Word("none".into())),
            ..typed(kind)
        }
    }

    fn dns(
        &self,
        request: &str,
        receive: &str,
        remarks: &mut Vec<(&'static str, Effect, String)>,
    ) -> Option<CheckEntry> {
        let name = request.trim_start_matches('/');
        if name.is_empty() || receive.is_empty() {
            let message = "without `request` and `receive` ldirectord finds no DNS server alive; the check asks for `. SOA`";
            remarks.push(("service", Effect::Lost, message.to_owned()));
            return Some(typed(CheckType::Dns));
        }
        let answer = receive.replace("\\.", ".");
        let is_address = answer.parse::<std::net::Ipv4Addr>().is_ok();
        if !is_address {
            let message = format!(
                "`{receive}` is a pattern for the address; the check takes any answer without an error"
            );
            remarks.push(("receive", Effect::Lost, message));
        }
        Some(CheckEntry {
            query: Some(Text::from(name)),
            answer: is_address.then(|| Text::from(answer)),
            ..typed(CheckType::Dns)
        })
    }

    fn simple(
        &self,
        request: &str,
        receive: &str,
        remarks: &mut Vec<(&'static str, Effect, String)>,
    ) -> CheckEntry {
        let send = request.strip_prefix('/').unwrap_or(request).replace("\\n", "\n");
        let is_plain = !receive.contains(is_of_pattern);
        if !is_plain {
            let message = format!("`{receive}` is a pattern; the check takes any answer");
            remarks.push(("receive", Effect::Lost, message));
        }
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Text::from);
        CheckEntry {
            send: text(&send),
            expect: text(receive).filter(|_| is_plain),
            ..typed(if self.is_udp { CheckType::Udp } else { CheckType::Tcp })
        }
    }
}

/// The interval and the time-out of a check, of which the second has to be the shorter one.
fn fitting(
    interval: u32,
    timeout: u32,
    is_given: bool,
    remarks: &mut Vec<(&'static str, Effect, String)>,
) -> (String, String) {
    if timeout < interval {
        return (format!("{interval}s"), format!("{timeout}s"));
    }
    let (interval, timeout, message) = if is_given {
        // A server that is slow, and alive, has to pass.
        let longer = format!("{}s", timeout.saturating_add(1));
        let message = format!(
            "a probe ends before the next one begins: with a time-out of {timeout} s there is one each {longer}, and not each {interval} s"
        );
        (longer, format!("{timeout}s"), message)
    } else {
        let shorter = if interval > 1 { format!("{}s", interval - 1) } else { "900ms".to_owned() };
        let message = format!(
            "a probe ends before the next one begins: it is given up after {shorter}; ldirectord waits {timeout} s where the file says nothing"
        );
        (format!("{interval}s"), shorter, message)
    };
    remarks.push(("timeout", Effect::Note, message));
    (interval, timeout)
}

fn typed(kind: CheckType) -> CheckEntry {
    CheckEntry { kind: Some(Choice(kind)), ..CheckEntry::default() }
}

/// Whether a character has a meaning in a pattern of Perl.
fn is_of_pattern(c: char) -> bool {
    "\\^$.|?*+()[]{}".contains(c)
}

/// A pattern of Perl as `body`.
fn body(receive: &str) -> Option<Text> {
    let is_between_slashes = receive.starts_with('/') && receive.ends_with('/');
    let is_plain = !receive.contains(is_of_pattern) && !is_between_slashes;
    match receive {
        "" => None,
        plain if is_plain => Some(Text::from(plain)),
        pattern => Some(Text::from(format!("/{pattern}/"))),
    }
}
