//! Conditions in any order on virtual time: overrides, pauses, trials and drains, edits of the file, connections, restarts, crashes and reboots.
//!
//! Whatever happens, the kernel equals the target after a pass, no condition survives its end, connections of a server that leaves are
//! never cut before their time, and once all conditions are over the kernel is what the file says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod host;

use std::collections::BTreeMap;

use self::host::Host;
use lbd::model::{ServerKey, ServiceKey};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A service and one of its servers.
type ServerOf = (ServiceKey, ServerKey);

/// Services and servers by the last byte of their addresses.
const NUMBERS: [u8; 3] = [1, 2, 3];

/// No condition of a test lasts longer, in seconds.
const LONGEST: u64 = 90;

fn service(number: u8) -> ServiceKey {
    format!("tcp://10.0.0.{number}:80").parse().unwrap()
}

fn server(number: u8) -> ServerKey {
    ServerKey { address: [192, 168, 8, number].into(), port: 80 }
}

/// A cluster of the file.
#[derive(Debug, Clone)]
struct Cluster {
    /// Weights of the servers
    servers: BTreeMap<u8, u32>,
    /// How many seconds its servers drain
    drain: u64,
}

/// The clusters of a file by the number of their service.
type Clusters = BTreeMap<u8, Cluster>;

fn text(clusters: &Clusters) -> String {
    let mut text = "version: 1\npolicy: { max_delete: 100%, allow_empty: true }\nclusters:".to_owned();
    for (number, Cluster { servers, drain }) in clusters {
        let server =
            |(number, weight): (&u8, &u32)| format!("{{ address: 192.168.8.{number}, weight: {weight} }}");
        let servers: Vec<String> = servers.iter().map(server).collect();
        text += &format!(
            "\n- {{ name: c{number}, listen: tcp://10.0.0.{number}:80, forward: nat, drain: {drain}, servers: [{}] }}",
            servers.join(", ")
        );
    }
    if clusters.is_empty() { text + " []\n" } else { text + "\n" }
}

/// What an override does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Drain,
    Remove,
    Weight(u32),
}

/// Of which servers.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// One server of one service
    One(u8, u8),
    /// One server everywhere
    Everywhere(u8),
    /// All of a service
    All(u8),
}

/// How the file is edited.
#[derive(Debug, Clone)]
enum Change {
    /// A server has this weight, or leaves
    Server(u8, u8, Option<u32>),
    /// The servers of a cluster drain so many seconds
    Drain(u8, u64),
    /// A cluster leaves
    Leave(u8),
    /// All of it
    All(Clusters),
}

impl Change {
    /// The file after it.
    fn of(self, mut clusters: Clusters) -> Clusters {
        let new = || Cluster { servers: BTreeMap::new(), drain: 60 };
        match self {
            Self::Server(cluster, server, Some(weight)) => {
                clusters.entry(cluster).or_insert_with(new).servers.insert(server, weight);
            }
            Self::Server(cluster, server, None) => {
                clusters.entry(cluster).or_insert_with(new).servers.remove(&server);
            }
            Self::Drain(cluster, drain) => clusters.entry(cluster).or_insert_with(new).drain = drain,
            Self::Leave(cluster) => drop(clusters.remove(&cluster)),
            Self::All(all) => return all,
        }
        clusters
    }
}

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// The file is edited
    Edit(Change),
    /// An operator sets an override, for so many seconds or for ever
    Override(Of, Does, Option<u64>),
    /// An operator ends all overrides
    Undo,
    /// An operator pauses everything or one cluster
    Pause(Option<u8>, u64),
    /// An operator ends all pauses
    Resume,
    /// An operator tries a file for so many seconds
    Try(Change, u64),
    /// An operator ends the trial
    Cancel,
    /// Time goes by, in milliseconds
    Wait(u64),
    /// The daemon is started anew
    Restart,
    /// The file is edited, the kernel cannot be written after so many operations, and the daemon is started anew
    Crash(Change, usize),
    /// The host boots again. By so many seconds the wall clock was set back
    Reboot(u64),
    /// Clients connect to every server that takes new ones
    Clients,
    /// Clients connect to a server, where it takes new ones
    Connect(u8, u8),
    /// The clients of a server close their connections, which the kernel still lists
    Close(u8, u8),
    /// The connections of a server have packets
    Packets(u8, u8),
    /// The connections of a server are gone
    Gone(u8, u8),
    /// Another program sets a weight
    Meddle(u8, u8, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let number = || select(NUMBERS.to_vec());
    let drain = || select(vec![0, 20, 60]);
    let clusters = || {
        let servers = btree_map(number(), 0..4_u32, 0..=3);
        let cluster = (servers, drain()).prop_map(|(servers, drain)| Cluster { servers, drain });
        btree_map(number(), cluster, 0..=3)
    };
    let change = || {
        prop_oneof![
            6 => (number(), number(), option::of(0..4_u32)).prop_map(|(of, server, weight)| Change::Server(of, server, weight)),
            1 => (number(), drain()).prop_map(|(of, seconds)| Change::Drain(of, seconds)),
            1 => number().prop_map(Change::Leave),
            1 => clusters().prop_map(Change::All),
        ]
    };
    let of = prop_oneof![
        (number(), number()).prop_map(|(service, server)| Of::One(service, server)),
        number().prop_map(Of::Everywhere),
        number().prop_map(Of::All),
    ];
    let does = prop_oneof![Just(Does::Drain), Just(Does::Remove), (0..9_u32).prop_map(Does::Weight)];
    let pair = || (number(), number());
    prop_oneof![
        8 => change().prop_map(Step::Edit),
        3 => (of, does, option::of(1..=LONGEST)).prop_map(|(of, does, seconds)| Step::Override(of, does, seconds)),
        1 => Just(Step::Undo),
        1 => (option::of(number()), 1..=LONGEST).prop_map(|(cluster, seconds)| Step::Pause(cluster, seconds)),
        1 => Just(Step::Resume),
        1 => (change(), 1..=LONGEST).prop_map(|(change, seconds)| Step::Try(change, seconds)),
        1 => Just(Step::Cancel),
        5 => select(vec![1_000, 4_000, 9_000, 16_000, 31_000, 61_001]).prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => (change(), 0..4_usize).prop_map(|(change, after)| Step::Crash(change, after)),
        1 => select(vec![0, 0, 3_600]).prop_map(Step::Reboot),
        4 => Just(Step::Clients),
        2 => pair().prop_map(|(service, server)| Step::Connect(service, server)),
        2 => pair().prop_map(|(service, server)| Step::Close(service, server)),
        1 => pair().prop_map(|(service, server)| Step::Packets(service, server)),
        2 => pair().prop_map(|(service, server)| Step::Gone(service, server)),
        1 => (number(), number(), 0..9_u32).prop_map(|(service, server, weight)| Step::Meddle(service, server, weight)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn conditions_converge_end_and_cut_nothing_early(steps in vec(step(), 1..40)) {
        let mut host = Host::new();
        for step in steps {
            host.happens(step);
        }
        host.ends();
    }
}
