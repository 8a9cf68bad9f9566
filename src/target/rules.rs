//! Keeps the rules of lbd's own nftables table that services need which leave the file and are still there.

use std::collections::HashSet;

use crate::model::{Mark, MarkMatch, ServiceKey, State, untracked};

/// Adds to a desired state, which does not have the services that leave, their rules of the state `before`: of marks, and of packets that are
/// not tracked; but for those whose packets `desired` gives to another service or mark. Established connections need no mark, and a rule
/// that stays leads new clients to a service without a usable server.
pub(super) fn keep(desired: &mut State, before: &State, leaving: &[ServiceKey]) {
    let is_free = |packets: &MarkMatch| {
        let mut others = desired.marks.iter().flat_map(|of| &of.matches);
        !others.any(|other| other.meets(packets))
            && !desired.services.keys().any(|service| packets.reaches(service))
    };
    let marks: HashSet<u32> = leaving.iter().filter_map(ServiceKey::mark).collect();
    let of_leaving = before.marks.iter().filter(|rules| marks.contains(&rules.mark));
    let free = |rules: &Mark| Mark {
        mark: rules.mark,
        matches: rules.matches.iter().filter(|packets| is_free(packets)).cloned().collect(),
    };
    let kept: Vec<Mark> = of_leaving.map(free).filter(|rules| !rules.matches.is_empty()).collect();
    // Whether they are free depends on all services, and comes last.
    let was_untracked: HashSet<&MarkMatch> = before.untracked.iter().collect();
    let of_leaving = leaving.iter().flat_map(|service| untracked::packets(service, &before.marks));
    let mut untracked: Vec<MarkMatch> =
        of_leaving.filter(|packets| was_untracked.contains(packets) && is_free(packets)).collect();
    for rules in kept {
        match desired.marks.iter_mut().find(|of| of.mark == rules.mark) {
            // A service of the other family has the same mark.
            Some(of) => of.matches.extend(rules.matches),
            None => desired.marks.push(rules),
        }
    }
    if !untracked.is_empty() {
        untracked.append(&mut desired.untracked);
        desired.untracked = untracked::sorted(untracked);
        desired.untracked.dedup();
    }
}
