//! The least that a client of IPVS can do: the necessary sends and receives, without YAML, comparison or verification.
//!
//! Nothing here is lbd's own: it is the limit that lbd is measured against.
// Each program has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a measuring tool stops at the first surprise

use std::io;
use std::net::Ipv4Addr;

use neli::consts::socket::{Msg, NlFamily};
use neli::socket::NlSocket;
use neli::utils::Groups;

use super::table::{SCHEDULER, SERVER_PORT, SERVICE_PORT, Table};

/// Messages of one send: together some 60 KiB, the best size that was found.
const BATCH: usize = 400;
/// The kernel fills frames of a dump as far as the longest receive so far had room: little is cheapest for few servers, and
/// much for many.
const NARROW: usize = 4 << 10;
const WIDE: usize = 32 << 10;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;
const GET_FAMILY: u8 = 3;
const NEW_SERVICE: u8 = 1;
const GET_SERVICE: u8 = 4;
const NEW_DEST: u8 = 5;
const SET_DEST: u8 = 6;
const GET_DEST: u8 = 8;

/// A client with one socket and one buffer each way.
pub(crate) struct Client {
    socket: NlSocket,
    family: u16,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    /// System calls on the socket so far
    pub(crate) calls: u64,
}

impl Client {
    pub(crate) fn connect() -> io::Result<Self> {
        let socket = NlSocket::connect(NlFamily::Generic, None, Groups::empty())?;
        let (outbox, inbox) = (Vec::with_capacity(BATCH * 168), vec![0; WIDE]);
        let mut client = Self { socket, family: 0x10, outbox, inbox, calls: 0 };
        client.message(GET_FAMILY, 0, |buffer| attribute(buffer, 2, b"IPVS\0"));
        client.send()?;
        let length = client.receive(NARROW, Msg::empty())?;
        // Behind both headers stand the name and the number.
        let mut found = None;
        attributes(&client.inbox[20..length], |kind, value| {
            if kind == 1 {
                found = Some(u16::from_ne_bytes([value[0], value[1]]));
            }
        });
        client.family = found.ok_or(io::Error::other("no IPVS in this kernel"))?;
        Ok(client)
    }

    /// Loads a table into an empty one. Refusals are looked for after each send: the kernel has been through all then.
    pub(crate) fn load(&mut self, table: Table) -> io::Result<()> {
        let mut pending = 0;
        for service in 0..table.services {
            let address = table.service(service);
            self.message(NEW_SERVICE, 0, |buffer| new_service(buffer, address));
            pending += 1;
            for (server, weight) in table.servers_of(service) {
                if pending >= BATCH {
                    self.flush()?;
                    pending = 0;
                }
                self.message(NEW_DEST, 0, |buffer| destination(buffer, address, server, weight));
                pending += 1;
            }
        }
        self.flush()
    }

    /// Gives one server another weight.
    pub(crate) fn edit(&mut self, table: Table, service: u32, weight: u32) -> io::Result<()> {
        let (address, server) = (table.service(service), table.servers_of(service).next().unwrap().0);
        self.message(SET_DEST, 0, |buffer| destination(buffer, address, server, weight));
        self.flush()
    }

    /// Reads everything: the services, then the servers of each. Gives how many messages came.
    pub(crate) fn read(&mut self, table: Table) -> io::Result<u32> {
        let room = if table.servers > 10 { WIDE } else { NARROW };
        self.message(GET_SERVICE, DUMP, |_| {});
        let mut count = 0;
        self.dump(room, |_| count += 1)?;
        for service in 0..table.services {
            let address = table.service(service);
            self.message(GET_DEST, DUMP, |buffer| nest(buffer, 1, |buffer| identity(buffer, address)));
            self.dump(room, |_| count += 1)?;
        }
        Ok(count)
    }

    /// The weights of a service's servers, in the kernel's order.
    pub(crate) fn weights(&mut self, table: Table, service: u32) -> io::Result<Vec<u32>> {
        let address = table.service(service);
        self.message(GET_DEST, DUMP, |buffer| nest(buffer, 1, |buffer| identity(buffer, address)));
        let mut weights = Vec::new();
        self.dump(WIDE, |message| {
            attributes(&message[20..], |_, nest| {
                attributes(nest, |kind, value| {
                    if kind == 4 {
                        weights.push(u32::from_ne_bytes(value[..4].try_into().unwrap()));
                    }
                });
            });
        })?;
        Ok(weights)
    }

    fn dump(&mut self, room: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        self.send()?;
        loop {
            let length = self.receive(room, Msg::empty())?;
            let mut rest = &self.inbox[..length];
            while !rest.is_empty() {
                let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                match u16::from_ne_bytes([rest[4], rest[5]]) {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return Err(refusal(rest)),
                    _ => take(&rest[..length]),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        match self.receive(NARROW, Msg::DONTWAIT) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(refusal(&self.inbox)),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        self.calls += 1;
        self.socket.send(&self.outbox, Msg::empty())?;
        self.outbox.clear();
        Ok(())
    }

    fn receive(&mut self, room: usize, flags: Msg) -> io::Result<usize> {
        self.calls += 1;
        self.socket.recv(&mut self.inbox[..room], flags).map(|(length, _)| length)
    }

    fn message(&mut self, command: u8, flags: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.outbox.len();
        let buffer = &mut self.outbox;
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&self.family.to_ne_bytes());
        buffer.extend_from_slice(&(REQUEST | flags).to_ne_bytes());
        buffer.extend_from_slice(&[0; 8]);
        buffer.extend_from_slice(&[command, 1, 0, 0]);
        body(buffer);
        let length = (buffer.len() - start) as u32;
        buffer[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

fn refusal(message: &[u8]) -> io::Error {
    io::Error::from_raw_os_error(-i32::from_ne_bytes(message[16..20].try_into().unwrap()))
}

fn identity(buffer: &mut Vec<u8>, service: Ipv4Addr) {
    attribute(buffer, 1, &2_u16.to_ne_bytes());
    attribute(buffer, 2, &6_u16.to_ne_bytes());
    attribute(buffer, 3, &service.octets());
    attribute(buffer, 4, &SERVICE_PORT.to_be_bytes());
}

fn new_service(buffer: &mut Vec<u8>, service: Ipv4Addr) {
    nest(buffer, 1, |buffer| {
        identity(buffer, service);
        let mut name = SCHEDULER.as_bytes().to_vec();
        name.push(0);
        attribute(buffer, 6, &name);
        attribute(buffer, 7, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        attribute(buffer, 8, &[0; 4]);
        attribute(buffer, 9, &[0xff; 4]);
    });
}

fn destination(buffer: &mut Vec<u8>, service: Ipv4Addr, server: Ipv4Addr, weight: u32) {
    nest(buffer, 1, |buffer| identity(buffer, service));
    nest(buffer, 2, |buffer| {
        attribute(buffer, 1, &server.octets());
        attribute(buffer, 2, &SERVER_PORT.to_be_bytes());
        attribute(buffer, 3, &0_u32.to_ne_bytes());
        attribute(buffer, 4, &weight.to_ne_bytes());
        attribute(buffer, 5, &[0; 4]);
        attribute(buffer, 6, &[0; 4]);
        attribute(buffer, 11, &2_u16.to_ne_bytes());
    });
}

fn attribute(buffer: &mut Vec<u8>, kind: u16, value: &[u8]) {
    buffer.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    buffer.extend_from_slice(&kind.to_ne_bytes());
    buffer.extend_from_slice(value);
    buffer.resize(buffer.len().next_multiple_of(4), 0);
}

fn nest(buffer: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    attribute(buffer, kind | 0x8000, &[]);
    body(buffer);
    let length = (buffer.len() - start) as u16;
    buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
}

fn attributes(mut bytes: &[u8], mut take: impl FnMut(u16, &[u8])) {
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        take(u16::from_ne_bytes([bytes[2], bytes[3]]) & 0x3fff, &bytes[4..length]);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
