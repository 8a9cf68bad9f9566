//! A wire to the real kernel on which one reply goes wrong, in one of the ways in which replies can go wrong.

// A helper stops its test at the first surprise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use lbd::kernel::netlink::{NetlinkSocket, Transport};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The kernel answers with this error number instead.
    Error(i32),
    /// The socket gives this error, and the reply is lost.
    Socket(i32),
    /// The socket gives this error, and all replies that are there are lost.
    SocketEmptied(i32),
    /// A signal comes; the reply is there at the next call.
    Interrupted,
    /// Nothing comes any more; the replies come late, when the next request has been sent.
    Late,
    /// Nothing comes any more.
    Silent,
    /// The reply ends somewhere in the middle.
    CutOff,
    /// The reply is longer than the room for it.
    Oversized,
    /// The reply is noise.
    Noise,
    /// One bit of the reply is another.
    Bit,
    /// One entry of the list is missing.
    Skipped,
    /// The entry with these bytes in it is missing.
    SkippedThis([u8; 4]),
    /// One entry of the list comes twice.
    Repeated,
    /// Somebody else writes just before the reply is fetched.
    Writer(usize),
}

/// Where and how, and what has happened so far.
pub(crate) struct Script {
    /// The first reply has number 0.
    pub(crate) at: usize,
    pub(crate) fault: Fault,
    /// Replies that are shorter are not counted
    pub(crate) from_length: usize,
    /// What somebody else does
    pub(crate) meddle: Box<dyn FnMut(usize)>,
    pub(crate) random: fastrand::Rng,
    /// How many replies came so far
    pub(crate) replies: usize,
    /// Whether the fault has happened
    pub(crate) happened: bool,
    is_silent: bool,
    kept: Option<Vec<u8>>,
}

impl Script {
    pub(crate) fn new(at: usize, fault: Fault, meddle: Box<dyn FnMut(usize)>) -> Self {
        Self {
            at,
            fault,
            from_length: 0,
            meddle,
            random: fastrand::Rng::with_seed(at as u64),
            replies: 0,
            happened: false,
            is_silent: false,
            kept: None,
        }
    }
}

pub(crate) struct FaultyWire {
    netlink: NetlinkSocket,
    script: Rc<RefCell<Script>>,
    /// The reply, as it is or as it was spoilt
    received: Vec<u8>,
}

impl FaultyWire {
    pub(crate) fn new(script: &Rc<RefCell<Script>>) -> Self {
        Self { netlink: NetlinkSocket::open().unwrap(), script: Rc::clone(script), received: Vec::new() }
    }

    fn discard_what_is_there(&mut self) {
        while self.netlink.receive(1 << 16).is_ok() {}
    }

    /// Does to the reply that was received what the script says; gives its length from then on.
    fn spoil(&mut self, script: &mut Script, room: usize) -> io::Result<usize> {
        let random = &mut script.random;
        script.happened = true;
        match script.fault {
            Fault::Error(errno) => {
                // A list that the kernel breaks off has no more parts.
                self.discard_what_is_there();
                self.received = error_reply(&self.received, errno);
            }
            Fault::Socket(errno) => return Err(io::Error::from_raw_os_error(errno)),
            Fault::SocketEmptied(errno) => {
                self.discard_what_is_there();
                return Err(io::Error::from_raw_os_error(errno));
            }
            Fault::Interrupted => {
                script.kept = Some(self.received.clone());
                return Err(io::Error::from_raw_os_error(libc::EINTR));
            }
            Fault::Late => {
                script.is_silent = true;
                script.kept = Some(self.received.clone());
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Fault::Silent => {
                self.discard_what_is_there();
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Fault::CutOff => self.received.truncate(random.usize(1..self.received.len())),
            Fault::Oversized => return Ok(1 << 20),
            Fault::Noise => self.received.iter_mut().for_each(|byte| *byte = random.u8(..)),
            Fault::Bit => {
                let place = random.usize(..self.received.len());
                self.received[place] ^= 1 << random.u8(..8);
            }
            Fault::Skipped | Fault::SkippedThis(_) | Fault::Repeated => {
                let mut messages = messages(&self.received);
                let is_wanted = |message: &&[u8]| match script.fault {
                    Fault::SkippedThis(bytes) => message.windows(4).any(|window| window == bytes),
                    _ => is_data(message),
                };
                let wanted: Vec<usize> =
                    (0..messages.len()).filter(|place| is_wanted(&messages[*place])).collect();
                if wanted.is_empty() {
                    script.happened = false;
                    return Ok(self.received.len());
                }
                let place = wanted[random.usize(..wanted.len())];
                if script.fault == Fault::Repeated {
                    messages.insert(place, messages[place]);
                } else {
                    messages.remove(place);
                }
                let bytes = messages.concat();
                if bytes.is_empty() || bytes.len() > room {
                    // An empty datagram does not exist: it is not sent at all.
                    return self.fetch(room);
                }
                self.received = bytes;
            }
            Fault::Writer(_) => {}
        }
        Ok(self.received.len())
    }

    fn fetch(&mut self, room: usize) -> io::Result<usize> {
        let length = self.netlink.receive(room)?;
        self.received = self.netlink.datagram().to_vec();
        Ok(length)
    }
}

impl Transport for FaultyWire {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.script.borrow_mut().is_silent = false;
        self.netlink.send(datagram)
    }

    fn receive(&mut self, room: usize) -> io::Result<usize> {
        let script = Rc::clone(&self.script);
        let script = &mut *script.borrow_mut();
        if script.is_silent {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(kept) = script.kept.take() {
            self.received = kept;
            return Ok(self.received.len());
        }
        if !script.happened
            && script.replies == script.at
            && let Fault::Writer(what) = script.fault
        {
            script.happened = true;
            (script.meddle)(what);
        }
        let length = self.fetch(room)?;
        if length < script.from_length {
            return Ok(length);
        }
        script.replies += 1;
        if script.replies == script.at + 1 { self.spoil(script, room) } else { Ok(length) }
    }

    fn datagram(&self) -> &[u8] {
        &self.received
    }

    // The kernel answers before `send` returns: what is not there by then never comes, and need not be waited for.
    fn wait(&mut self, _until: Instant) -> io::Result<bool> {
        if self.script.borrow().is_silent {
            return Ok(false);
        }
        self.netlink.wait(Instant::now() + Duration::from_millis(20))
    }
}

/// The netlink messages of a datagram.
fn messages(datagram: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = datagram;
    while rest.len() >= 16 {
        let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
        let (message, behind) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
        messages.push(message);
        rest = behind;
    }
    messages
}

/// Whether a message is of a family, and none of netlink's own.
fn is_data(message: &[u8]) -> bool {
    u16::from_ne_bytes([message[4], message[5]]) >= 16
}

/// The refusal of the request that a reply answers.
fn error_reply(reply: &[u8], errno: i32) -> Vec<u8> {
    let mut error = Vec::new();
    error.extend(36_u32.to_ne_bytes());
    error.extend(2_u16.to_ne_bytes());
    error.extend(0_u16.to_ne_bytes());
    error.extend(&reply[8..16]);
    error.extend((-errno).to_ne_bytes());
    error.extend([0; 16]);
    error
}
