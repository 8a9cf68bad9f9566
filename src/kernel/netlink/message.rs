//! Splits a received datagram into netlink messages, and frames a request: length, type, flags, sequence number, port.

use neli::consts::nl::NlmF;

use super::attribute::align;
use super::error::Malformed;

/// How long the header of a message is.
const HEADER: usize = 16;

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type: that of a family, or one of netlink's own
    pub kind: u16,
    /// The number of the request that it answers
    pub sequence: u32,
    /// What follows netlink's header
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// The error number, positive, that an `NLMSG_ERROR` or `NLMSG_DONE` carries; 0 is success.
    ///
    /// # Errors
    /// Where the message is too short for a number.
    pub fn errno(&self) -> Result<i32, Malformed> {
        let number =
            self.payload.first_chunk().ok_or(Malformed("an acknowledgement without an error number"))?;
        Ok(i32::from_ne_bytes(*number).wrapping_neg())
    }
}

/// The attributes in a payload, behind the four bytes of the family's own header: generic netlink has a command, a version
/// and two reserved bytes there, netfilter a family, a version and a resource.
///
/// # Errors
/// Where the payload is shorter than that header.
pub fn attributes(payload: &[u8]) -> Result<&[u8], Malformed> {
    payload.get(4..).ok_or(Malformed("a message without the header of its family"))
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
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *self.rest.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes([k0, k1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload: self.rest.get(HEADER..length)?,
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

/// What is in the header of a request.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The type of the message; for generic netlink the number of the family
    pub kind: u16,
    /// `ACK`, `DUMP` or none; `REQUEST` is added
    pub flags: NlmF,
    /// The number that the reply repeats
    pub sequence: u32,
}

/// Appends a request to `buffer`; `payload` appends what follows netlink's header.
pub fn append(buffer: &mut Vec<u8>, header: Header, payload: impl FnOnce(&mut Vec<u8>)) {
    let Header { kind, flags, sequence } = header;
    let start = buffer.len();
    buffer.extend_from_slice(&0_u32.to_ne_bytes());
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(&(NlmF::REQUEST | flags).bits().to_ne_bytes());
    buffer.extend_from_slice(&sequence.to_ne_bytes());
    // To the kernel.
    buffer.extend_from_slice(&0_u32.to_ne_bytes());
    payload(buffer);
    let length = buffer.len() - start;
    if let Some(place) = buffer.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        // A request is a few hundred bytes long.
        *place = (length as u32).to_ne_bytes();
    }
    buffer.resize(start + align(length), 0);
}
