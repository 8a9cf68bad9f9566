//! What lbd does with the kernel, without the rest of it: a load or a full read through its own code, and its calls.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use lbd::kernel::Kernel;
use lbd::kernel::ipvs::{Ipvs, Netlink, Wire};
use lbd::model::State;
use lbd::plan::plan;

use crate::table::Table;

/// What went over the wire.
#[derive(Debug, Default, Clone, Copy)]
struct Log {
    first: Option<Instant>,
    last: Option<Instant>,
    calls: u64,
}

/// A wire that counts the system calls, and takes the time of the first send and of the last reply.
struct Logged {
    wire: Netlink,
    log: Rc<RefCell<Log>>,
}

impl Wire for Logged {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let mut log = self.log.borrow_mut();
        log.first.get_or_insert_with(Instant::now);
        log.calls += 1;
        self.wire.send(datagram)
    }

    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let result = self.wire.receive(room);
        let mut log = self.log.borrow_mut();
        log.last = Some(Instant::now());
        log.calls += 1;
        result
    }

    fn wait(&mut self, until: Instant) -> io::Result<bool> {
        self.log.borrow_mut().calls += 1;
        self.wire.wait(until)
    }
}

/// Runs one phase; gives nanoseconds from the first send to the last reply, calls, and entries.
pub(crate) fn run(what: &str, table: Table) -> Result<String, Box<dyn Error>> {
    let log = Rc::new(RefCell::new(Log::default()));
    let mut kernel = Ipvs::over(Box::new(Logged { wire: Netlink::open()?, log: Rc::clone(&log) }))?;
    let count = match what {
        "load" => {
            let operations = plan(&State::default(), &table.state()).grow;
            *log.borrow_mut() = Log::default();
            let results = kernel.execute(&operations)?;
            if let Some(refusal) = results.iter().find_map(|result| result.as_ref().err()) {
                return Err(refusal.message.clone().into());
            }
            results.len()
        }
        "read" => {
            *log.borrow_mut() = Log::default();
            kernel.read()?.state.services.values().map(|service| service.servers.len()).sum()
        }
        other => return Err(format!("no phase `{other}`").into()),
    };
    let Log { first, last, calls } = *log.borrow();
    let time = first.zip(last).map(|(first, last)| last - first).unwrap_or_default();
    Ok(format!("{} {calls} {count}", time.as_nanos()))
}
