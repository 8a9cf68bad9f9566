//! The timeouts of connections, which all virtual services share.

/// After how many seconds without packets a connection ends; `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    /// Established TCP connections
    pub tcp: Option<u32>,
    /// TCP connections after a FIN
    pub tcp_fin: Option<u32>,
    /// UDP
    pub udp: Option<u32>,
}

impl Timeouts {
    /// The fields of `wanted` that differ from these.
    pub fn lacking(self, wanted: Self) -> Self {
        let other = |is: Option<u32>, shall: Option<u32>| shall.filter(|shall| is != Some(*shall));
        Self {
            tcp: other(self.tcp, wanted.tcp),
            tcp_fin: other(self.tcp_fin, wanted.tcp_fin),
            udp: other(self.udp, wanted.udp),
        }
    }
}
