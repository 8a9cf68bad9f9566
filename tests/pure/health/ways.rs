//! Compares what is in force, where all is computed anew, with what is shared from pass to pass.

use lbd::model::Desired;
use lbd::target::{Advance, Conditions, InForce, Target};

/// What is in force next for a daemon that was never started anew, and where it is computed for each server, since nothing is where it is in the
/// file. Both are `next`, which is what is in force after `known`, as the file on disk has it in `text`.
pub(super) fn others(
    in_memory: &InForce,
    (known, text): (&InForce, &str),
    next: &InForce,
    of: &Advance<'_>,
) -> [InForce; 2] {
    let others = [in_memory.advance(of), in_another_order(text).advance(of)];
    for other in &others {
        assert_eq!(other, next);
        assert_eq!(other.changes_in(of), next.changes_in(of));
        assert_eq!(other.services_other_than(next), []);
        assert_eq!(other.services_other_than(in_memory), next.services_other_than(known));
    }
    others
}

/// The target is the same under each of them.
pub(super) fn are_same(desired: &Desired, target: &Target<'_>, others: [InForce; 2]) {
    for health in others {
        let conditions = Conditions { health, ..target.conditions.clone() };
        let same = Target::new(desired, &conditions);
        assert_eq!((&same.desired, same.health()), (&target.desired, target.health()));
        assert!(same.reasons().all(|((service, server), _)| target.reason(&service, &server).is_some()));
        assert_eq!(same.reasons().count(), target.reasons().count());
    }
}

/// What is in force as a file has it, with its services and their servers in the reverse order.
fn in_another_order(text: &str) -> InForce {
    let mut services: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(text).unwrap();
    services.reverse();
    services.iter_mut().flat_map(|service| service.values_mut()).for_each(|servers| {
        servers.as_array_mut().into_iter().for_each(|servers| servers.reverse());
    });
    serde_json::from_value(serde_json::to_value(services).unwrap()).unwrap()
}
