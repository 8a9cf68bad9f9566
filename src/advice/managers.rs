//! Others who manage IPVS on the same host.

use super::Advice;
use crate::host::Manager;

/// Names each of them.
pub(super) fn others(managers: &[Manager], advice: &mut Vec<Advice>) {
    advice.extend(managers.iter().map(|manager| match manager {
        Manager::Keepalived { process, file, unread } => {
            let file = file.display();
            let cause = match unread {
                None => format!("has `virtual_server` blocks in {file}, and manages IPVS here too"),
                Some(why) => format!("may manage IPVS here too: {file} cannot be read ({why})"),
            };
            other(
                format!("keepalived (process {process})"),
                cause,
                "take its `virtual_server` blocks out and leave it the addresses (VRRP), or leave these services to it",
            )
        }
        Manager::KubeProxy { process } => other(
            format!("kube-proxy (process {process})"),
            "manages IPVS here too, and deletes services that it does not know".to_owned(),
            "run lbd on another host or in a network namespace of its own, or give kube-proxy another mode than ipvs",
        ),
        Manager::Ldirectord { process } => other(
            format!("ldirectord (process {process})"),
            "manages IPVS here too".to_owned(),
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
                "keepalived (process 20): has `virtual_server` blocks in /etc/k.conf, and manages IPVS here too",
                "keepalived (process 20): may manage IPVS here too: /etc/k.conf cannot be read (it is a pipe, not a \
                 regular file)",
                "kube-proxy (process 21): manages IPVS here too, and deletes services that it does not know",
                "ldirectord (process 22): manages IPVS here too",
                "ipvsadm: restores its own rules at boot, as set in /etc/default/ipvsadm",
            ]
        );
        assert!(
            told.iter()
                .all(|advice| advice.finding.code == "another-manager" && !advice.finding.advice.is_empty())
        );
    }
}
