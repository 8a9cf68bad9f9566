//! Decides what goes into one send.

use super::codec::request::Request;
use crate::model::Operation;

/// How many messages one send may hold. All could be refused, and the socket has room for that many refusals
/// (`wire::RECEIVE_BUFFER`); all could be as long as can be, and would be 80 KiB, where the kernel takes 207 KiB at once.
pub(super) const MOST: usize = 320;

/// Hands on the requests of these operations in batches, in their order: as many as fit, but a new service together with
/// its servers, so that it is never long without them. What fits into no send is cut.
///
/// # Errors
/// The first of `send`, which is not called again.
pub(super) fn each<E>(
    edits: &[Operation],
    mut send: impl FnMut(&[Request<'_>]) -> Result<(), E>,
) -> Result<(), E> {
    let mut batch = Vec::with_capacity(MOST);
    let mut flush = |batch: &mut Vec<Request<'_>>| {
        let outcome = if batch.is_empty() { Ok(()) } else { send(batch) };
        batch.clear();
        outcome
    };
    for operation in edits {
        // The first part of what is cut may as well fill this one.
        if operation.count() <= MOST && batch.len() + operation.count() > MOST {
            flush(&mut batch)?;
        }
        for request in Request::all(operation) {
            if batch.len() == MOST {
                flush(&mut batch)?;
            }
            batch.push(request);
        }
    }
    flush(&mut batch)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers, ServiceKey,
        Thresholds,
    };

    fn service(port: u16, servers: u16) -> Operation {
        let service: ServiceKey = format!("tcp://10.0.0.13:{port}").parse().unwrap();
        let scheduling = Scheduling {
            scheduler: SchedulerName::new("rr").unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let real = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let server = |port| (ServerKey { address: [192, 168, 8, 14].into(), port }, real);
        let servers: Servers = (0..servers).map(server).collect();
        Operation::AddService { service: service.into(), to: scheduling.into(), servers: servers.into() }
    }

    fn lengths(operations: &[Operation]) -> Vec<usize> {
        let mut lengths = Vec::new();
        let Ok(()) = each(operations, |batch| {
            lengths.push(batch.len());
            Ok::<(), Infallible>(())
        });
        lengths
    }

    #[test]
    fn a_new_service_goes_with_its_servers() {
        let many: Vec<_> = (0..100).map(|port| service(port, 10)).collect();
        assert_eq!(lengths(&many), [319, 319, 319, 143]);
        assert_eq!(lengths(&[service(80, 319)]), [320]);
    }

    #[test]
    fn a_service_that_fits_into_no_send_is_cut() {
        assert_eq!(lengths(&[service(80, 800)]), [320, 320, 161]);
        assert_eq!(lengths(&[service(1, 10), service(80, 800)]), [320, 320, 172]);
        assert_eq!(lengths(&[service(80, 320), service(1, 318)]), [320, 320]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }

    #[test]
    fn nothing_is_sent_after_a_failure() {
        let mut sent = 0;
        let outcome = each(&[service(80, 800)], |_| {
            sent += 1;
            Err(sent)
        });
        assert_eq!((outcome, sent), (Err(1), 1));
    }
}
