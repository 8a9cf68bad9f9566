//! Writes what the checks of a file mean: how soon they take servers out of service, and what lbd sets for it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use super::output::Output;
use super::styled::{PLAIN, line};
use crate::health::{Bounds, COMMON_FROM, Probes, Span};
use crate::model::sysctl::VS_EXPIRE_NODEST;
use crate::model::{Check, CheckKind, Desired, Exchange, OnFailure, ServiceHealth};

/// How many checks are listed.
const CHECKS: usize = 20;
/// How many clusters a line names.
const CLUSTERS: usize = 5;

/// Writes a line for each check of a file, and for what failing ones do; nothing where it has none.
///
/// # Errors
/// Those of `out`.
pub fn text(out: &mut Output, desired: &Desired) -> io::Result<()> {
    let found = Found::of(desired);
    let lines: IndexSet<String> = found.checks.iter().map(|used| found.line(used)).collect();
    for text in lines.iter().take(CHECKS) {
        line(out, &[(PLAIN, text)])?;
    }
    if let Some(more) = lines.len().checked_sub(CHECKS).filter(|more| *more > 0) {
        line(out, &[(PLAIN, &format_args!("and {more} more checks"))])?;
    }
    if let Some(common) = found.common() {
        let text = format!(
            "where more than half of all targets fail at once, up to {} s more: that may be the director's own network",
            seconds(common, Rounding::Up)
        );
        line(out, &[(PLAIN, &text)])?;
    }
    let quiesced = found.clusters(Effect::Quiesced);
    if !quiesced.is_empty() {
        line(out, &[(PLAIN, &format_args!("a failing server gets weight 0: {}", names(&quiesced)))])?;
    }
    let deleted = found.clusters(Effect::Deleted);
    if !deleted.is_empty() {
        line(out, &[(PLAIN, &format_args!("a failing server is deleted: {}", names(&deleted)))])?;
        line(out, &[(PLAIN, &format_args!("lbd keeps {VS_EXPIRE_NODEST} at 1 for it"))])?;
    }
    Ok(())
}

/// The same as keys of the document of `validate`: times in seconds, the least and the most. None where the file has no checks.
pub fn json(desired: &Desired) -> Map<String, Value> {
    let found = Found::of(desired);
    let mut keys = Map::new();
    if found.checks.is_empty() {
        return keys;
    }
    let pair = |span: Span| json!([span.least.as_secs_f64(), span.most.as_secs_f64()]);
    let checks = found.checks.iter().map(|Used { check, clusters, bounds }| {
        json!({
            "name": check.name,
            "type": check.kind.word(),
            "clusters": clusters,
            "out_of_service_s": { "refused": bounds.refused.map(pair), "silent": bounds.silent.map(pair) },
            "back_in_service_s": pair(bounds.back),
        })
    });
    keys.insert("checks".to_owned(), checks.collect());
    keys.insert("common_failure_s".to_owned(), found.common().map(|time| time.as_secs_f64()).into());
    let (quiesced, deleted) = (found.clusters(Effect::Quiesced), found.clusters(Effect::Deleted));
    let sets = if deleted.is_empty() { json!({}) } else { json!({ VS_EXPIRE_NODEST: "1" }) };
    keys.insert("on_failure".to_owned(), json!({ "quiesce": quiesced, "remove": deleted }));
    keys.insert("sets".to_owned(), sets);
    keys
}

/// What becomes of a failing server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Quiesced,
    /// At once, or after a while
    Deleted,
}

/// A check that is in use.
struct Used<'a> {
    check: &'a Check,
    clusters: IndexSet<&'a str>,
    bounds: Bounds,
}

/// The checks of a file, in its order.
struct Found<'a> {
    checks: Vec<Used<'a>>,
    /// The services with checks, each with its cluster
    services: Vec<(&'a str, &'a ServiceHealth)>,
    /// How many checks have each name: those without one of their own have that of their type
    names: HashMap<&'a str, usize>,
    /// Whether there are so many targets that more than half of them can fail together
    has_many: bool,
}

impl<'a> Found<'a> {
    fn of(desired: &'a Desired) -> Self {
        let mut used: IndexMap<*const Check, (&Check, IndexSet<&str>)> = IndexMap::new();
        let mut services = Vec::new();
        for (service, virtual_service) in &desired.state.services {
            let Some(health) = desired.health.services.get(service) else { continue };
            let cluster = desired.clusters.get(service).map_or("", |cluster| cluster.as_str());
            let own = (!health.servers.is_empty()).then(|| virtual_service.servers.keys());
            let own = own.into_iter().flatten().filter_map(|server| health.servers.get(server));
            let mut has_checks = false;
            for check in [&health.checks].into_iter().chain(own).flat_map(|list| list.iter()) {
                has_checks = true;
                let entry = used.entry(std::ptr::from_ref(&**check));
                entry.or_insert_with(|| (check, IndexSet::new())).1.insert(cluster);
            }
            if has_checks {
                services.push((cluster, health));
            }
        }
        let longest = used.values().map(|(check, _)| check.timing.interval).max().unwrap_or_default();
        let with_bounds = |(check, clusters): (&'a Check, IndexSet<&'a str>)| Used {
            check,
            clusters,
            bounds: Bounds::of(&check.kind, &check.timing, longest),
        };
        let checks: Vec<Used<'_>> = used.into_values().map(with_bounds).collect();
        let has_many = !checks.is_empty() && {
            let probes = Probes::of(desired);
            let targets: HashSet<_> = probes.iter().map(|(key, _)| key.target).collect();
            targets.len() >= COMMON_FROM
        };
        let mut names = HashMap::new();
        checks.iter().for_each(|used| *names.entry(used.check.name.as_str()).or_default() += 1);
        Self { checks, services, names, has_many }
    }

    /// The clusters in which failing servers are treated so.
    fn clusters(&self, effect: Effect) -> IndexSet<&'a str> {
        let is_so = |health: &ServiceHealth| match (health.on_failure, effect) {
            (OnFailure::Quiesce, Effect::Quiesced) | (OnFailure::Remove, Effect::Deleted) => true,
            (OnFailure::Quiesce, Effect::Deleted) => health.reset_after.is_some(),
            (OnFailure::Remove, Effect::Quiesced) => false,
        };
        self.services.iter().filter(|(_, health)| is_so(health)).map(|(cluster, _)| *cluster).collect()
    }

    /// How much longer it takes where most targets fail, if that can be.
    fn common(&self) -> Option<Duration> {
        self.checks.iter().map(|used| used.bounds.common).max().filter(|_| self.has_many)
    }

    fn line(&self, Used { check, clusters, bounds }: &Used<'_>) -> String {
        let is_alone = self.names.get(check.name.as_str()) == Some(&1);
        let of = match clusters.first() {
            Some(cluster) if !is_alone => format!(" ({cluster})"),
            _ => String::new(),
        };
        let (refused, silent) = words(&check.kind);
        let out: Vec<String> = [(bounds.refused, refused), (bounds.silent, silent)]
            .into_iter()
            .filter_map(|(span, words)| Some(format!("{} after it {words}", range(span?))))
            .collect();
        let back = range(bounds.back);
        format!("check {}{of}: out of service {}; back {back} after it recovers", check.name, out.join(", "))
    }
}

/// What a server does that fails at once, and one that is silent.
fn words(kind: &CheckKind) -> (&'static str, &'static str) {
    const SILENT: &str = "stops answering";
    match kind {
        CheckKind::Tcp(Exchange { expect: None, .. }) | CheckKind::Udp(Exchange { expect: None, .. }) => {
            ("refuses", SILENT)
        }
        CheckKind::Tcp(_)
        | CheckKind::Tls(..)
        | CheckKind::Http(_)
        | CheckKind::Https(..)
        | CheckKind::Dns(_)
        | CheckKind::Udp(_)
        | CheckKind::Ping => ("refuses or answers wrongly", SILENT),
        CheckKind::Exec(_) => ("fails in the program", "makes the program run into its time-out"),
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Down,
    Up,
}

/// `1.8 to 7.7 s`: the least is rounded down, the most up.
fn range(span: Span) -> String {
    let Span { least, most } = span;
    format!("{} to {} s", seconds(least, Rounding::Down), seconds(most, Rounding::Up))
}

/// Seconds with up to two digits behind the point.
fn seconds(time: Duration, rounding: Rounding) -> String {
    let hundredths = match rounding {
        Rounding::Down => time.as_millis() / 10,
        Rounding::Up => time.as_millis().div_ceil(10),
    };
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn names(clusters: &IndexSet<&str>) -> String {
    let some: Vec<&str> = clusters.iter().take(CLUSTERS).copied().collect();
    match clusters.len().checked_sub(CLUSTERS) {
        Some(more @ 1..) => format!("{} and {more} more", some.join(", ")),
        Some(0) | None => some.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_no_more_digits_than_they_need() {
        for (time, down, up) in [
            (1_800, "1.8", "1.8"),
            (6_000, "6", "6"),
            (155, "0.15", "0.16"),
            (0, "0", "0"),
            (20_004, "20", "20.01"),
        ] {
            let time = Duration::from_millis(time);
            assert_eq!(
                (seconds(time, Rounding::Down), seconds(time, Rounding::Up)),
                (down.into(), up.into())
            );
        }
    }
}
