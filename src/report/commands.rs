//! Writes a plan as the commands that an operator would type for it: `ipvsadm`, `sysctl` and `nft`.

use crate::escape;
use crate::ipvsadm;
use crate::model::{MarkMatch, Operation, ReplaceMarks, ReplaceUntracked, SetSysctl, SyncOp};
use crate::nft::{self, FullNat, SourceNat, TABLE, Table};
use crate::reconcile::StateDiff;

/// The commands that do the same as the plan, for a POSIX shell, each argument quoted where necessary. A script for nft has
/// several lines.
pub fn commands(comparison: &StateDiff) -> Vec<String> {
    let mut full_nat = FullNat::default();
    for services in comparison.live_services() {
        full_nat.add_servers(services);
    }
    let (marks, untracked) = comparison.live_rules();
    let table = Table { marks: marks.to_vec(), untracked: untracked.to_vec(), ..Table::default() };
    lines(full_nat, table, &comparison.plan.operations().collect::<Vec<_>>())
}

/// `full_nat` and `table` are what there is before.
fn lines(full_nat: FullNat, table: Table, operations: &[&Operation]) -> Vec<String> {
    // Beside something that is not lbd's, a chain or set of lbd's might not be what it should be.
    let is_messy = operations.iter().any(|operation| match operation {
        Operation::Marks(ReplaceMarks { strays, .. }) => !strays.is_empty(),
        Operation::Service(_)
        | Operation::Server(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Untracked(_) => false,
    });
    let mut writer =
        CommandWriter { full_nat, table, is_messy, has_skeleton: false, started: None, lines: Vec::new() };
    operations.iter().for_each(|operation| writer.operation(operation));
    writer.lines
}

struct CommandWriter {
    /// The FULLNAT servers as they are after the lines so far
    full_nat: FullNat,
    /// The marks and the untracked packets after them
    table: Table,
    /// Whether the table has to be made anew
    is_messy: bool,
    /// Whether the lines so far set up what source NAT needs
    has_skeleton: bool,
    /// The line that starts the sync daemon that was restarted last
    started: Option<usize>,
    lines: Vec<String>,
}

impl CommandWriter {
    fn operation(&mut self, operation: &Operation) {
        if let Some(rule) = self.full_nat.grow(operation) {
            self.add_source_nat(rule);
        }
        match operation {
            Operation::Sysctl(SetSysctl { name, to, .. }) => {
                self.lines.push(format!("sysctl -w {}", escape::word(&format!("{name}={to}"))))
            }
            Operation::Marks(ReplaceMarks { to, .. }) => {
                self.table.marks = to.to_vec();
                self.replace_marks();
            }
            Operation::Untracked(ReplaceUntracked { from, to }) => {
                self.table.untracked = to.to_vec();
                self.replace_untracked(from);
            }
            Operation::Sync(SyncOp::Restart { .. }) => self.restart_sync(operation),
            Operation::Service(_)
            | Operation::Server(_)
            | Operation::Timeouts(_)
            | Operation::Sync(SyncOp::Start { .. } | SyncOp::Stop { .. }) => {
                self.lines.extend(ipvsadm::command(operation));
            }
        }
        for rule in self.full_nat.shrink(operation) {
            self.lines.extend(element("delete", rule));
        }
    }

    /// Stops all daemons that are restarted one after the other before it starts one, as lbd does: the first one that starts
    /// decides how many threads all of them have.
    fn restart_sync(&mut self, operation: &Operation) {
        let Some(command) = ipvsadm::command(operation) else { return };
        let Some((stop, start)) = command.split_once('\n') else { return self.lines.push(command) };
        let place = self.started.filter(|start| start + 1 == self.lines.len()).unwrap_or(self.lines.len());
        self.lines.insert(place, stop.to_owned());
        self.started = Some(self.lines.len());
        self.lines.push(start.to_owned());
    }

    fn add_source_nat(&mut self, rule: SourceNat) {
        if !self.has_skeleton {
            self.has_skeleton = true;
            if self.is_messy {
                return self.whole_table();
            }
            self.lines.push(script(&nft::skeleton()));
        }
        self.lines.extend(element("add", rule));
    }

    fn replace_marks(&mut self) {
        if self.is_messy {
            self.whole_table();
        } else if !self.table.marks.is_empty() {
            self.lines.push(script(&nft::replace_marks(&self.table.marks)));
        } else if self.is_empty() {
            self.delete_table();
        } else {
            self.lines.push(format!("nft {}", nft::delete_marks()));
        }
    }

    fn replace_untracked(&mut self, from: &[MarkMatch]) {
        if self.is_messy {
            self.whole_table();
        } else if !self.table.untracked.is_empty() {
            self.lines.push(script(&nft::replace_untracked(from, &self.table.untracked)));
        } else if self.is_empty() {
            self.delete_table();
        } else {
            self.lines.push(script(&nft::delete_untracked(from)));
        }
    }

    /// Whether nothing is left in the table.
    fn is_empty(&self) -> bool {
        self.table.marks.is_empty() && self.table.untracked.is_empty() && self.full_nat.is_empty()
    }

    fn delete_table(&mut self) {
        self.lines.push(format!("nft delete table inet {TABLE}"));
    }

    fn whole_table(&mut self) {
        let table = Table { source_nat: self.full_nat.rules(), ..self.table.clone() };
        self.lines.push(script(&table.script()));
    }
}

fn element(verb: &str, rule: SourceNat) -> Option<String> {
    let (set, element) = rule.element()?;
    let element = format!("{{ {element} }}");
    Some(format!("nft {verb} element inet {TABLE} {set} {}", escape::word(&element)))
}

fn script(text: &str) -> String {
    format!("nft -f - <<'EOF'\n{text}EOF")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, Mark, MarkMatch, Prefix, Protocol, RealServer, RestartCause, ServerKey, ServerOp,
        ServiceKey, SyncDaemon, SyncRole, Thresholds,
    };

    fn key(port: u16) -> ServerKey {
        ServerKey { address: "192.168.8.14".parse().unwrap(), port }
    }

    fn real(forwarding: Forwarding) -> RealServer {
        RealServer { weight: 1, forwarding, thresholds: Thresholds::default() }
    }

    fn service() -> ServiceKey {
        "tcp://10.0.0.13:80".parse().unwrap()
    }

    fn add(port: u16) -> Operation {
        Operation::Server(ServerOp::Add {
            service: service(),
            server: key(port),
            to: real(Forwarding::FullNat),
        })
    }

    fn to_nat(port: u16) -> Operation {
        let (from, to) = (real(Forwarding::FullNat).into(), real(Forwarding::Nat));
        Operation::Server(ServerOp::Edit { service: service(), server: key(port), from, to: Box::new(to) })
    }

    fn delete(port: u16) -> Operation {
        Operation::Server(ServerOp::Delete { service: service(), server: key(port) })
    }

    fn marks() -> Vec<Mark> {
        let packets = MarkMatch {
            protocol: Some(Protocol::Tcp),
            address: Some(Prefix { address: "192.168.8.13".parse().unwrap(), length: 32 }),
            ports: vec![80..=80, 8000..=8010],
            source: None,
            interface: None,
        };
        vec![Mark { mark: 10, matches: vec![packets] }]
    }

    fn replace(from: Vec<Mark>, to: Vec<Mark>, strays: &[&str]) -> Operation {
        let strays = strays.iter().map(|stray| (*stray).to_owned()).collect();
        Operation::Marks(ReplaceMarks { from: from.into(), to: to.into(), strays })
    }

    /// The lines for these operations, where the servers on these ports are there already.
    fn typed(present: &[u16], operations: &[Operation]) -> Vec<String> {
        let mut full_nat = FullNat::default();
        for port in present {
            full_nat.grow(&add(*port));
        }
        lines(full_nat, Table::default(), &operations.iter().collect::<Vec<_>>())
    }

    const ADD_80: &str = "ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1";
    const ADD_81: &str = "ipvsadm -a -t 10.0.0.13:80 -r 192.168.8.14:81 -m -w 1";
    const DELETE_80: &str = "ipvsadm -d -t 10.0.0.13:80 -r 192.168.8.14:80";
    const ELEMENT: &str = "element inet lbd fullnat_tcp4 '{ 10.0.0.13 . 80 . 192.168.8.14 }'";

    #[test]
    fn marks_are_one_script() {
        let expected = "nft -f - <<'EOF'\n\
            add table inet lbd\n\
            add chain inet lbd prerouting { type filter hook prerouting priority mangle; policy accept; }\n\
            flush chain inet lbd prerouting\n\
            add rule inet lbd prerouting ip daddr 192.168.8.13 tcp dport { 80, 8000-8010 } meta mark set 10\n\
            EOF";
        assert_eq!(typed(&[], &[replace(vec![], marks(), &[])]), [expected]);
        let none = [replace(marks(), vec![], &[])];
        assert_eq!(typed(&[], &none), ["nft delete table inet lbd"]);
        assert_eq!(typed(&[80], &none), ["nft delete chain inet lbd prerouting"]);
    }

    #[test]
    fn source_nat_comes_before_its_first_server_and_goes_after_its_last() {
        let skeleton = format!("nft -f - <<'EOF'\n{}EOF", nft::skeleton());
        let add_element = format!("nft add {ELEMENT}");
        assert_eq!(typed(&[], &[add(80), add(81)]), [skeleton.as_str(), &add_element, ADD_80, ADD_81]);
        assert_eq!(typed(&[80], &[add(81)]), [ADD_81]);
        assert_eq!(typed(&[80, 81], &[delete(80)]), [DELETE_80]);
        let delete_element = format!("nft delete {ELEMENT}");
        assert_eq!(typed(&[80], &[delete(80)]), [DELETE_80, &delete_element]);
        assert_eq!(typed(&[], &[delete(80)]), [DELETE_80]);
        let edit = "ipvsadm -e -t 10.0.0.13:80 -r 192.168.8.14:80 -m -w 1";
        assert_eq!(typed(&[80], &[to_nat(80)]), [edit, &delete_element]);
    }

    #[test]
    fn sync_daemons_that_are_restarted_together_are_all_stopped_before_one_is_started() {
        let restart = |role| {
            let interface = "eth1".to_owned();
            let daemon =
                SyncDaemon { role, interface, id: 7, max_length: None, group: None, port: None, ttl: None };
            let cause = RestartCause::Threads { from: 1, to: 2 };
            Operation::Sync(SyncOp::Restart { from: daemon.clone().into(), to: daemon.into(), cause })
        };
        let both = [restart(SyncRole::Master), restart(SyncRole::Backup)];
        let expected = [
            "ipvsadm --stop-daemon master",
            "ipvsadm --stop-daemon backup",
            "ipvsadm --start-daemon master --mcast-interface eth1 --syncid 7",
            "ipvsadm --start-daemon backup --mcast-interface eth1 --syncid 7",
        ];
        assert_eq!(typed(&[], &both), expected);
    }

    #[test]
    fn beside_strays_the_table_is_made_anew() {
        let service = SourceNat { service: service(), address: key(0).address };
        let table = |marks| Table { marks, source_nat: [service].into(), ..Table::default() }.script();
        let typed = typed(&[], &[add(80), replace(vec![], marks(), &["chain mine"])]);
        let before = format!("nft -f - <<'EOF'\n{}EOF", table(vec![]));
        let after = format!("nft -f - <<'EOF'\n{}EOF", table(marks()));
        assert_eq!(typed, [before.as_str(), ADD_80, &after]);
    }
}
