//! What is logged while a test does something.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::mem;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// A second subscriber. Where there is one alone, tracing decides by the thread that comes first to a place of the code whether what is
/// logged there interests anybody, and that may be the thread of a test that listens to nothing.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));

/// The messages of level INFO and above that this thread logs meanwhile, each behind its level.
pub(crate) fn of(during: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    LazyLock::force(&SECOND);
    tracing::subscriber::with_default(Registry::default().with(lines.clone()), during);
    mem::take(&mut *lines.0.lock().unwrap())
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() <= Level::INFO {
            let mut message = Message(String::new());
            event.record(&mut message);
            self.0.lock().unwrap().push(format!("{} {}", event.metadata().level(), message.0));
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
