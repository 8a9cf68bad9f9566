//! Reads the blocks of health checks.

use std::net::IpAddr;
use std::time::Duration;

use super::address;
use super::model::{Checker, CheckerKind, Pace, Url};
use super::shared::{not_taken, pace};
use super::text::Text;
use super::tree::Node;
use super::values::{number, time, word};
use super::words::command_words;

/// Reads a health check; the deprecated hosts of `SMTP_CHECK` are several.
pub(super) fn checker(node: &Node, text: &mut Text) -> Vec<Checker> {
    let kind = match node.name() {
        "TCP_CHECK" => CheckerKind::Tcp,
        "PING_CHECK" => CheckerKind::Ping,
        "SMTP_CHECK" => {
            text.lost(node.origin, "lbd does not speak SMTP: a connection is enough (`type: tcp`)");
            CheckerKind::Smtp
        }
        "HTTP_GET" => CheckerKind::Http { tls: false, virtualhost: None, urls: Vec::new() },
        "SSL_GET" => CheckerKind::Http { tls: true, virtualhost: None, urls: Vec::new() },
        "MISC_CHECK" => CheckerKind::Misc { command: Vec::new(), timeout: None },
        "DNS_CHECK" => CheckerKind::Dns { name: None, record: None },
        "UDP_CHECK" => CheckerKind::Udp { payload: None, reply: None },
        name => {
            text.lost(node.origin, format!("lbd has no check such as `{name}`; `type: exec` runs a program"));
            return Vec::new();
        }
    };
    let mut read =
        Checker { origin: node.origin, kind, address: None, port: None, source: None, pace: Pace::default() };
    let mut hosts = Vec::new();
    let mut has_connection = false;
    for line in &node.children {
        has_connection |=
            matches!(line.name(), "connect_ip" | "connect_port" | "bindto" | "connect_timeout" | "fwmark");
        match (line.name(), &mut read.kind) {
            ("host", CheckerKind::Smtp) => {
                let mut host = Checker {
                    origin: line.origin,
                    kind: CheckerKind::Smtp,
                    address: None,
                    port: None,
                    source: None,
                    pace: Pace::default(),
                };
                line.children.iter().for_each(|line| host.connection(line, text));
                hosts.push(host);
            }
            ("url", CheckerKind::Http { urls, .. }) => urls.extend(url(line, text)),
            ("virtualhost", CheckerKind::Http { virtualhost, .. }) => {
                *virtualhost = line.words.get(1).cloned();
            }
            ("http_protocol" | "fast_recovery" | "enable_sni" | "tls_compliant", CheckerKind::Http { .. }) => {
                text.note(
                    line.origin,
                    "lbd has no such switch: it asks by HTTP/1.1, and sends the name of `host` as SNI",
                );
            }
            ("misc_path", CheckerKind::Misc { command, .. }) => *command = command_of(line, text),
            ("misc_timeout", CheckerKind::Misc { timeout, .. }) => {
                *timeout = time(line, Duration::ZERO, text).filter(|time| !time.is_zero()).or(*timeout);
            }
            ("misc_dynamic", CheckerKind::Misc { .. }) => text.lost(
                line.origin,
                "lbd does not read a weight from the exit code, and every code but 0 fails; with `weight: output` a program writes the weight",
            ),
            ("user", CheckerKind::Misc { .. }) => {
                text.note(line.origin, "lbd runs programs as the user of its checker");
            }
            ("name", CheckerKind::Dns { name, .. }) => *name = word(line, text).map(str::to_owned),
            ("type", CheckerKind::Dns { record, .. }) => *record = record_of(line, text).or(record.take()),
            ("payload", CheckerKind::Udp { payload, .. }) => *payload = hexadecimal(line, text),
            ("require_reply", CheckerKind::Udp { reply, .. }) => *reply = reply_of(line, text),
            ("min_reply_length" | "max_reply_length", CheckerKind::Udp { .. }) => {
                text.lost(line.origin, "lbd does not check how long an answer is");
            }
            ("helo_name", CheckerKind::Smtp) => {}
            _ => read.connection(line, text),
        }
    }
    if hosts.is_empty() || has_connection {
        hosts.insert(0, read);
    } else {
        // The hosts have the times of the check.
        hosts.iter_mut().for_each(|host| host.pace = host.pace.or(&read.pace));
    }
    hosts
}

impl Checker {
    /// What all checks have.
    fn connection(&mut self, line: &Node, text: &mut Text) {
        match line.name() {
            "connect_ip" => self.address = ip(line, text).or(self.address),
            "bindto" => self.source = ip(line, text).or(self.source),
            "connect_port" => {
                let port = number(line, 1, u16::MAX.into(), false, text);
                self.port = port.and_then(|port| u16::try_from(port).ok()).or(self.port);
            }
            "bind_port" | "bind_if" | "fwmark" => {
                text.lost(line.origin, format!("a check of lbd has no `{}`", line.name()));
            }
            name => {
                if !pace(&mut self.pace, line, text) {
                    not_taken(name, line, text);
                }
            }
        }
    }
}

fn ip(line: &Node, text: &mut Text) -> Option<IpAddr> {
    let word = word(line, text)?;
    let address = address::without_range(word);
    if address.is_none() {
        text.note(line.origin, format!("keepalived ignores it: `{word}` is not an IP address"));
    }
    address
}

fn url(node: &Node, text: &mut Text) -> Option<Url> {
    let mut url = Url { origin: Some(node.origin), ..Url::default() };
    for line in &node.children {
        match line.name() {
            "path" => url.path = word(line, text).map(str::to_owned),
            "digest" => text.lost(
                line.origin,
                "lbd compares no digests: the check passes by the status; `body` looks for a text or a regular expression",
            ),
            "status_code" => url.status.extend(status(line, text)),
            "virtualhost" => url.virtualhost = line.words.get(1).cloned(),
            "regex" => match command_words(&line.line).as_deref() {
                Some([_, regex]) => url.regex = Some(regex.clone()),
                _ => text.note(line.origin, "keepalived ignores it: it is not one regular expression"),
            },
            "regex_options" => {
                for option in line.words.iter().skip(1) {
                    match option.as_str() {
                        "caseless" => url.regex_options.push('i'),
                        "multiline" => url.regex_options.push('m'),
                        "dotall" => url.regex_options.push('s'),
                        "extended" => url.regex_options.push('x'),
                        "utf" | "ucp" => {}
                        _ => text.lost(line.origin, format!("lbd has no option `{option}` for regular expressions")),
                    }
                }
            }
            "regex_no_match" => {
                text.lost(line.origin, "lbd cannot expect that a text is missing; `body` is left out");
                url.regex_options.push('!');
            }
            "regex_min_offset" | "regex_max_offset" => {
                text.lost(line.origin, "lbd looks for a text in the whole body");
            }
            name => not_taken(name, line, text),
        }
    }
    if url.path.is_none() {
        text.note(node.origin, "left out, as by keepalived: the page has no `path`");
        return None;
    }
    Some(url)
}

fn status(line: &Node, text: &mut Text) -> Vec<(u16, u16)> {
    let mut codes = Vec::new();
    for word in line.words.iter().skip(1) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if (100..=last).contains(&first) && last <= 599 => {
                codes.push((first, last))
            }
            _ => text.note(line.origin, format!("keepalived ignores it: `{word}` is no status code")),
        }
    }
    codes
}

/// The program of a check and its arguments. The command is one word, which is taken apart once more.
fn command_of(line: &Node, text: &mut Text) -> Vec<String> {
    let words = command_words(&line.line).unwrap_or_default();
    let command = words.get(1).and_then(|command| command_words(command)).unwrap_or_default();
    match command.first() {
        None => text.note(line.origin, "keepalived ignores it: there is no program"),
        Some(program) if !program.starts_with('/') => {
            text.lost(line.origin, format!("the program `{program}` needs its absolute path"));
            return Vec::new();
        }
        Some(_) => {}
    }
    command
}

fn record_of(line: &Node, text: &mut Text) -> Option<String> {
    let record = word(line, text)?.to_ascii_uppercase();
    if matches!(record.as_str(), "A" | "AAAA" | "CNAME" | "NS" | "SOA" | "TXT") {
        return Some(record);
    }
    text.lost(line.origin, format!("lbd cannot ask for a record of type {record}; the check asks for SOA"));
    None
}

fn hexadecimal(line: &Node, text: &mut Text) -> Option<String> {
    let digits: String = line.words.iter().skip(1).map(String::as_str).collect();
    let is_right = !digits.is_empty()
        && digits.len().is_multiple_of(2)
        && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_right {
        return Some(format!("hex:{digits}"));
    }
    text.lost(line.origin, "these are not hexadecimal digits, two for each byte, without wildcards");
    None
}

fn reply_of(line: &Node, text: &mut Text) -> Option<String> {
    if line.words.len() < 2 {
        text.lost(line.origin, "lbd expects an answer only where it knows what is in it: write `expect`");
        return None;
    }
    hexadecimal(line, text)
}
