//! What the kernel has counted of a table: which part of it is wanted, what was read, and the host's totals.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Counters, ServerKey, ServiceKey, Statistics};

/// Which statistics to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatisticsScope {
    /// Only of these virtual services, by a request for each; `None` for all, by one list
    pub services: Option<Vec<ServiceKey>>,
    /// Whether those of their real servers, too: a list for each service, which costs ten times as much
    pub servers: bool,
    /// Whether those of the host
    pub totals: bool,
}

/// The statistics that were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableStatistics {
    /// By virtual service
    pub services: HashMap<ServiceKey, Statistics>,
    /// By real server of a virtual service
    pub servers: HashMap<(ServiceKey, ServerKey), Statistics>,
    /// Those of the host: of all services that there are and were; `None` where they are not wanted, or cannot be read
    pub totals: Option<Statistics>,
    /// `net.ipv4.vs.run_estimation` is 0: the kernel counts nothing for services and servers, and what it shows of them is as it was
    pub are_stopped: bool,
}

impl TableStatistics {
    /// The sums of the services of each cluster, where `cluster` has the name of a service's.
    pub fn by_cluster<'a>(
        &self,
        cluster: impl Fn(&ServiceKey) -> Option<&'a str>,
    ) -> BTreeMap<&'a str, Statistics> {
        let mut sums = BTreeMap::<&str, Statistics>::new();
        for (service, statistics) in &self.services {
            if let Some(cluster) = cluster(service) {
                *sums.entry(cluster).or_default() += *statistics;
            }
        }
        sums
    }
}

/// The host's totals from the text of `/proc/net/ip_vs_stats`: two headings and five hexadecimal numbers, which are the counters, and, behind
/// another heading, the rates. `None` where it is any other text: half-understood is not understood.
pub fn parse_totals(text: &str) -> Option<Statistics> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_heading = |line: &str, word: &str| line.split_whitespace().next() == Some(word);
    let mut after_heading = |words: &[&str]| {
        let all_there = words.iter().all(|word| lines.next().is_some_and(|line| is_heading(line, word)));
        if all_there { counters(lines.next()?) } else { None }
    };
    let statistics =
        Statistics { counters: after_heading(&["Total", "Conns"])?, rates: after_heading(&["Conns/s"])? };
    lines.next().is_none().then_some(statistics)
}

/// Five hexadecimal numbers, and nothing else.
fn counters(line: &str) -> Option<Counters> {
    let mut words = line.split_whitespace();
    let mut number = || {
        // `from_str_radix` would take a sign, too.
        let word = words.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u64::from_str_radix(word, 16).ok()
    };
    let counters = Counters {
        connections: number()?,
        incoming_packets: number()?,
        outgoing_packets: number()?,
        incoming_bytes: number()?,
        outgoing_bytes: number()?,
    };
    words.next().is_none().then_some(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.1 prints it.
    const TEXT: &str = "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      1F      A00        3         FFFFFFFF 123456789ABCDEF0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       1        2        0               10                0
";

    #[test]
    fn totals_are_read_from_the_text_of_the_kernel() {
        let expected = Statistics {
            counters: Counters {
                connections: 0x1f,
                incoming_packets: 0xa00,
                outgoing_packets: 3,
                incoming_bytes: 0xffff_ffff,
                outgoing_bytes: 0x1234_5678_9abc_def0,
            },
            rates: Counters {
                connections: 1,
                incoming_packets: 2,
                outgoing_packets: 0,
                incoming_bytes: 16,
                outgoing_bytes: 0,
            },
        };
        assert_eq!(parse_totals(TEXT), Some(expected));
    }

    #[test]
    fn a_text_that_is_not_quite_so_is_not_understood() {
        for wrong in [
            String::new(),
            TEXT.replace("Conns/s", "CPS"),
            TEXT.replace(" A00 ", " +A0 "),
            TEXT.replace("       1 ", ""),
            TEXT.replace("1F", "1F 1F"),
            TEXT.replace("1F", "1FFFFFFFFFFFFFFFF"),
            format!("{TEXT}1 2 3 4 5\n"),
        ] {
            assert_eq!(parse_totals(&wrong), None, "{wrong}");
        }
    }
}
