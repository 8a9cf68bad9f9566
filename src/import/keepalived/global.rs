//! Reads the global definitions: timeouts and the sync daemon; all else is keepalived's own.

use super::numbers::unsigned;
use super::servers::LONGEST;
use super::text::{Origin, Text};
use super::tree::Node;
use crate::model::Timeouts;

/// What of the global definitions is about the load balancer.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) timeouts: Timeouts,
    pub(super) sync: Option<Sync>,
}

/// The sync daemon.
#[derive(Debug)]
pub(super) struct Sync {
    pub(super) origin: Origin,
    pub(super) interface: String,
    /// The VRRP instance whose state says whether it is master or backup
    pub(super) instance: Option<String>,
    pub(super) id: Option<u32>,
    pub(super) max_length: Option<u32>,
    pub(super) port: Option<u32>,
    pub(super) ttl: Option<u32>,
    pub(super) group: Option<std::net::IpAddr>,
}

/// The least and the greatest value of the options of the sync daemon that are numbers.
const OPTIONS: [(&str, u32, u32); 4] =
    [("id", 0, 255), ("maxlen", 1, 65_507), ("port", 1, 65_535), ("ttl", 1, 255)];

impl Global {
    /// Reads a block.
    pub(super) fn read(&mut self, node: &Node, text: &mut Text) {
        for line in &node.children {
            match line.name() {
                "lvs_timeouts" => self.timeouts(line, text),
                "lvs_sync_daemon" if self.sync.is_some() => {
                    text.note(line.origin, "keepalived ignores it: a sync daemon is above it");
                }
                "lvs_sync_daemon" => self.sync = sync(line, text),
                name => text.note(line.origin, other(name)),
            }
        }
    }

    fn timeouts(&mut self, line: &Node, text: &mut Text) {
        let Timeouts { tcp, tcp_fin, udp } = &mut self.timeouts;
        let mut words = line.words.iter().skip(1).map(String::as_str);
        while let Some(word) = words.next() {
            let field = match word {
                "tcp" => &mut *tcp,
                "tcpfin" => &mut *tcp_fin,
                "udp" => &mut *udp,
                _ => {
                    text.note(line.origin, format!("keepalived ignores `{word}`: it is no timeout"));
                    continue;
                }
            };
            let value = words.next().unwrap_or_default();
            match unsigned(value, 0, LONGEST, true).filter(|_| !value.is_empty()) {
                // 0 leaves the value as it is.
                Some(read) => *field = Some(read.value).filter(|value| *value > 0).or(*field),
                None => text.note(
                    line.origin,
                    format!("keepalived ignores `{word}`: `{value}` is no number of seconds"),
                ),
            }
        }
    }
}

fn sync(line: &Node, text: &mut Text) -> Option<Sync> {
    let interface = super::values::word(line, text)?.to_owned();
    let mut sync = Sync {
        origin: line.origin,
        interface,
        instance: None,
        id: None,
        max_length: None,
        port: None,
        ttl: None,
        group: None,
    };
    let mut words = line.words.iter().map(String::as_str).enumerate().skip(2);
    while let Some((index, word)) = words.next() {
        if let Some((name, least, most)) = OPTIONS.iter().find(|(name, ..)| *name == word) {
            let value = words.next().map_or("", |(_, value)| value);
            match unsigned(value, *least, *most, true).filter(|_| !value.is_empty()) {
                Some(read) => {
                    let field = match *name {
                        "id" => &mut sync.id,
                        "maxlen" => &mut sync.max_length,
                        "port" => &mut sync.port,
                        _ => &mut sync.ttl,
                    };
                    *field = Some(read.value);
                }
                None => text
                    .note(line.origin, format!("keepalived ignores `{word}`: `{value}` is no value for it")),
            }
            continue;
        }
        match word {
            "inst" => sync.instance = words.next().map(|(_, name)| name.to_owned()),
            "group" => {
                let value = words.next().map_or("", |(_, value)| value);
                sync.group = super::address::without_range(value).filter(|group| group.is_multicast());
                if sync.group.is_none() {
                    text.note(
                        line.origin,
                        format!("keepalived ignores `group`: `{value}` is no multicast address"),
                    );
                }
            }
            // As it was written before there were options.
            name if index == 2 => sync.instance = Some(name.to_owned()),
            id if index == 3 => sync.id = unsigned(id, 0, 255, true).map(|read| read.value),
            _ => text.note(line.origin, format!("keepalived ignores `{word}` here")),
        }
    }
    Some(sync)
}

/// What a line is about that is not lbd's.
fn other(name: &str) -> &'static str {
    if name.starts_with("notification_") || name.starts_with("smtp_") {
        "mail is not lbd's"
    } else if name.starts_with("snmp") || name.starts_with("enable_snmp") || name.starts_with("enable_traps")
    {
        "SNMP is not lbd's"
    } else if name.starts_with("vrrp") || name.starts_with("garp") {
        "VRRP is not lbd's"
    } else if name.contains("script") || name.contains("notify") || name.contains("fifo") {
        "scripts are not lbd's"
    } else if name.starts_with("lvs_flush") {
        "lbd leaves the table as it is when it begins and when it ends; `prune` says what it deletes"
    } else if name.starts_with("nftables_ipvs") {
        "lbd makes a service for each address of a group, and needs no mark for that"
    } else {
        "a setting of keepalived itself, which is not lbd's"
    }
}
