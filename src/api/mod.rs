//! Serves the daemon's state on a Unix socket, by HTTP/1.1: to be read, and nothing can be changed.
//!
//! Connections are tasks of the daemon's loop, which do nothing but read a request and write a reply. What a reply consists of is made in a
//! thread of its own (`worker`), which has its own connection to the kernel: no client delays a pass.

mod client;
mod lines;
mod live;
mod page;
mod problem;
mod query;
mod question;
mod schema;
mod scope;
mod server;
mod socket;
mod text;
mod timed;
mod unreadable;
mod worker;

use std::io;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use self::client::{Client, ClientError, EventStream, Received};
pub use self::problem::{FileProblem, Problem, ProblemDocument, ProblemKind};
pub use self::question::{ConnectionQuestion, Counted, Document, Question};
pub use self::schema::schema;
pub use self::scope::{OtherDaemon, Scope};
pub use self::server::MOST_CONNECTIONS;
pub use self::socket::{BoundSocket, SocketError};
pub use self::text::Text;
pub use self::timed::TimeLimits;
pub use self::worker::{Documents, Reply};

use self::server::{MOST_LISTS, Shared};
use self::worker::{MakeDocuments, Worker};
use crate::store::Store;

/// What the socket serves, and to whom.
pub struct Service {
    /// Whose state it is
    pub scope: Scope,
    /// Where the events are
    pub store: Store,
    /// How long a client may take
    pub limits: TimeLimits,
    /// A user that is refused, whatever its groups
    pub refused_user: Option<u32>,
}

/// The socket while it is served. Dropped, it is gone, and so are its connections.
pub struct Api {
    serving: JoinHandle<()>,
    _socket: BoundSocket,
}

impl Api {
    /// Serves a socket on the loop of the calling task. `documents` is called in each thread that makes some, which are in the network namespace of
    /// this one.
    ///
    /// # Errors
    /// Where no thread can be started, or the socket cannot be waited for.
    pub fn start<D: Documents + 'static>(
        socket: BoundSocket,
        service: Service,
        documents: impl Fn() -> D + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let Service { scope, store, limits, refused_user } = service;
        let documents: Arc<MakeDocuments<D>> = Arc::new(documents);
        let worker = Worker::start(Arc::clone(&documents))?;
        let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
        let lists = Arc::new(Semaphore::new(MOST_LISTS));
        let shared = Shared { scope, store, worker, documents, lists, limits, refused_user };
        let serving = tokio::spawn(server::serve(listener, Arc::new(shared)));
        Ok(Self { serving, _socket: socket })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
