//! What lbd does with the kernel, without the rest of it: a load, a full read or a glance through its own code, and its calls.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::netlink::{NetlinkSocket, Transport};
use lbd::kernel::{Kernel, ReadScope};
use lbd::model::State;
use lbd::plan::plan;

use crate::table::Table;

/// A wire that counts the system calls. It takes no times: under User Mode Linux the clock costs as much as a send.
struct Counted {
    wire: NetlinkSocket,
    calls: Rc<Cell<u64>>,
}

impl Counted {
    fn count(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

impl Transport for Counted {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.count();
        self.wire.send(datagram)
    }

    fn receive(&mut self, room: usize) -> io::Result<usize> {
        if !self.wire.is_ahead() {
            self.count();
        }
        self.wire.receive(room)
    }

    fn datagram(&self) -> &[u8] {
        self.wire.datagram()
    }

    fn wait(&mut self, until: Instant) -> io::Result<bool> {
        self.count();
        self.wire.wait(until)
    }
}

/// Runs one phase; gives nanoseconds from before the first send to after the last reply, calls, and entries.
pub(crate) fn run(what: &str, table: Table) -> Result<String, Box<dyn Error>> {
    let calls = Rc::new(Cell::new(0));
    let mut kernel =
        Ipvs::over(Box::new(Counted { wire: NetlinkSocket::open()?, calls: Rc::clone(&calls) }))?;
    let operations = plan(&State::default(), &table.state()).grow;
    let question = ReadScope::default();
    if what == "glance" {
        kernel.remember();
        kernel.read(&question)?;
    }
    calls.set(0);
    let begin = Instant::now();
    let count = match what {
        "load" => {
            if let Some((_, refusal)) = kernel.execute(&operations)?.pop_first() {
                return Err(refusal.message.into());
            }
            operations.len()
        }
        "read" => kernel.read(&question)?.state.services.values().map(|service| service.servers.len()).sum(),
        "glance" if kernel.has_changed(&question)? => return Err("changed".into()),
        "glance" => 0,
        other => return Err(format!("no phase `{other}`").into()),
    };
    Ok(format!("{} {} {count}", begin.elapsed().as_nanos(), calls.get()))
}
