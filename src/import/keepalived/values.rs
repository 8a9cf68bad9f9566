//! Reads the values of single lines, and says where they are missing or not quite what they should be.

use std::time::Duration;

use super::model::Forward;
use super::numbers::{self, Read};
use super::text::Text;
use super::tree::Node;
use crate::model::{Checksum, ForwardingMethod, TunnelKind};

/// The word behind the first one. Without it keepalived ends at once.
pub(super) fn word<'a>(node: &'a Node, text: &mut Text) -> Option<&'a str> {
    let word = node.words.get(1).map(String::as_str);
    if word.is_none() {
        text.lost(
            node.origin,
            format!("`{}` needs a value; without it keepalived refuses the whole file", node.name()),
        );
    }
    word
}

/// A number; what keepalived refuses is ignored, as it does.
pub(super) fn number(node: &Node, least: u32, most: u32, strict: bool, text: &mut Text) -> Option<u32> {
    let word = word(node, text)?;
    let read = numbers::unsigned(word, least, most, strict);
    read_value(read, node, word, text)
}

/// A time in seconds.
pub(super) fn time(node: &Node, least: Duration, text: &mut Text) -> Option<Duration> {
    let word = word(node, text)?;
    let read = numbers::time(word, least);
    read_value(read, node, word, text)
}

fn read_value<T: std::fmt::Debug + Copy>(
    read: Option<Read<T>>,
    node: &Node,
    word: &str,
    text: &mut Text,
) -> Option<T> {
    match read {
        Some(Read { value, is_exact: true }) => Some(value),
        Some(Read { value, is_exact: false }) => {
            text.note(node.origin, format!("keepalived reads `{word}` as {value:?}"));
            Some(value)
        }
        None => {
            text.note(
                node.origin,
                format!("keepalived ignores it: `{word}` is no value for `{}`", node.name()),
            );
            None
        }
    }
}

/// Yes or no, where yes may be left out.
pub(super) fn yes_or_no(node: &Node, text: &mut Text) -> Option<bool> {
    let Some(word) = node.words.get(1) else { return Some(true) };
    let read = numbers::yes_or_no(word);
    if read.is_none() {
        text.note(node.origin, format!("keepalived ignores it: `{word}` is neither yes nor no"));
    }
    read
}

/// A forwarding method with its tunnel, where `before` was in force. Of what has wrong options, keepalived takes the method.
pub(super) fn forward(node: &Node, before: Option<Forward>, text: &mut Text) -> Option<Forward> {
    let Some(word) = word(node, text) else { return before };
    let method = match word {
        "NAT" => ForwardingMethod::Nat,
        "DR" => ForwardingMethod::DirectRouting,
        "TUN" => ForwardingMethod::Tunnel,
        _ => {
            text.note(node.origin, format!("keepalived ignores it: `{word}` is not one of NAT, DR and TUN"));
            return before;
        }
    };
    match with_options(method, node.words.get(2..).unwrap_or_default()) {
        Ok(forward) => Some(forward),
        Err(why) => {
            text.note(node.origin, format!("keepalived ignores what is behind {word}: {why}"));
            Some(Forward { method, ..before.unwrap_or(Forward::NAT) })
        }
    }
}

fn with_options(method: ForwardingMethod, options: &[String]) -> Result<Forward, String> {
    let mut forward = Forward { method, ..Forward::NAT };
    let mut options = options.iter().map(String::as_str);
    while let Some(option) = options.next() {
        match option {
            "type" => {
                forward.kind = match options.next() {
                    Some("ipip") => TunnelKind::Ipip,
                    Some("gue") => TunnelKind::Gue,
                    Some("gre") => TunnelKind::Gre,
                    other => return Err(format!("`{}` is no type of a tunnel", other.unwrap_or_default())),
                }
            }
            "port" => {
                let port = options.next().unwrap_or_default();
                let read = numbers::unsigned(port, 1, u16::MAX.into(), true);
                forward.port = read
                    .and_then(|read| u16::try_from(read.value).ok())
                    .ok_or_else(|| format!("`{port}` is no port of a tunnel"))?;
            }
            "nocsum" => forward.checksum = Checksum::None,
            "csum" => forward.checksum = Checksum::Csum,
            "remcsum" => forward.checksum = Checksum::Remcsum,
            _ => return Err(format!("`{option}` is no option of a tunnel")),
        }
    }
    match (forward.kind, forward.port, forward.checksum) {
        (TunnelKind::Gue, 0, _) => Err("a gue tunnel needs a port".to_owned()),
        (TunnelKind::Ipip | TunnelKind::Gre, 1.., _) => Err("only a gue tunnel has a port".to_owned()),
        (TunnelKind::Ipip, _, Checksum::Csum | Checksum::Remcsum) => {
            Err("an ipip tunnel has no checksum".to_owned())
        }
        (TunnelKind::Gre, _, Checksum::Remcsum) => Err("a gre tunnel has no remote checksum".to_owned()),
        _ => Ok(forward),
    }
}
