//! The closed lists of words in the desired file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A closed list of words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $title:literal { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[schemars(title = $title)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word in the file.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// How packets get to a real server.
    Forward: "a forwarding method" {
        /// The director rewrites the destination, and the answers come back through it.
        Nat = "nat",
        /// Direct routing: only the link-layer address changes; the server answers the client by itself.
        Dr = "dr",
        /// The packet travels inside another one; the server answers the client by itself.
        Tun = "tun",
        /// NAT of both addresses. Not supported in this version yet.
        FullNat = "fullnat",
    }
}

words! {
    /// A switch of the scheduler.
    SchedulerFlag: "a scheduler flag" {
        /// `sh`: take another server where the chosen one cannot serve.
        ShFallback = "sh-fallback",
        /// `sh`: hash the source port too.
        ShPort = "sh-port",
        /// `mh`: take another server where the chosen one cannot serve.
        MhFallback = "mh-fallback",
        /// `mh`: hash the source port too.
        MhPort = "mh-port",
        /// The first switch of any scheduler.
        Flag1 = "flag-1",
        /// The second switch of any scheduler.
        Flag2 = "flag-2",
        /// The third switch of any scheduler.
        Flag3 = "flag-3",
    }
}

words! {
    /// What recognises a client beside its address.
    Engine: "a persistence engine" {
        /// The Call-ID of SIP over UDP.
        Sip = "sip",
    }
}

words! {
    /// The encapsulation of a tunnel.
    TunnelType: "an encapsulation" {
        /// IP in IP.
        Ipip = "ipip",
        /// Generic UDP encapsulation; needs a port.
        Gue = "gue",
        /// Generic routing encapsulation.
        Gre = "gre",
    }
}

words! {
    /// The checksum of a tunnel's outer packet.
    Checksum: "a checksum" {
        /// No checksum.
        None = "none",
        /// The outer protocol's own (`gue`, `gre`).
        Csum = "csum",
        /// Remote checksum offload (`gue`).
        Remcsum = "remcsum",
    }
}

words! {
    /// A transport protocol.
    MatchProtocol: "a protocol" {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
    }
}

words! {
    /// Whether a sync daemon sends connections or receives them.
    Role: "a role" {
        /// Sends.
        Master = "master",
        /// Receives.
        Backup = "backup",
    }
}

words! {
    /// Which virtual services lbd deletes when they are not in the file.
    Prune: "what to prune" {
        /// Those that lbd itself put there.
        Owned = "owned",
        /// Every one: the file is the whole table.
        All = "all",
        /// None.
        Never = "never",
    }
}
