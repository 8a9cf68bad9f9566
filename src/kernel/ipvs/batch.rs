//! Decides what goes into one send.

use super::codec::request::Request;
use crate::model::Operation;

/// How many messages one send may hold. All could be refused, and the socket has room for that many refusals
/// (`wire::RECEIVE_BUFFER`); all could be as long as can be, and would be 80 KiB, where the kernel takes 207 KiB at once.
pub(super) const MOST: usize = 320;

/// The requests of these operations in batches, in their order: as many as fit, but a new service together with its
/// servers, so that it is never long without them. What fits into no send is cut.
pub(super) fn batches(operations: &[Operation]) -> Batches<'_> {
    Batches { rest: operations, begun: 0 }
}

/// What goes into one send.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    operations: &'a [Operation],
    /// How many requests of the first operation went before
    begun: usize,
    count: usize,
}

impl<'a> Batch<'a> {
    /// How many requests they are.
    pub(super) fn len(self) -> usize {
        self.count
    }

    /// They are made one by one, since a list of them would be memory that is touched once.
    pub(super) fn requests(self) -> impl Iterator<Item = Request<'a>> {
        self.operations.iter().flat_map(Request::all).skip(self.begun).take(self.count)
    }
}

/// See [`batches`].
pub(super) struct Batches<'a> {
    rest: &'a [Operation],
    /// How many requests of the first of them have gone
    begun: usize,
}

impl<'a> Iterator for Batches<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        let (mut count, mut whole, mut begun) = (0, 0, self.begun);
        for operation in self.rest {
            let left = operation.count() - begun;
            if count + left > MOST {
                if left > MOST {
                    // Its first part may as well fill this one.
                    begun += MOST - count;
                    count = MOST;
                }
                break;
            }
            count += left;
            whole += 1;
            begun = 0;
        }
        let batch = Batch { operations: self.rest, begun: self.begun, count };
        self.rest = self.rest.get(whole..).unwrap_or_default();
        self.begun = begun;
        (count > 0).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Servers, ServiceKey,
        ServiceOp, Thresholds,
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
        Operation::Service(ServiceOp::Add { service, to: scheduling.into(), servers: servers.into() })
    }

    fn lengths(operations: &[Operation]) -> Vec<usize> {
        // None is lost, and none comes twice.
        let all: Vec<String> = operations.iter().flat_map(Request::all).map(|of| format!("{of:?}")).collect();
        let sent = batches(operations).flat_map(Batch::requests).map(|of| format!("{of:?}"));
        assert_eq!(sent.collect::<Vec<_>>(), all);
        batches(operations).map(Batch::len).collect()
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
}
