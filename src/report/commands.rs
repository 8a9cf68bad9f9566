//! Writes a plan as the commands that an operator would type for it: `ipvsadm`, `sysctl` and `nft`.

use crate::ipvsadm;
use crate::model::{Mark, Operation};
use crate::nft::{self, FullNat, SourceNat, TABLE, Table};
use crate::reconcile::Comparison;

/// The lines that do the same as the plan, to be typed in a shell. A script for nft is one of several lines.
pub fn commands(comparison: &Comparison) -> Vec<String> {
    let mut full_nat = FullNat::default();
    for services in comparison.live_services() {
        full_nat.add_servers(services);
    }
    lines(full_nat, &comparison.plan.operations().collect::<Vec<_>>())
}

/// `full_nat` is what there is before.
fn lines(full_nat: FullNat, operations: &[&Operation]) -> Vec<String> {
    // Beside something that is not lbd's, a chain or set of lbd's might not be what it should be.
    let messy = operations.iter().find_map(|operation| match operation {
        Operation::ReplaceMarks { from, strays, .. } if !strays.is_empty() => Some(from.as_slice()),
        _ => None,
    });
    let mut typist = Typist { full_nat, messy, has_skeleton: false, lines: Vec::new() };
    operations.iter().for_each(|operation| typist.operation(operation));
    typist.lines
}

struct Typist<'a> {
    /// The FULLNAT servers as they are after the lines so far
    full_nat: FullNat,
    /// The marks that there are, where the table has to be made anew
    messy: Option<&'a [Mark]>,
    /// Whether the lines so far set up what source NAT needs
    has_skeleton: bool,
    lines: Vec<String>,
}

impl Typist<'_> {
    fn operation(&mut self, operation: &Operation) {
        if let Some(rule) = self.full_nat.grow(operation) {
            self.add_source_nat(rule);
        }
        match operation {
            Operation::SetSysctl { name, to, .. } => {
                self.lines.push(format!("sysctl -w {}", setting(name, to)))
            }
            Operation::ReplaceMarks { to, strays, .. } => self.replace_marks(to, strays),
            other => self.lines.extend(ipvsadm::command(other)),
        }
        for rule in self.full_nat.shrink(operation) {
            self.lines.extend(element("delete", rule));
        }
    }

    fn add_source_nat(&mut self, rule: SourceNat) {
        if !self.has_skeleton {
            self.has_skeleton = true;
            if let Some(marks) = self.messy {
                return self.whole_table(marks);
            }
            self.lines.push(script(&nft::skeleton()));
        }
        self.lines.extend(element("add", rule));
    }

    fn replace_marks(&mut self, to: &[Mark], strays: &[String]) {
        if !strays.is_empty() {
            self.whole_table(to);
        } else if !to.is_empty() {
            self.lines.push(script(&nft::replace_marks(to)));
        } else if self.full_nat.is_empty() {
            self.lines.push(format!("nft delete table inet {TABLE}"));
        } else {
            self.lines.push(format!("nft {}", nft::delete_chain()));
        }
    }

    fn whole_table(&mut self, marks: &[Mark]) {
        let source_nat = self.full_nat.rules();
        let table = Table { marks: marks.to_vec(), source_nat, strays: Vec::new() };
        self.lines.push(script(&table.script()));
    }
}

/// Braces mean something to a shell.
fn element(verb: &str, rule: SourceNat) -> Option<String> {
    let (set, element) = rule.element()?;
    Some(format!("nft {verb} element inet {TABLE} {set} '{{ {element} }}'"))
}

fn script(text: &str) -> String {
    format!("nft -f - <<'EOF'\n{text}EOF")
}

/// `net.ipv4.ip_forward=1`, quoted for a shell where that is needed.
fn setting(name: &str, value: &str) -> String {
    let text = format!("{name}={value}");
    if value.contains(|letter: char| !letter.is_ascii_alphanumeric() && !".,:_-".contains(letter)) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        text
    }
}
