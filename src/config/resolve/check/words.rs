//! What the resolving of all types of checks shares: places, and texts with their limits.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::config::format::document::{PathText, Text};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::CHECK_TEXT;
use crate::config::format::path::KeyPath;

/// The place of a check in the file; made only where there is something to report.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) here: &'a dyn Fn() -> KeyPath,
}

impl Place<'_> {
    /// The place of one of its keys.
    pub(super) fn at(self, key: &'static str) -> KeyPath {
        (self.here)().then(key)
    }
}

/// The text of a key, neither empty nor longer than the limit.
pub(super) fn text(
    text: Option<&Text>,
    path: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<String> {
    let text = text?.as_str();
    let wrong = match text.len() {
        0 => "the text is empty",
        1..=CHECK_TEXT => return Some(text.to_owned()),
        _ => "the text is too long",
    };
    issues.push(Issue::new(path(), wrong).expected(format!("1 to {CHECK_TEXT} bytes, or no such key")));
    None
}

/// The absolute path of a file.
pub(super) fn path(
    path: Option<&PathText>,
    place: impl FnOnce() -> KeyPath,
    issues: &mut Issues,
) -> Option<PathBuf> {
    let path = path?.as_str();
    if path.starts_with('/') && path.len() <= CHECK_TEXT && !path.contains(char::is_control) {
        return Some(path.into());
    }
    issues.push(
        Issue::new(place(), format!("`{path}` is not an absolute path"))
            .expected(format!("a path from `/` on, of at most {CHECK_TEXT} bytes, such as /etc/lbd/ca.pem")),
    );
    None
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn or(words: &[String]) -> String {
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// The value of `host`.
pub(super) struct Host {
    /// As a `Host` header has it
    pub(super) written: String,
    /// The name or address alone
    pub(super) name: String,
}

/// A name or an address, with or without a port.
pub(super) fn host(text: Option<&Text>, place: Place<'_>, issues: &mut Issues) -> Option<Host> {
    let text = self::text(text, || place.at("host"), issues)?;
    let host = host_of(&text);
    if host.is_none() {
        issues.push(
            Issue::new(place.at("host"), format!("`{text}` is not the name of a host"))
                .expected("a name or an IP address, such as www.example.com; with a port, www.example.com:8080 or [fd00::1]:8080"),
        );
    }
    host
}

fn host_of(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(Host { written: format!("[{address}]"), name: address.to_string() });
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_port =
        |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number > 0);
    let name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().ok()?.to_string(),
        None => Some(name).filter(|name| is_host_name(name))?.to_owned(),
    };
    port.is_none_or(is_port).then(|| Host { written: text.to_owned(), name })
}

/// Whether a text is the name of a host: labels of letters, digits, `-` and `_`.
pub(super) fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for (text, written, name) in [
            ("www.example.com", "www.example.com", "www.example.com"),
            ("www.example.com:8080", "www.example.com:8080", "www.example.com"),
            ("192.0.2.1:80", "192.0.2.1:80", "192.0.2.1"),
            ("fd00::1", "[fd00::1]", "fd00::1"),
            ("[fd00::1]", "[fd00::1]", "fd00::1"),
            ("[fd00::1]:8080", "[fd00::1]:8080", "fd00::1"),
        ] {
            let host = host_of(text).map(|host| (host.written, host.name));
            assert_eq!(host, Some((written.to_owned(), name.to_owned())), "{text}");
        }
        for text in
            ["", "a b", "-a", "a:", "a:0", "a:080", "a:65536", "[fd00::1", "[a]:80", "a..b", ":80", "a/b"]
        {
            assert!(host_of(text).is_none(), "{text}");
        }
    }
}
