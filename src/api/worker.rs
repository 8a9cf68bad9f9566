//! Makes documents in a thread of its own, each at most once a second, however many clients there are, but for those of a file that a client names.
//!
//! A document is in memory as a whole until it is sent, since other clients get the same. All of them together have at most 128 MiB, beside
//! short ones and the one that is being made, or there is only one: where clients are slow to take theirs, others get none.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::problem::{Problem, ProblemKind};
use super::question::{ConnectionQuestion, Question};
use super::text::{MOST, Room, Text};

/// How long a document is given to the next client, too.
const FRESH: Duration = Duration::from_secs(1);
/// How many documents are kept for that.
const MOST_KEPT: usize = 32;
/// After how long without a request what makes documents forgets what it has read.
const REST: Duration = Duration::from_secs(60);

/// A document, as a command writes it.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// What the command writes to standard output
    pub body: Text,
    /// The exit code of the command, where it says something
    pub exit_code: Option<u8>,
    /// What the command writes to standard error, line by line
    pub messages: Vec<String>,
}

/// Makes documents.
pub trait Documents {
    /// Makes one; may take its time.
    ///
    /// # Errors
    /// Where it cannot be made.
    fn make(&mut self, question: &Question) -> Result<Reply, Problem>;

    /// Forgets what is kept for the next one, since none has been wanted for a while.
    fn rest(&mut self);

    /// Writes connections, each as a line of JSON, as long as somebody reads them.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn connections(
        &mut self,
        question: &ConnectionQuestion,
        out: Box<dyn Write + Send>,
    ) -> Result<(), Problem>;
}

/// Makes what makes documents, in the thread that needs it.
pub(super) type MakeDocuments<D> = dyn Fn() -> D + Send + Sync;

/// What is waited for.
struct Order {
    question: Question,
    reply: oneshot::Sender<Result<Reply, Problem>>,
}

/// The handle of the thread, which ends when this is dropped.
#[derive(Clone)]
pub(super) struct Worker {
    orders: Sender<Order>,
}

impl Worker {
    /// Starts the thread, in the network namespace of the calling thread. `documents` is created there.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start<D: Documents + 'static>(documents: Arc<MakeDocuments<D>>) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let work = move || make(&mut documents(), &ordered);
        thread::Builder::new().name("documents".to_owned()).spawn(work)?;
        Ok(Self { orders })
    }

    /// Waits for a document, but not longer than `limit`.
    ///
    /// # Errors
    /// Where it cannot be made, or not so soon.
    pub(super) async fn document(&self, question: Question, limit: Duration) -> Result<Reply, Problem> {
        let (reply, replied) = oneshot::channel();
        let gone = || Problem::new(ProblemKind::Unavailable, "the daemon ends");
        self.orders.send(Order { question, reply }).map_err(|_| gone())?;
        match tokio::time::timeout(limit, replied).await {
            Ok(reply) => reply.map_err(|_| gone())?,
            Err(_) => {
                let detail =
                    format!("no reply within {} s: the documents before it take long", limit.as_secs());
                Err(Problem::new(ProblemKind::Unavailable, detail))
            }
        }
    }
}

/// Makes what is ordered until nobody is left who could order something.
fn make(documents: &mut impl Documents, orders: &Receiver<Order>) {
    let mut kept: HashMap<Question, (Instant, Result<Reply, Problem>)> = HashMap::new();
    let room = Room::default();
    let mut is_at_rest = true;
    loop {
        // At rest there is no timer.
        let order = match (kept.is_empty(), is_at_rest) {
            (true, true) => orders.recv().map_err(RecvTimeoutError::from),
            (true, false) => orders.recv_timeout(REST),
            (false, _) => orders.recv_timeout(FRESH),
        };
        let Order { question, reply } = match order {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) if kept.is_empty() => {
                documents.rest();
                is_at_rest = true;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {
                kept.clear();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        kept.retain(|_, (made, _)| made.elapsed() < FRESH);
        // Who has gone needs none.
        if reply.is_closed() {
            continue;
        }
        let made = match kept.get(&question) {
            Some((_, made)) => made.clone(),
            None => {
                is_at_rest = false;
                let mut made = documents.make(&question);
                if made.as_ref().is_ok_and(|reply| !room.has_place(&reply.body)) {
                    kept.clear();
                }
                match &mut made {
                    Ok(reply) if room.has_place(&reply.body) => room.admit(&mut reply.body),
                    Ok(_) => made = Err(full()),
                    Err(_) => {}
                }
                if question.may_be_shared() && kept.len() < MOST_KEPT {
                    kept.insert(question, (Instant::now(), made.clone()));
                }
                made
            }
        };
        let _ = reply.send(made);
    }
}

/// Why a document is not sent for which there is no room.
fn full() -> Problem {
    let detail = format_args!(
        "no room for the reply: clients have not taken theirs yet, of {} MiB together",
        MOST >> 20
    );
    Problem::new(ProblemKind::Unavailable, detail)
}
