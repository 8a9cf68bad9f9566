//! Reads the kernel's list of connections line by line: it may have a million lines, and one of them at a time is in memory.
//!
//! The kernel walks its table while that changes, and begins anew behind as many entries as were read with each 4 KiB: what ends or begins
//! meanwhile may be missing, or be there twice.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use compact_str::CompactString;

use super::ipvs::codec::protocol_of;
use crate::model::{Protocol, ServerKey};

/// The list of this thread's network namespace, which everybody may read. Absent while IPVS is not loaded.
const PATH: &str = "/proc/thread-self/net/ip_vs_conn";
/// How long a line is at most, in bytes: three IPv6 addresses and what a persistence engine keeps take about 450.
const LONGEST_LINE: u64 = 4096;

/// A time that is longer is none, in seconds: a kernel counts it in 32 bits.
const LONGEST_TIME: u64 = u32::MAX as u64;

/// The protocol of a template that is for each protocol: that of a firewall mark.
pub const ANY_PROTOCOL: Protocol = Protocol::Other(0);

/// An entry of the list: a connection, or a persistence template, by which further connections of a client go to the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEntry {
    /// Transport protocol; [`ANY_PROTOCOL`] for the template of a mark
    pub protocol: Protocol,
    /// The client; of a template the first address of the clients that count as one, and port 0
    pub client: SocketAddr,
    /// Where it connects to
    pub to: VirtualEnd,
    /// The real server
    pub server: ServerKey,
    /// The kernel's word for the state
    pub state: CompactString,
    /// When the entry ends, unless a packet comes before: in so many seconds
    pub expires_in: u64,
    /// Whether it is a persistence template
    pub is_template: bool,
}

/// Where a client connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VirtualEnd {
    /// A virtual address; port 0 of a template is each port
    Address(SocketAddr),
    /// Of a template: whatever has this firewall mark
    Mark(u32),
}

/// Why the list cannot be read.
#[derive(Debug)]
pub enum ConnectionListError {
    /// The kernel does not give it.
    Unreadable(io::Error),
    /// This line of it, counted from 1, is not understood.
    Malformed(u64),
}

impl fmt::Display for ConnectionListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("the kernel has no list of connections: IPVS is not loaded (`modprobe ip_vs`)")
            }
            Self::Unreadable(_) => f.write_str("cannot read the kernel's list of connections"),
            Self::Malformed(line) => write!(
                f,
                "line {line} of the kernel's list of connections cannot be understood (is the kernel newer than this lbd knows?)"
            ),
        }
    }
}

impl Error for ConnectionListError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable(error) if error.kind() != io::ErrorKind::NotFound => Some(error),
            Self::Unreadable(_) | Self::Malformed(_) => None,
        }
    }
}

/// The list, from its beginning.
#[derive(Debug)]
pub struct ConnectionList<R> {
    lines: R,
    line: Vec<u8>,
    number: u64,
}

impl ConnectionList<BufReader<File>> {
    /// Opens the list of this thread's network namespace.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open() -> Result<Self, ConnectionListError> {
        let file = File::open(PATH).map_err(ConnectionListError::Unreadable)?;
        Ok(Self::over(BufReader::new(file)))
    }
}

impl<R: BufRead> ConnectionList<R> {
    /// The same from a text of the kernel's.
    pub fn over(lines: R) -> Self {
        Self { lines, line: Vec::new(), number: 0 }
    }

    fn next_entry(&mut self) -> Result<Option<ConnectionEntry>, ConnectionListError> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut self.line);
            match read.map_err(ConnectionListError::Unreadable)? {
                0 => return Ok(None),
                // The heading.
                _ if self.number == 1 && self.line.starts_with(b"Pro ") => {}
                _ => {
                    let entry = parse(&self.line).ok_or(ConnectionListError::Malformed(self.number));
                    return entry.map(Some);
                }
            }
        }
    }
}

/// Ends after the first error.
impl<R: BufRead> Iterator for ConnectionList<R> {
    type Item = Result<ConnectionEntry, ConnectionListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}

/// An entry from its line. Behind it is what a persistence engine keeps, in the words of a client: it is not looked at.
fn parse(line: &[u8]) -> Option<ConnectionEntry> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
    let protocol = protocol(word()?)?;
    let client = SocketAddr::new(address(word()?)?, port(word()?)?);
    let to = SocketAddr::new(address(word()?)?, port(word()?)?);
    let server = ServerKey { address: address(word()?)?, port: port(word()?)? };
    let state = word()?;
    // No connection has one of these states and no port: one of FTP that is expected has LISTEN.
    let is_template = client.port() == 0 && (protocol == ANY_PROTOCOL || matches!(state, "NONE" | "ASSURED"));
    Some(ConnectionEntry {
        protocol,
        client,
        to: match protocol {
            ANY_PROTOCOL => VirtualEnd::Mark(mark(to.ip())),
            _ => VirtualEnd::Address(to),
        },
        server,
        state: state.into(),
        // Of an entry that is just about to end, an older kernel (5.10) subtracts the later time from the earlier one.
        expires_in: word()?
            .parse()
            .ok()
            .map(|seconds: u64| if seconds > LONGEST_TIME { 0 } else { seconds })?,
        is_template,
    })
}

/// The kernel writes a mark where the address is: all 32 bits of it, or the first of 128.
fn mark(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => (address.to_bits() >> 96) as u32,
    }
}

fn protocol(word: &str) -> Option<Protocol> {
    Some(match word {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        "IP" => ANY_PROTOCOL,
        "ESP" => Protocol::Other(50),
        "AH" => Protocol::Other(51),
        "ICMP" => Protocol::Other(1),
        "ICMPv6" => Protocol::Other(58),
        other => protocol_of(other.strip_prefix("IP_")?.parse().ok()?),
    })
}

/// Eight hexadecimal digits, or all eight groups of an IPv6 address.
fn address(word: &str) -> Option<IpAddr> {
    if word.len() == 8 && !word.contains(':') {
        return hexadecimal(word).map(|bits| Ipv4Addr::from_bits(bits).into());
    }
    word.parse().ok().filter(IpAddr::is_ipv6)
}

fn port(word: &str) -> Option<u16> {
    hexadecimal(word).and_then(|port| port.try_into().ok())
}

/// `from_str_radix` would take a sign, too.
fn hexadecimal(word: &str) -> Option<u32> {
    let is_number = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_number.then(|| u32::from_str_radix(word, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.1 prints it, but for the last line, whose end a client has chosen.
    const LIST: &[u8] = b"Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
IP  0A000002 0000 0000000A 0000 C0A8080F 0000 ASSURED         357
TCP 0A000001 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED     897
TCP 0A000000 0000 0A000001 0000 C0A8080E 0000 ASSURED         297
UDP fd00:0000:0000:0000:0000:0000:0000:0001 CEB9 fd00:0000:0000:0000:0000:0000:0000:0001 0035 fd00:0000:0000:0000:0000:0000:0000:0014 0035 UDP             297
IP  fd00:0000:0000:0000:0000:0000:0000:0001 0000 0000:000b:0000:0000:0000:0000:0000:0000 0000 fd00:0000:0000:0000:0000:0000:0000:0014 0000 NONE            357
TCP 0A000001 0000 0A000001 0014 C0A8080E 0014 LISTEN      184467440737095515
UDP 0A000000 0000 0A000001 13C4 C0A8080E 13C4 NONE             60 sip \x1b]0;\xff 1\n";

    #[test]
    fn each_kind_of_entry_is_read() {
        let entries = ConnectionList::over(LIST).map(Result::unwrap);
        let written = |entry: ConnectionEntry| {
            let to = match entry.to {
                VirtualEnd::Address(to) => to.to_string(),
                VirtualEnd::Mark(mark) => format!("mark {mark}"),
            };
            let kind = if entry.is_template { "template" } else { "connection" };
            let ConnectionEntry { protocol, client, server, state, expires_in, .. } = entry;
            format!("{protocol} {client} {to} {server} {state} {expires_in} {kind}")
        };
        let expected = [
            "protocol-0 10.0.0.2:0 mark 10 192.168.8.15:0 ASSURED 357 template",
            "tcp 10.0.0.1:42514 10.0.0.1:80 192.168.8.14:80 ESTABLISHED 897 connection",
            "tcp 10.0.0.0:0 10.0.0.1:0 192.168.8.14:0 ASSURED 297 template",
            "udp [fd00::1]:52921 [fd00::1]:53 [fd00::14]:53 UDP 297 connection",
            "protocol-0 [fd00::1]:0 mark 11 [fd00::14]:0 NONE 357 template",
            "tcp 10.0.0.1:0 10.0.0.1:20 192.168.8.14:20 LISTEN 0 connection",
            "udp 10.0.0.0:0 10.0.0.1:5060 192.168.8.14:5060 NONE 60 template",
        ];
        assert_eq!(entries.map(written).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_with_its_number() {
        let good = "TCP 0A000001 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED     897\n";
        for bad in [
            "TCP 0A000001 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED\n",
            "TCP 0A000001 A612 0A000001 0050 C0A8080E +050 ESTABLISHED 897\n",
            "TCP 0A00001 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED 897\n",
            "WHAT 0A000001 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED 897\n",
            "TCP 0A000001 1A612 0A000001 0050 C0A8080E 0050 ESTABLISHED 897\n",
            "\n",
        ] {
            let text = format!("{good}{bad}{good}");
            let mut list = ConnectionList::over(text.as_bytes());
            assert!(list.next().unwrap().is_ok());
            assert!(matches!(list.next(), Some(Err(ConnectionListError::Malformed(2)))), "{bad}");
        }
    }

    /// A text of so many lines that is nowhere in memory.
    struct Repeated {
        lines: usize,
        place: usize,
    }

    impl Read for Repeated {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            const LINE: &[u8] = b"TCP C0000207 A612 0A000001 0050 C0A8080E 0050 ESTABLISHED     897\n";
            if self.lines == 0 {
                return Ok(0);
            }
            let read = (&LINE[self.place..]).read(room)?;
            self.place += read;
            if self.place == LINE.len() {
                (self.place, self.lines) = (0, self.lines - 1);
            }
            Ok(read)
        }
    }

    #[test]
    fn one_line_of_a_long_list_is_in_memory_and_a_line_without_end_is_cut() {
        let mut list = ConnectionList::over(BufReader::new(Repeated { lines: 100_000, place: 0 }));
        assert_eq!(list.by_ref().filter(Result::is_ok).count(), 100_000);
        assert!(list.line.capacity() < 2 * LONGEST_LINE as usize, "{}", list.line.capacity());
        let mut list = ConnectionList::over(BufReader::new(io::repeat(b'x')));
        assert!(matches!(list.next(), Some(Err(ConnectionListError::Malformed(1)))));
        assert!(list.line.capacity() < 2 * LONGEST_LINE as usize, "{}", list.line.capacity());
    }
}
