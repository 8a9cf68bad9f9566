//! Tests of the kernel for tests.

use std::error::Error;

use super::*;

#[test]
fn it_fails_where_it_is_told_to() {
    let service = "tcp://10.0.0.1:80".parse().unwrap();
    let delete = Operation::Service(ServiceOp::Delete { service });
    let mut fake = Fake::default();
    fake.refuse_nth(1, libc::EBUSY);
    fake.break_read("no");
    fake.break_execute(1, "cut off");
    let all = ReadScope::default();
    let cause = |error: KernelError| error.source().map(ToString::to_string).unwrap();
    assert_eq!(cause(fake.read(&all).unwrap_err()), "no");
    assert_eq!(fake.read(&all).unwrap(), Live::default());
    let three = [delete.clone(), delete.clone(), delete];
    assert_eq!(cause(fake.execute(&three).unwrap_err()), "cut off");
    let errnos: Vec<_> =
        fake.execute(&three).unwrap().into_iter().map(|(place, refusal)| (place, refusal.errno)).collect();
    assert_eq!(errnos, [(0, libc::EBUSY), (1, libc::ESRCH), (2, libc::ESRCH)]);
    assert_eq!((fake.reads, fake.executes, fake.operations.len()), (2, 2, 4));
}
