//! Kernel settings of the file that this kernel does not have.

use super::Advice;
use crate::host::AbsentSetting;

/// Names each of them. Modules bring settings, so that the file may be right all the same.
pub(super) fn absent(settings: &[AbsentSetting], advice: &mut Vec<Advice>) {
    advice.extend(settings.iter().map(|AbsentSetting { name, reason }| {
        Advice::new("unknown-setting", name, "this kernel has no such setting now", reason.clone())
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::grouped;
    use crate::advice::stage::{advised, desired};
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
