//! Decides what the kernel should be right now: what the desired file says, modified by the conditions.

mod clock;
mod conditions;
mod drains;
mod health;
mod leaving;
mod overridden;
mod overrides;
mod pause;
mod quiesced;
mod reason;
mod rules;
mod trial;

use std::borrow::Cow;
use std::ptr;

use compact_str::CompactString;

use crate::model::{
    Desired, Kind, Operation, RealServer, ServerKey, ServerOp, ServiceKey, Table, VirtualService,
};

use self::health::CheckReasons;
use self::leaving::Departing;
use self::overridden::Overridden;

pub use self::clock::{Clock, Period};
pub use self::conditions::{Conditions, NO_CONDITIONS};
pub use self::drains::{Drain, DrainEnd, Drains, LiveConnections, ServerOf};
pub use self::health::{
    Advance, Altered, CheckReason, Failing, HealthReport, InForce, Place, SILENT, ServerHealth, ServerReport,
    ServerState, ServicePlace, SlowStart,
};
pub use self::leaving::{Departure, Leaving};
pub use self::overrides::{
    Address, Effect, FileServers, FileWeight, MOST_OVERRIDES, Override, Overrides, Scope, Text,
};
pub use self::pause::{Pause, Pauses};
pub use self::reason::Reason;
pub use self::trial::{Allowed, Settings, TRIAL_COPY, Trial, TrialEnd};
pub use crate::model::refuses_clients;

/// What the kernel should be right now.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    /// The state to plan against, with the policy of the file
    pub desired: Cow<'a, Desired>,
    /// The conditions
    pub conditions: &'a Conditions,
    /// The file under the overrides, without verdicts, where these change anything
    without_verdicts: Option<Cow<'a, Desired>>,
    /// The overrides of servers
    overridden: Overridden<'a>,
    /// Why servers are not what file and overrides say
    checked: CheckReasons,
    /// What the checks make of it
    health: HealthReport,
}

/// Why a server is not what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// An operator has overridden the file.
    Override(&'a Override),
    /// Its checks say so, or nothing is known of them yet; above an override, if there is one.
    Check(&'a CheckReason, Option<&'a Override>),
}

impl<'a> Target<'a> {
    /// The target of a file under these conditions. Pure.
    pub fn new(file: &'a Desired, conditions: &'a Conditions) -> Self {
        let mut desired = Cow::Borrowed(file);
        if let Some(ended) = conditions.ended_trial.as_ref().filter(|ended| !ended.settings.is_empty()) {
            ended.settings.put_back(&mut desired.to_mut().state);
        }
        let overridden = overridden::put(&mut desired, &conditions.overrides);
        let health::Effects { without, reasons, report } =
            health::put(&mut desired, &conditions.health, &overridden);
        Self { desired, conditions, without_verdicts: without, overridden, checked: reasons, health: report }
    }

    /// The file under the overrides, without verdicts: what the guards compare.
    pub fn without_verdicts(&self) -> &Desired {
        self.without_verdicts.as_deref().unwrap_or(&self.desired)
    }

    /// What the checks make of it: what is out of service, or kept in it.
    pub fn health(&self) -> &HealthReport {
        &self.health
    }

    /// Why a server is not what the file says, if it is not.
    pub fn reason(&self, service: &ServiceKey, server: &ServerKey) -> Option<Cause<'_>> {
        let key = (*service, *server);
        let overridden = self.overridden.get(&key).copied();
        match self.checked.get(&key) {
            Some(check) => Some(Cause::Check(check, overridden)),
            None => overridden.map(Cause::Override),
        }
    }

    /// The servers that are not what the file says, each with the reason; the fallback of a service is among them while it serves.
    pub fn reasons(&self) -> impl Iterator<Item = (ServerOf, Cause<'_>)> {
        let by_check = self
            .checked
            .iter()
            .map(|(server, check)| (server, Cause::Check(check, self.overridden.get(&server).copied())));
        let by_operator = self.overridden.iter().filter(|(server, _)| self.checked.get(server).is_none());
        by_check.chain(by_operator.map(|(server, one)| (*server, Cause::Override(one))))
    }

    /// Whether an operation is left out for now, so that its entry stays as it is, though the file wants another. `cluster` is the one that the
    /// operation belongs to.
    pub fn leaves_out(&self, operation: &Operation, cluster: Option<&str>) -> bool {
        let Conditions { pauses, unreadable, .. } = self.conditions;
        // The rules are replaced as a whole, and those of a paused cluster are among them.
        let is_rules = matches!(operation.kind(), Kind::Mark | Kind::Untracked) && !pauses.is_empty();
        let is_paused =
            pauses.cover(cluster) && (pauses.freeze_verdicts(cluster) || !self.is_of_checks(operation));
        is_rules || is_paused || unreadable.is_some() && (operation.deletes() || is_weight(operation))
    }
}

impl Target<'_> {
    /// Whether an operation does no more than what checks do: it takes a server out of service, changes what they have made of it before, or is
    /// about the fallback.
    fn is_of_checks(&self, operation: &Operation) -> bool {
        let Operation::Server(of) = operation else { return false };
        let (service, server) = match of {
            ServerOp::Add { service, server, .. }
            | ServerOp::Edit { service, server, .. }
            | ServerOp::Delete { service, server } => (service, server),
        };
        let file = self.without_verdicts();
        let Some(health) = file.health.services.get(service) else { return false };
        if health.fallback.is_some_and(|(fallback, _)| fallback == *server) {
            return true;
        }
        // What is new in the file, and what has left it, waits for the end of a pause.
        let is_known = self.conditions.health.of(service, server).is_some();
        let key = (*service, *server);
        let takes_out = self.checked.get(&key).is_some_and(CheckReason::takes_out);
        let before = self.conditions.altered.get(&key);
        let is_of_checks = match of {
            ServerOp::Add { .. } => before == Some(None),
            ServerOp::Edit { from, to, .. } => {
                let is_weight = **from == RealServer { weight: from.weight, ..**to };
                is_weight && (takes_out || before == Some(Some(from.weight)))
            }
            ServerOp::Delete { .. } => takes_out,
        };
        is_known && is_of_checks && !health.checks(server).is_empty()
    }
}

/// The targets of a file and of the file that was verified before it, under the same conditions: what an override does is no change of
/// the file, and the guards compare both.
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    /// That of the file
    pub file: Target<'a>,
    /// The file itself
    source: &'a Desired,
    /// The file that was verified before it, where it is known and another one
    source_before: Option<&'a Desired>,
    /// That of the file that was verified last, where it is known and another one
    verified: Option<Target<'a>>,
    is_verified: bool,
    /// In a trial, that of the file with all that it takes away
    in_trial: Option<Desired>,
}

impl<'a> Targets<'a> {
    /// `verified` is the state that was verified last: `file` itself where it is that, `None` where it is not known. Pure.
    pub fn new(file: &'a Desired, verified: Option<&'a Desired>, conditions: &'a Conditions) -> Self {
        let other = verified.filter(|verified| !ptr::eq(*verified, file));
        let source = file;
        let file = Target::new(file, conditions);
        let verified_target = other.map(|verified| Target::new(verified, conditions));
        let before = verified_target.as_ref().filter(|_| conditions.trial.is_some());
        Self {
            // In a trial, what leaves stays.
            source_before: other.filter(|_| conditions.trial.is_none()),
            source,
            in_trial: before
                .map(|before| trial::during(&file.desired, file.without_verdicts(), &before.desired)),
            is_verified: verified.is_some() && other.is_none(),
            file,
            verified: verified_target,
        }
    }

    /// Decides what becomes of what leaves the file, for a live state; `followed` is a file that was followed after the one that was verified
    /// last, and that no pass could verify. Pure.
    pub fn leaving(
        &self,
        followed: Option<&Desired>,
        live: LiveConnections<'_>,
        owned: &Table<ServiceKey, CompactString>,
        departure: Departure,
        now: Clock,
    ) -> Leaving {
        let departing = Departing {
            file: self.source,
            target: &self.file.desired,
            before: [self.source_before, followed.filter(|_| self.in_trial.is_none())],
            owned,
            under_way: &self.file.conditions.drains,
            departure,
            live,
        };
        Leaving::new(&departing, now)
    }

    /// What the kernel should be: the file under the conditions; in a trial also all that it takes away, quiesced.
    pub fn kernel(&self) -> &Desired {
        self.in_trial.as_ref().unwrap_or(&self.file.desired)
    }

    /// The servers that a trial keeps, though its file does not have them.
    pub fn quiesced(&self) -> Vec<ServerOf> {
        let file = &self.file.desired.state.services;
        let kept = self.in_trial.iter().flat_map(|kept| &kept.state.services);
        let of = |(key, service): (&ServiceKey, &VirtualService)| -> Vec<ServerOf> {
            let in_file = file.get(key).map(|service| &service.servers);
            let is_kept = |server: &&ServerKey| in_file.is_none_or(|of| !of.contains_key(*server));
            service.servers.keys().filter(is_kept).map(|server| (*key, *server)).collect()
        };
        kept.flat_map(of).collect()
    }

    /// The services that an ended trial has added: they leave without any question.
    pub fn added_by_trial(&self) -> impl Iterator<Item = &ServiceKey> {
        let ended = self.file.conditions.ended_trial.iter();
        ended.flat_map(|ended| &ended.added).map(|Text(service)| service)
    }

    /// The state that was verified last, under the conditions: that of the file itself where it is that.
    pub fn verified(&self) -> Option<&Desired> {
        self.verified_target().map(|target| &*target.desired)
    }

    /// The same without verdicts, for the guards.
    pub fn verified_without_verdicts(&self) -> Option<&Desired> {
        self.verified_target().map(Target::without_verdicts)
    }

    fn verified_target(&self) -> Option<&Target<'a>> {
        self.verified.as_ref().or(self.is_verified.then_some(&self.file))
    }
}

/// Whether an operation changes the weight of a server.
fn is_weight(operation: &Operation) -> bool {
    match operation {
        Operation::Server(ServerOp::Edit { from, to, .. }) => from.weight != to.weight,
        Operation::Server(ServerOp::Add { .. } | ServerOp::Delete { .. })
        | Operation::Service(_)
        | Operation::Sysctl(_)
        | Operation::Timeouts(_)
        | Operation::Sync(_)
        | Operation::Marks(_)
        | Operation::Untracked(_) => false,
    }
}
