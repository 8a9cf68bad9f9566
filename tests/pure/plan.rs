//! The promises of a plan, over random pairs of tables that cover every field, against a kernel that refuses what the
//! kernel refuses and normalises what it normalises.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;

use crate::generate::{live_state, state};
use lbd::kernel::fake::Fake;
use lbd::kernel::{Kernel, ReadScope, Refusals};
use lbd::model::{
    Action, EngineName, Forwarding, Kind, Operation, Persistence, PersistenceMask, RealServer, SchedulerName,
    ServerKey, ServiceKey, State, Subject, VirtualService,
};
use lbd::plan::{Plan, plan};
use proptest::prelude::*;
use proptest::sample::Index;

/// A kernel that was found in this state, whoever brought it about, with every setting that somebody may ask for; and
/// what it says of itself.
fn kernel_with(live: &State, desired: &State) -> (Fake, State) {
    let mut kernel = Fake::default();
    kernel.live.state = live.clone();
    for name in desired.sysctls.keys() {
        kernel.live.state.sysctls.entry(name.clone()).or_insert_with(|| "0".to_owned());
    }
    kernel.schedulers.push(SchedulerName::new("my-own_mod.ule").unwrap());
    let live = read(&mut kernel);
    (kernel, live)
}

fn read(kernel: &mut Fake) -> State {
    let sysctls = kernel.live.state.sysctls.keys().cloned().collect();
    kernel.read(&ReadScope { sysctls, filter: true, ..ReadScope::default() }).unwrap().state
}

fn execute(kernel: &mut Fake, operations: &[Operation]) {
    assert_eq!(kernel.execute(operations).unwrap(), Refusals::new());
}

fn serves(state: &State, service: &ServiceKey) -> bool {
    state.services.get(service).is_some_and(|service| {
        service.scheduling.scheduler.as_str() != SchedulerName::NONE
            && service.servers.values().any(RealServer::serves)
    })
}

proptest! {
    // Fewer than of the others: each case is as many as its plan has operations.
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing superfluous: without any one operation the table is another one.
    #[test]
    fn no_operation_could_be_left_out(live in live_state(), desired in state()) {
        let (_, live) = kernel_with(&live, &desired);
        let operations: Vec<Operation> = plan(&live, &desired).operations().cloned().collect();
        for left_out in 0..operations.len() {
            let (mut kernel, _) = kernel_with(&live, &desired);
            let mut rest = operations.clone();
            let operation = rest.remove(left_out);
            // What depends on the one left out is refused, which only makes the difference larger.
            let _ = kernel.execute(&rest).unwrap();
            prop_assert_ne!(plan(&read(&mut kernel), &desired), Plan::default(), "{}", operation);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Converges: the kernel takes every operation, and needs no plan any more. Idempotent: that is the second plan.
    #[test]
    fn whatever_the_kernel_holds_the_plan_makes_it_what_the_file_says(live in live_state(), desired in state()) {
        let (mut kernel, live) = kernel_with(&live, &desired);
        let operations: Vec<Operation> = plan(&live, &desired).operations().cloned().collect();
        execute(&mut kernel, &operations);
        let after = read(&mut kernel);
        prop_assert_eq!(&after.services, &desired.services);
        prop_assert_eq!(plan(&after, &desired), Plan::default());
    }

    /// No two operations concern the same entry: what is there is edited, never replaced.
    #[test]
    fn each_entry_is_touched_once(live in live_state(), desired in state()) {
        let mut touched: HashMap<Subject, usize> = HashMap::new();
        for operation in plan(&live, &desired).operations() {
            *touched.entry(operation.subject()).or_default() += 1;
        }
        let twice: Vec<_> = touched.into_iter().filter(|(_, times)| *times > 1).collect();
        prop_assert_eq!(twice, vec![]);
    }

    /// No gap: at no point is a service without a serving server that has one before and has one after.
    #[test]
    fn no_prefix_leaves_a_service_unserved(live in live_state(), desired in state()) {
        let (mut kernel, live) = kernel_with(&live, &desired);
        let lasting: Vec<ServiceKey> =
            live.services.keys().filter(|key| serves(&live, key) && serves(&desired, key)).copied().collect();
        for operation in plan(&live, &desired).operations() {
            execute(&mut kernel, std::slice::from_ref(operation));
            let now = read(&mut kernel);
            for service in &lasting {
                prop_assert!(serves(&now, service), "{} is unserved after: {}", service, operation);
            }
        }
    }

    /// Everything new and everything edited comes before anything deleted, but where the kernel wants it otherwise: it
    /// runs no sync daemon beside a server of another family than its service's.
    #[test]
    fn deletions_come_last(live in live_state(), desired in state()) {
        let plan = plan(&live, &desired);
        let is_deletion: Vec<bool> = plan
            .operations()
            .filter(|operation| operation.kind() != Kind::Sync)
            .map(|operation| operation.action() == Action::Delete)
            .collect();
        prop_assert!(is_deletion.is_sorted());
    }

    /// A mark's rules come after the service that they lead to, and go before it.
    #[test]
    fn a_mark_is_never_set_without_its_service(live in live_state(), desired in state()) {
        let (mut kernel, live) = kernel_with(&live, &desired);
        let leads_nowhere = |state: &State| -> Vec<u32> {
            let listens = |mark: u32| state.services.keys().any(|service| service.mark() == Some(mark));
            state.mark_rules().iter().map(|rules| rules.mark).filter(|mark| !listens(*mark)).collect()
        };
        let (before, after) = (leads_nowhere(&live), leads_nowhere(&desired));
        for operation in plan(&live, &desired).operations() {
            execute(&mut kernel, std::slice::from_ref(operation));
            let now = leads_nowhere(&read(&mut kernel));
            let news: Vec<&u32> =
                now.iter().filter(|mark| !before.contains(mark) && !after.contains(mark)).collect();
            prop_assert_eq!(news, Vec::<&u32>::new(), "after: {}", operation);
        }
    }

    /// Servers are added in the order of the file, right behind their service where that is new.
    #[test]
    fn servers_are_added_in_the_order_of_the_file(live in live_state(), desired in state()) {
        let plan = plan(&live, &desired);
        for (key, service) in &desired.services {
            let added: Vec<ServerKey> = plan
                .operations()
                .filter(|operation| operation.service() == Some(key) && operation.action() == Action::Add)
                .filter_map(|operation| operation.server().copied())
                .collect();
            let file: Vec<ServerKey> =
                service.servers.keys().filter(|server| added.contains(server)).copied().collect();
            prop_assert_eq!(&added, &file);
        }
        for (key, service) in desired.services.iter().filter(|(key, _)| !live.services.contains_key(*key)) {
            let at_service = plan.grow.iter().skip_while(|operation| operation.service() != Some(key));
            let mut group = at_service.take_while(|operation| operation.service() == Some(key));
            prop_assert_eq!(group.next().map(Operation::kind), Some(Kind::Service));
            let added: Vec<ServerKey> = group.filter_map(|operation| operation.server().copied()).collect();
            let file: Vec<ServerKey> = service.servers.keys().copied().collect();
            prop_assert_eq!(added, file, "right behind {}", key);
        }
    }

    /// The kernel's order means nothing: whichever it is, the plan is the same.
    #[test]
    fn the_order_of_the_live_table_does_not_matter(live in live_state(), desired in state(), seed in any::<Index>()) {
        let mut shuffled = live.clone();
        let turn = |length: usize| if length == 0 { 0 } else { seed.index(length) };
        let services = turn(shuffled.services.len());
        shuffled.services.as_mut_slice_rotate(services);
        for service in shuffled.services.values_mut() {
            let servers = turn(service.servers.len());
            service.servers_mut().as_mut_slice_rotate(servers);
        }
        prop_assert_eq!(plan(&live, &desired), plan(&shuffled, &desired));
    }

    /// Every change of a single field is seen, as one edit of that field alone, and the kernel takes it.
    #[test]
    fn a_single_field_that_changes_is_one_edit(
        before in state(), which in any::<Index>(), whose in any::<Index>(), field in any::<Index>(),
    ) {
        let mut after = before.clone();
        let Some(changed) = change_a_field(&mut after, which, whose, field) else { return Ok(()) };
        let (mut kernel, live) = kernel_with(&before, &after);
        let operations: Vec<Operation> = plan(&live, &after).operations().cloned().collect();
        prop_assert_eq!(operations.len(), 1, "{}: {:?}", changed, operations);
        prop_assert_eq!(operations[0].action(), Action::Edit);
        let part = operations[0].parts().remove(0);
        let fields: Vec<&str> = part.changes.iter().map(|change| &*change.field).collect();
        prop_assert!(fields.contains(&changed), "{} is not in {:?}", changed, fields);
        execute(&mut kernel, &operations);
        prop_assert_eq!(read(&mut kernel).services, after.services);
    }
}

trait Rotate {
    fn as_mut_slice_rotate(&mut self, by: usize);
}

impl<K: std::hash::Hash + Eq, V> Rotate for lbd::model::Table<K, V> {
    fn as_mut_slice_rotate(&mut self, by: usize) {
        let mut entries: Vec<(K, V)> = std::mem::take(self).into_iter().collect();
        entries.rotate_left(by);
        self.extend(entries);
    }
}

/// Changes one field of one service or server to another value that it can have, and gives the field's name; `None`
/// where this state has nothing to change there.
fn change_a_field(state: &mut State, which: Index, whose: Index, field: Index) -> Option<&'static str> {
    if state.services.is_empty() {
        return None;
    }
    let at = which.index(state.services.len());
    let (key, service) = state.services.iter_mut().nth(at).unwrap();
    let edits: Vec<(&'static str, Edit)> = SERVICE_EDITS
        .iter()
        .map(|&(name, edit)| (name, Edit::Service(edit)))
        .chain(SERVER_EDITS.iter().map(|&(name, edit)| (name, Edit::Server(edit))))
        .collect();
    let (name, edit) = edits[field.index(edits.len())];
    let changed = match edit {
        Edit::Service(edit) => edit(key, service),
        Edit::Server(_) if service.servers.is_empty() => false,
        Edit::Server(edit) => {
            let at = whose.index(service.servers.len());
            let (server, value) = service.servers_mut().iter_mut().nth(at).unwrap();
            edit(key, server, value)
        }
    };
    changed.then_some(name)
}

#[derive(Clone, Copy)]
enum Edit {
    Service(ServiceEdit),
    Server(ServerEdit),
}

type ServiceEdit = fn(&ServiceKey, &mut VirtualService) -> bool;
type ServerEdit = fn(&ServiceKey, &ServerKey, &mut RealServer) -> bool;

/// Each gives the field another value, where the service can have one, and tells whether it did.
const SERVICE_EDITS: [(&str, ServiceEdit); 8] = [
    ("scheduler", |_, service| {
        let scheduling = service.scheduling_mut();
        let other = if scheduling.scheduler.as_str() == "rr" { "wlc" } else { "rr" };
        scheduling.scheduler = SchedulerName::new(other).unwrap();
        true
    }),
    ("scheduler_flags", |_, service| flip(&mut service.scheduling_mut().flags.flag_1)),
    ("scheduler_flags", |_, service| flip(&mut service.scheduling_mut().flags.flag_2)),
    ("scheduler_flags", |_, service| flip(&mut service.scheduling_mut().flags.flag_3)),
    ("persistence", |key, service| {
        let scheduling = service.scheduling_mut();
        match &mut scheduling.persistence {
            Some(persistence) => persistence.timeout = if persistence.timeout == 1 { 2 } else { 1 },
            None => {
                let mask = PersistenceMask::single_client(key.family());
                scheduling.persistence = Some(Persistence { timeout: 300, mask });
            }
        }
        true
    }),
    ("persistence_mask", |_, service| match &mut service.scheduling_mut().persistence {
        None => false,
        Some(Persistence { mask, .. }) => {
            *mask = match *mask {
                PersistenceMask::V4(mask) => PersistenceMask::V4((u32::from(mask) << 1).into()),
                PersistenceMask::V6(length) => PersistenceMask::V6(length % 128 + 1),
            };
            true
        }
    }),
    ("persistence_engine", |_, service| {
        let engine = &mut service.scheduling_mut().engine;
        *engine = if engine.is_none() { EngineName::new("sip") } else { None };
        true
    }),
    ("one_packet", |_, service| flip(&mut service.scheduling_mut().one_packet)),
];

const SERVER_EDITS: [(&str, ServerEdit); 5] = [
    ("weight", |_, _, server| {
        server.weight = if server.weight == 7 { 0 } else { 7 };
        true
    }),
    ("forward", |_, _, server| {
        let methods = [Forwarding::Nat, Forwarding::DirectRouting];
        // Another family is reached through a tunnel alone.
        let Some(at) = methods.iter().position(|method| *method == server.forwarding) else { return false };
        server.forwarding = methods[1 - at];
        true
    }),
    ("tunnel", |_, _, server| {
        use lbd::model::{Checksum, Tunnel, TunnelKind};
        let Forwarding::Tunnel(tunnel) = &mut server.forwarding else { return false };
        *tunnel = match tunnel.kind {
            TunnelKind::Gue => match tunnel.checksum {
                Checksum::None => Tunnel { checksum: Checksum::Csum, ..*tunnel },
                _ => Tunnel { port: tunnel.port % 7 + 1, ..*tunnel },
            },
            TunnelKind::Ipip => Tunnel { kind: TunnelKind::Gre, ..Tunnel::IPIP },
            TunnelKind::Gre | TunnelKind::Other(_) => Tunnel::IPIP,
        };
        true
    }),
    ("upper_threshold", |_, _, server| {
        let thresholds = &mut server.thresholds;
        thresholds.upper = match thresholds.upper {
            Some(limit) if limit.get() < 1000 => limit.checked_add(1),
            Some(_) if thresholds.lower.is_none() => None,
            Some(_) => return false,
            None => 50.try_into().ok(),
        };
        true
    }),
    ("lower_threshold", |_, _, server| {
        let thresholds = &mut server.thresholds;
        if thresholds.upper.is_none() {
            return false;
        }
        thresholds.lower = if thresholds.lower.is_none() { 1.try_into().ok() } else { None };
        true
    }),
];

fn flip(flag: &mut bool) -> bool {
    *flag = !*flag;
    true
}
