//! Resolves `untracked`: which packets pass connection tracking by, and which clusters cannot have that.

use super::listener::ListenerPlace;
use crate::config::format::issue::{Issue, Issues};
use crate::config::format::path::{KeyPath, key_path};
use crate::model::{Forwarding, Mark, MarkMatch, RealServer, ServiceKey, untracked};

/// The virtual services whose cluster has it, each with its place.
#[derive(Default)]
pub(super) struct Untracked {
    services: Vec<(ServiceKey, ListenerPlace)>,
}

impl Untracked {
    pub(super) fn add(&mut self, service: ServiceKey, place: ListenerPlace) {
        self.services.push((service, place));
    }

    /// The packets of these services, each once.
    pub(super) fn packets(self, marks: &[Mark], issues: &mut Issues) -> Vec<MarkMatch> {
        let mut all = Vec::with_capacity(self.services.len());
        for (service, place) in self.services {
            let packets = untracked::packets(&service, marks);
            // A mark that is not declared is an issue already.
            if packets.is_empty() && marks.iter().any(|mark| Some(mark.mark) == service.mark()) {
                issues.push(
                    Issue::new(
                        place.whole(),
                        format!("`untracked` needs the packets of {service}, and its mark has no `match` of {}", service.family()),
                    )
                    .expected(
                        "a `match` for this mark under `marks`; or no `untracked`, and `notrack` beside the firewall rules that \
                         set it",
                    )
                    .involving(key_path!["marks"]),
                );
            }
            all.extend(packets);
        }
        let mut all = untracked::sorted(all);
        all.dedup();
        all
    }
}

/// Whether a server cannot be in such a cluster: what comes back from it has to be tracked.
pub(super) fn misfit(real: &RealServer, place: impl FnOnce() -> KeyPath) -> Option<Issue> {
    let forwarding = match real.forwarding {
        forwarding @ (Forwarding::Nat | Forwarding::FullNat) => forwarding,
        Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Other(_) => return None,
    };
    let message = format!("an `untracked` cluster cannot have a `{forwarding}` server");
    Some(
        Issue::new(place(), message).expected(
            "`forward: dr` or `tun`; or a cluster of its own, without `untracked`, for this server",
        ),
    )
}
