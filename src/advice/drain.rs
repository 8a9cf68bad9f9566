//! Names the services whose scheduler lets no server drain.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Advice, Finding};
use crate::model::{Desired, SchedulerFlag, Scheduling, ServiceKey, VirtualService};

/// Services whose servers are deleted at once when they leave, though they are to drain: a server of weight 0 would refuse the clients that
/// the scheduler leads to it. With `drain: 0` the file says that this is meant. `known`: a service for which a server of weight 0 is warned of
/// already has the same way out, and is not named again.
pub fn undrainable(desired: &Desired, known: &[Advice]) -> Vec<Advice> {
    let known = known.iter().filter(|one| one.finding.code.ends_with("-without-fallback"));
    let known: HashSet<&str> = known.map(|one| one.subject.as_str()).collect();
    let finding = |scheduler: &str, fallback: Option<SchedulerFlag>| {
        let (cause, advice) = match fallback {
            Some(flag) => (
                format!(
                    "a server that leaves is deleted at once and its connections are cut: with the scheduler {scheduler} without fallback, a \
                     server of weight 0 refuses the clients that belong to it"
                ),
                format!("add `scheduler_flags: [{flag}]`, or write `drain: 0` in the cluster if that is meant"),
            ),
            None => (
                format!(
                    "a server that leaves is deleted at once and its connections are cut: the scheduler {scheduler} cannot drain it, since a \
                     server of weight 0 refuses the clients that belong to it"
                ),
                "take another scheduler, such as sh with `scheduler_flags: [sh-fallback]`, or write `drain: 0` in the cluster if that is meant"
                    .to_owned(),
            ),
        };
        Arc::new(Finding { code: "cannot-drain", cause: cause.into(), advice: advice.into() })
    };
    let sh = finding("sh", Some(SchedulerFlag::ShFallback));
    let mh = finding("mh", Some(SchedulerFlag::MhFallback));
    let dh = finding("dh", None);
    let finding_of = |scheduling: &Scheduling| match scheduling.scheduler.as_str() {
        "sh" if !scheduling.flags.flag_1 => Some(&sh),
        "mh" if !scheduling.flags.flag_1 => Some(&mh),
        "dh" => Some(&dh),
        _ => None,
    };
    let is_to_drain = |key: &ServiceKey, service: &VirtualService| {
        service.servers.keys().any(|server| !desired.drain(key, server).is_zero())
    };
    let advice = desired.state.services.iter().filter_map(|(key, service)| {
        let finding = finding_of(&service.scheduling).filter(|_| is_to_drain(key, service))?;
        Some(Advice::of(key, finding)).filter(|advice| !known.contains(advice.subject.as_str()))
    });
    advice.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::by_finding;
    use crate::config::{Source, load};

    #[test]
    fn what_cannot_drain_is_named_once_for_each_scheduler() {
        let clusters = [
            "listen: [tcp://10.0.0.1:80, tcp://10.0.0.1:81], scheduler: sh",
            "listen: tcp://10.0.0.2:80, scheduler: sh, scheduler_flags: [sh-port]",
            "listen: tcp://10.0.0.3:80, scheduler: mh",
            "listen: tcp://10.0.0.4:80, scheduler: dh",
            "listen: tcp://10.0.0.5:80, scheduler: sh, scheduler_flags: [sh-fallback]",
            "listen: tcp://10.0.0.6:80, scheduler: mh, scheduler_flags: [flag-1]",
            "listen: tcp://10.0.0.7:80, scheduler: dh, drain: 0",
            "listen: udp://10.0.0.8:53, scheduler: sh",
            "listen: udp://10.0.0.9:53, scheduler: sh, drain: 5s",
            "listen: tcp://10.0.0.10:80",
        ];
        let clusters = clusters
            .iter()
            .zip(0..)
            .map(|(keys, number)| format!("  - {{ name: c{number}, {keys}, servers: [192.168.8.14] }}\n"));
        let text = format!("version: 1\nclusters:\n{}", clusters.collect::<String>());
        let desired = load(&Source::new("", text)).unwrap();
        let advice = undrainable(&desired, &[]);
        let found: Vec<(Vec<&str>, &str)> = by_finding(&advice)
            .into_iter()
            .map(|group| {
                let subjects = group.iter().map(|one| one.subject.as_str()).collect();
                (subjects, group[0].finding.advice.as_ref())
            })
            .collect();
        let with = |flag: &str| {
            format!("add `scheduler_flags: [{flag}]`, or write `drain: 0` in the cluster if that is meant")
        };
        let expected = [
            (
                vec!["tcp://10.0.0.1:80", "tcp://10.0.0.1:81", "tcp://10.0.0.2:80", "udp://10.0.0.9:53"],
                with("sh-fallback"),
            ),
            (vec!["tcp://10.0.0.3:80"], with("mh-fallback")),
            (
                vec!["tcp://10.0.0.4:80"],
                "take another scheduler, such as sh with `scheduler_flags: [sh-fallback]`, or write `drain: 0` in the cluster if that is meant"
                    .to_owned(),
            ),
        ];
        assert_eq!(found, expected.each_ref().map(|(subjects, advice)| (subjects.clone(), advice.as_str())));
        let known = Advice::new("mh-without-fallback", "tcp://10.0.0.3:80", "a server has weight 0", "");
        assert_eq!(undrainable(&desired, &[known]).len(), advice.len() - 1);
    }
}
