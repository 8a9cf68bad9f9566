//! Explains the kernel's error numbers: for each refusal the cause and what the operator can do.
//!
//! IPVS sends no text with its errors (kernels 5.4 to 7.3), and one number has many causes. Where the operation itself
//! shows the cause it is named, else the likeliest.

mod sync;
pub(super) mod sysctl;
mod table;

use std::io;

use super::Refusal;
use crate::model::{Operation, SetSysctl, SetTimeouts, SyncOp};

#[cfg(feature = "fake")]
pub(super) use table::is_unicast;

/// The refusal of one operation. Its message does not name the operation, which the caller knows.
pub(crate) fn refusal(operation: &Operation, errno: i32) -> Refusal {
    Refusal { errno, message: with_name(errno, &cause(operation, errno)) }
}

/// `cause (NAME); advice`: the name goes behind the first part.
fn with_name(errno: i32, text: &str) -> String {
    let name = match name(errno) {
        Some(name) => name.to_owned(),
        None => format!("error {errno}"),
    };
    match text.split_once("; ") {
        Some((cause, advice)) => format!("{cause} ({name}); {advice}"),
        None => format!("{text} ({name})"),
    }
}

fn cause(operation: &Operation, errno: i32) -> String {
    match errno {
        libc::EPERM | libc::EACCES => return PERMISSION.into(),
        libc::ENOMEM | libc::ENOBUFS => return NO_MEMORY.into(),
        _ => {}
    }
    let known = match operation {
        Operation::Service(operation) => table::service(operation, errno),
        Operation::Server(operation) => table::server(operation, errno),
        Operation::Sysctl(SetSysctl { name, .. }) => sysctl::cause(name, errno),
        Operation::Timeouts(SetTimeouts { to, .. }) => sync::timeouts(*to, errno),
        Operation::Sync(SyncOp::Start { to }) | Operation::Sync(SyncOp::Restart { to, .. }) => {
            sync::start(to, errno)
        }
        Operation::Sync(SyncOp::Stop { role }) => sync::stop(*role, errno),
        // nft explains its errors itself.
        Operation::Marks(_) | Operation::Untracked(_) => None,
    };
    known.unwrap_or_else(|| match errno {
        libc::EBUSY => "the kernel is busy with it; try again".into(),
        libc::EINTR => "the kernel was interrupted; try again".into(),
        libc::EOPNOTSUPP => "this kernel cannot do it; a newer kernel may".into(),
        errno => os_text(errno),
    })
}

/// The refusal to start a sync daemon as another. `again` says what became of the old one, which was stopped before.
pub(crate) fn not_restarted(operation: &Operation, errno: i32, again: i32) -> Refusal {
    let Refusal { errno, message } = refusal(operation, errno);
    let fate = match again {
        // Somebody else was faster.
        0 | libc::EEXIST => "the old one runs again".to_owned(),
        again => format!(
            "the old one had to be stopped before, and could not be started again either: {}",
            with_name(again, &cause(operation, again))
        ),
    };
    Refusal { errno, message: format!("{message}; {fate}") }
}

const NO_MEMORY: &str = "the kernel is out of memory; free some, and try again";

const PERMISSION: &str = "the kernel lets only CAP_NET_ADMIN of the initial user namespace use IPVS, reading included; \
                          run as root on the host (a rootless container will not do)";

/// The cause of an error number that the kernel has for a request to read, and the way out.
pub(super) fn read_refusal(errno: i32) -> String {
    let cause = match errno {
        libc::EPERM | libc::EACCES => PERMISSION.into(),
        libc::EBUSY => "another dump is running on the same socket; try again".into(),
        libc::ENOMEM | libc::ENOBUFS => NO_MEMORY.into(),
        errno => os_text(errno),
    };
    with_name(errno, &cause)
}

/// What the C library says, without the number that the standard library adds.
fn os_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}

fn name(errno: i32) -> Option<&'static str> {
    Some(match errno {
        libc::EPERM => "EPERM",
        libc::ENOENT => "ENOENT",
        libc::ESRCH => "ESRCH",
        libc::EINTR => "EINTR",
        libc::EIO => "EIO",
        libc::EAGAIN => "EAGAIN",
        libc::ENOMEM => "ENOMEM",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::ENODEV => "ENODEV",
        libc::EISDIR => "EISDIR",
        libc::EINVAL => "EINVAL",
        libc::ERANGE => "ERANGE",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EROFS => "EROFS",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::EADDRINUSE => "EADDRINUSE",
        libc::EADDRNOTAVAIL => "EADDRNOTAVAIL",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        libc::ENOBUFS => "ENOBUFS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceOp;

    #[test]
    fn an_error_that_nobody_foresaw_is_still_told() {
        let gone = Operation::Service(ServiceOp::Delete { service: "tcp://192.0.2.1:443".parse().unwrap() });
        assert_eq!(refusal(&gone, libc::EXDEV).message, "Invalid cross-device link (error 18)");
    }
}
