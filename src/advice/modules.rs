//! Services for which this kernel lacks a module: a scheduler, a persistence engine, IPv6.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Advice, Finding, Planned};
use crate::host::{Host, MissingModule, ModuleAbsence};
use crate::model::{Family, Scheduling, ServiceKey, State, VirtualService};

/// The module without which a kernel has no IPv6.
const IPV6: &str = "ipv6";

/// How to get modules that are not installed.
const INSTALL: &str = "install the kernel package that has it (on Ubuntu linux-modules-extra, on Debian linux-image-amd64 in place of a cloud \
                       kernel)";

/// The modules that the services need beside IPVS itself.
pub(super) fn needed(desired: &State) -> BTreeSet<String> {
    let needs_ipv6 = desired.services.keys().any(|service| service.family() == Family::V6);
    let parts = desired.services.values().flat_map(|service| parts(&service.scheduling));
    parts.map(|part| part.module).chain(needs_ipv6.then(|| IPV6.to_owned())).collect()
}

/// What of a service is a module of its own.
struct Part {
    /// What it is, with its name
    noun: String,
    /// The module
    module: String,
    /// What to do without it
    otherwise: &'static str,
}

fn parts(scheduling: &Scheduling) -> impl Iterator<Item = Part> + use<> {
    let scheduler = &scheduling.scheduler;
    let scheduler = Part {
        noun: format!("scheduler {scheduler}"),
        module: format!("ip_vs_{scheduler}"),
        otherwise: "take another scheduler",
    };
    let engine = scheduling.engine.as_ref().map(|engine| Part {
        noun: format!("persistence engine {engine}"),
        module: format!("ip_vs_pe_{engine}"),
        otherwise: "leave `persistence_engine` out",
    });
    std::iter::once(scheduler).chain(engine)
}

/// Names each service that needs a module that is missing. A part that a service in the kernel has is there, whatever its module is called.
pub(super) fn missing(desired: &State, host: &Host, planned: Option<&Planned<'_>>, advice: &mut Vec<Advice>) {
    for MissingModule { name, absence } in &host.missing_modules {
        let needs = |service: &VirtualService| parts(&service.scheduling).find(|part| part.module == *name);
        if planned.is_some_and(|planned| planned.live.values().any(|service| needs(service).is_some())) {
            continue;
        }
        if name == IPV6 {
            let cause = "the kernel has no IPv6 (its module ipv6 is missing), and refuses the service";
            let way_out = "start a kernel that has IPv6, or take the service out of the file";
            advice.extend(of_ipv6(
                desired,
                Finding { code: "no-ipv6", cause: cause.into(), advice: way_out.into() },
            ));
            continue;
        }
        let mut finding = None;
        advice.extend(desired.services.iter().filter_map(|(key, service)| {
            let part = needs(service)?;
            Some(Advice::of(key, finding.get_or_insert_with(|| lacks(&part, *absence).into())))
        }));
    }
    if host.is_ipv6_off {
        let cause = "the kernel was started without IPv6 (`ipv6.disable=1`), and refuses the service";
        let way_out = "take `ipv6.disable=1` off the command line of the kernel (or `options ipv6 disable=1` out of /etc/modprobe.d) and \
                       start again, or take the service out of the file";
        advice.extend(of_ipv6(
            desired,
            Finding { code: "no-ipv6", cause: cause.into(), advice: way_out.into() },
        ));
    }
}

fn lacks(part: &Part, absence: ModuleAbsence) -> Finding {
    let Part { noun, module, otherwise } = part;
    let (why, way_out) = match absence {
        ModuleAbsence::NotInstalled => {
            ("this kernel does not have".to_owned(), format!("{INSTALL}, or {otherwise}"))
        }
        ModuleAbsence::LoadingForbidden => (
            "cannot be loaded any more, since kernel.modules_disabled is 1".to_owned(),
            format!(
                "write `{module}` into a file in /etc/modules-load.d and start the host again, or {otherwise}"
            ),
        ),
    };
    let cause = format!("the kernel refuses it, since its {noun} is the module {module}, which {why}");
    Finding { code: "module-missing", cause: cause.into(), advice: way_out.into() }
}

fn of_ipv6(desired: &State, finding: Finding) -> impl Iterator<Item = Advice> {
    let finding = Arc::new(finding);
    let services = desired.services.keys().filter(|service: &&ServiceKey| service.family() == Family::V6);
    services.map(move |service| Advice::of(service, &finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::grouped;
    use crate::advice::stage::{advised, desired, planned_from};
    use crate::model::EngineName;

    const TEXT: &str = "tcp://10.0.0.1:80 twos dr 192.168.8.1:80*1\ntcp://10.0.0.2:80 rr dr 192.168.8.1:80*1\n\
                        udp://[fd00::1]:5060 twos dr [fd00::2]:5060*1";

    fn with_engine(text: &str) -> State {
        let mut state = desired(text);
        let last = state.services.values_mut().last().unwrap();
        last.scheduling_mut().engine = EngineName::new("sip");
        state
    }

    fn lacking(modules: &[(&str, ModuleAbsence)]) -> Host {
        let missing = |(name, absence): &(&str, ModuleAbsence)| MissingModule {
            name: (*name).to_owned(),
            absence: *absence,
        };
        Host { missing_modules: modules.iter().map(missing).collect(), ..Host::default() }
    }

    #[test]
    fn each_module_is_needed_once() {
        let needed = |text: &str| needed(&with_engine(text)).into_iter().collect::<Vec<_>>();
        assert_eq!(needed(TEXT), ["ip_vs_pe_sip", "ip_vs_rr", "ip_vs_twos", "ipv6"]);
        assert_eq!(needed("fwmark://1 wlc dr"), ["ip_vs_pe_sip", "ip_vs_wlc"]);
    }

    #[test]
    fn the_services_that_need_a_missing_module_are_named_with_the_way_out() {
        let host = lacking(&[
            ("ip_vs_twos", ModuleAbsence::NotInstalled),
            ("ip_vs_pe_sip", ModuleAbsence::LoadingForbidden),
        ]);
        assert_eq!(
            grouped(&advised(&with_engine(TEXT), &host)),
            [
                "tcp://10.0.0.1:80, udp://[fd00::1]:5060: the kernel refuses it, since its scheduler twos is the module ip_vs_twos, \
                 which this kernel does not have; install the kernel package that has it (on Ubuntu linux-modules-extra, on Debian \
                 linux-image-amd64 in place of a cloud kernel), or take another scheduler",
                "udp://[fd00::1]:5060: the kernel refuses it, since its persistence engine sip is the module ip_vs_pe_sip, which \
                 cannot be loaded any more, since kernel.modules_disabled is 1; write `ip_vs_pe_sip` into a file in \
                 /etc/modules-load.d and start the host again, or leave `persistence_engine` out"
            ]
        );
        assert_eq!(advised(&desired("tcp://10.0.0.2:80 rr dr"), &host), []);
    }

    // A module of the operator's own may have another name than its scheduler.
    #[test]
    fn what_a_service_in_the_kernel_has_is_there() {
        let host = lacking(&[("ip_vs_twos", ModuleAbsence::NotInstalled)]);
        assert_eq!(planned_from(&desired("tcp://10.0.0.9:80 twos dr"), &desired(TEXT), &host, 0), []);
        assert_eq!(planned_from(&desired("tcp://10.0.0.9:80 rr dr"), &desired(TEXT), &host, 0).len(), 2);
    }

    #[test]
    fn services_of_ipv6_are_named_where_the_kernel_has_none() {
        let off = Host { is_ipv6_off: true, ..Host::default() };
        let advice = |host| grouped(&advised(&desired(TEXT), &host));
        assert_eq!(
            advice(off),
            [
                "udp://[fd00::1]:5060: the kernel was started without IPv6 (`ipv6.disable=1`), and refuses the service; take \
                 `ipv6.disable=1` off the command line of the kernel (or `options ipv6 disable=1` out of /etc/modprobe.d) and start \
                 again, or take the service out of the file"
            ]
        );
        assert_eq!(
            advice(lacking(&[("ipv6", ModuleAbsence::NotInstalled)])),
            [
                "udp://[fd00::1]:5060: the kernel has no IPv6 (its module ipv6 is missing), and refuses the service; start a kernel \
                 that has IPv6, or take the service out of the file"
            ]
        );
    }
}
