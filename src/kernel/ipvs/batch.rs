//! Decides how many operations go into one send.

use crate::model::{Operation, ServiceKey};

/// How many messages one send may hold. All could be refused, and the socket has room for that many refusals
/// (`wire::RECEIVE_BUFFER`); all could be as long as can be, and would be 80 KiB, where the kernel takes 207 KiB at once.
pub(super) const MOST: usize = 320;

/// How many of the operations, from the first on, to send next: as many as fit, but a new service together with the
/// servers that follow it, so that it is never long without them.
pub(super) fn length(operations: &[Operation]) -> usize {
    let mut length = 0;
    loop {
        let rest = operations.get(length..).unwrap_or_default();
        let group = group(rest);
        if group == 0 {
            return length;
        }
        if length + group > MOST {
            // A group that fits into no send is cut; the first part may as well fill this one.
            return if group > MOST { operations.len().min(MOST) } else { length };
        }
        length += group;
    }
}

/// How many operations belong to the first.
fn group(operations: &[Operation]) -> usize {
    let adds_to = |operation: &Operation, to: &ServiceKey| matches!(operation, Operation::AddServer { service, .. } if **service == *to);
    match operations {
        [] => 0,
        [Operation::AddService { service, .. }, rest @ ..] => {
            1 + rest.iter().take(MOST).take_while(|operation| adds_to(operation, service)).count()
        }
        [_, ..] => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Forwarding, RealServer, SchedulerFlags, SchedulerName, Scheduling, ServerKey, Thresholds,
    };

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
        std::iter::once(Operation::AddService { service: service.into(), to: scheduling.into() })
            .chain((0..servers).map(|port| Operation::AddServer {
                service: service.into(),
                server: server(port),
                to: real,
            }))
            .collect()
    }

    fn lengths(mut operations: &[Operation]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while !operations.is_empty() {
            let length = length(operations);
            lengths.push(length);
            operations = &operations[length..];
        }
        lengths
    }

    #[test]
    fn a_new_service_goes_with_its_servers() {
        let many: Vec<_> = (0..100).flat_map(|port| service(port, 10)).collect();
        assert_eq!(lengths(&many), [319, 319, 319, 143]);
        assert_eq!(lengths(&service(80, 319)), [320]);
    }

    #[test]
    fn a_service_that_fits_into_no_send_is_cut() {
        assert_eq!(lengths(&service(80, 800)), [320, 320, 161]);
        assert_eq!(lengths(&[service(1, 10), service(80, 800)].concat()), [320, 320, 172]);
        assert_eq!(lengths(&[service(80, 320), service(1, 318)].concat()), [320, 320]);
        assert_eq!(lengths(&[]), [] as [usize; 0]);
    }
}
