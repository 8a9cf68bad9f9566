//! Puts overrides into a desired state.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::overrides::{Effect, FileServers, Override, Overrides};
use super::refuses_clients;
use crate::model::{Desired, RealServer, ServerKey, ServiceKey, VirtualService};

/// The override of each server that has one.
pub(super) type Overridden<'a> = HashMap<(ServiceKey, ServerKey), &'a Override, RandomState>;

/// Puts overrides into `desired`, which is what the file says; gives that of each server. Pure.
pub(super) fn put<'a>(desired: &mut Cow<'_, Desired>, overrides: &'a Overrides) -> Overridden<'a> {
    let mut overridden = Overridden::default();
    if overrides.is_empty() {
        return overridden;
    }
    {
        // The last one about a server counts.
        let servers = FileServers::of(&desired.state.services);
        for one in overrides.iter() {
            overridden.extend(one.servers(&servers).into_iter().map(|server| (server, one)));
        }
    }
    if !overridden.is_empty() {
        let services = &mut desired.to_mut().state.services;
        for ((key, server), one) in &overridden {
            if let Some(service) = services.get_mut(key) {
                put_one(service, server, &one.effect);
            }
        }
    }
    overridden
}

/// Whether an operator has overruled the checks of a server.
pub(super) fn overrules_checks(
    overridden: &Overridden<'_>,
    service: &ServiceKey,
    server: &ServerKey,
) -> bool {
    // Mostly there are none, and then nothing is hashed.
    let one = (!overridden.is_empty()).then(|| overridden.get(&(*service, *server))).flatten();
    one.is_some_and(|one| match one.effect {
        Effect::Weight { despite_checks, .. } => despite_checks,
        Effect::Drain | Effect::Remove => false,
    })
}

fn put_one(service: &mut VirtualService, server: &ServerKey, effect: &Effect) {
    let refuses = refuses_clients(&service.scheduling);
    let weight = match effect {
        Effect::Drain => 0,
        Effect::Weight { to, .. } => *to,
        Effect::Remove => {
            service.servers_mut().shift_remove(server);
            return;
        }
    };
    if weight == 0 && refuses {
        service.servers_mut().shift_remove(server);
    } else if let Some(real) = service.servers_mut().get_mut(server) {
        *real = RealServer { weight, ..*real };
    }
}
