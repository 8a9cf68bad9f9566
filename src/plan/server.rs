//! Plans the real servers of one virtual service.

use super::Plan;
use super::near::find;
use crate::model::{Operation, ServerKey, ServerOp, Servers, ServiceKey};

/// Plans the real servers of a service that stays.
pub(super) fn plan(plan: &mut Plan, service: ServiceKey, live: &Servers, desired: &Servers) {
    let (mut edits, mut found, mut near) = (Vec::new(), 0, None);
    for (server, to) in desired {
        let from = find(live, &mut near, server);
        found += usize::from(from.is_some());
        match from {
            None => plan.grow.push(ServerOp::Add { service, server: *server, to: *to }.into()),
            Some(from) if from != to => {
                let edit = Operation::from(ServerOp::Edit {
                    service,
                    server: *server,
                    from: (*from).into(),
                    to: (*to).into(),
                });
                if from.serves() && !to.serves() { plan.quiesce.push(edit) } else { edits.push(edit) }
            }
            Some(_) => {}
        }
    }
    plan.grow.append(&mut edits);
    if found < live.len() {
        let mut gone: Vec<ServerKey> =
            live.keys().filter(|server| !desired.contains_key(*server)).copied().collect();
        gone.sort_unstable();
        plan.shrink.extend(gone.into_iter().map(|server| ServerOp::Delete { service, server }.into()));
    }
}
