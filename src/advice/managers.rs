//! Others who manage IPVS on the same host.

use super::Advice;
use crate::host::Manager;

/// What two managers do to each other.
const BOTH: &str = "what it removes, such as a dead server, lbd adds again, and the other way round";

/// Names each of them.
pub(super) fn others(managers: &[Manager], advice: &mut Vec<Advice>) {
    advice.extend(managers.iter().map(|manager| match manager {
        Manager::Keepalived { process, file, unread } => {
            let file = file.display();
            let cause = match unread {
                None => format!("manages IPVS too, by the `virtual_server` blocks in {file}: {BOTH}"),
                Some(why) => format!(
                    "may manage IPVS too, since it is not known whether {file} has `virtual_server` blocks ({why}): {BOTH}"
                ),
            };
            other(
                format!("keepalived (process {process})"),
                cause,
                "keep its `virtual_server` blocks or lbd, not both: take them out and leave it the addresses (VRRP), or leave these services to it",
            )
        }
        Manager::KubeProxy { process } => other(
            format!("kube-proxy (process {process})"),
            "manages IPVS too, and deletes services that it does not know".to_owned(),
            "run lbd on another host or in a network namespace of its own, or give kube-proxy another mode than ipvs",
        ),
        Manager::Ldirectord { process } => other(
            format!("ldirectord (process {process})"),
            format!("manages IPVS too: {BOTH}"),
            "stop it, or leave its services out of the file",
        ),
        Manager::IpvsadmAtBoot { file } => other(
            "ipvsadm".to_owned(),
            format!("restores its own rules at boot, as set in {}", file.display()),
            "set AUTO=\"false\" there, or `systemctl disable ipvsadm`; `lbd export` takes the rules over into the file",
        ),
    }));
}

fn other(subject: String, cause: String, way_out: &'static str) -> Advice {
    Advice::new("another-manager", subject, cause, way_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::stage::{advised, desired};
    use crate::host::Host;

    #[test]
    fn each_is_named_with_its_reason() {
        let keepalived = |unread| Manager::Keepalived { process: 20, file: "/etc/k.conf".into(), unread };
        let managers = vec![
            keepalived(None),
            keepalived(Some("it is a pipe, not a regular file".into())),
            Manager::KubeProxy { process: 21 },
            Manager::Ldirectord { process: 22 },
            Manager::IpvsadmAtBoot { file: "/etc/default/ipvsadm".into() },
        ];
        let told = advised(&desired(""), &Host { managers, ..Host::default() });
        let messages: Vec<String> = told.iter().map(Advice::message).collect();
        assert_eq!(
            messages,
            [
                "keepalived (process 20): manages IPVS too, by the `virtual_server` blocks in /etc/k.conf: what it removes, such as a \
                 dead server, lbd adds again, and the other way round",
                "keepalived (process 20): may manage IPVS too, since it is not known whether /etc/k.conf has `virtual_server` blocks \
                 (it is a pipe, not a regular file): what it removes, such as a dead server, lbd adds again, and the other way \
                 round",
                "kube-proxy (process 21): manages IPVS too, and deletes services that it does not know",
                "ldirectord (process 22): manages IPVS too: what it removes, such as a dead server, lbd adds again, and the other way \
                 round",
                "ipvsadm: restores its own rules at boot, as set in /etc/default/ipvsadm",
            ]
        );
        assert!(
            told.iter()
                .all(|advice| advice.finding.code == "another-manager" && !advice.finding.advice.is_empty())
        );
    }
}
