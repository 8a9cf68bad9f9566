//! Says in the words of ipvsadm what a virtual service of ldirectord listens on, and how it is scheduled.

use std::net::IpAddr;

use super::address::{Finder, Target, target, with_port};
use super::lines::Virtual;
use crate::model::Protocol;

/// A virtual service in the words of ipvsadm.
pub(super) struct Listening {
    /// `-t 192.0.2.1:80`
    pub(super) words: Vec<String>,
    pub(super) protocol: Option<Protocol>,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
    /// The address or the mark, as a program gets it
    pub(super) shown: String,
}

/// What a virtual service listens on.
///
/// # Errors
/// Why ldirectord refuses it.
pub(super) fn listening(of: &Virtual, finder: &mut Finder<'_>) -> Result<Listening, String> {
    let protocol_word = of.settings.get("protocol").map(|setting| setting.value.as_str());
    let protocol_word = protocol_word.map(|text| text.split_whitespace().next().unwrap_or_default());
    match target(&of.target, of.is_v6)? {
        Target::Mark(mark) => {
            if protocol_word.is_some_and(|word| word != "fwm") {
                return Err("the protocol of a firewall mark is `fwm`".to_owned());
            }
            let mut words = vec!["-f".to_owned(), mark.clone()];
            words.extend(of.is_v6.then(|| "-6".to_owned()));
            Ok(Listening { words, protocol: None, address: None, port: 0, shown: mark })
        }
        Target::Address(host, port) => {
            let is_dns = port == "53" || port == "domain";
            let protocol = match protocol_word {
                Some("tcp") => Protocol::Tcp,
                Some("udp") => Protocol::Udp,
                Some(word) => return Err(format!("the protocol `{word}` is neither `tcp` nor `udp`")),
                None if is_dns => Protocol::Udp,
                None => Protocol::Tcp,
            };
            let address = finder.host(&host, of.is_v6)?;
            let port = finder.port(&port, &[protocol])?;
            let option = if protocol == Protocol::Udp { "-u" } else { "-t" };
            let words = vec![option.to_owned(), with_port(address, port)];
            let shown = if of.is_v6 { format!("[{address}]") } else { address.to_string() };
            Ok(Listening { words, protocol: Some(protocol), address: Some(address), port, shown })
        }
    }
}

/// The command by which ldirectord adds a virtual service.
pub(super) fn add_service(listening: &Listening, of: &Virtual) -> Vec<String> {
    let value = |key: &str| of.settings.get(key).map(|setting| setting.value.clone());
    let mut words = vec!["-A".to_owned()];
    words.extend(listening.words.iter().cloned());
    if listening.protocol == Some(Protocol::Udp) && value("ops").as_deref() == Some("yes") {
        words.push("-o".to_owned());
    }
    // The first lower-case letters in it.
    let lower = |text: String| {
        let start = text.find(|c: char| c.is_ascii_lowercase())?;
        let rest = text.get(start..)?;
        rest.split(|c: char| !c.is_ascii_lowercase()).next().map(str::to_owned)
    };
    let scheduler = match value("scheduler") {
        None => "wrr".to_owned(),
        Some(text) => lower(text.clone()).unwrap_or(text),
    };
    words.extend(["-s".to_owned(), scheduler]);
    if let Some(seconds) = value("persistent") {
        words.extend(["-p".to_owned(), seconds]);
        if let Some(mask) = value("netmask") {
            words.extend(["-M".to_owned(), mask]);
        }
    }
    if let Some(flags) = value("schedflags") {
        let first = flags.split_whitespace().next().unwrap_or_default();
        words.extend(["-b".to_owned(), first.to_owned()]);
    }
    words
}

/// Whether a target is nothing but a number.
pub(super) fn is_mark_alone(target: &str) -> bool {
    target.split('#').next().unwrap_or_default().trim().bytes().all(|byte| byte.is_ascii_digit())
}
