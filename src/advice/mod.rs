//! Finds what the director needs and the file does not set: each finding with its cause and the way out. Pure, but for [`of_file`] and [`examine`].
//!
//! Nothing here stops a pass. A service that gets no packets looks the same to the kernel as one that works.

mod addresses;
mod after;
mod drain;
mod dropped;
mod examine;
mod filter;
mod group;
mod managers;
mod modules;
mod network;
mod permissions;
mod question;
mod replies;
mod services;
mod settings;
mod untracked;
mod unused;
mod walk;

use std::borrow::Cow;
use std::sync::Arc;

use compact_str::{CompactString, ToCompactString};

use crate::host::Host;
use crate::model::{Connections, ServerKey, ServiceKey, Services, State};
use crate::plan::Plan;

pub use self::addresses::port_like;
pub use self::drain::undrainable;
pub use self::examine::{examine, in_sync, of_the_file, undecided};
pub use self::group::{Shortened, by_finding, grouped, in_full, shortened};
pub use self::permissions::of_file;
pub use self::question::{question, settings};
pub use self::services::unusable;
pub use self::unused::unused_checks;

/// One thing that is wrong, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Which kind, for scripts; it stays
    pub code: &'static str,
    /// Why it will not work, or not well; reads on from the subject
    pub cause: Cow<'static, str>,
    /// The way out
    pub advice: Cow<'static, str>,
}

/// A finding about one subject. Ten thousand services may have the same finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// A service, an address, an interface, a program
    pub subject: CompactString,
    /// What is wrong with it
    pub finding: Arc<Finding>,
}

impl Advice {
    fn new(
        code: &'static str,
        subject: impl ToCompactString,
        cause: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(subject, &Arc::new(Finding { code, cause: cause.into(), advice: advice.into() }))
    }

    fn of(subject: impl ToCompactString, finding: &Arc<Finding>) -> Self {
        Self { subject: subject.to_compact_string(), finding: Arc::clone(finding) }
    }

    /// What is wrong with what.
    pub fn message(&self) -> String {
        format!("{}: {}", self.subject, self.finding.cause)
    }
}

/// What `apply` would do, and to whom.
pub struct Planned<'a> {
    /// The operations
    pub plan: &'a Plan,
    /// The services that it starts from
    pub live: &'a Services,
    /// The connections of a server
    pub connections: &'a dyn Fn(&ServiceKey, &ServerKey) -> Connections,
}

/// Compares the desired state with what was seen of the host and, where the kernel was read, with the plan.
pub fn advise(desired: &State, host: &Host, planned: Option<&Planned<'_>>) -> Vec<Advice> {
    let after = after::Settings::of(&host.settings, &desired.sysctls);
    let mut advice = Vec::new();
    services::forwarding(desired, &after, &mut advice);
    filter::unset_marks(desired, &host.filter, &mut advice);
    filter::marks_of_others(desired, &host.filter, &mut advice);
    network::not_local(&host.not_local, &mut advice);
    network::strict_filters(&host.address_interfaces, &after, &mut advice);
    let dropped = dropped::Dropped::of(desired, &host.filter);
    dropped.warn(&after, &mut advice);
    replies::dropped(desired, host, &mut advice);
    filter::connection_states(desired, &host.filter, &after, &dropped, &mut advice);
    services::hashed_to_quiesced(desired, planned, &mut advice);
    services::tied_to_quiesced(desired, &after, &mut advice);
    services::hanging(desired, planned, &after, &mut advice);
    network::learned_routes(desired, host, &after, &mut advice);
    managers::others(&host.managers, &mut advice);
    services::many_servers(desired, &mut advice);
    modules::missing(desired, host, planned, &mut advice);
    settings::absent(&host.absent, &mut advice);
    settings::stopped_counters(desired, &after, &mut advice);
    permissions::writable(&host.writable, &mut advice);
    advice
}

#[cfg(test)]
mod stage;
