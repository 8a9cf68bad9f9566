//! Every reply of a pass goes wrong in every way, on a real kernel: no wrong table is ever called good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::faulty_wire::{Fault, FaultyWire, Script};
use crate::lab::Netns;
use crate::running::{Table, printed};
use lbd::config::{Source, load};
use lbd::error_chain::ErrorChain;
use lbd::kernel::ipvs::Ipvs;
use lbd::kernel::{
    Kernel, KernelError, Live, Look, Loss, Permit, ReadScope, Refusals, StatisticsScope, TableStatistics,
};
use lbd::model::{Desired, Operation, ServerKey, ServerOp, ServiceKey, ServiceOp, Services};
use lbd::reconcile::{self, Outcome, PassInput, Report};
use lbd::store::Store;

fn desired(text: &str) -> Desired {
    load(&Source::new("desired.yaml", text)).unwrap_or_else(|_| panic!("a bad file in a test: {text}"))
}

/// A desired file, read once: there are a thousand passes over it.
struct File {
    text: String,
    desired: Desired,
}

impl File {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), desired: desired(text) }
    }
}

fn pass(kernel: &mut dyn Kernel, file: &File, store: &Store) -> Result<Report, KernelError> {
    let File { text, desired } = file;
    let order = PassInput::new(desired, text);
    reconcile::pass(kernel, &order, store, None, &mut |_| {})
}

/// A kernel that notes when it is read.
struct Noted {
    kernel: Ipvs,
    script: Rc<RefCell<Script>>,
    /// How many replies had come when the last reading began
    last_reading: usize,
}

impl Kernel for Noted {
    fn read_expecting(&mut self, question: &ReadScope, expected: &Services) -> Result<Live, KernelError> {
        self.last_reading = self.script.borrow().replies;
        self.kernel.read_expecting(question, expected)
    }

    fn has_changed(&mut self, question: &ReadScope) -> Result<bool, KernelError> {
        self.kernel.has_changed(question)
    }

    fn find_loss(&mut self, look: Look) -> Result<Loss, KernelError> {
        self.kernel.find_loss(look)
    }

    fn read_services(&mut self, keys: &[ServiceKey]) -> Result<Live, KernelError> {
        self.kernel.read_services(keys)
    }

    fn read_statistics(&mut self, scope: &StatisticsScope) -> Result<TableStatistics, KernelError> {
        self.kernel.read_statistics(scope)
    }

    fn zero_counters(&mut self, service: Option<&ServiceKey>) -> Result<bool, KernelError> {
        self.kernel.zero_counters(service)
    }

    fn execute(&mut self, operations: &[Operation]) -> Result<Refusals, KernelError> {
        self.kernel.execute(operations)
    }

    fn set_permit(&mut self, permit: Option<Permit>) {
        self.kernel.set_permit(permit);
    }
}

/// The table before the change.
const BEFORE: &str = "
version: 1
defaults: { forward: nat, scheduler: rr }
clusters:
  - { name: a, listen: 'tcp://10.0.0.1:80', servers: [192.168.8.14, 192.168.8.15] }
  - { name: b, listen: 'udp://10.0.0.2:53', servers: [192.168.8.14] }
  - { name: gone, listen: 'tcp://10.0.0.3:80', servers: [192.168.8.14] }
  - { name: d, listen: 'tcp://[fd00::4]:80', servers: ['[fd00::14]:80'] }
";
/// What the file asks for then: each kind of operation on services and servers.
const AFTER: &str = "
version: 1
defaults: { forward: nat, scheduler: rr }
clusters:
  - { name: a, listen: 'tcp://10.0.0.1:80', servers: [{ address: 192.168.8.14, weight: 3 }, 192.168.8.16] }
  - { name: b, listen: 'udp://10.0.0.2:53', servers: [192.168.8.14] }
  - { name: d, listen: 'tcp://[fd00::4]:80', scheduler: wrr, servers: ['[fd00::14]:80'] }
  - { name: e, listen: 'tcp://10.0.0.5:80', servers: [192.168.8.14, 192.168.8.15] }
";

/// A director in the state before the change, with a service of somebody else beside.
struct Director {
    clean: Ipvs,
    before: File,
    after: Rc<File>,
    /// What the table is to be after the change
    right: Table,
    /// What passes have said about their failure, and how often
    words: BTreeMap<String, usize>,
    runs: usize,
    verified: usize,
}

impl Director {
    fn new(before: &str, after: &str) -> Self {
        let mut director = Self {
            clean: Ipvs::connect().unwrap(),
            before: File::new(before),
            after: Rc::new(File::new(after)),
            right: BTreeMap::new(),
            words: BTreeMap::new(),
            runs: 0,
            verified: 0,
        };
        let directory = director.reset();
        let store = Store::new(directory.path(), None).unwrap();
        let report = pass(&mut director.clean, &director.after, &store).unwrap();
        assert_eq!(report.outcome, Outcome::Verified);
        director.right = printed();
        director
    }

    fn reset(&mut self) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path(), None).unwrap();
        let there = self.clean.read(&ReadScope::default()).unwrap().state.services;
        let deletions: Vec<Operation> = there
            .keys()
            .map(|service| Operation::Service(ServiceOp::Delete { service: (*service) }))
            .collect();
        execute(&mut self.clean, &deletions);
        let foreign = desired(
            "version: 1\nclusters: [{ name: x, listen: 'tcp://10.9.9.9:80', forward: nat, servers: [192.168.8.99] }]",
        );
        for (service, virtual_service) in foreign.state.services {
            execute(
                &mut self.clean,
                &[Operation::Service(ServiceOp::Add { service, to: virtual_service.scheduling.clone() })],
            );
            for (&server, &to) in virtual_service.servers.iter() {
                execute(&mut self.clean, &[Operation::Server(ServerOp::Add { service, server, to })]);
            }
        }
        assert_eq!(pass(&mut self.clean, &self.before, &store).unwrap().outcome, Outcome::Verified);
        directory
    }

    /// One pass with a fault, and one without after it. Where the fault did not come to happen, gives the number of replies.
    fn run(&mut self, at: usize, fault: Fault, seed: u64, from_length: usize) -> Option<usize> {
        let directory = self.reset();
        let store = Store::new(directory.path(), None).unwrap();
        let mut other = Ipvs::connect().unwrap();
        let after = Rc::clone(&self.after);
        let mut script =
            Script::new(at, fault, Box::new(move |what| meddle(&mut other, &after.desired, what)));
        script.random = fastrand::Rng::with_seed(seed ^ at as u64);
        script.from_length = from_length;
        let script = Rc::new(RefCell::new(script));
        let connect = |script: &Rc<RefCell<Script>>| {
            let kernel = Ipvs::over(Box::new(FaultyWire::new(script)))?;
            Ok(Noted { kernel, script: Rc::clone(script), last_reading: 0 })
        };
        let mut connection = None;
        let outcome = connect(&script).and_then(|kernel| {
            let kernel = connection.insert(kernel);
            pass(kernel, &self.after, &store)
        });
        let context = format!("{fault:?} at reply {at}, seed {seed}");
        let happened = script.borrow().happened;
        if !happened {
            assert_eq!(outcome.unwrap().outcome, Outcome::Verified, "{context}");
            self.assert_right(&context);
            return Some(script.borrow().replies);
        }
        self.runs += 1;
        match outcome {
            Ok(Report { outcome: Outcome::Verified, .. }) => {
                self.verified += 1;
                // What somebody else changes after it was looked at is for the next pass.
                let is_too_late = matches!(fault, Fault::Writer(_))
                    && connection.as_ref().is_some_and(|noted| at >= noted.last_reading);
                if !is_too_late {
                    self.assert_right(&format!("{context}: verified, and wrong"));
                }
            }
            Ok(Report { outcome: Outcome::Failed, failed, .. }) => {
                assert!(!failed.is_empty(), "{context}: failed, and says not what");
                failed.iter().for_each(|failed| self.said(fault, &failed.refusal.message));
            }
            Ok(Report {
                outcome: Outcome::Refused(guard_refusal) | Outcome::PartlyRefused(guard_refusal),
                ..
            }) => self.said(fault, &guard_refusal.to_string()),
            Ok(Report {
                outcome: Outcome::Deferred | Outcome::Paused | Outcome::Unexpected(_) | Outcome::Unverified(_),
                ..
            }) => {
                panic!("{context}: nothing was to wait, and the record can be read")
            }
            Err(error) => {
                // The daemon takes a new connection then.
                connection = None;
                self.said(fault, &ErrorChain(&error).to_string());
            }
        }
        let mut kernel = connection.unwrap_or_else(|| connect(&script).unwrap());
        let next = pass(&mut kernel, &self.after, &store).map(|report| report.outcome);
        assert!(matches!(next, Ok(Outcome::Verified)), "{context}: the next pass: {next:?}");
        self.assert_right(&format!("{context}: after the next pass"));
        None
    }

    /// That the table is the right one; a service of somebody else may have come.
    fn assert_right(&self, context: &str) {
        let mut table = printed();
        table.retain(|service, _| !service.starts_with(INTRUDER));
        let wrong: Vec<_> =
            table.iter().filter(|(service, servers)| self.right.get(*service) != Some(*servers)).collect();
        let missing: Vec<_> =
            self.right.iter().filter(|(service, _)| !table.contains_key(*service)).collect();
        assert!(wrong.is_empty() && missing.is_empty(), "{context}: wrong {wrong:?}, missing {missing:?}");
    }

    /// The fault at every reply there is.
    fn everywhere(&mut self, fault: Fault, seed: u64, from_length: usize) {
        let mut at = 0;
        // A fault that is about lists does not happen at every reply.
        while self.run(at, fault, seed, from_length).is_none_or(|replies| at < replies) {
            at += 1;
        }
    }

    /// Notes an error, which must name what went wrong.
    fn said(&mut self, fault: Fault, words: &str) {
        let named = match fault {
            Fault::Error(errno) => {
                format!("({})", ERRORS.iter().find(|(number, _)| *number == errno).unwrap().1)
            }
            Fault::Socket(libc::ENOBUFS) | Fault::SocketEmptied(_) => "(ENOBUFS)".to_owned(),
            Fault::Socket(errno) => format!("(os error {errno})"),
            Fault::Late | Fault::Silent => "has not replied for 5 s".to_owned(),
            Fault::Oversized => {
                "more than the buffer for it (is the kernel newer than this lbd knows?)".to_owned()
            }
            Fault::CutOff | Fault::Noise => {
                "cannot be understood (is the kernel newer than this lbd knows?): ".to_owned()
            }
            // It may be any: there is a subject and a cause, or nothing came.
            Fault::Bit
            | Fault::Interrupted
            | Fault::Skipped
            | Fault::SkippedThis(_)
            | Fault::Repeated
            | Fault::Writer(_) => {
                if words.contains(": ") { ": " } else { "has not replied for 5 s" }.to_owned()
            }
        };
        assert!(words.contains(&named), "{fault:?}: {words:?}, without {named:?}");
        *self.words.entry(words.into()).or_default() += 1;
    }
}

fn execute(kernel: &mut Ipvs, operations: &[Operation]) {
    assert_eq!(kernel.execute(operations).unwrap(), Refusals::new());
}

/// What the kernel may answer, by number and by name.
const ERRORS: [(i32, &str); 9] = [
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ESRCH, "ESRCH"),
    (libc::EINTR, "EINTR"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::EBUSY, "EBUSY"),
    (libc::EEXIST, "EEXIST"),
    (libc::EINVAL, "EINVAL"),
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
];

/// How many things somebody else can do.
const MEDDLERS: usize = 6;

fn meddle(kernel: &mut Ipvs, after: &Desired, what: usize) {
    let service: ServiceKey = "tcp://10.0.0.1:80".parse().unwrap();
    let (_, like) = after.state.services.iter().next().unwrap();
    let (server, mut to) =
        (ServerKey { address: [192, 168, 8, 14].into(), port: 80 }, *like.servers.values().next().unwrap());
    to.weight = 77;
    let operation = match what {
        0 => Operation::Service(ServiceOp::Delete { service }),
        1 => Operation::Server(ServerOp::Delete { service, server }),
        2 => Operation::Server(ServerOp::Add { service, server: ServerKey { port: 8080, ..server }, to }),
        3 => Operation::Service(ServiceOp::Add {
            service: "tcp://10.0.0.5:80".parse().unwrap(),
            to: like.scheduling.clone(),
        }),
        4 => Operation::Service(ServiceOp::Add { service: intruder(), to: like.scheduling.clone() }),
        _ => Operation::Service(ServiceOp::Delete { service: "tcp://10.0.0.3:80".parse().unwrap() }),
    };
    // What is there already, or is not there any more, need not be done.
    let _ = kernel.execute(&[operation]).unwrap();
}

/// A service that somebody else adds, and that is none of lbd's business; and how the kernel prints it.
fn intruder() -> ServiceKey {
    "tcp://10.9.9.8:80".parse().unwrap()
}
const INTRUDER: &str = "TCP 0A090908:0050 ";

#[test]
fn whatever_reply_goes_wrong_a_pass_ends_right_or_with_a_clear_error() {
    let _net = Netns::new();
    let mut director = Director::new(BEFORE, AFTER);
    assert_eq!(director.right.len(), 5, "four of the file, one of somebody else: {:?}", director.right);
    let mut faults: Vec<Fault> = ERRORS.map(|(errno, _)| Fault::Error(errno)).into();
    faults.extend([libc::ENOBUFS, libc::EIO, libc::ENOMEM].map(Fault::Socket));
    faults.push(Fault::SocketEmptied(libc::ENOBUFS));
    faults.extend([Fault::Interrupted, Fault::Late, Fault::Silent, Fault::CutOff, Fault::Oversized]);
    faults.extend([Fault::Noise, Fault::Skipped, Fault::Repeated]);
    faults.extend((0..MEDDLERS).map(Fault::Writer));
    for fault in &faults {
        director.everywhere(*fault, 1, 0);
    }
    for seed in 0..4 {
        director.everywhere(Fault::Bit, seed, 0);
    }
    println!(
        "{} runs with a fault: {} verified and right, {} ended with an error, in {} different ways",
        director.runs,
        director.verified,
        director.runs - director.verified,
        director.words.len(),
    );
}

#[test]
fn a_long_list_that_skips_or_repeats_entries_is_found_out() {
    let _net = Netns::new();
    let file = |services: u16, servers: u16| {
        let cluster = |number: u16| {
            format!(
                "  - {{ name: c{number}, listen: 'tcp://10.0.{}.{}:80', servers: [192.168.8.14] }}\n",
                number / 250,
                number % 250 + 1
            )
        };
        let clusters: String = (0..services).map(cluster).collect();
        let servers: String = (1..=servers).map(|port| format!("'192.168.8.14:{port}', ")).collect();
        format!(
            "version: 1\ndefaults: {{ forward: nat }}\nclusters:\n{clusters}  - {{ name: big, listen: 'tcp://10.1.0.1:80', servers: [{servers}] }}\n"
        )
    };
    let [high, low] = 401_u16.to_be_bytes();
    // All that there is to do is to take away one service, or one server: whoever does not see it has nothing to do. (Of the
    // server these bytes are the end of the header of the port's attribute, and the port.)
    let cases = [
        (file(251, 400), Fault::SkippedThis([10, 0, 1, 1])),
        (file(250, 401), Fault::SkippedThis([2, 0, high, low])),
    ];
    let after = file(250, 400);
    for (before, skipped) in cases {
        let mut director = Director::new(&before, &after);
        for fault in [skipped, Fault::Skipped, Fault::Repeated, Fault::Writer(4), Fault::Writer(1)] {
            director.everywhere(fault, 3, 4096);
        }
        println!(
            "{} runs with a fault in a long list: {} verified and right",
            director.runs, director.verified
        );
    }
}
