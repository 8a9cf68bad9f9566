//! Turns the model into netlink attributes and back: bytes only, no socket.
//!
//! Byte order, the HASHED bit, the 16 bytes of an IPv4 address and everything else in which the kernel's answer differs
//! from what was written end here: behind this door both are the same plain data.

pub mod decode;
pub mod encode;
pub mod message;
mod numbers;
pub mod request;

#[cfg(feature = "fake")]
pub(crate) use numbers::normal;
pub(crate) use numbers::{forwarding_of, protocol as protocol_number, protocol_of};

/// Netlink aligns messages and attributes to four bytes.
fn align(length: usize) -> usize {
    (length + 3) & !3
}
