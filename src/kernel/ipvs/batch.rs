//! Decides which operations go into one send.

use crate::model::{Operation, ServerOp, ServiceOp};

/// How many messages one send may hold. All could be refused, and the socket has room for that many refusals
/// (`netlink::transport`); all could be as long as can be, and would be 80 KiB, where the kernel takes 207 KiB at once.
pub(super) const MOST: usize = 320;

/// The operations in batches, in their order: each as long as can be, but none ends between a new service and its servers,
/// so that the service is never long without them. A service with more servers than fit is cut.
pub(super) fn batches(mut rest: &[Operation]) -> impl Iterator<Item = &[Operation]> {
    std::iter::from_fn(move || {
        let (batch, behind) = rest.split_at_checked(length(rest)).filter(|(batch, _)| !batch.is_empty())?;
        rest = behind;
        Some(batch)
    })
}

/// How many operations go into the next send.
fn length(operations: &[Operation]) -> usize {
    let (Some(batch), Some(Operation::Server(ServerOp::Add { service: of, .. }))) =
        (operations.get(..MOST), operations.get(MOST))
    else {
        return operations.len().min(MOST);
    };
    // The next operation adds a server. Where the batch has its service, too, the next one begins with that.
    let adds_service = |operation: &Operation| matches!(operation, Operation::Service(ServiceOp::Add { service, .. }) if service == of);
    batch.iter().rposition(adds_service).filter(|place| *place > 0).unwrap_or(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, ServiceKey, Thresholds,
    };

    /// A new service with so many servers.
    fn service(port: u16, servers: u16) -> Vec<Operation> {
        let service: ServiceKey = format!("tcp://10.0.0.13:{port}").parse().unwrap();
        let scheduling = Scheduling {
            scheduler: SchedulerName::new("rr").unwrap(),
            flags: SchedulerFlags::default(),
            persistence: None,
            engine: None,
            one_packet: false,
        };
        let real = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        let server = |port| ServerKey { address: [192, 168, 8, 14].into(), port };
        let mut operations = vec![ServiceOp::Add { service, to: scheduling.into() }.into()];
        operations.extend(
            (0..servers).map(|port| ServerOp::Add { service, server: server(port), to: real }.into()),
        );
        operations
    }

    fn lengths(operations: &[Operation]) -> Vec<usize> {
        // None is lost, and none comes twice.
        assert_eq!(batches(operations).collect::<Vec<_>>().concat(), operations);
        batches(operations).map(<[Operation]>::len).collect()
    }

    #[test]
    fn a_new_service_goes_with_its_servers() {
        let many: Vec<_> = (0..100).flat_map(|port| service(port, 10)).collect();
        assert_eq!(lengths(&many), [319, 319, 319, 143]);
        assert_eq!(lengths(&service(80, 319)), [320]);
        assert_eq!(lengths(&[service(1, 319), service(80, 319)].concat()), [320, 320]);
    }

    #[test]
    fn a_service_that_fits_into_no_send_is_cut() {
        assert_eq!(lengths(&service(80, 800)), [320, 320, 161]);
        assert_eq!(lengths(&[service(1, 10), service(80, 800)].concat()), [11, 320, 320, 161]);
        assert_eq!(lengths(&[service(80, 320), service(1, 318)].concat()), [320, 320]);
        assert_eq!(lengths(&service(80, 800)[1..]), [320, 320, 160]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }
}
