//! Reads the address of a repository: which protocols are allowed, and nothing in it that git or ssh could take for something else.

use crate::config::other::{Issue, Issues, KeyPath};

/// The protocols that are allowed.
const EXPECTED: &str = "an address with `ssh://`, `https://`, `http://` or `file://`";

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Ssh,
    Http,
    File,
}

/// The protocol of an address, where nothing is wrong with it; else that is reported.
pub(super) fn check(address: &str, here: KeyPath, issues: &mut Issues) -> Option<Protocol> {
    match protocol(address) {
        Ok(protocol) => Some(protocol),
        Err((message, expected, suggestion)) => {
            issues.push(Issue::new(here, message).expected(expected).suggest(suggestion));
            None
        }
    }
}

type Wrong = (String, &'static str, Option<String>);

fn protocol(address: &str) -> Result<Protocol, Wrong> {
    let wrong = |message: &str, expected: &'static str| Err((message.to_owned(), expected, None));
    if address.contains(|letter: char| letter.is_control() || letter.is_whitespace() || letter == '\\') {
        return wrong("the address has a space, a backslash or a control character", EXPECTED);
    }
    let Some((scheme, rest)) = address.split_once("://").filter(|(scheme, _)| !scheme.contains([':', '/']))
    else {
        return Err(without_scheme(address));
    };
    let protocol = match scheme {
        "ssh" => Protocol::Ssh,
        "https" | "http" => Protocol::Http,
        "file" => Protocol::File,
        "git" => return wrong("`git://` has neither encryption nor keys", EXPECTED),
        other => return Err((format!("`{other}://` is not supported"), EXPECTED, None)),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if protocol == Protocol::File {
        return match (authority, path) {
            ("", path) if !path.is_empty() => Ok(protocol),
            _ => {
                wrong("the path behind `file://` is not absolute", "an address such as `file:///srv/lvs.git`")
            }
        };
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    match user {
        Some(_) if protocol == Protocol::Http => {
            // It is not repeated here: it may be a password.
            return wrong(
                "a login by http is not supported",
                "an address without user and password; a repository that needs a login, by `ssh://` with `identity`",
            );
        }
        Some(user) if user.contains(':') => {
            return wrong(
                "a password in the address is not supported",
                "`ssh://USER@HOST/PATH`, and the private key as `identity`",
            );
        }
        Some(user) if user.is_empty() || user.starts_with('-') => {
            return wrong("the user in the address is not one", "`ssh://USER@HOST/PATH`");
        }
        Some(_) | None => {}
    }
    if !is_host(host) {
        return wrong("the address has no host, or one that cannot be", EXPECTED);
    }
    if path.is_empty() {
        return wrong("the address has no path", "the host and behind it the path of the repository");
    }
    Ok(protocol)
}

/// Whether a text is a host, with a port or without.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let is_port = |text: &str| {
        let number = text.strip_prefix(':').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(|digits| digits.parse::<u16>().ok()).is_some_and(|port| port > 0)
    };
    host.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && host.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_'))
        && (port.is_empty() || is_port(port))
}

/// What is wrong with an address without a protocol: mostly it is written as scp has it.
fn without_scheme(address: &str) -> Wrong {
    if address.contains("::") && !address.contains('[') {
        return ("programs as protocols (`ext::…`) are not supported".to_owned(), EXPECTED, None);
    }
    if address.starts_with('/') {
        let suggestion = format!("file://{address}");
        return ("the address has no protocol".to_owned(), EXPECTED, Some(suggestion));
    }
    if let Some((host, path)) =
        address.split_once(':').filter(|(host, path)| !host.contains('/') && !path.is_empty())
    {
        let suggestion = format!("ssh://{host}/{}", path.trim_start_matches('/'));
        let right = protocol(&suggestion).is_ok();
        return (
            "the form `USER@HOST:PATH` is not supported".to_owned(),
            "`ssh://USER@HOST/PATH`; a path from the user's home directory on as `ssh://USER@HOST/~/PATH`",
            right.then_some(suggestion),
        );
    }
    (format!("`{address}` is not the address of a repository"), EXPECTED, None)
}
