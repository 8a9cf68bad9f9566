//! Identifies the network namespace of a thread by a number that no other one gets.

use std::os::unix::net::UnixDatagram;

use super::ipvs::sockopt::{self, SocketOption};

/// The cookie of this thread's network namespace. Unlike the number of its inode, it is not given again to one that is made
/// later in this boot. `None` where the kernel has none: before Linux 5.14.
pub fn cookie() -> Option<u64> {
    // A socket belongs to the namespace of the thread that opened it; of all kinds this one needs no address.
    let socket = UnixDatagram::unbound().ok()?;
    let mut cookie = [0; size_of::<u64>()];
    sockopt::get(&socket, SocketOption::NamespaceCookie, &mut cookie).ok()?;
    Some(u64::from_ne_bytes(cookie))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_keeps_its_cookie() {
        assert_eq!(cookie(), cookie());
    }
}
