//! What tests of the daemon have in common: a kernel in the hands of both, and desired files.

// Each test binary has its own copy of this module and uses what it needs of it.
#![allow(dead_code)]
// A helper stops its test at the first surprise.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use lbd::config::Source;
use lbd::daemon::{Goal, UnusableFile};
use lbd::kernel::fake::Fake;
use lbd::kernel::{
    Kernel, KernelError, Live, Look, Loss, Permit, ReadScope, Refusals, StatisticsScope, TableStatistics,
};
use lbd::model::{Operation, ServiceKey, Services};

/// The kernel that the daemon has, in the hands of the test as well.
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<Fake>>);

impl Kernel for Shared {
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError> {
        self.0.lock().unwrap().read_expecting(question, expected)
    }

    fn has_changed(&mut self, question: &ReadScope) -> Result<bool, KernelError> {
        self.0.lock().unwrap().has_changed(question)
    }

    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError> {
        self.0.lock().unwrap().find_loss(look)
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        self.0.lock().unwrap().read_services(keys)
    }

    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError> {
        self.0.lock().unwrap().read_statistics(scope)
    }

    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        self.0.lock().unwrap().zero_counters(service)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        self.0.lock().unwrap().execute(operations)
    }

    fn set_permit(&mut self, permit: Option<Permit>) {
        self.0.lock().unwrap().set_permit(permit);
    }
}

/// A file with services on these last bytes of their address, each with one server of this weight.
pub(crate) fn file(services: &[(u8, u32)]) -> String {
    let cluster = |(number, weight): &(u8, u32)| {
        format!(
            "  - name: c{number}\n    listen: tcp://10.0.0.{number}:80\n    forward: nat\n    servers: [{{ address: \
             192.168.8.14, weight: {weight} }}]\n"
        )
    };
    let clusters: String = services.iter().map(cluster).collect();
    let clusters = if clusters.is_empty() { " []\n".to_owned() } else { format!("\n{clusters}") };
    format!("version: 1\nclusters:{clusters}")
}

/// What a desired file asks for, or what is wrong with it.
pub(crate) fn goal(text: &str, revision: u64) -> Result<Goal, UnusableFile> {
    Goal::parse(Source::new("desired.yaml", text), revision)
}
