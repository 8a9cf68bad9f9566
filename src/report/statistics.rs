//! Writes what the kernel has counted: a table by cluster, service and server, or numbers in the rows of a JSON document.

use std::fmt::Display;
use std::io;

use anstyle::Style;
use serde::Serialize;

use super::output::Output;
use super::styled::{PLAIN, line};
use super::text::{EDIT, HEAD};
use crate::escape;
use crate::kernel::TableStatistics;
use crate::model::{Counters, ServerKey, ServiceKey, Statistics, VirtualService};

/// What the kernel has counted, and what is to be shown of it.
pub struct ShownStatistics {
    /// What was read
    pub table: TableStatistics,
    /// Whether the counters are shown
    pub counters: bool,
    /// Whether the rates are shown
    pub rates: bool,
    /// Whether the text has each digit of a number
    pub is_exact: bool,
}

/// What is shown of some statistics in a row of JSON.
#[derive(Serialize)]
pub(super) struct CountedRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Counters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rates: Option<Counters>,
}

/// The sums of a JSON document.
pub(super) struct SumRows<'a> {
    pub(super) counters: &'static str,
    pub(super) totals: Option<CountedRow>,
    pub(super) clusters: Vec<SumRow<'a>>,
}

#[derive(Serialize)]
pub(super) struct SumRow<'a> {
    cluster: &'a str,
    #[serde(flatten)]
    counted: CountedRow,
}

/// The numbers of a table row; `None` where they are not known.
type Numbers = Option<Counters>;

/// A row: how far it is indented, what it is about, and its numbers.
struct Row {
    depth: usize,
    name: String,
    numbers: Numbers,
}

/// The headings of the columns.
const COLUMNS: [&str; 5] = ["connections", "packets in", "packets out", "bytes in", "bytes out"];

impl ShownStatistics {
    /// The statistics of a service, where they were read. Where the kernel's counters are stopped they are unknown.
    pub(super) fn of_service(&self, service: &ServiceKey) -> Option<Statistics> {
        self.table.services.get(service).copied().filter(|_| !self.table.are_stopped)
    }

    /// Those of a server of a service.
    pub(super) fn of_server(&self, service: &ServiceKey, server: &ServerKey) -> Option<Statistics> {
        self.table.servers.get(&(*service, *server)).copied().filter(|_| !self.table.are_stopped)
    }

    /// Those of the host.
    pub(super) fn of_host(&self) -> Option<Statistics> {
        self.table.totals.filter(|_| !self.table.are_stopped)
    }

    /// What is shown of some statistics in a row of JSON.
    pub(super) fn row(&self, statistics: Option<Statistics>) -> CountedRow {
        CountedRow {
            statistics: statistics.filter(|_| self.counters).map(|of| of.counters),
            rates: statistics.filter(|_| self.rates).map(|of| of.rates),
        }
    }

    /// The sums of a JSON document: those of clusters and of the host, and whether the kernel counts at all.
    pub(super) fn sums<'a>(&self, cluster: impl Fn(&ServiceKey) -> Option<&'a str>) -> SumRows<'a> {
        let are_stopped = self.table.are_stopped;
        let sum = |(cluster, of): (&'a str, Statistics)| SumRow {
            cluster,
            counted: self.row(Some(of).filter(|_| !are_stopped)),
        };
        SumRows {
            counters: if are_stopped { "stopped" } else { "running" },
            totals: self.of_host().map(|of| self.row(Some(of))),
            clusters: self.table.by_cluster(cluster).into_iter().map(sum).collect(),
        }
    }

    /// Writes a table of the counters of these services, and one of the rates.
    pub(super) fn text<'a>(
        &self,
        out: &mut Output,
        services: &[(&ServiceKey, &VirtualService)],
        cluster: impl Fn(&ServiceKey) -> Option<&'a str>,
    ) -> io::Result<()> {
        if self.table.are_stopped {
            let stopped = "the kernel's counters are stopped (net.ipv4.vs.run_estimation: 0)";
            return line(out, &[(EDIT, &stopped)]);
        }
        if self.counters {
            self.write_table(out, "counted", &self.rows(services, &cluster, |of| of.counters))?;
        }
        if self.rates {
            self.write_table(out, "per second", &self.rows(services, &cluster, |of| of.rates))?;
        }
        Ok(())
    }

    /// The rows: by the name of the cluster, then by service; what is of no cluster, and the host, at the end.
    fn rows<'a>(
        &self,
        services: &[(&ServiceKey, &VirtualService)],
        cluster: &impl Fn(&ServiceKey) -> Option<&'a str>,
        of: impl Fn(Statistics) -> Counters,
    ) -> Vec<Row> {
        let mut services = services.to_vec();
        services.sort_by_key(|(service, _)| (cluster(service).is_none(), cluster(service)));
        let sums = self.table.by_cluster(cluster);
        let (mut rows, mut before) = (Vec::new(), None);
        for (service, contents) in services {
            let cluster = cluster(service);
            if let Some(name) = cluster.filter(|_| before != cluster) {
                let numbers = sums.get(name).map(|sum| of(*sum));
                rows.push(Row { depth: 0, name: escape::text(name).into_owned(), numbers });
            }
            before = cluster;
            let depth = usize::from(cluster.is_some());
            rows.push(Row { depth, name: service.to_string(), numbers: self.of_service(service).map(&of) });
            rows.extend(contents.servers.keys().map(|server| Row {
                depth: depth + 1,
                name: server.to_string(),
                numbers: self.of_server(service, server).map(&of),
            }));
        }
        let numbers = self.of_host().map(&of);
        rows.extend(numbers.map(|_| Row { depth: 0, name: "host".to_owned(), numbers }));
        rows
    }

    fn write_table(&self, out: &mut Output, heading: &str, rows: &[Row]) -> io::Result<()> {
        let written = |number: u64| if self.is_exact { number.to_string() } else { short(number) };
        let mut lines = vec![(HEAD, heading.to_owned(), COLUMNS.map(str::to_owned))];
        lines.extend(rows.iter().map(|Row { depth, name, numbers }| {
            let style = if *depth == 0 { HEAD } else { PLAIN };
            let name = format!("{}{name}", "  ".repeat(*depth));
            (style, name, numbers.map_or(COLUMNS.map(|_| "-".to_owned()), |all| columns(all).map(written)))
        }));
        let mut widths = [0; 6];
        for (_, name, cells) in &lines {
            let texts = [name].into_iter().chain(cells);
            widths.iter_mut().zip(texts).for_each(|(width, text)| *width = text.chars().count().max(*width));
        }
        let [name_width, cell_widths @ ..] = widths;
        for (style, name, cells) in &lines {
            let cells: String =
                cells.iter().zip(cell_widths).map(|(cell, width)| format!("  {cell:>width$}")).collect();
            let pieces: [(Style, &dyn Display); 2] =
                [(*style, &format_args!("{name:<name_width$}")), (PLAIN, &cells)];
            line(out, &pieces)?;
        }
        Ok(())
    }
}

/// In the order of the columns.
fn columns(counters: Counters) -> [u64; 5] {
    let Counters { connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes } =
        counters;
    [connections, incoming_packets, outgoing_packets, incoming_bytes, outgoing_bytes]
}

/// A number in few digits: `999`, `1.0k`, `12.3M`. A step is a factor of 1000, for bytes as well.
pub fn short(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    let (mut unit, mut letters) = (1000_u128, ["k", "M", "G", "T", "P"].into_iter().peekable());
    loop {
        // Rounded to a tenth of the unit; 999,960 is 1.0M.
        let tenths = (u128::from(number) * 10 + unit / 2) / unit;
        let letter = letters.next().unwrap_or_default();
        if tenths < 10_000 || letters.peek().is_none() {
            return format!("{}.{}{letter}", tenths / 10, tenths % 10);
        }
        unit *= 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, Servers, Thresholds,
    };

    #[test]
    fn a_number_has_few_digits() {
        let numbers = [0, 999, 1000, 1049, 1050, 12_345, 999_949, 999_950, 4_500_000, u64::MAX];
        let expected = ["0", "999", "1.0k", "1.0k", "1.1k", "12.3k", "999.9k", "1.0M", "4.5M", "18446.7P"];
        assert_eq!(numbers.map(short), expected);
    }

    #[test]
    fn a_table_has_sums_by_cluster_what_is_foreign_at_the_end_and_a_dash_for_what_is_not_known() {
        let scheduling = Scheduling {
            scheduler: SchedulerName::from_kernel("rr"),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let real = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let server: ServerKey = "192.168.8.14:80".parse().unwrap();
        let contents = VirtualService::new(scheduling, [(server, real)].into_iter().collect::<Servers>());
        let keys: Vec<ServiceKey> = ["tcp://10.0.0.1:80", "tcp://10.0.0.2:80", "tcp://10.0.0.3:80"]
            .map(|key| key.parse().unwrap())
            .into();
        let services: Vec<_> = keys.iter().map(|key| (key, &contents)).collect();
        let counted = |connections| {
            let counters = Counters { connections, incoming_bytes: 1_500, ..Counters::default() };
            Statistics { counters, rates: Counters::default() }
        };
        let cluster = |key: &ServiceKey| (*key != keys[0]).then_some("web\u{1b}");
        let mut shown = ShownStatistics {
            table: TableStatistics {
                services: [(keys[0], counted(7)), (keys[1], counted(1)), (keys[2], counted(2))].into(),
                servers: [((keys[1], server), counted(1))].into(),
                totals: Some(counted(u64::MAX)),
                are_stopped: false,
            },
            counters: true,
            rates: false,
            is_exact: false,
        };
        let written = |shown: &ShownStatistics| {
            let (mut reader, writer) = io::pipe().unwrap();
            let mut out = Output::new(Box::new(writer), false);
            shown.text(&mut out, &services, cluster).unwrap();
            drop(out);
            io::read_to_string(&mut reader).unwrap()
        };
        let expected = "\
counted              connections  packets in  packets out  bytes in  bytes out
web\\x1b                        3           0            0      3.0k          0
  tcp://10.0.0.2:80            1           0            0      1.5k          0
    192.168.8.14:80            1           0            0      1.5k          0
  tcp://10.0.0.3:80            2           0            0      1.5k          0
    192.168.8.14:80            -           -            -         -          -
tcp://10.0.0.1:80              7           0            0      1.5k          0
  192.168.8.14:80              -           -            -         -          -
host                    18446.7P           0            0      1.5k          0
";
        assert_eq!(written(&shown), expected);
        shown.table.are_stopped = true;
        assert_eq!(written(&shown), "the kernel's counters are stopped (net.ipv4.vs.run_estimation: 0)\n");
    }
}
