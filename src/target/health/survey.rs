//! Surveys a virtual service: which of its servers serve by their checks, and with which weight.

use std::sync::Arc;

use super::guard::{Place, Rank, ServicePlace};
use super::in_force::States;
use super::state::{ServerHealth, ServerState};
use crate::model::{Check, MinServing, RealServer, ServerKey, Servers, ServiceHealth, get_near};

/// A real server under file and overrides, and what is known of its health.
pub(super) struct Member<'a> {
    pub(super) server: &'a ServerKey,
    pub(super) real: &'a RealServer,
    pub(super) checks: &'a [Arc<Check>],
    /// `None`: it has no checks
    pub(super) health: Option<&'a ServerHealth>,
    pub(super) place: Place,
}

impl Member<'_> {
    /// The weight that it has; 0 where it does not serve.
    pub(super) fn weight(&self) -> u32 {
        match self.place {
            Place::Serves => {
                self.health.map_or(self.real.weight, |health| health.weight_of(self.real.weight))
            }
            Place::Kept | Place::Overruled => self.real.weight,
            Place::Out | Place::Idle => 0,
        }
    }
}

/// A virtual service, and what becomes of it.
pub(super) struct Survey<'a> {
    pub(super) place: ServicePlace,
    pub(super) members: Vec<Member<'a>>,
}

static UNPROVEN: ServerHealth = ServerHealth::new(ServerState::Unproven);
static WAITING: ServerHealth = ServerHealth::new(ServerState::Waiting);

/// What is in force for servers that are new while nothing is known of them: beside proven ones they wait, but where too few would serve.
/// `passing` of the `all` that file and overrides let serve count as passing without them.
pub(super) fn entering(min_serving: MinServing, all: usize, passing: usize, is_proven: bool) -> ServerState {
    if is_proven && passing >= min_serving.of(all) { ServerState::Waiting } else { ServerState::Unproven }
}

/// How many servers file and overrides let serve, how many of them count as passing, and whether one has passed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) all: usize,
    pub(super) passing: usize,
    pub(super) is_proven: bool,
}

impl Tally {
    /// Counts a server that may serve; `health` is `None` where it has no checks or they are overruled.
    pub(super) fn count(&mut self, health: Option<&ServerHealth>) {
        self.all += 1;
        match health.map(|health| &health.state) {
            None | Some(ServerState::Unproven) => self.passing += 1,
            Some(ServerState::Passing) => {
                self.passing += 1;
                self.is_proven = true;
            }
            Some(ServerState::Waiting | ServerState::Failing(_)) => {}
        }
    }
}

/// Surveys a service: `servers` are its servers under file and overrides, `states` what is in force for them; `is_overruled` says of
/// which an operator has overruled the checks. Pure.
pub(super) fn survey<'a>(
    health: &'a ServiceHealth,
    servers: &'a Servers,
    states: Option<&'a States>,
    is_overruled: &dyn Fn(&ServerKey) -> bool,
) -> Survey<'a> {
    let mut tally = Tally::default();
    let (mut is_plain, mut has_new) = (true, false);
    let mut members: Vec<Member<'a>> = Vec::with_capacity(servers.len());
    for (place, (server, real)) in servers.iter().enumerate() {
        let checks = health.checks(server);
        let known = states.filter(|_| !checks.is_empty()).and_then(|states| get_near(states, place, server));
        let is_new = known.is_none() && !checks.is_empty();
        has_new |= is_new;
        let is_checked = !checks.is_empty() && !is_overruled(server);
        let place = match real.serves() {
            false => Place::Idle,
            true if is_checked || checks.is_empty() => Place::Serves,
            true => Place::Overruled,
        };
        if real.serves() {
            if is_new && is_checked {
                tally.all += 1;
            } else {
                tally.count(known.filter(|_| is_checked));
            }
        }
        is_plain &= known.is_none_or(|known| known.is_plain() || !is_checked);
        members.push(Member { server, real, checks, health: known, place });
    }
    if has_new {
        let state = entering(health.min_serving, tally.all, tally.passing, tally.is_proven);
        let new = if state == ServerState::Waiting { &WAITING } else { &UNPROVEN };
        is_plain &= new.is_plain();
        let all = members.iter_mut().filter(|member| member.health.is_none() && !member.checks.is_empty());
        all.for_each(|member| member.health = Some(new));
    }
    // Mostly all pass, and then there is nothing to decide.
    if is_plain && tally.all > 0 {
        return Survey { place: ServicePlace::Serves, members };
    }
    let ranks: Vec<Rank> = members.iter().filter(|member| member.place != Place::Idle).map(rank).collect();
    let (place, places) = health.places(&ranks);
    let may_serve = members.iter_mut().filter(|member| member.place != Place::Idle);
    for (member, place) in may_serve.zip(places) {
        if member.place == Place::Serves {
            member.place = place;
        }
    }
    Survey { place, members }
}

fn rank(member: &Member<'_>) -> Rank {
    let health = member.health.filter(|_| member.place == Place::Serves);
    match health.map(|health| &health.state) {
        None | Some(ServerState::Unproven | ServerState::Passing) => Rank::Passing,
        Some(ServerState::Waiting) => Rank::Waiting,
        Some(ServerState::Failing(failing)) => Rank::Failing(failing.since_boot),
    }
}
