//! Questions to the kernel about interfaces, addresses and routes, and its answers as bytes.

use std::io;
use std::time::{Duration, Instant};

use crate::kernel::ipvs::codec::message::Messages;
use crate::kernel::ipvs::{Netlink, SMALL, Wire};

/// How long the kernel may say nothing; its answer is normally there when the question is sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many questions are sent at once, so that the answers have room.
const BATCH: usize = 100;

/// The answer to one question: the payloads of its messages, or the error number.
pub(super) type Answer = Result<Vec<Vec<u8>>, i32>;

/// One question.
pub(super) struct Ask {
    /// The type of the message
    pub(super) kind: u16,
    /// Whether all of that type are listed
    pub(super) list: bool,
    /// What follows netlink's header
    pub(super) body: Vec<u8>,
}

/// A socket to the kernel's routing.
pub(super) struct Rtnetlink {
    wire: Netlink,
    sequence: u32,
}

impl Rtnetlink {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self { wire: Netlink::routing()?, sequence: 0 })
    }

    /// Lists all of a type.
    pub(super) fn list(&mut self, kind: u16, body: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        let mut answers = self.exchange(&[Ask { kind, list: true, body }])?;
        match answers.pop() {
            Some(Err(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Ok(payloads)) => Ok(payloads),
            None => Ok(Vec::new()),
        }
    }

    /// Asks several questions, and gives the answers in their order.
    pub(super) fn ask(&mut self, questions: &[Ask]) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(questions.len());
        for batch in questions.chunks(BATCH) {
            answers.append(&mut self.exchange(batch)?);
        }
        Ok(answers)
    }

    fn exchange(&mut self, questions: &[Ask]) -> io::Result<Vec<Answer>> {
        let first = self.sequence.wrapping_add(1);
        let mut outbox = Vec::new();
        for Ask { kind, list, body } in questions {
            self.sequence = self.sequence.wrapping_add(1);
            // A list says when it ends; the answer to a single question is one message, or a refusal.
            let flags = libc::NLM_F_REQUEST | if *list { libc::NLM_F_DUMP } else { 0 };
            let length = body.len() + 16;
            outbox.extend((length as u32).to_ne_bytes());
            outbox.extend(kind.to_ne_bytes());
            outbox.extend((flags as u16).to_ne_bytes());
            outbox.extend(self.sequence.to_ne_bytes());
            outbox.extend(0_u32.to_ne_bytes());
            outbox.extend(body);
            outbox.resize(outbox.len().next_multiple_of(4), 0);
        }
        self.wire.send(&outbox)?;
        let mut answers: Vec<Answer> = questions.iter().map(|_| Ok(Vec::new())).collect();
        let mut left = answers.len();
        while left > 0 {
            receive(&mut self.wire)?;
            for message in Messages::new(self.wire.datagram()) {
                let message = message.map_err(malformed)?;
                let place = message.sequence.wrapping_sub(first) as usize;
                let (Some(answer), Some(question)) = (answers.get_mut(place), questions.get(place)) else {
                    continue;
                };
                match i32::from(message.kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        left -= 1;
                        let errno = message.errno().map_err(malformed)?;
                        if errno != 0 {
                            *answer = Err(errno);
                        }
                    }
                    _ => {
                        left -= usize::from(!question.list);
                        if let Ok(payloads) = answer {
                            payloads.push(message.payload.to_vec());
                        }
                    }
                }
            }
        }
        Ok(answers)
    }
}

fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

fn receive(wire: &mut Netlink) -> io::Result<()> {
    let mut until = None;
    loop {
        match wire.receive(SMALL) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !wire.wait(*until.get_or_insert_with(|| Instant::now() + PATIENCE))? {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer"));
                }
            }
            result => return result.map(|_| ()),
        }
    }
}

/// The attributes in a payload: their types and values.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
        let value = rest.get(4..usize::from(length))?;
        rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        // The upper two bits say how the value is written.
        Some((kind & 0x3fff, value))
    })
}

/// Appends an attribute.
pub(super) fn append(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((value.len() as u16 + 4).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

pub(super) fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    bytes.get(place..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    bytes.get(place..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}
