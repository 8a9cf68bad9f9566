//! Kernel settings of the file that this kernel does not have, and one without which it counts nothing.

use super::Advice;
use super::after::Settings;
use crate::host::AbsentSetting;
use crate::model::{State, sysctl};

/// Whether the kernel counts the connections, packets and bytes of services. Linux 5.10 always does, and has no such setting.
pub(super) const RUN_ESTIMATION: &str = "net.ipv4.vs.run_estimation";

/// Names each of them. Modules bring settings, so that the file may be right all the same.
pub(super) fn absent(settings: &[AbsentSetting], advice: &mut Vec<Advice>) {
    advice.extend(settings.iter().map(|AbsentSetting { name, reason }| {
        Advice::new("unknown-setting", name, "this kernel has no such setting now", reason.clone())
    }));
}

/// Counters that are stopped, by the file or by another program.
pub(super) fn stopped_counters(desired: &State, after: &Settings, advice: &mut Vec<Advice>) {
    let wanted = desired.sysctls.iter().find(|(name, _)| sysctl::is_same(name, RUN_ESTIMATION));
    let is_off = wanted.map_or_else(|| after.is_off(RUN_ESTIMATION), |(_, value)| value == "0");
    if desired.services.is_empty() || !is_off {
        return;
    }
    let way_out = match wanted {
        Some(_) => "set it to 1 in `sysctls`, or leave it out there",
        None => "add `net.ipv4.vs.run_estimation: 1` to `sysctls`",
    };
    advice.push(Advice::new(
        "counters-stopped",
        RUN_ESTIMATION,
        "the kernel's counters are stopped, since it is 0: there are no statistics of services and servers, and a server that drains is not seen to be quiet",
        way_out,
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::grouped;
    use crate::advice::stage::{advised, desired, live};

    #[test]
    fn stopped_counters_are_named_with_the_way_out() {
        let cause = "net.ipv4.vs.run_estimation: the kernel's counters are stopped, since it is 0: there are no statistics of services and servers, and a server that drains is not seen to be quiet";
        let file = desired("tcp://10.0.0.1:80 rr dr 192.168.8.1:80*1");
        let warned = |file: &State, value: &str| {
            let host = Host { settings: live(&[(RUN_ESTIMATION, value)]), ..Host::default() };
            grouped(&advised(file, &host))
        };
        let add = format!("{cause}; add `net.ipv4.vs.run_estimation: 1` to `sysctls`");
        assert_eq!(warned(&file, "0"), [add]);
        assert_eq!(warned(&file, "1"), [""; 0]);
        assert_eq!(warned(&desired(""), "0"), [""; 0]);
        let sets =
            |value: &str| State { sysctls: live(&[("net/ipv4/vs/run_estimation", value)]), ..file.clone() };
        assert_eq!(warned(&sets("1"), "0"), [""; 0]);
        assert_eq!(
            warned(&sets("0"), "1"),
            [format!("{cause}; set it to 1 in `sysctls`, or leave it out there")]
        );
    }
    use crate::host::Host;

    #[test]
    fn a_setting_that_is_not_there_is_named_with_what_was_meant() {
        let absent = vec![AbsentSetting {
            name: "net.ipv4.ip_forwad".into(),
            reason: "did you mean net.ipv4.ip_forward?".into(),
        }];
        let advice = advised(&desired(""), &Host { absent, ..Host::default() });
        assert_eq!(
            grouped(&advice),
            ["net.ipv4.ip_forwad: this kernel has no such setting now; did you mean net.ipv4.ip_forward?"]
        );
    }
}
