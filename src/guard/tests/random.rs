//! The guards over many random changes: their counts are those of a simpler model, and some changes are never refused.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// A random file: a few clusters with listeners from a small pool, and servers.
fn random(random: &mut fastrand::Rng) -> Desired {
    let mut free: Vec<u8> = (1..=9).collect();
    random.shuffle(&mut free);
    let mut clusters = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let listeners: Vec<String> = free
            .drain(..random.usize(..=free.len().min(3)))
            .map(|port| format!("tcp://10.0.0.1:{port}"))
            .collect();
        let weights: Vec<u32> = (0..random.usize(..4)).map(|_| random.u32(..2)).collect();
        clusters.push((name, listeners.join(" "), weights));
    }
    let clusters: Vec<(&str, &str, &[u32])> = clusters
        .iter()
        .map(|(name, listeners, weights)| (*name, listeners.as_str(), weights.as_slice()))
        .collect();
    file(&clusters)
}

fn ports(desired: &Desired) -> BTreeMap<&str, BTreeSet<ServiceKey>> {
    let mut clusters: BTreeMap<&str, BTreeSet<ServiceKey>> = BTreeMap::new();
    for (service, cluster) in desired.clusters.iter() {
        clusters.entry(cluster).or_default().insert(*service);
    }
    clusters
}

#[test]
fn the_counts_are_those_of_a_simpler_model() {
    let mut rng = fastrand::Rng::with_seed(17);
    let mut refused = 0;
    for round in 0..5_000 {
        let (old, mut new) = (random(&mut rng), random(&mut rng));
        new.policy.max_delete = MaxDelete::Percent([0, 30, 50, 80][rng.usize(..4)]);
        let (old_ports, new_ports) = (ports(&old), ports(&new));
        let was: BTreeSet<ServiceKey> = old_ports.values().flatten().copied().collect();
        let is: BTreeSet<ServiceKey> = new_ports.values().flatten().copied().collect();
        let lost: usize = old_ports
            .iter()
            .map(|(cluster, ports)| {
                let now = new_ports.get(cluster).cloned().unwrap_or_default();
                ports.difference(&is).count().saturating_sub(now.difference(&was).count())
            })
            .sum();
        let expected = match () {
            () if lost == 0 => 0,
            () if is.is_empty() => lost,
            () if new.policy.max_delete.allows(lost, was.len()) => 0,
            () => lost,
        };
        let past = Past::of(old);
        let past = if rng.bool() { past.rebooted() } else { past };
        let counted = |guard_refusal: GuardRefusal| {
            guard_refusal.violations.iter().find_map(|violation| match violation {
                Violation::Empties { services } | Violation::DeletesServices { services, .. } => {
                    Some(services.count)
                }
                _ => None,
            })
        };
        assert_eq!(past.guard_refusal(&new).and_then(counted).unwrap_or(0), expected, "round {round}");
        refused += usize::from(expected > 0);
    }
    assert!((500..4_500).contains(&refused), "{refused}");
}

#[test]
fn no_row_of_moves_renames_and_exchanges_is_ever_refused() {
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..50 {
        let mut clusters: Vec<(String, Vec<u32>, usize)> =
            (0..4).map(|number| (format!("c{number}"), vec![1000 + number], 3)).collect();
        let mut next = 2000;
        let write = |clusters: &[(String, Vec<u32>, usize)], shift: usize| {
            let rows: Vec<(&str, String, Vec<u32>)> = clusters
                .iter()
                .map(|(name, marks, servers)| {
                    let urls: Vec<String> = marks.iter().map(|mark| format!("fwmark://{mark}")).collect();
                    // Other servers come in the place of those that go.
                    let mut weights = vec![0; shift];
                    weights.extend(vec![1; *servers]);
                    (name.as_str(), urls.join(" "), weights)
                })
                .collect();
            let rows: Vec<(&str, &str, &[u32])> =
                rows.iter().map(|(name, urls, weights)| (*name, urls.as_str(), weights.as_slice())).collect();
            let mut desired = file(&rows);
            for service in desired.state.services.values_mut() {
                service.servers_mut().retain(|_, server| server.serves());
            }
            with(desired, |policy| policy.max_delete = MaxDelete::Percent(0))
        };
        let mut past = Past::of(write(&clusters, 0));
        for step in 0..40 {
            let place = rng.usize(..clusters.len());
            next += 1;
            match rng.u8(..5) {
                0 => clusters[place].0 = format!("renamed{next}"),
                1 => clusters[place].1[0] = next,
                2 => clusters[place].1.push(next),
                3 => clusters[place].2 += 1,
                _ => rng.shuffle(&mut clusters),
            }
            let desired = write(&clusters, rng.usize(..5));
            assert_eq!(past.guard_refusal(&desired), None, "step {step}");
            past = Past::of(desired);
            if rng.bool() {
                past = past.rebooted();
            }
        }
    }
}

/// A cluster for each row, on a port each, with servers by number and weight.
fn with_servers(rows: &[BTreeMap<u8, u32>]) -> Desired {
    let template = service(&[1]);
    let mut desired = numbered(&(0..rows.len() as u8).collect::<Vec<_>>());
    for (of, row) in desired.state.services.values_mut().zip(rows) {
        let real = *template.servers.values().next().unwrap();
        let server = |(number, weight): (&u8, &u32)| {
            let key = ServerKey { address: [192, 168, 8, *number].into(), port: 80 };
            (key, RealServer { weight: *weight, ..real })
        };
        *of.servers_mut() = row.iter().map(server).collect();
    }
    desired
}

#[test]
fn the_servers_that_leave_are_counted_as_a_simpler_model_counts_them() {
    let mut rng = fastrand::Rng::with_seed(170);
    let (mut refused, mut unusable) = (0, 0);
    for round in 0..5_000 {
        let mut rows = || -> Vec<BTreeMap<u8, u32>> {
            (0..3).map(|_| (0..rng.usize(..5)).map(|_| (rng.u8(..8), rng.u32(..3))).collect()).collect()
        };
        let (old, new) = (rows(), rows());
        let limit = MaxDelete::Percent([0, 25, 50][rng.usize(..3)]);
        let desired = with(with_servers(&new), |policy| policy.max_delete = limit);
        let serves = |row: &BTreeMap<u8, u32>| row.values().any(|weight| *weight > 0);
        let (mut lost, mut without) = (0, 0);
        for (old, new) in old.iter().zip(&new) {
            let left = old.keys().filter(|server| !new.contains_key(server)).count();
            let came = new.keys().filter(|server| !old.contains_key(server)).count();
            if serves(old) && !serves(new) {
                without += 1;
            } else {
                lost += left.saturating_sub(came);
            }
        }
        let of = old.iter().map(BTreeMap::len).sum();
        let lost = if limit.allows(lost, of) { 0 } else { lost };
        let past = Past::of(with_servers(&old));
        let past = if rng.bool() { past.rebooted() } else { past };
        let mut counted = (0, 0);
        for violation in
            past.guard_refusal(&desired).map(|guard_refusal| guard_refusal.violations).unwrap_or_default()
        {
            match violation {
                Violation::DeletesServers { deleted, of: total, .. } if total == of => counted.0 = deleted,
                Violation::Unusable { services } => counted.1 = services.count,
                other => panic!("round {round}: {other:?}"),
            }
        }
        assert_eq!(counted, (lost, without), "round {round}");
        refused += usize::from(lost > 0);
        unusable += usize::from(without > 0);
    }
    assert!(refused > 500 && unusable > 500, "{refused} {unusable}");
}
