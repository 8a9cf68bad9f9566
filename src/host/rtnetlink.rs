//! Sends requests to the kernel's routing about interfaces, addresses and routes, and returns its replies as bytes.

use neli::consts::nl::NlmF;
use neli::consts::rtnl::Rtm;

use crate::kernel::netlink::attribute::{u16_of, u32_of};
use crate::kernel::netlink::{Client, NetlinkError, NetlinkSocket, Reply};

/// How many requests are sent at once, so that the replies have room in the socket's buffer.
const BATCH: usize = 100;

/// The reply to one request: the payloads of its messages, or the error number.
pub(super) type Answer = Result<Vec<Vec<u8>>, i32>;

/// A socket to the kernel's routing.
pub(super) struct Rtnetlink {
    client: Client,
}

impl Rtnetlink {
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::routing().map_err(NetlinkError::Socket)?;
        Ok(Self { client: Client::over(Box::new(socket)) })
    }

    /// Lists all of a type.
    pub(super) fn list(&mut self, kind: Rtm, body: &[u8]) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let mut batch = self.client.batch();
        batch.push(kind.into(), NlmF::DUMP, |buffer| buffer.extend_from_slice(body));
        let (mut payloads, mut errno) = (Vec::new(), 0);
        batch.exchange(|_, reply| {
            match reply {
                Reply::Data(payload) => payloads.push(payload.to_vec()),
                Reply::End(number) => errno = number,
            }
            Ok(())
        })?;
        if errno == 0 { Ok(payloads) } else { Err(NetlinkError::Refused(errno)) }
    }

    /// Looks up several routes by the bodies of `RTM_GETROUTE`, and returns the answers in their order.
    pub(super) fn routes(&mut self, requests: &[Vec<u8>]) -> Result<Vec<Answer>, NetlinkError> {
        let mut answers: Vec<Answer> = Vec::with_capacity(requests.len());
        for requests in requests.chunks(BATCH) {
            let begin = answers.len();
            answers.extend(requests.iter().map(|_| Ok(Vec::new())));
            let mut batch = self.client.batch();
            for (place, body) in requests.iter().enumerate() {
                // Replies come in order: the acknowledgement of the last request ends the batch.
                let flags = if place + 1 == requests.len() { NlmF::ACK } else { NlmF::empty() };
                batch.push(Rtm::Getroute.into(), flags, |buffer| buffer.extend_from_slice(body));
            }
            batch.exchange(|place, reply| {
                match (answers.get_mut(begin + place), reply) {
                    (Some(Ok(payloads)), Reply::Data(payload)) => payloads.push(payload.to_vec()),
                    (Some(answer), Reply::End(errno)) if errno != 0 => *answer = Err(errno),
                    (Some(Ok(_) | Err(_)) | None, Reply::Data(_) | Reply::End(_)) => {}
                }
                Ok(())
            })?;
        }
        Ok(answers)
    }
}

/// A number in host order at a place of a message.
pub(super) fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    u16_of(bytes.get(place..)?)
}

/// A number in host order at a place of a message.
pub(super) fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    u32_of(bytes.get(place..)?)
}
