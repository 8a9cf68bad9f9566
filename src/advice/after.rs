//! The kernel settings as they will be: what is there now, and what the file sets.

use crate::model::{Sysctls, sysctl};

/// Kernel settings after the plan.
pub(super) struct Settings {
    values: Sysctls,
}

impl Settings {
    /// What becomes of the settings that were read, once those of the file are set.
    pub(super) fn of(live: &Sysctls, wanted: &Sysctls) -> Self {
        let mut values = live.clone();
        let mut names: Vec<&String> = wanted.keys().collect();
        names.sort_by_key(|name| sysctl::rank(name));
        for name in names {
            if let Some(value) = wanted.get(name) {
                sysctl::apply(&mut values, name, value);
            }
        }
        Self { values }
    }

    /// The value of a setting; `None` where it is not known.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let known = self.values.get(name).or_else(|| self.values.get(sysctl::canonical(name)));
        known.map(String::as_str)
    }

    /// Whether it is known that a switch is off.
    pub(super) fn is_off(&self, name: &str) -> bool {
        self.get(name) == Some("0")
    }

    /// Whether the check of the way back is strict on an interface: the greater of its own value and that of all counts.
    pub(super) fn is_strict(&self, interface: &str) -> bool {
        let value = |name: &str| self.get(name).and_then(|value| value.parse::<u32>().ok()).unwrap_or(0);
        let own = crate::host::of_interface("ipv4", interface, "rp_filter");
        value("net.ipv4.conf.all.rp_filter").max(value(&own)) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Sysctls {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_file_sets_counts_by_each_of_its_names() {
        let live = settings(&[("net.ipv4.ip_forward", "0"), ("net.ipv4.vs.conntrack", "0")]);
        let wanted = settings(&[("net.ipv4.conf.all.forwarding", "1")]);
        let after = Settings::of(&live, &wanted);
        assert!(!after.is_off("net.ipv4.ip_forward") && after.is_off("net.ipv4.vs.conntrack"));
        assert!(!after.is_off("net.ipv6.conf.all.forwarding"), "what is not known is not off");
        // The kernel alone knows a setting by both names.
        let by_other_name =
            Settings::of(&Sysctls::default(), &settings(&[("net.ipv4.conf.all.forwarding", "0")]));
        assert!(by_other_name.is_off("net.ipv4.ip_forward"));
    }

    #[test]
    fn the_greater_value_decides_how_strict_an_interface_is() {
        let strict = |all: &str, own: &str| {
            let live =
                settings(&[("net.ipv4.conf.all.rp_filter", all), ("net/ipv4/conf/eth0.100/rp_filter", own)]);
            Settings::of(&live, &Sysctls::default()).is_strict("eth0.100")
        };
        assert!(strict("0", "1") && strict("1", "0") && strict("1", "1"));
        assert!(!strict("0", "0") && !strict("2", "1") && !strict("1", "2"));
    }
}
