//! The frame around the attributes: netlink messages in a received datagram, and requests in a buffer to be sent.

use std::fmt;

use neli::consts::nl::NlmF;

use super::align;

/// The header of a netlink message: length, type, flags, sequence number, port.
const NETLINK_HEADER: usize = 16;

/// That a reply of the kernel is not what it should be; prints as what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// A family, or one of netlink's own types
    pub kind: u16,
    /// The number of the request that it answers
    pub sequence: u32,
    /// What follows netlink's header
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The error number, positive, that an `NLMSG_ERROR` or `NLMSG_DONE` carries; 0 is success.
    ///
    /// # Errors
    /// Where the message is too short for a number.
    pub fn errno(&self) -> Result<i32, Malformed> {
        let number =
            self.payload.first_chunk().ok_or(Malformed("an acknowledgement without an error number"))?;
        Ok(i32::from_ne_bytes(*number).wrapping_neg())
    }

    /// The attributes behind the header of generic netlink (command, version, two reserved bytes).
    ///
    /// # Errors
    /// Where the message is too short for that header.
    pub fn attributes(&self) -> Result<&'a [u8], Malformed> {
        self.payload.get(4..).ok_or(Malformed("a message without its generic netlink header"))
    }
}

/// The messages of one datagram, in their order. Ends after the first that is malformed.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages in what was received.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    fn split(&mut self) -> Option<Message<'a>> {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] =
            *self.rest.first_chunk::<NETLINK_HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload: self.rest.get(NETLINK_HEADER..length)?,
        };
        self.rest = self.rest.get(align(length)..).unwrap_or_default();
        Some(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.split().ok_or_else(|| {
            self.rest = &[];
            Malformed("a message that is cut off")
        }))
    }
}

/// What stands in the header of a request.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The number of the family
    pub family: u16,
    /// What it is for: acknowledged, a dump, or neither
    pub flags: NlmF,
    /// The number by which the reply is known
    pub sequence: u32,
}

/// Appends a request to `buffer`; `body` appends its attributes.
pub(super) fn append(
    buffer: &mut Vec<u8>,
    header: Header,
    command: u8,
    version: u8,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let Header { family, flags, sequence } = header;
    let start = buffer.len();
    buffer.extend_from_slice(&0_u32.to_ne_bytes());
    buffer.extend_from_slice(&family.to_ne_bytes());
    buffer.extend_from_slice(&(NlmF::REQUEST | flags).bits().to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    buffer.extend_from_slice(&0_u32.to_ne_bytes());
    buffer.extend_from_slice(&[command, version, 0, 0]);
    body(buffer);
    let length = buffer.len() - start;
    if let Some(place) = buffer.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        // A request is a few hundred bytes long.
        *place = (length as u32).to_ne_bytes();
    }
}
