//! Resolves an HTTP request and what is expected of its answer.

use hyper::Uri;

use super::words::{self, Place};
use crate::config::format::document::{CheckEntry, Scalar, StatusText};
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::limits::{CHECK_ENTRIES, STATUS};
use crate::model::{Body, Http};

/// The methods that a lower-case word was meant to be.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"];

/// The headers that the request gets by itself, each with what is to be done in its place.
const OWN: [(&str, &str); 4] = [
    ("host", "`host`, a key of the check"),
    ("connection", "no such header: each probe has a connection of its own"),
    ("content-length", "no such header: the request has no body"),
    ("transfer-encoding", "no such header: the request has no body"),
];

/// The request of a check, and what is expected.
pub(super) fn http(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Http {
    let method = method(entry, place, issues);
    let body = body(entry, place, issues);
    if method == "HEAD" && body.is_some() {
        issues.push(
            Issue::new(place.at("body"), "the answer to `HEAD` has no body")
                .expected("`method: GET`, or no `body`")
                .involving(place.at("method")),
        );
    }
    Http {
        path: path(entry, place, issues),
        host: host(entry, place, issues),
        method,
        headers: headers(entry, place, issues),
        status: status(entry, place, issues),
        body,
    }
}

fn path(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> String {
    let Some(path) = words::text(entry.path.as_ref(), || place.at("path"), issues) else { return "/".into() };
    if !is_path(&path) {
        let (message, suggestion) = match path.strip_prefix("http").and_then(|_| path.splitn(4, '/').nth(3)) {
            Some(rest) => (format!("`{path}` is a whole URL"), Some(format!("/{rest}"))),
            None if path.starts_with('/') => (format!("`{path}` is not the path of a request"), None),
            None => (format!("`{path}` does not begin with a slash"), Some(format!("/{path}"))),
        };
        issues.push(
            Issue::new(place.at("path"), message)
                .expected("`/` and ASCII characters without spaces and `#`; others as %XX")
                .suggest(suggestion.filter(|path| is_path(path))),
        );
    }
    path
}

/// Whether a text is what a request asks for.
fn is_path(text: &str) -> bool {
    let is_whole = |uri: Uri| uri.path_and_query().is_some_and(|whole| whole.as_str() == text);
    text.starts_with('/') && text.is_ascii() && text.parse().is_ok_and(is_whole)
}

/// The `Host` of a request.
fn host(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Option<String> {
    words::host(entry.host.as_ref(), place, issues).map(|host| host.written)
}

/// Whether a text is a token of HTTP, as methods and the names of headers are.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn method(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> String {
    let Some(method) = words::text(entry.method.as_ref(), || place.at("method"), issues) else {
        return "GET".into();
    };
    let upper = method.to_ascii_uppercase();
    let is_mistyped = method != upper && METHODS.contains(&upper.as_str());
    // CONNECT is for a proxy, and its answer no HTTP.
    if !is_token(&method) || is_mistyped || upper == "CONNECT" {
        issues.push(
            Issue::new(place.at("method"), format!("`{method}` is not a method of a request for a path"))
                .expected("a method such as GET, HEAD or OPTIONS, in capital letters")
                .suggest(is_mistyped.then_some(upper)),
        );
    }
    method
}

fn headers(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Vec<(String, String)> {
    if entry.headers.len() > CHECK_ENTRIES {
        issues.push(
            Issue::new(place.at("headers"), format!("a check has at most {CHECK_ENTRIES} headers")).at_key(),
        );
    }
    let mut headers: Vec<(String, String)> = Vec::with_capacity(entry.headers.len());
    for (name, value) in &entry.headers {
        let here = || place.at("headers").then(name.clone());
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            issues.push(
                Issue::new(here(), format!("`{name}` is not the name of a header"))
                    .at_key()
                    .expected("letters, digits and `-`, such as User-Agent"),
            );
        } else if let Some((_, instead)) = OWN.iter().find(|(own, _)| *own == lower) {
            issues.push(
                Issue::new(here(), format!("the request has a header `{name}` by itself"))
                    .at_key()
                    .expected(*instead),
            );
        } else if let Some((first, _)) = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            issues.push(
                Issue::new(here(), format!("duplicate header `{name}`"))
                    .at_key()
                    .first(place.at("headers").then(first.clone())),
            );
        }
        let is_value = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
        if !value.as_str().bytes().all(is_value) {
            issues.push(
                Issue::new(
                    here(),
                    format!(
                        "the value of `{name}` contains a line break or another character that no header has"
                    ),
                )
                .expected("ASCII characters on one line"),
            );
        }
        if let Some(value) = words::text(Some(value), here, issues) {
            headers.push((name.clone(), value));
        }
    }
    headers
}

fn status(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Vec<(u16, u16)> {
    let Some(list) = &entry.status else { return vec![(200, 399)] };
    if list.is_empty() || list.len() > CHECK_ENTRIES {
        let message = if list.is_empty() { "no status would pass" } else { "these are too many" };
        let issue = Issue::new(place.at("status"), message);
        issues.push(issue.expected(format!("1 to {CHECK_ENTRIES} numbers or ranges, such as [200-299]")));
    }
    let mut ranges = Vec::with_capacity(list.len());
    for (index, text) in list.iter().enumerate() {
        let range = range(text);
        if range.is_none() {
            issues.push(
                Issue::new(
                    place.at("status").then(index),
                    format!("`{}` is neither a status code nor a range of them", text.0),
                )
                .expected(format!(
                    "a number from {} to {}, or a range such as 200-299",
                    STATUS.start(),
                    STATUS.end()
                )),
            );
        }
        ranges.extend(range);
    }
    ranges
}

fn range(text: &StatusText) -> Option<(u16, u16)> {
    let code = |text: &str| {
        let code = Some(text).filter(|text| text.len() == 3 && !text.starts_with('+'))?.parse().ok()?;
        STATUS.contains(&code).then_some(code)
    };
    let (first, last) = match &text.0 {
        Scalar::Number(number) => {
            let code = code(&number.to_string())?;
            (code, code)
        }
        Scalar::Text(text) => match text.split_once('-') {
            Some((first, last)) => (code(first.trim())?, code(last.trim())?),
            None => (code(text)?, code(text)?),
        },
    };
    (first <= last).then_some((first, last))
}

fn body(entry: &CheckEntry, place: Place<'_>, issues: &mut Issues) -> Option<Body> {
    let text = words::text(entry.body.as_ref(), || place.at("body"), issues)?;
    let inside = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let Some(regex) = inside.filter(|regex| !regex.is_empty()) else { return Some(Body::Text(text)) };
    if let Err(error) = regex_lite::Regex::new(regex) {
        issues.push(
            Issue::new(place.at("body"), format!("the regular expression is not valid: {error}"))
                .expected("a regular expression between slashes, such as `/^ok$/`, or text that does not begin and end with a slash"),
        );
    }
    Some(Body::Regex(regex.to_owned()))
}
