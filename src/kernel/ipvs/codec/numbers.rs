//! Maps the values of the model to the kernel's numbers and back, and defines the normal form that reading gives them.

use crate::kernel::ipvs::uapi::{af, conn_f, ipproto, svc_f, tunnel_flag, tunnel_type};
use crate::model::{Checksum, Family, Forwarding, Protocol, SchedulerFlags, Tunnel, TunnelKind};

pub(super) fn family(family: Family) -> u16 {
    match family {
        Family::V4 => af::INET,
        Family::V6 => af::INET6,
    }
}

pub(super) fn family_of(number: u16) -> Option<Family> {
    match number {
        af::INET => Some(Family::V4),
        af::INET6 => Some(Family::V6),
        _ => None,
    }
}

pub(crate) fn protocol(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => ipproto::TCP,
        Protocol::Udp => ipproto::UDP,
        Protocol::Sctp => ipproto::SCTP,
        Protocol::Other(number) => number,
    }
}

pub(crate) fn protocol_of(number: u16) -> Protocol {
    match number {
        ipproto::TCP => Protocol::Tcp,
        ipproto::UDP => Protocol::Udp,
        ipproto::SCTP => Protocol::Sctp,
        other => Protocol::Other(other),
    }
}

pub(super) fn scheduler_bits(flags: SchedulerFlags) -> u32 {
    let SchedulerFlags { flag_1, flag_2, flag_3 } = flags;
    [(flag_1, svc_f::SCHED1), (flag_2, svc_f::SCHED2), (flag_3, svc_f::SCHED3)]
        .into_iter()
        .fold(0, |bits, (on, bit)| if on { bits | bit } else { bits })
}

pub(super) fn scheduler_flags_of(bits: u32) -> SchedulerFlags {
    SchedulerFlags {
        flag_1: bits & svc_f::SCHED1 != 0,
        flag_2: bits & svc_f::SCHED2 != 0,
        flag_3: bits & svc_f::SCHED3 != 0,
    }
}

/// A forwarding method as the kernel has it: the method, and what it keeps of a tunnel beside each method.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Forward {
    pub(super) method: u32,
    pub(super) tunnel_type: u8,
    pub(super) tunnel_port: u16,
    pub(super) tunnel_flags: u16,
}

impl From<Forwarding> for Forward {
    fn from(forwarding: Forwarding) -> Self {
        match forwarding {
            // The rest of FULLNAT is not IPVS' business.
            Forwarding::Nat | Forwarding::FullNat => Self { method: conn_f::MASQ, ..Self::default() },
            Forwarding::DirectRouting => Self { method: conn_f::DROUTE, ..Self::default() },
            Forwarding::Other(method) => Self { method: method.into(), ..Self::default() },
            Forwarding::Tunnel(Tunnel { kind, port, checksum }) => Self {
                method: conn_f::TUNNEL,
                tunnel_type: match kind {
                    TunnelKind::Ipip => tunnel_type::IPIP,
                    TunnelKind::Gue => tunnel_type::GUE,
                    TunnelKind::Gre => tunnel_type::GRE,
                    TunnelKind::Other(number) => number,
                },
                tunnel_port: port,
                tunnel_flags: match checksum {
                    Checksum::None => tunnel_flag::NOCSUM,
                    Checksum::Csum => tunnel_flag::CSUM,
                    Checksum::Remcsum => tunnel_flag::REMCSUM,
                    Checksum::Other(bits) => bits,
                },
            },
        }
    }
}

impl From<Forward> for Forwarding {
    /// The normal form: the kernel stores the tunnel's numbers for every method and type, also where they mean nothing.
    fn from(forward: Forward) -> Self {
        let Forward { method, tunnel_type, tunnel_port, tunnel_flags } = forward;
        match method & conn_f::FWD_MASK {
            conn_f::MASQ => Self::Nat,
            conn_f::DROUTE => Self::DirectRouting,
            conn_f::TUNNEL => {
                let kind = match tunnel_type {
                    tunnel_type::IPIP => TunnelKind::Ipip,
                    tunnel_type::GUE => TunnelKind::Gue,
                    tunnel_type::GRE => TunnelKind::Gre,
                    number => TunnelKind::Other(number),
                };
                Self::Tunnel(Tunnel {
                    kind,
                    port: if kind == TunnelKind::Gue { tunnel_port } else { 0 },
                    checksum: match tunnel_flags {
                        _ if kind == TunnelKind::Ipip => Checksum::None,
                        tunnel_flag::NOCSUM => Checksum::None,
                        tunnel_flag::CSUM => Checksum::Csum,
                        tunnel_flag::REMCSUM => Checksum::Remcsum,
                        bits => Checksum::Other(bits),
                    },
                })
            }
            // Three bits are left of the number: it fits.
            other => Self::Other(other as u8),
        }
    }
}

/// The forwarding method in the flags of a server; of a tunnel, which kind is not in them.
pub(crate) fn forwarding_of(flags: u32) -> Forwarding {
    Forward { method: flags, ..Forward::default() }.into()
}

/// A forwarding method in the form in which it is read back after it was written.
#[cfg(feature = "fake")]
pub(crate) fn normal(forwarding: Forwarding) -> Forwarding {
    Forward::from(forwarding).into()
}
