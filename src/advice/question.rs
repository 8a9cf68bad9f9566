//! Says what of the host matters for a desired state, so that nothing else is looked at.

use std::collections::HashSet;
use std::net::IpAddr;

use super::modules;
use super::replies;
use super::settings::RUN_ESTIMATION;
use crate::host::{HostScope, Target};
use crate::model::{Family, ServiceKey, State, Sysctls, Table, sysctl};

/// Of so many servers the route matters; those of a network mostly share it.
const MOST_SERVERS: usize = 256;

/// The kernel settings that matter.
pub fn settings(desired: &State) -> Vec<&'static str> {
    let mut names = Vec::new();
    if desired.services.is_empty() {
        return names;
    }
    names.extend(["net.ipv4.vs.expire_nodest_conn", "net.ipv4.vs.expire_quiescent_template"]);
    names.extend(["net.ipv4.vs.conntrack", "net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter"]);
    names.extend(["net.ipv6.conf.all.forwarding", RUN_ESTIMATION]);
    names
}

/// What else there is to look at, `live` being the values of the settings.
pub fn question(desired: &State, live: &Sysctls) -> HostScope {
    let sysctls = desired.sysctls.keys().cloned().collect();
    if desired.services.is_empty() {
        return HostScope { sysctls, ..HostScope::default() };
    }
    let mut filter: Vec<Family> = desired.services.keys().map(ServiceKey::family).collect();
    filter.sort_unstable();
    filter.dedup();
    HostScope {
        addresses: addresses(desired),
        servers: servers(desired),
        learned_routes: begins_to_forward(desired, live).is_some(),
        filter,
        managers: true,
        sysctls,
        modules: modules::needed(desired).into_iter().collect(),
        ipv6: desired.services.keys().any(|service| service.family() == Family::V6),
    }
}

/// The setting by which the file makes the host a router of IPv6, where it is none yet.
pub(super) fn begins_to_forward<'a>(desired: &'a State, live: &Sysctls) -> Option<&'a str> {
    if live.get("net.ipv6.conf.all.forwarding").is_none_or(|value| value != "0") {
        return None;
    }
    let is_forwarding = |name: &str| matches!(sysctl::parts(name).as_slice(), ["net", "ipv6", "conf", of, "forwarding"] if *of != "default");
    let mut set = desired.sysctls.iter().filter(|(_, value)| *value != "0");
    set.find(|(name, _)| is_forwarding(name)).map(|(name, _)| name.as_str())
}

/// The servers whose replies the host forwards, or the first of very many.
fn servers(desired: &State) -> Vec<IpAddr> {
    let mut servers = HashSet::new();
    let all = desired.services.values().flat_map(replies::forwarded).map(|server| server.address);
    all.filter(|server| servers.insert(*server)).take(MOST_SERVERS).collect()
}

/// The virtual addresses: those of services, and those whose packets get a mark that a service listens on.
pub(super) fn addresses(desired: &State) -> Vec<Target> {
    let of_services = desired.services.keys().filter_map(|service| match *service {
        ServiceKey::Address { address, .. } => Some(Target { address, mark: None }),
        ServiceKey::FirewallMark { .. } => None,
    });
    let used: HashSet<u32> = desired.services.keys().filter_map(ServiceKey::mark).collect();
    let of_marks = desired.marks.iter().filter(|mark| used.contains(&mark.mark)).flat_map(|mark| {
        let whole = mark
            .matches
            .iter()
            .filter_map(|packets| packets.address)
            .filter(|prefix| prefix.length == Family::of(prefix.address).bits());
        whole.map(|prefix| Target { address: prefix.address, mark: Some(mark.mark) })
    });
    let each: Table<Target, ()> = of_services.chain(of_marks).map(|target| (target, ())).collect();
    each.into_iter().map(|(target, ())| target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{desired, live};

    #[test]
    fn an_empty_file_asks_for_nothing() {
        let empty = desired("");
        assert_eq!(settings(&empty), Vec::<&str>::new());
        assert_eq!(question(&empty, &live(&[("net.ipv4.vs.conntrack", "0")])), HostScope::default());
    }

    #[test]
    fn each_setting_of_the_file_is_looked_for_on_the_host_also_without_services() {
        let sysctls = vec!["net.ipv4.ip_forwad".to_owned()];
        let empty = State { sysctls: live(&[("net.ipv4.ip_forwad", "1")]), ..State::default() };
        let scope = question(&empty, &live(&[]));
        assert_eq!(scope, HostScope { sysctls: sysctls.clone(), ..HostScope::default() });
        let services = desired("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1").services;
        assert_eq!(question(&State { services, ..empty }, &live(&[])).sysctls, sysctls);
    }

    #[test]
    fn the_rules_of_those_families_matter_that_have_a_service() {
        let filter = |text: &str| question(&desired(text), &live(&[])).filter;
        assert_eq!(filter("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1"), [Family::V4]);
        assert_eq!(
            filter("fwmark6://7 rr dr [fd00::1]:0*1\ntcp://10.0.0.1:80 rr nat 192.168.8.1:80*1"),
            [Family::V4, Family::V6]
        );
    }
}
