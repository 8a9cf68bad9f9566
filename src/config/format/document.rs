//! Defines the format of the desired file. The comments on its types are the descriptions in the schema, which editors show.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::non_null::{list, non_null, non_null_list, some, unique};
use crate::model::{
    FailurePolicy, ForwardingMethod, PersistenceEngine, Protocol, Prune, SchedulerFlag, SyncRole,
};

pub use super::check::{CheckEntry, CheckList, CheckUse, VerifyEntry, VerifyFile};
pub use super::check_scalar::{
    CheckName, CheckTime, Count, IncludeText, Ip, MinServingText, PathText, StatusText, Text,
};
pub use super::choice::{Choice, Listed};
pub use super::scalar::{
    Address, DrainText, DurationText, Group, Interface, KeptFiles, Limit, Listener, MarkNumber, Mask,
    MaxDeleteText, MessageLength, Name, Number, ParallelText, Port, PortNumber, PrefixText, Scalar,
    SchedulerWord, SysctlValue, Weight,
};
pub use super::server::{FullServer, ServerEntry, TunnelEntry};

/// What an IPVS load balancer (LVS director) shall be. `lbd` keeps the kernel equal to this file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "the desired file of lbd")]
#[schemars(extend("patternProperties" = {
    "^x-": { "description": "Ignored, whatever it is: a place for YAML anchors. Only at the top of the file." }
}))]
pub struct Document {
    /// The version of this format. It is 1.
    pub version: Number<1, 1>,

    /// Further files, by their paths or by patterns (`*`, `?`, `[a-z]`), from the directory of this file on: fragments, which have
    /// `clusters`, `marks`, `checks`, and `defaults` for their own clusters. They are read in the order of their names, behind this
    /// file. A path that is not there is an error; a pattern may match nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    #[schemars(example = serde_json::json!(["clusters.d/*.yaml"]))]
    pub include: Vec<IncludeText>,

    /// Kernel settings that the director needs, by their full names: by dots (`net.ipv4.ip_forward`) or, where a name
    /// holds a dot itself, by slashes (`net/ipv4/conf/eth0.100/forwarding`). Only settings under `net.`. lbd keeps them
    /// at these values, and leaves all others alone.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty", deserialize_with = "unique")]
    #[schemars(example = serde_json::json!({ "net.ipv4.ip_forward": 1 }))]
    #[schemars(extend("propertyNames" = { "pattern": "^net[./]" }))]
    pub sysctls: IndexMap<String, SysctlValue>,

    /// Firewall marks: packets that get a mark before IPVS sees them, so that a cluster can listen on it. Every mark
    /// that a cluster listens on must be declared here.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub marks: Vec<MarkEntry>,

    /// How long idle connections are remembered (`ipvsadm --set`). What is not named keeps the kernel's value.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub timeouts: Option<TimeoutsEntry>,

    /// Daemons that share the connection table with another director (`ipvsadm --start-daemon`): at most one master
    /// and one backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub sync: Vec<SyncEntry>,

    /// Health checks by their names, for the `check` of clusters, servers and `defaults`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty", deserialize_with = "unique")]
    #[schemars(example = serde_json::json!({ "web": { "type": "http", "port": 80, "path": "/healthz" } }))]
    pub checks: IndexMap<String, CheckEntry>,

    /// What holds for every cluster that says nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub defaults: Option<Defaults>,

    /// The clusters: virtual services, each with the real servers behind it. May be empty: `[]`.
    #[serde(deserialize_with = "list")]
    pub clusters: Vec<Cluster>,

    /// How far lbd may go.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub policy: Option<PolicyEntry>,
}

/// One or several virtual services and the real servers behind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a cluster")]
pub struct Cluster {
    /// The cluster's name, for reports. No two clusters share one.
    pub name: Name,

    /// Where clients reach the cluster: `tcp://ADDRESS:PORT`, `udp://…`, `sctp://…` (`[v6]:PORT` for IPv6), or
    /// `fwmark://N` (IPv4) and `fwmark6://N` (IPv6) for packets with a firewall mark. One or a list: several virtual
    /// services with the same servers.
    pub listen: Listen,

    /// How connections are handed out. Default: that of `defaults`, else `wlc`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub scheduler: Option<SchedulerWord>,

    /// Switches of the scheduler. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub scheduler_flags: Vec<Choice<SchedulerFlag>>,

    /// Persistence: a client stays with the server it got first, for so long after its last connection. 1 to 4294967
    /// seconds. Default: not persistent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub persistence: Option<DurationText>,

    /// Which clients count as one for persistence: a netmask (`255.255.255.0`) or a prefix length (`24`). Default: each
    /// address for itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub persistence_mask: Option<Mask>,

    /// What recognises a client beside its address; `sip` is the Call-ID of SIP over UDP. Default: the address alone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub persistence_engine: Option<Choice<PersistenceEngine>>,

    /// One-packet scheduling: each packet goes to a server of its own (UDP and marks only). Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub one_packet: bool,

    /// How packets get to the servers; those at a loopback address (127.0.0.0/8, `::1`) only by `dr` or `tun`. Default:
    /// that of `defaults`, else `dr`, as in ipvsadm.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub forward: Option<Choice<ForwardingMethod>>,

    /// No connection tracking for the packets of this cluster, by rules in lbd's own nftables table: for `dr` and `tun`
    /// behind a firewall that drops packets of unknown connections (`ct state invalid drop`), since the host sees one
    /// direction of these connections only. The firewall has to accept them: by address and port, or `ct state untracked`.
    /// Not with `nat` or `fullnat` servers, nor with a mark without `match`. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub untracked: bool,

    /// How long a server that leaves this cluster, or leaves with it, keeps its connections: it gets weight 0, and is deleted as soon as they are gone, or
    /// when this time is over; `0` deletes it at once. At most 30 days. Default: that of `defaults`, else 5 minutes
    /// for TCP, SCTP and firewall marks, at least the `persistence`; 0 for UDP.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub drain: Option<DrainText>,

    /// The health checks of the servers: the name of a check, a check itself, or a list of these, of which all must pass; `none` for no check.
    /// Default: that of `defaults`, else none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub check: Option<CheckList>,

    /// What a failing check does to a server. Default: `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub on_failure: Option<Choice<FailurePolicy>>,

    /// How long after its failure a server is deleted that `on_failure` has left with weight 0, so that its clients get a reset; 1 second to 1 day.
    /// lbd sets `net.ipv4.vs.expire_nodest_conn` to 1 for it. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub reset_after: Option<DurationText>,

    /// How many of the servers that may serve are left in service by checks, for each virtual service: a share (`50%`, rounded up) or a number;
    /// failing servers are kept in service rather than fewer left. Where none passes, all serve, or the `fallback` does; with 0, none. Default: `50%`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub min_serving: Option<MinServingText>,

    /// The server that serves when no other one does ("sorry server"): in place of all when no check passes, and where the weights of all are 0. It has
    /// no check, and may not be one of the `servers`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub fallback: Option<ServerEntry>,

    /// How long a server takes to its full weight after a failure, or when it is new in a service that has others; 1 second to 1 hour, in at most ten
    /// steps. It needs weights from 10 on, and a scheduler that goes by them. Default: its full weight at once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub slow_start: Option<DurationText>,

    /// Whether a change of the file may take away the last server with a weight above 0 of a virtual service of this
    /// cluster. Default: that of `policy`, else false.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub allow_empty: bool,

    /// The real servers, in the order in which they are added. May be empty: `[]`.
    #[serde(deserialize_with = "list")]
    pub servers: Vec<ServerEntry>,
}

/// One `listen` URL or a list of them.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "a listener or a list of them")]
#[schemars(extend("examples" = ["tcp://10.0.0.13:80", ["tcp://10.0.0.13:80", "udp://10.0.0.13:53"]]))]
pub enum Listen {
    /// One virtual service
    One(Listener),
    /// Several virtual services with the same servers
    #[schemars(extend("minItems" = 1))]
    Many(Vec<Listener>),
}

impl Listen {
    /// The URLs, also where there is but one.
    pub fn urls(&self) -> &[Listener] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Many(urls) => urls,
        }
    }
}

/// A firewall mark and the packets that get it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping with a mark, such as { mark: 10 }")]
#[schemars(rename = "Mark")]
pub struct MarkEntry {
    /// The mark, from 1 to 4294967295, decimal or `0x…`.
    pub mark: MarkNumber,

    /// Which packets get the mark: those that any one of these entries describes. Default: none, for a mark that
    /// somebody else's firewall sets.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub matches: Vec<MatchEntry>,
}

/// Packets by what stands in them. What is not named matches every packet; at least one key is needed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "a mapping that describes packets, such as { protocol: tcp, address: 192.168.8.13, ports: [80] }"
)]
#[schemars(extend("minProperties" = 1))]
#[schemars(rename = "Match")]
pub struct MatchEntry {
    /// The transport protocol.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub protocol: Option<Choice<Protocol>>,

    /// The destination: an IP address, or a prefix such as `192.168.8.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub address: Option<PrefixText>,

    /// The destination ports: numbers and ranges such as `8000-8010`. They need a `protocol`. Default: every port.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null_list")]
    #[schemars(extend("minItems" = 1))]
    pub ports: Option<Vec<Port>>,

    /// The source: an IP address, or a prefix such as `192.168.8.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub source: Option<PrefixText>,

    /// The interface that the packet comes in by.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub interface: Option<Interface>,
}

/// How long idle connections are remembered (`ipvsadm --set`): 1 to 2147483 seconds each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping of timeouts, such as { tcp: 15m, tcp_fin: 2m, udp: 5m }")]
#[schemars(rename = "Timeouts")]
pub struct TimeoutsEntry {
    /// Established TCP connections. Default: the kernel's value, at first 15 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub tcp: Option<DurationText>,

    /// TCP connections after a FIN. Default: the kernel's value, at first 2 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub tcp_fin: Option<DurationText>,

    /// UDP. Default: the kernel's value, at first 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub udp: Option<DurationText>,
}

/// A daemon of the kernel that shares the connection table with another director.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping that describes a sync daemon, such as { role: master, interface: eth1 }")]
#[schemars(rename = "SyncDaemon")]
pub struct SyncEntry {
    /// Whether it sends connections (`master`) or receives them (`backup`).
    pub role: Choice<SyncRole>,

    /// The interface of the multicast packets. One that is not there yet is waited for.
    pub interface: Interface,

    /// Which directors belong together. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    #[schemars(extend("default" = 0))]
    pub id: Option<Number<0, 255>>,

    /// The longest sync message in bytes (`ipvsadm --sync-maxlen`); at least 1024 for a backup. Default: what fits the
    /// interface.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub sync_maxlen: Option<MessageLength>,

    /// The multicast group (`ipvsadm --mcast-group`). Default: 224.0.0.81.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub mcast_group: Option<Group>,

    /// The UDP port (`ipvsadm --mcast-port`). Default: 8848.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub mcast_port: Option<PortNumber>,

    /// How many routers a multicast packet may pass, and one (`ipvsadm --mcast-ttl`). Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub mcast_ttl: Option<Number<1, 255>>,
}

/// What holds for every cluster that says nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping of defaults, such as { scheduler: wlc, forward: nat }")]
pub struct Defaults {
    /// How connections are handed out. Default: `wlc`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub scheduler: Option<SchedulerWord>,

    /// How packets get to the servers. Default: `dr`, as in ipvsadm.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub forward: Option<Choice<ForwardingMethod>>,

    /// How long a server that leaves the file keeps its connections; `0` deletes it at once. At most 30 days. Default: 5
    /// minutes for TCP, SCTP and firewall marks, at least the `persistence`; 0 for UDP.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub drain: Option<DrainText>,

    /// The health checks of the servers: the name of a check, a check itself, or a list of these, of which all must pass; `none` for no check.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub check: Option<CheckList>,
}

/// How far lbd may go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping of limits, such as { prune: owned, max_delete: 50% }")]
#[schemars(rename = "Policy")]
pub struct PolicyEntry {
    /// Which virtual services lbd deletes when they are not in the file: `owned`, those that lbd itself put there;
    /// `all`, every one, so that the file is the whole table; `never`. Default: `owned`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub prune: Option<Choice<Prune>>,

    /// Whether a file with no clusters may empty the table, and a virtual service lose its last server with a weight above
    /// 0. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    #[schemars(extend("default" = false))]
    pub allow_empty: bool,

    /// The share (`50%`) or the number of virtual services that one change of the file may delete; a cluster that listens
    /// on another address or port instead deletes none. A share holds for the real servers, too, of the services that stay.
    /// Default: `50%`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub max_delete: Option<MaxDeleteText>,

    /// How often the whole live state is checked though nothing announced a change: 1 second to 1 day. Default: `30s`. That a virtual
    /// service is gone is noticed within two seconds, however long this is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub resync: Option<DurationText>,

    /// How many verified files the history keeps, 0 to 1000: for `lbd history` and `lbd rollback`. Default: 50.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    #[schemars(extend("default" = 50))]
    pub history: Option<KeptFiles>,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}
