//! What becomes of the connections of services: forwarding, quiesced and deleted servers, slow schedulers.

use std::sync::Arc;

use super::after::Settings;
use super::{Advice, Finding, Planned};
use crate::model::{
    Family, Forwarding, Operation, RealServer, ServerKey, ServerOp, ServiceKey, ServiceOp, Services, State,
    VirtualService,
};

/// The setting that makes a host a router.
fn router(family: Family) -> &'static str {
    match family {
        Family::V4 => "net.ipv4.ip_forward",
        Family::V6 => "net.ipv6.conf.all.forwarding",
    }
}

fn not_a_router(family: Family) -> Finding {
    let setting = router(family);
    Finding {
        code: "forwarding-off",
        cause: format!("the replies of nat servers are not forwarded, since {setting} is 0").into(),
        advice: format!("add `{setting}: 1` to `sysctls`").into(),
    }
}

/// Whether the answers of one of its servers go back through the host.
pub(super) fn is_behind_nat(service: &VirtualService) -> bool {
    service.servers.iter().any(|(server, real)| {
        // The host itself answers without any forwarding.
        matches!(real.forwarding, Forwarding::Nat | Forwarding::FullNat) && !server.address.is_loopback()
    })
}

/// NAT without forwarding.
pub(super) fn forwarding(desired: &State, after: &Settings, advice: &mut Vec<Advice>) {
    let off: Vec<(Family, Arc<Finding>)> = [Family::V4, Family::V6]
        .into_iter()
        .filter(|family| after.is_off(router(*family)))
        .map(|family| (family, not_a_router(family).into()))
        .collect();
    if off.is_empty() {
        return;
    }
    advice.reserve(desired.services.len());
    for (key, service) in &desired.services {
        let finding = off.iter().find(|(family, _)| *family == key.family());
        if let Some((_, finding)) = finding.filter(|_| is_behind_nat(service)) {
            advice.push(Advice::of(key, finding));
        }
    }
}

/// Services that refuse every new connection, since they have no server with a weight above 0; but for those of which
/// the file says that this may be, or what serves then.
pub fn unusable(services: &Services, may_be_empty: impl Fn(&ServiceKey) -> bool) -> Vec<Advice> {
    let finding = |cause: &'static str, advice: &'static str| {
        Arc::new(Finding { code: "no-usable-server", cause: cause.into(), advice: advice.into() })
    };
    let empty = finding(
        "has no servers, and refuses every connection",
        "add one, or write `allow_empty: true` in its cluster if that is meant",
    );
    let quiesced = finding(
        "has only servers of weight 0, and refuses every new connection",
        "give one a weight above 0, or write `allow_empty: true` in its cluster if that is meant",
    );
    let is_unusable = |(key, service): &(&ServiceKey, &VirtualService)| {
        !service.servers.values().any(RealServer::serves) && !may_be_empty(key)
    };
    let finding_of = |service: &VirtualService| if service.servers.is_empty() { &empty } else { &quiesced };
    let unusable = services.iter().filter(is_unusable);
    unusable.map(|(key, service)| Advice::of(key, finding_of(service))).collect()
}

fn has_quiesced(service: &VirtualService) -> bool {
    service.servers.values().any(|server| !server.serves())
}

/// Schedulers that hash clients to servers, of which one takes no connections.
pub(super) fn hashed_to_quiesced(desired: &State, planned: Option<&Planned<'_>>, advice: &mut Vec<Advice>) {
    for (key, service) in &desired.services {
        if service.scheduling.flags.flag_1 || !has_quiesced(service) {
            continue;
        }
        match service.scheduling.scheduler.as_str() {
            // A server of weight 0 has a place in its table like one of weight 1.
            "sh" => advice.push(Advice::new(
                "sh-without-fallback",
                key,
                "a server has weight 0, and the scheduler sh refuses the clients whose place it is",
                "add `scheduler_flags: [sh-fallback]`, or delete the server once its connections are gone",
            )),
            // The table keeps the last weight that was not 0: a server that comes with weight 0 has no place in it, one
            // that was quiesced keeps its own.
            "mh" => {
                let live = planned.and_then(|planned| planned.live.get(key));
                let mut quiesced = service.servers.iter().filter(|(_, server)| !server.serves());
                if quiesced.any(|(server, _)| live.is_some_and(|live| live.servers.contains_key(server))) {
                    advice.push(Advice::new(
                        "mh-without-fallback",
                        key,
                        "a server has weight 0, and the scheduler mh refuses the clients whose place it was before",
                        "add `scheduler_flags: [mh-fallback]`, or delete the server once its connections are gone",
                    ));
                }
            }
            _ => {}
        }
    }
}

/// Persistence that leads clients to quiesced servers.
pub(super) fn tied_to_quiesced(desired: &State, after: &Settings, advice: &mut Vec<Advice>) {
    const SETTING: &str = "net.ipv4.vs.expire_quiescent_template";
    if !after.is_off(SETTING) {
        return;
    }
    let tied = |service: &VirtualService| service.scheduling.persistence.is_some() && has_quiesced(service);
    advice.extend(desired.services.iter().filter(|(_, service)| tied(service)).map(|(key, _)| {
        Advice::new(
            "quiesced-still-used",
            key,
            format!("a server has weight 0, and clients tied to it by persistence still come, since {SETTING} is 0"),
            format!("add `{SETTING}: 1` to `sysctls`"),
        )
    }));
}

/// Deleted servers whose connections hang.
pub(super) fn hanging(
    desired: &State,
    planned: Option<&Planned<'_>>,
    after: &Settings,
    advice: &mut Vec<Advice>,
) {
    const SETTING: &str = "net.ipv4.vs.expire_nodest_conn";
    let Some(Planned { plan, live, connections }) = planned else { return };
    if !after.is_off(SETTING) {
        return;
    }
    let mut hang = |service: &ServiceKey, server: &ServerKey| {
        if connections(service, server).is_empty() {
            return;
        }
        advice.push(Advice::new(
            "connections-hang",
            format!("{server} of {service}"),
            format!("is deleted with live connections, which hang until their timeout, since {SETTING} is 0"),
            format!("let it drain until they are gone, or add `{SETTING}: 1` to `sysctls`"),
        ));
    };
    for operation in plan.operations() {
        match operation {
            Operation::Server(ServerOp::Delete { service, server }) => hang(service, server),
            // With the last service of a family IPVS lets go of its packets: the host itself resets the connections.
            Operation::Service(ServiceOp::Delete { service })
                if desired.services.keys().any(|other| other.family() == service.family()) =>
            {
                let servers = live.get(service).map(|service| service.servers.keys());
                servers.into_iter().flatten().for_each(|server| hang(service, server));
            }
            Operation::Service(_)
            | Operation::Server(_)
            | Operation::Sysctl(_)
            | Operation::Timeouts(_)
            | Operation::Sync(_)
            | Operation::Marks(_)
            | Operation::Untracked(_) => {}
        }
    }
}

/// More servers in a service than its scheduler is made for.
pub(super) fn many_servers(desired: &State, advice: &mut Vec<Advice>) {
    for (key, service) in &desired.services {
        let (most, cause) = match service.scheduling.scheduler.as_str() {
            "mh" => (
                1000,
                "more than 1000 servers: the scheduler mh works out its whole table anew at each change",
            ),
            "wrr" => {
                (3000, "more than 3000 servers: the scheduler wrr looks through them for new connections")
            }
            _ => continue,
        };
        if service.servers.len() > most {
            let way_out = "spread them over several services, or take another scheduler";
            advice.push(Advice::new("many-servers", key, cause, way_out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired, live, planned_from};
    use crate::host::Host;

    const NAT: &str = "tcp://10.0.0.1:80 rr nat 192.168.8.1:80*1";

    fn advice(code: &'static str, subject: &str, cause: &str, way_out: &str) -> Advice {
        Advice::new(code, subject, cause.to_owned(), way_out.to_owned())
    }

    fn on(settings: &[(&str, &str)]) -> Host {
        Host { settings: live(settings), ..Host::default() }
    }

    #[test]
    fn nat_needs_forwarding_of_its_family() {
        let off = on(&[("net.ipv4.ip_forward", "0"), ("net.ipv6.conf.all.forwarding", "0")]);
        assert_eq!(
            advised(&desired(NAT), &off),
            [advice(
                "forwarding-off",
                "tcp://10.0.0.1:80",
                "the replies of nat servers are not forwarded, since net.ipv4.ip_forward is 0",
                "add `net.ipv4.ip_forward: 1` to `sysctls`"
            )]
        );
        assert_eq!(
            advised(&desired("tcp://[fd00::1]:80 rr fullnat [fd00::7]:80*1"), &off),
            [advice(
                "forwarding-off",
                "tcp://[fd00::1]:80",
                "the replies of nat servers are not forwarded, since net.ipv6.conf.all.forwarding is 0",
                "add `net.ipv6.conf.all.forwarding: 1` to `sysctls`"
            )]
        );
        assert_eq!(advised(&desired("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1"), &off), []);
        assert_eq!(advised(&desired("tcp://10.0.0.1:80 rr nat 127.0.0.1:80*1"), &off), []);
        assert_eq!(advised(&desired(NAT), &on(&[])), [], "what is not known is not reported");
        let mut mended = desired(NAT);
        mended.sysctls = live(&[("net.ipv4.ip_forward", "1")]);
        assert_eq!(advised(&mended, &off), []);
        mended.sysctls = live(&[("net.ipv4.ip_forward", "0")]);
        assert_eq!(advised(&mended, &on(&[("net.ipv4.ip_forward", "1")])).len(), 1);
    }

    #[test]
    fn a_service_without_a_usable_server_is_named_unless_the_file_says_that_it_may_be_so() {
        let services = desired(
            "tcp://10.0.0.1:80 rr dr\ntcp://10.0.0.2:80 rr dr 192.168.8.1:80*0\ntcp://10.0.0.3:80 rr dr 192.168.8.1:80*0 \
             192.168.8.2:80*1",
        )
        .services;
        let empty = advice(
            "no-usable-server",
            "tcp://10.0.0.1:80",
            "has no servers, and refuses every connection",
            "add one, or write `allow_empty: true` in its cluster if that is meant",
        );
        let quiesced = advice(
            "no-usable-server",
            "tcp://10.0.0.2:80",
            "has only servers of weight 0, and refuses every new connection",
            "give one a weight above 0, or write `allow_empty: true` in its cluster if that is meant",
        );
        assert_eq!(unusable(&services, |_| false), [empty.clone(), quiesced]);
        assert_eq!(unusable(&services, |key| key.to_string() == "tcp://10.0.0.2:80"), [empty]);
    }

    #[test]
    fn sh_refuses_the_clients_of_a_quiesced_server_and_mh_those_of_one_that_served() {
        let sh = desired("tcp://10.0.0.1:80 sh dr 192.168.8.1:80*1 192.168.8.2:80*0");
        let expected = [advice(
            "sh-without-fallback",
            "tcp://10.0.0.1:80",
            "a server has weight 0, and the scheduler sh refuses the clients whose place it is",
            "add `scheduler_flags: [sh-fallback]`, or delete the server once its connections are gone",
        )];
        assert_eq!(advised(&sh, &Host::default()), expected);
        let mh = desired("tcp://10.0.0.1:80 mh dr 192.168.8.1:80*1 192.168.8.2:80*0");
        let expected = [advice(
            "mh-without-fallback",
            "tcp://10.0.0.1:80",
            "a server has weight 0, and the scheduler mh refuses the clients whose place it was before",
            "add `scheduler_flags: [mh-fallback]`, or delete the server once its connections are gone",
        )];
        let served = desired("tcp://10.0.0.1:80 mh dr 192.168.8.1:80*1 192.168.8.2:80*1");
        assert_eq!(planned_from(&served, &mh, &Host::default(), 0), expected);
        let without = desired("tcp://10.0.0.1:80 mh dr 192.168.8.1:80*1");
        assert_eq!(planned_from(&without, &mh, &Host::default(), 0), []);
        assert_eq!(advised(&mh, &Host::default()), [], "nothing is known of what served");
        for mut state in [sh, mh] {
            for service in state.services.values_mut() {
                service.scheduling_mut().flags.flag_1 = true;
            }
            assert_eq!(planned_from(&served, &state, &Host::default(), 0), []);
        }
    }

    #[test]
    fn persistence_leads_to_quiesced_servers_unless_a_setting_forbids_it() {
        let text = "tcp://10.0.0.1:80 rr,persistent dr 192.168.8.1:80*1 192.168.8.2:80*0";
        let setting = "net.ipv4.vs.expire_quiescent_template";
        assert_eq!(
            advised(&desired(text), &on(&[(setting, "0")])),
            [advice(
                "quiesced-still-used",
                "tcp://10.0.0.1:80",
                "a server has weight 0, and clients tied to it by persistence still come, since \
                 net.ipv4.vs.expire_quiescent_template is 0",
                "add `net.ipv4.vs.expire_quiescent_template: 1` to `sysctls`"
            )]
        );
        assert_eq!(advised(&desired(text), &on(&[(setting, "1")])), []);
        assert_eq!(advised(&desired(&text.replace("*0", "*2")), &on(&[(setting, "0")])), []);
        assert_eq!(advised(&desired(&text.replace(",persistent", "")), &on(&[(setting, "0")])), []);
    }

    #[test]
    fn connections_of_what_is_deleted_hang() {
        let setting = "net.ipv4.vs.expire_nodest_conn";
        let before = desired(
            "tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1 192.168.8.2:80*1\ntcp://10.0.0.2:80 rr dr 192.168.8.3:80*1",
        );
        let after = desired("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1");
        let hangs = |subject: &str| {
            advice(
                "connections-hang",
                subject,
                "is deleted with live connections, which hang until their timeout, since \
                 net.ipv4.vs.expire_nodest_conn is 0",
                "let it drain until they are gone, or add `net.ipv4.vs.expire_nodest_conn: 1` to \
                 `sysctls`",
            )
        };
        let off = on(&[(setting, "0")]);
        assert_eq!(
            planned_from(&before, &after, &off, 3),
            [hangs("192.168.8.2:80 of tcp://10.0.0.1:80"), hangs("192.168.8.3:80 of tcp://10.0.0.2:80")]
        );
        assert_eq!(planned_from(&before, &after, &off, 0), []);
        assert_eq!(planned_from(&before, &after, &on(&[(setting, "1")]), 3), []);
        // With the last service of its family everything is reset.
        assert_eq!(planned_from(&before, &desired(""), &off, 3), []);
    }

    #[test]
    fn too_many_servers_for_a_scheduler_are_named() {
        let with = |scheduler: &str, count: u32| {
            let servers: Vec<String> =
                (0..count).map(|number| format!("10.1.{}.{}:80*1", number >> 8, number & 255)).collect();
            desired(&format!("tcp://10.0.0.1:80 {scheduler} dr {}", servers.join(" ")))
        };
        let many = |cause: &str| {
            [advice(
                "many-servers",
                "tcp://10.0.0.1:80",
                cause,
                "spread them over several services, or take another scheduler",
            )]
        };
        assert_eq!(advised(&with("mh", 1000), &Host::default()), []);
        assert_eq!(
            advised(&with("mh", 1001), &Host::default()),
            many("more than 1000 servers: the scheduler mh works out its whole table anew at each change")
        );
        assert_eq!(
            advised(&with("wrr", 3001), &Host::default()),
            many("more than 3000 servers: the scheduler wrr looks through them for new connections")
        );
        assert_eq!(advised(&with("rr", 3001), &Host::default()), []);
    }
}
