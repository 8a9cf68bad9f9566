//! Reads the blocks of virtual and real servers.

use super::address;
use super::checkers::checker;
use super::model::{Forward, Granularity, Pace, Real, Sorry, Target, Virtual};
use super::shared::{not_taken, pace};
use super::text::Text;
use super::tree::Node;
use super::values::{forward, number, word, yes_or_no};
use crate::model::{Family, ForwardingMethod, Protocol, SchedulerFlag, SchedulerFlags};

/// The schedulers that keepalived 2.2.7 knows.
const SCHEDULERS: [&str; 14] =
    ["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "dh", "fo", "ovf", "lblcr", "sed", "nq", "twos"];
/// Seconds of persistence where no number is said.
pub(super) const PERSISTENCE: u32 = 360;
/// The longest persistence and timeout, in seconds.
pub(super) const LONGEST: u32 = 86_400 * 31;
/// The greatest weight.
const WEIGHT: u32 = i32::MAX as u32;

/// Reads a virtual server.
pub(super) fn virtual_server(node: &Node, text: &mut Text) -> Option<Virtual> {
    let second = node.words.get(1).map(String::as_str);
    let third = node.words.get(2).map(String::as_str);
    // What is wrong with these was said when the block was found.
    let target = match second {
        Some("group") => Target::Group(third?.to_owned()),
        Some("fwmark") => Target::Mark(address::mark(third).ok()?),
        _ => {
            let (address, port) = address::endpoint(second, third).ok()?;
            Target::Address(address, port)
        }
    };
    let family = match &target {
        Target::Address(address, _) => Some(Family::of(*address)),
        Target::Mark(_) | Target::Group(_) => None,
    };
    let mut read = Virtual {
        origin: node.origin,
        target,
        family,
        scheduler: None,
        flags: SchedulerFlags::default(),
        one_packet: false,
        forward: None,
        persistence: None,
        granularity: None,
        engine: None,
        protocol: None,
        weight: 1,
        inhibit: false,
        virtualhost: None,
        pace: Pace::default(),
        quorum: None,
        hysteresis: None,
        sorry: None,
        servers: Vec::new(),
    };
    for line in &node.children {
        read.line(line, text);
    }
    Some(read)
}

impl Virtual {
    fn line(&mut self, line: &Node, text: &mut Text) {
        match line.name() {
            "real_server" => {
                if let Some(server) = real_server(line, self.forward, text)
                    && self.has_family_of(&server, text)
                {
                    self.servers.push(server);
                }
            }
            "lb_algo" | "lvs_sched" => self.scheduler(line, text),
            "lb_kind" | "lvs_method" => self.forward = forward(line, self.forward, text),
            "persistence_timeout" if line.words.len() < 2 => self.persistence = Some(PERSISTENCE),
            "persistence_timeout" => {
                self.persistence = number(line, 1, LONGEST, true, text).or(self.persistence);
            }
            "persistence_granularity" => self.granularity(line, text),
            "persistence_engine" => {
                self.engine = word(line, text).map(|name| name.chars().take(15).collect());
            }
            "protocol" => match word(line, text).map(str::to_ascii_uppercase).as_deref() {
                Some("TCP") => self.protocol = Some(Protocol::Tcp),
                Some("UDP") => self.protocol = Some(Protocol::Udp),
                Some("SCTP") => self.protocol = Some(Protocol::Sctp),
                Some(_) => text.note(line.origin, "keepalived ignores it: it is none of TCP, UDP and SCTP"),
                None => {}
            },
            "ops" => self.one_packet = true,
            "hashed" | "flag-1" | "flag-2" | "flag-3" | "sh-port" | "sh-fallback" | "mh-port"
            | "mh-fallback" => self.flag(line, text),
            "ip_family" => match word(line, text) {
                Some("inet") => self.set_family(Family::V4, line, text),
                Some("inet6") => self.set_family(Family::V6, line, text),
                Some(_) => text.note(line.origin, "keepalived ignores it: it is neither inet nor inet6"),
                None => {}
            },
            "weight" => self.weight = number(line, 1, WEIGHT, false, text).unwrap_or(self.weight),
            "inhibit_on_failure" => self.inhibit = true,
            "virtualhost" => self.virtualhost = line.words.get(1).cloned(),
            "quorum" => {
                let quorum = number(line, 1, u32::MAX, false, text).unwrap_or(1);
                self.quorum = Some((quorum, line.origin));
            }
            "hysteresis" => {
                self.hysteresis = number(line, 0, u32::MAX, false, text)
                    .map(|value| (value, line.origin))
                    .or(self.hysteresis);
            }
            "sorry_server" => self.sorry(line, text),
            "sorry_server_inhibit" => match &mut self.sorry {
                Some(sorry) => sorry.inhibit = Some(line.origin),
                None => text.note(line.origin, "keepalived ignores it: no `sorry_server` is above it"),
            },
            "sorry_server_lvs_method" => match &mut self.sorry {
                Some(sorry) => sorry.forward = forward(line, sorry.forward, text),
                None => text.note(line.origin, "keepalived ignores it: no `sorry_server` is above it"),
            },
            name => match pace(&mut self.pace, line, text) {
                true => {}
                false => not_taken(name, line, text),
            },
        }
    }

    fn scheduler(&mut self, line: &Node, text: &mut Text) {
        let Some(name) = word(line, text) else { return };
        if SCHEDULERS.contains(&name) {
            self.scheduler = Some(name.to_owned());
        } else {
            let instead = self.scheduler.as_deref().unwrap_or("wlc");
            text.note(line.origin, format!("keepalived knows no scheduler `{name}`, and uses {instead}"));
        }
    }

    fn flag(&mut self, line: &Node, text: &mut Text) {
        let scheduler = self.scheduler.as_deref().unwrap_or_default();
        let flag = match (line.name(), scheduler) {
            ("flag-1", _) => SchedulerFlag::Flag1,
            ("flag-2", _) => SchedulerFlag::Flag2,
            ("flag-3", _) => SchedulerFlag::Flag3,
            ("sh-fallback", "sh") => SchedulerFlag::ShFallback,
            ("sh-port", "sh") => SchedulerFlag::ShPort,
            ("mh-fallback", "mh") => SchedulerFlag::MhFallback,
            ("mh-port", "mh") => SchedulerFlag::MhPort,
            (name, _) => {
                text.note(
                    line.origin,
                    format!("keepalived ignores `{name}`, since the scheduler that it belongs to is not set above it"),
                );
                return;
            }
        };
        // Flags of two schedulers are the same switches.
        self.flags.switch_on(flag);
    }

    fn granularity(&mut self, line: &Node, text: &mut Text) {
        let Some(word) = word(line, text) else { return };
        let family = self.family.unwrap_or(if word.contains('.') { Family::V4 } else { Family::V6 });
        let read = match family {
            Family::V6 => number(line, 1, 128, true, text).map(Granularity::Length),
            Family::V4 => {
                // A number by itself is an address as well, by the rules of old.
                let address = word.parse().ok().or_else(|| word.parse::<u32>().ok().map(Into::into));
                if address.is_none() {
                    text.note(line.origin, format!("keepalived ignores it: `{word}` is not a netmask"));
                }
                address.map(Granularity::Mask)
            }
        };
        if read.is_some() {
            self.granularity = read;
            self.family = Some(family);
            self.persistence = self.persistence.or(Some(PERSISTENCE));
        }
    }

    fn set_family(&mut self, family: Family, line: &Node, text: &mut Text) {
        match self.family {
            Some(other) if other != family => {
                text.note(line.origin, format!("keepalived ignores it: the virtual server is {other}"));
            }
            _ => self.family = Some(family),
        }
    }

    fn sorry(&mut self, line: &Node, text: &mut Text) {
        let (address, port) = (line.words.get(1), line.words.get(2));
        match address::endpoint(address.map(String::as_str), port.map(String::as_str)) {
            Ok((address, port)) => {
                self.sorry =
                    Some(Sorry { origin: line.origin, address, port, forward: self.forward, inhibit: None });
            }
            Err(why) => text.note(line.origin, format!("left out, as by keepalived: {why}")),
        }
    }

    /// Whether a server may be behind the virtual server; the first one says of which family that is, where nothing else does.
    fn has_family_of(&mut self, server: &Real, text: &mut Text) -> bool {
        let family = Family::of(server.address);
        let method = server.forward.or(self.forward).map(|forward| forward.method);
        if method == Some(ForwardingMethod::Tunnel) {
            return true;
        }
        match self.family {
            None => self.family = Some(family),
            Some(other) if other != family => {
                text.note(
                    server.origin,
                    format!(
                        "left out, as by keepalived: the server is {family}, and the virtual server {other}"
                    ),
                );
                return false;
            }
            Some(_) => {}
        }
        true
    }
}

fn real_server(node: &Node, inherited: Option<Forward>, text: &mut Text) -> Option<Real> {
    let (second, third) = (node.words.get(1), node.words.get(2));
    let (address, port) = address::endpoint(second.map(String::as_str), third.map(String::as_str)).ok()?;
    let mut read = Real {
        origin: node.origin,
        address,
        port,
        weight: None,
        forward: None,
        upper: 0,
        lower: 0,
        inhibit: None,
        virtualhost: None,
        pace: Pace::default(),
        checkers: Vec::new(),
    };
    for line in &node.children {
        match line.name() {
            "weight" => read.weight = number(line, 0, WEIGHT, false, text).or(read.weight),
            "lvs_method" => read.forward = forward(line, read.forward.or(inherited), text),
            "uthreshold" => read.upper = number(line, 0, u32::MAX, false, text).unwrap_or(read.upper),
            "lthreshold" => read.lower = number(line, 0, u32::MAX, false, text).unwrap_or(read.lower),
            "inhibit_on_failure" => read.inhibit = yes_or_no(line, text).or(read.inhibit),
            "virtualhost" => read.virtualhost = line.words.get(1).cloned(),
            name if name.ends_with("_CHECK") || name.ends_with("_GET") => {
                read.checkers.extend(checker(line, text));
            }
            name => match pace(&mut read.pace, line, text) {
                true => {}
                false => not_taken(name, line, text),
            },
        }
    }
    Some(read)
}
