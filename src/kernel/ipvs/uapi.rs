//! The names and numbers of the kernel's header `linux/ip_vs.h`, and nothing else.
//!
//! They are the kernel's ABI: none has changed since it appeared, the youngest (the tunnel attributes) in Linux 5.3.

/// What the generic netlink family is called.
pub(crate) const IPVS_GENL_NAME: &str = "IPVS";
/// The version of its messages.
pub(crate) const IPVS_GENL_VERSION: u8 = 1;

/// `IPVS_CMD_*`
pub(crate) mod cmd {
    pub(crate) const NEW_SERVICE: u8 = 1;
    pub(crate) const SET_SERVICE: u8 = 2;
    pub(crate) const DEL_SERVICE: u8 = 3;
    pub(crate) const GET_SERVICE: u8 = 4;
    pub(crate) const NEW_DEST: u8 = 5;
    pub(crate) const SET_DEST: u8 = 6;
    pub(crate) const DEL_DEST: u8 = 7;
    pub(crate) const GET_DEST: u8 = 8;
    pub(crate) const NEW_DAEMON: u8 = 9;
    pub(crate) const DEL_DAEMON: u8 = 10;
    pub(crate) const GET_DAEMON: u8 = 11;
    pub(crate) const SET_CONFIG: u8 = 12;
    pub(crate) const GET_CONFIG: u8 = 13;
    pub(crate) const GET_INFO: u8 = 15;
    /// Sets counters to zero
    pub(crate) const ZERO: u8 = 16;
}

/// `IPVS_CMD_ATTR_*`: at the top of a message
pub(crate) mod attr {
    pub(crate) const SERVICE: u16 = 1;
    pub(crate) const DEST: u16 = 2;
    pub(crate) const DAEMON: u16 = 3;
    pub(crate) const TIMEOUT_TCP: u16 = 4;
    pub(crate) const TIMEOUT_TCP_FIN: u16 = 5;
    pub(crate) const TIMEOUT_UDP: u16 = 6;
}

/// `IPVS_SVC_ATTR_*`: inside `SERVICE`
pub(crate) mod svc {
    pub(crate) const AF: u16 = 1;
    pub(crate) const PROTOCOL: u16 = 2;
    pub(crate) const ADDR: u16 = 3;
    /// Big-endian
    pub(crate) const PORT: u16 = 4;
    pub(crate) const FWMARK: u16 = 5;
    pub(crate) const SCHED_NAME: u16 = 6;
    /// `struct ip_vs_flags { flags, mask }`
    pub(crate) const FLAGS: u16 = 7;
    pub(crate) const TIMEOUT: u16 = 8;
    /// IPv4: a mask in network order. IPv6: a prefix length in host order
    pub(crate) const NETMASK: u16 = 9;
    pub(crate) const STATS: u16 = 10;
    pub(crate) const PE_NAME: u16 = 11;
    /// Since Linux 4.1
    pub(crate) const STATS64: u16 = 12;
}

/// `IPVS_DEST_ATTR_*`: inside `DEST`
pub(crate) mod dest {
    pub(crate) const ADDR: u16 = 1;
    /// Big-endian
    pub(crate) const PORT: u16 = 2;
    pub(crate) const FWD_METHOD: u16 = 3;
    pub(crate) const WEIGHT: u16 = 4;
    pub(crate) const U_THRESH: u16 = 5;
    pub(crate) const L_THRESH: u16 = 6;
    pub(crate) const ACTIVE_CONNS: u16 = 7;
    pub(crate) const INACT_CONNS: u16 = 8;
    pub(crate) const PERSIST_CONNS: u16 = 9;
    pub(crate) const STATS: u16 = 10;
    pub(crate) const ADDR_FAMILY: u16 = 11;
    /// Since Linux 4.1
    pub(crate) const STATS64: u16 = 12;
    pub(crate) const TUN_TYPE: u16 = 13;
    /// Big-endian
    pub(crate) const TUN_PORT: u16 = 14;
    pub(crate) const TUN_FLAGS: u16 = 15;
}

/// `IPVS_STATS_ATTR_*`: inside `STATS64`, where each has 64 bits, and `STATS`, where bytes have 64 bits and the others 32
pub(crate) mod stats {
    pub(crate) const CONNECTIONS: u16 = 1;
    pub(crate) const IN_PACKETS: u16 = 2;
    pub(crate) const OUT_PACKETS: u16 = 3;
    pub(crate) const IN_BYTES: u16 = 4;
    pub(crate) const OUT_BYTES: u16 = 5;
    /// Those per second
    pub(crate) const CONNECTION_RATE: u16 = 6;
    pub(crate) const IN_PACKET_RATE: u16 = 7;
    pub(crate) const OUT_PACKET_RATE: u16 = 8;
    pub(crate) const IN_BYTE_RATE: u16 = 9;
    pub(crate) const OUT_BYTE_RATE: u16 = 10;
}

/// `IPVS_DAEMON_ATTR_*`: inside `DAEMON`
pub(crate) mod daemon {
    pub(crate) const STATE: u16 = 1;
    pub(crate) const MCAST_IFN: u16 = 2;
    pub(crate) const SYNC_ID: u16 = 3;
    pub(crate) const SYNC_MAXLEN: u16 = 4;
    pub(crate) const MCAST_GROUP: u16 = 5;
    pub(crate) const MCAST_GROUP6: u16 = 6;
    /// In host order, unlike every other port
    pub(crate) const MCAST_PORT: u16 = 7;
    pub(crate) const MCAST_TTL: u16 = 8;
}

/// `IP_VS_STATE_*`
pub(crate) mod state {
    pub(crate) const MASTER: u32 = 1;
    pub(crate) const BACKUP: u32 = 2;
}

/// `IP_VS_SVC_F_*`. The kernel sets one more, 0x2 (HASHED), on every service that it lists.
pub(crate) mod svc_f {
    pub(crate) const PERSISTENT: u32 = 0x1;
    pub(crate) const ONEPACKET: u32 = 0x4;
    pub(crate) const SCHED1: u32 = 0x8;
    pub(crate) const SCHED2: u32 = 0x10;
    pub(crate) const SCHED3: u32 = 0x20;
}

/// `IP_VS_CONN_F_*`: the forwarding methods
pub(crate) mod conn_f {
    pub(crate) const FWD_MASK: u32 = 0x7;
    pub(crate) const MASQ: u32 = 0;
    pub(crate) const TUNNEL: u32 = 2;
    pub(crate) const DROUTE: u32 = 3;
}

/// `IP_VS_CONN_F_TUNNEL_TYPE_*`
pub(crate) mod tunnel_type {
    pub(crate) const IPIP: u8 = 0;
    pub(crate) const GUE: u8 = 1;
    pub(crate) const GRE: u8 = 2;
}

/// `IP_VS_TUNNEL_ENCAP_FLAG_*`
pub(crate) mod tunnel_flag {
    pub(crate) const NOCSUM: u16 = 0;
    pub(crate) const CSUM: u16 = 1;
    pub(crate) const REMCSUM: u16 = 2;
}

/// `AF_*` as IPVS sends them
pub(crate) mod af {
    pub(crate) const INET: u16 = 2;
    pub(crate) const INET6: u16 = 10;
}

/// `IPPROTO_*`
pub(crate) mod ipproto {
    pub(crate) const TCP: u16 = 6;
    pub(crate) const UDP: u16 = 17;
    pub(crate) const SCTP: u16 = 132;
}
