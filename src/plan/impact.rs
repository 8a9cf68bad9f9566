//! Describes what an operation does to live traffic.

use crate::model::{
    Connections, Family, Forwarding, Operation, Persistence, RealServer, RestartCause, Scheduling, ServerKey,
    ServerOp, ServiceKey, ServiceOp, Services, SyncOp,
};

/// What the impact of an operation depends on, beside the operation.
pub struct Surroundings<'a> {
    /// The live state that the plan starts from, foreign services included
    pub live: &'a Services,
    /// The families that still have a service after the plan, foreign services included
    pub families_left: &'a [Family],
    /// `net.ipv4.vs.expire_nodest_conn`
    pub expire_nodest_conn: bool,
    /// The connections of a server
    pub connections: &'a dyn Fn(&ServiceKey, &ServerKey) -> Connections,
}

/// What `operation` does to live traffic, in a sentence for the operator; `None` where it does nothing that a client
/// could notice. The facts were measured on kernels 5.10 to 7.2.
pub fn impact(operation: &Operation, around: &Surroundings<'_>) -> Option<String> {
    match operation {
        Operation::Service(ServiceOp::Add { service, to }) => listens_on_every_port(service, to),
        Operation::Service(ServiceOp::Edit { service, from, to }) => {
            scheduling_change(around, service, from, to)
        }
        Operation::Service(ServiceOp::Delete { service }) => Some(service_deletion(around, service)),
        Operation::Server(ServerOp::Add { service, .. }) => remapping(around, service),
        Operation::Server(ServerOp::Edit { service, server, from, to }) => {
            server_change(around, (service, server), from, to)
        }
        Operation::Server(ServerOp::Delete { service, server }) => server_deletion(around, service, server),
        Operation::Sync(SyncOp::Restart { cause: RestartCause::StaleInterface, .. }) => {
            Some("sends and gets nothing since its interface is gone; works again after this".to_owned())
        }
        Operation::Sync(SyncOp::Restart {
            cause: RestartCause::Attributes | RestartCause::Threads { .. },
            ..
        }) => Some("loses what the other director sends or gets while the daemon starts again".to_owned()),
        Operation::Sync(SyncOp::Stop { .. }) => {
            Some("ends the sharing of connections with the other director".to_owned())
        }
        Operation::Sync(SyncOp::Start { .. })
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => None,
    }
}

/// A persistent service on port 0 forwards every port of its address, the director's own SSH included.
fn listens_on_every_port(service: &ServiceKey, to: &Scheduling) -> Option<String> {
    match service {
        ServiceKey::Address { port: 0, address, .. } if to.persistence.is_some() => Some(format!(
            "takes every port of {address} that has no service of its own, those of this host's own programs included"
        )),
        ServiceKey::Address { .. } | ServiceKey::FirewallMark { .. } => None,
    }
}

fn scheduling_change(
    around: &Surroundings<'_>,
    service: &ServiceKey,
    from: &Scheduling,
    to: &Scheduling,
) -> Option<String> {
    let mut effects = Vec::new();
    // The kernel unbinds the old scheduler, waits for a grace period, and binds the new one.
    if from.scheduler != to.scheduler {
        effects.push("refuses new connections for some 10 to 40 ms, while the scheduler changes".to_owned());
    }
    let clients = total(around, service).persistent;
    if from.persistence.is_some() && to.persistence.is_none() && clients > 0 {
        effects.push(format!("unties {clients} clients from their servers"));
    }
    if let (Some(Persistence { mask: old, .. }), Some(Persistence { mask: new, .. })) =
        (from.persistence, to.persistence)
        && old != new
        && clients > 0
    {
        effects.push(format!("may tie {clients} clients to another server from now on"));
    }
    join(effects)
}

fn server_change(
    around: &Surroundings<'_>,
    (service, server): (&ServiceKey, &ServerKey),
    from: &RealServer,
    to: &RealServer,
) -> Option<String> {
    let connections = (around.connections)(service, server);
    let mut effects = Vec::new();
    if from.serves() && !to.serves() {
        let mut effect = "takes no new connections".to_owned();
        if !connections.is_empty() {
            effect += &format!(", and keeps {}", count(connections));
        }
        if is_persistent(around, service) {
            let tied = match connections.persistent {
                0 => "clients tied to it".to_owned(),
                1 => "1 client tied to it".to_owned(),
                clients => format!("{clients} clients tied to it"),
            };
            effect += &format!("; {tied} still come, unless net.ipv4.vs.expire_quiescent_template is 1");
        }
        effects.push(effect);
    }
    if from.forwarding != to.forwarding && !connections.is_empty() {
        let connections = count(connections);
        effects.push(match (from.forwarding, to.forwarding) {
            // The kernel reads the tunnel from the server for each packet; it is not kept in the connection.
            (Forwarding::Tunnel(_), Forwarding::Tunnel(_)) => {
                format!("moves {connections} to the new tunnel at once: both ends must agree")
            }
            (old, _) => format!("leaves {connections} on the forwarding method {old}"),
        });
    }
    if from.weight != to.weight && to.serves() {
        effects.extend(remapping(around, service));
    }
    join(effects)
}

fn server_deletion(around: &Surroundings<'_>, service: &ServiceKey, server: &ServerKey) -> Option<String> {
    let connections = (around.connections)(service, server);
    join(ending(around, connections).into_iter().chain(remapping(around, service)).collect())
}

fn service_deletion(around: &Surroundings<'_>, service: &ServiceKey) -> String {
    let connections = total(around, service);
    let family = service.family();
    // With its last service a family's hooks leave the kernel's packet path, and packets reach the host itself.
    let hooks_stay = around.families_left.contains(&family);
    let mut servers: Vec<&ServerKey> =
        around.live.get(service).map(|service| service.servers.keys().collect()).unwrap_or_default();
    servers.sort_unstable();
    let mut text = format!("refuses new connections, and takes {} with it", named(&servers));
    if connections.is_empty() {
        return text;
    }
    if hooks_stay {
        text.extend(ending(around, connections).map(|effect| format!("; {effect}")));
    } else {
        text += &format!("; resets {}, since no {family} service is left", count(connections));
    }
    text
}

/// How many servers these are, and which: the first ones by their names.
fn named(servers: &[&ServerKey]) -> String {
    const NAMED: usize = 3;
    let first: Vec<String> = servers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match servers.len() - first.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match first.is_empty() {
        true => plural(0, "server"),
        false => format!("{} ({}{more})", plural(servers.len(), "server"), first.join(", ")),
    }
}

/// What happens to the connections of a server that is deleted.
fn ending(around: &Surroundings<'_>, connections: Connections) -> Option<String> {
    if connections.is_empty() {
        None
    } else if around.expire_nodest_conn {
        Some(format!("resets {}", count(connections)))
    } else {
        Some(format!(
            "leaves {} hanging until the timeout (net.ipv4.vs.expire_nodest_conn is 0)",
            count(connections)
        ))
    }
}

/// Schedulers that choose by a hash spread the clients anew whenever their table of servers changes.
fn remapping(around: &Surroundings<'_>, service: &ServiceKey) -> Option<String> {
    let scheduling = &around.live.get(service)?.scheduling;
    match scheduling.scheduler.as_str() {
        "sh" | "dh" => Some("maps some clients to another server".to_owned()),
        "mh" => Some("maps a few clients to another server".to_owned()),
        _ => None,
    }
}

fn is_persistent(around: &Surroundings<'_>, service: &ServiceKey) -> bool {
    around.live.get(service).is_some_and(|service| service.scheduling.persistence.is_some())
}

fn total(around: &Surroundings<'_>, service: &ServiceKey) -> Connections {
    let servers = around.live.get(service).map(|service| service.servers.keys());
    servers.into_iter().flatten().fold(Connections::default(), |sum, server| {
        let Connections { active, inactive, persistent, packets } = (around.connections)(service, server);
        Connections {
            active: sum.active.saturating_add(active),
            inactive: sum.inactive.saturating_add(inactive),
            persistent: sum.persistent.saturating_add(persistent),
            packets: sum.packets.saturating_add(packets),
        }
    })
}

fn count(Connections { active, inactive, .. }: Connections) -> String {
    match (active, inactive) {
        (0, inactive) => plural(inactive as usize, "inactive connection"),
        (active, 0) => plural(active as usize, "active connection"),
        (active, inactive) => {
            format!("{active} active and {}", plural(inactive as usize, "inactive connection"))
        }
    }
}

fn plural(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn join(effects: Vec<String>) -> Option<String> {
    (!effects.is_empty()).then(|| effects.join("; "))
}
