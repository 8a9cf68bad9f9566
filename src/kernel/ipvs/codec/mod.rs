//! Converts between the model and the netlink attributes of IPVS: bytes only, no socket.
//!
//! Byte order, the HASHED bit, the 16 bytes of an IPv4 address and everything else in which the kernel's reply differs
//! from what was written end here: outside of this room both are the same plain data.

pub mod decode;
pub mod encode;
mod numbers;
pub mod request;
pub mod statistics;

#[cfg(feature = "fake")]
pub(crate) use numbers::normal;
pub(crate) use numbers::{forwarding_of, protocol as protocol_number, protocol_of};
