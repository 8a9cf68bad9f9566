//! Decides which edits, in which order, turn the live state into the desired one.
//!
//! Pure and total: two states in, a list out. Nothing here knows of files, sockets or ownership; what lbd may not touch
//! was taken out of the live state before. The same call decides whether a director is in sync: its plan is empty.

mod blocked;
mod impact;
mod mark;
mod near;
mod server;
mod service;
mod sync;
mod sysctl;
mod timeouts;
mod untracked;

use crate::model::{Operation, State};

pub use blocked::blocked;
pub use impact::{Surroundings, impact};

/// The operations that turn the live state into the desired one, in the order in which they are executed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What the other phases depend on: kernel settings and timeouts, and a sync daemon that has to stop first.
    pub prepare: Vec<Operation>,
    /// Every addition, and every edit that takes no server out of service. The servers of a
    /// new service follow it, so that they travel to the kernel together; servers are added in the order of the file, since `sh` and `dh` map clients by the
    /// order of arrival.
    pub grow: Vec<Operation>,
    /// Edits that quiesce a server (weight 0).
    pub quiesce: Vec<Operation>,
    /// The mark rules, all in one operation, and those for untracked packets: after the services that new rules lead to, before the services that old ones led to.
    pub marks: Vec<Operation>,
    /// Deletions, servers before services, and the edits that the kernel takes only after them. They come last: a table that shrinks first leaves clients without a
    /// server meanwhile, and each server that is added while deleted ones linger costs the kernel a walk over all of these.
    pub shrink: Vec<Operation>,
}

impl Plan {
    /// Whether the two states are the same: in sync.
    pub fn is_empty(&self) -> bool {
        self.phases().iter().all(|phase| phase.is_empty())
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.phases().iter().map(|phase| phase.len()).sum()
    }

    /// All operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.phases().into_iter().flatten()
    }

    /// The phases, in order.
    pub fn phases(&self) -> [&Vec<Operation>; 5] {
        let Self { prepare, grow, quiesce, marks, shrink } = self;
        [prepare, grow, quiesce, marks, shrink]
    }

    /// The phases, in order, to remove operations from.
    pub fn phases_mut(&mut self) -> [&mut Vec<Operation>; 5] {
        let Self { prepare, grow, quiesce, marks, shrink } = self;
        [prepare, grow, quiesce, marks, shrink]
    }
}

/// Works out the smallest list of operations that turns `live` into `desired`.
///
/// No prefix of the list leaves a service without a serving server that has one before and has one after: what serves
/// is added or raised before anything is quiesced, and what is deleted goes last. Of the kernel settings and timeouts
/// only those that are desired count.
pub fn plan(live: &State, desired: &State) -> Plan {
    // All fields are named here, so that one without a rule is not forgotten. Strays are never desired, and how sync daemons
    // run is the kernel's alone.
    let State {
        services,
        sysctls,
        timeouts,
        sync: _,
        sync_threads: _,
        stale_sync: _,
        marks: _,
        untracked,
        strays: _,
    } = desired;
    let mut plan = Plan::default();
    sysctl::plan(&mut plan, &live.sysctls, sysctls);
    timeouts::plan(&mut plan, live.timeouts, *timeouts);
    service::plan(&mut plan, &live.services, services);
    sync::plan(&mut plan, live, desired);
    mark::plan(&mut plan, live, desired);
    untracked::plan(&mut plan, &live.untracked, untracked);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers, ServiceKey,
        Thresholds, VirtualService,
    };

    fn service(number: u8, scheduler: &str, servers: &[(u8, u32)]) -> (ServiceKey, VirtualService) {
        let key = format!("tcp://10.0.0.{number}:80").parse().unwrap();
        let scheduling = Scheduling {
            scheduler: SchedulerName::new(scheduler).unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let server = |&(number, weight): &(u8, u32)| {
            let server =
                RealServer { weight, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
            (server_key(number), server)
        };
        (key, VirtualService::new(scheduling, servers.iter().map(server).collect::<Servers>()))
    }

    fn server_key(number: u8) -> ServerKey {
        ServerKey { address: [192, 168, 8, number].into(), port: 80 }
    }

    fn state(services: impl IntoIterator<Item = (ServiceKey, VirtualService)>) -> State {
        State { services: services.into_iter().collect(), ..State::default() }
    }

    fn text(plan: &Plan) -> Vec<String> {
        plan.operations().map(|operation| operation.to_string()).collect()
    }

    #[test]
    fn what_is_equal_needs_nothing_whatever_its_order() {
        let one = state([service(1, "rr", &[(14, 1), (15, 1)]), service(2, "rr", &[])]);
        let other = state([service(2, "rr", &[]), service(1, "rr", &[(15, 1), (14, 1)])]);
        assert_eq!(plan(&one, &other), Plan::default());
    }

    #[test]
    fn new_and_edited_come_first_then_quiesced_then_deleted() {
        let live = state([
            service(1, "rr", &[(14, 1), (15, 1), (16, 0)]),
            service(2, "rr", &[(20, 1)]),
            service(3, "rr", &[(30, 1)]),
        ]);
        let desired = state([
            service(4, "wrr", &[(42, 1), (41, 1)]),
            service(1, "wlc", &[(16, 5), (14, 0), (17, 1)]),
            service(3, "rr", &[(31, 1)]),
        ]);
        assert_eq!(
            text(&plan(&live, &desired)),
            [
                "add service tcp://10.0.0.4:80",
                "add server 192.168.8.42:80 to tcp://10.0.0.4:80",
                "add server 192.168.8.41:80 to tcp://10.0.0.4:80",
                "edit service tcp://10.0.0.1:80",
                "add server 192.168.8.17:80 to tcp://10.0.0.1:80",
                "edit server 192.168.8.16:80 of tcp://10.0.0.1:80",
                "add server 192.168.8.31:80 to tcp://10.0.0.3:80",
                "edit server 192.168.8.14:80 of tcp://10.0.0.1:80",
                "delete server 192.168.8.15:80 from tcp://10.0.0.1:80",
                "delete server 192.168.8.30:80 from tcp://10.0.0.3:80",
                "delete service tcp://10.0.0.2:80",
            ]
        );
    }

    #[test]
    fn a_service_with_too_many_servers_gets_the_scheduler_mh_when_they_are_gone() {
        let servers: Vec<(u16, u32)> = (0..5000).map(|number| (number, 1)).collect();
        let many = |number: u16| ServerKey {
            address: [192, 168, (number >> 8) as u8, number as u8].into(),
            port: 80,
        };
        let with = |scheduler: &str, count: usize| {
            let (key, mut contents) = service(1, scheduler, &[(1, 1)]);
            let template = *contents.servers.values().next().unwrap();
            *contents.servers_mut() =
                servers.iter().take(count).map(|(number, _)| (many(*number), template)).collect();
            state([(key, contents)])
        };
        let plan = plan(&with("rr", 5000), &with("mh", 4093));
        assert_eq!((plan.grow.len(), plan.quiesce.len(), plan.shrink.len()), (0, 0, 908));
        assert_eq!(plan.shrink.last().unwrap().to_string(), "edit service tcp://10.0.0.1:80");
    }

    #[test]
    fn the_last_serving_server_stays_while_its_successor_is_refused() {
        let live = state([service(1, "rr", &[(14, 1)])]);
        let desired = state([service(1, "rr", &[(15, 1), (16, 0)])]);
        let plan = plan(&live, &desired);
        let refuse = |numbers: &[u8]| {
            let refused: Vec<Operation> = plan
                .operations()
                .filter(|operation| {
                    numbers.iter().any(|&number| operation.server() == Some(&server_key(number)))
                })
                .cloned()
                .collect();
            blocked(&live, &desired, &refused).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(refuse(&[15]), [service(1, "rr", &[]).0]);
        assert_eq!(refuse(&[16]), []);
    }
}
