//! Defines trials: for a time the kernel follows another file, and then the desired file again, unless that file was confirmed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::{Clock, Period};
use super::overrides::Text;
use crate::model::{Desired, MaxDelete, Policy, Prune, ServiceKey, State, Sysctls, Timeouts, sysctl};

/// How the name of the copy of a trial's file ends, which lies beside the desired file.
pub const TRIAL_COPY: &str = "trial";

/// A trial. It is in force until its time is over or it was ended; the pass after that puts the state before it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The file, as it was typed
    pub file: String,
    /// The desired file, by a path without links
    pub desired: String,
    /// Who began it
    pub by: String,
    /// Why, in that person's words
    pub reason: Option<String>,
    /// Since when, and until when
    #[serde(flatten)]
    pub period: Period,
    /// The SHA-256 of the file's text
    pub sha256: String,
    /// That of the desired file when the trial began
    pub desired_sha256: String,
    /// What the guards allow in this trial, and to the file once it is confirmed
    pub allowed: Allowed,
    /// Of a desired state of several files, the one that it takes the place of, by its path from the directory of the main file on
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<String>,
    /// Whether it goes on where a service loses its last usable server
    pub keep_going: bool,
    /// Whether a pass has verified it
    pub verified: bool,
    /// The services that it adds, which leave with it
    pub added: Vec<Text<ServiceKey>>,
    /// The settings that the file before it does not name, as they were
    pub settings: Settings,
    /// How it was ended before its time, if it was
    pub ended: Option<TrialEnd>,
}

/// How a trial was ended before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialEnd {
    /// Its file has become the desired file.
    Confirmed {
        /// By whom
        by: String,
    },
    /// An operator has ended it.
    Cancelled {
        /// Who
        by: String,
    },
    /// It must not go on.
    RolledBack {
        /// Why
        why: String,
    },
}

impl fmt::Display for TrialEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed { by } => write!(f, "confirmed by {by}"),
            Self::Cancelled { by } => write!(f, "cancelled by {by}"),
            Self::RolledBack { why } => write!(f, "rolled back: {why}"),
        }
    }
}

/// The exceptions from the policy of the file that were given to `try`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowed {
    /// `--allow-empty`
    pub empty: bool,
    /// `--allow-deletes`
    pub deletes: bool,
}

impl Allowed {
    /// The policy of a file with these exceptions.
    #[must_use]
    pub fn policy(self, file: Policy) -> Policy {
        Policy {
            allow_empty: file.allow_empty || self.empty,
            max_delete: if self.deletes { MaxDelete::Percent(100) } else { file.max_delete },
            ..file
        }
    }
}

/// Kernel settings and timeouts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    sysctls: Sysctls,
    /// TCP, TCP after a FIN, UDP
    timeouts: [Option<u32>; 3],
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, by, reason, period: Period { since, until, .. }, .. } = self;
        write!(f, "{file} by {by} from {since} until {until}")?;
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl Trial {
    /// Whether it is in force no more.
    pub fn is_over(&self, now: Clock) -> bool {
        self.ended.is_some() || self.period.left(now).is_none()
    }

    /// How it has ended, where it is over.
    pub fn end(&self) -> String {
        self.ended.as_ref().map_or_else(|| "its time is over".to_owned(), ToString::to_string)
    }

    /// Notes what the pass for `file` is going to add to the state `before`, and the settings that are to be put back (see
    /// [`Settings::note`]). Returns whether there was anything new.
    pub fn note(&mut self, file: &Desired, before: &State, sysctls: &Sysctls, timeouts: Timeouts) -> bool {
        let services = &file.state.services;
        let is_new = |key: &&ServiceKey| !before.services.contains_key(*key);
        let added: Vec<Text<ServiceKey>> = services.keys().filter(is_new).copied().map(Text).collect();
        let is_noted = self.added == added;
        self.added = added;
        self.settings.note(&file.state, before, sysctls, timeouts) || !is_noted
    }

    /// Whether both are the same trial, perhaps at different times.
    pub fn is(&self, other: &Self) -> bool {
        (&self.sha256, &self.desired, self.period) == (&other.sha256, &other.desired, other.period)
    }

    /// Whether all that it would put back is what a desired file could set: a forged one must not make root set anything else.
    pub fn is_sound(&self) -> bool {
        self.settings.sysctls.iter().all(|(name, value)| sysctl::is_name(name) && sysctl::is_value(value))
    }
}

impl Settings {
    /// Notes the settings that `file` sets and `before` does not, as they are in the kernel. What was noted before stays: it is the
    /// original value. Returns whether there was anything new.
    fn note(&mut self, file: &State, before: &State, sysctls: &Sysctls, timeouts: Timeouts) -> bool {
        let known = self.clone();
        let reached = file.sysctls.keys().flat_map(|name| sysctl::companions(name).iter().copied());
        for name in file.sysctls.keys().map(String::as_str).chain(reached) {
            let is_new = !is_named(&before.sysctls, name) && !is_named(&self.sysctls, name);
            if let Some(value) = sysctls.get(name).filter(|_| is_new) {
                self.sysctls.insert(name.to_owned(), value.clone());
            }
        }
        let (file, before, live) = (in_order(file.timeouts), in_order(before.timeouts), in_order(timeouts));
        let fields = self.timeouts.iter_mut().zip(file).zip(before).zip(live);
        for (((noted, file), before), live) in fields {
            if file.is_some() && before.is_none() {
                *noted = noted.or(live);
            }
        }
        *self != known
    }

    /// Adds to a state what it does not name itself.
    pub(super) fn put_back(&self, state: &mut State) {
        let named = state.sysctls.clone();
        let missing = self.sysctls.iter().filter(|(name, _)| !is_named(&named, name));
        state.sysctls.extend(missing.map(|(name, value)| (name.clone(), value.clone())));
        let [tcp, tcp_fin, udp] = self.timeouts;
        let Timeouts { tcp: of_tcp, tcp_fin: of_fin, udp: of_udp } = state.timeouts;
        state.timeouts = Timeouts { tcp: of_tcp.or(tcp), tcp_fin: of_fin.or(tcp_fin), udp: of_udp.or(udp) };
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether settings name one, also by its other name.
fn is_named(settings: &Sysctls, name: &str) -> bool {
    settings.keys().any(|other| sysctl::canonical(other) == sysctl::canonical(name))
}

fn in_order(Timeouts { tcp, tcp_fin, udp }: Timeouts) -> [Option<u32>; 3] {
    [tcp, tcp_fin, udp]
}

/// The state to plan against in a trial: what the file lacks of the state before it stays, quiesced, so that the way back is that state.
/// `without_verdicts` is the file without verdicts: what these delete is no server that leaves.
pub(super) fn during(file: &Desired, without_verdicts: &Desired, before: &Desired) -> Desired {
    let mut desired = file.clone();
    // A service that is in neither file could not be put back.
    if desired.policy.prune == Prune::All && before.policy.prune != Prune::All {
        desired.policy.prune = Prune::Owned;
    }
    super::quiesced::keep(&mut desired, &without_verdicts.state, before);
    desired
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const NOW: Clock = Clock { since_boot: 1_000, wall: UNIX_EPOCH };

    fn sysctls(all: &[(&str, &str)]) -> Sysctls {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn trial() -> Trial {
        Trial {
            file: "new.yaml".into(),
            desired: "/etc/lbd/desired.yaml".into(),
            by: "alice".into(),
            reason: Some("more servers".into()),
            period: Period::new(NOW, Duration::from_secs(120)),
            sha256: "1".into(),
            desired_sha256: "2".into(),
            allowed: Allowed::default(),
            fragment: None,
            keep_going: false,
            verified: false,
            added: Vec::new(),
            settings: Settings::default(),
            ended: None,
        }
    }

    #[test]
    fn a_trial_is_over_at_its_end_or_when_it_was_ended() {
        let at = |since_boot| Clock { since_boot, ..NOW };
        assert_eq!([1_000, 120_999, 121_000].map(|time| trial().is_over(at(time))), [false, false, true]);
        assert_eq!(trial().end(), "its time is over");
        let ended = Trial { ended: Some(TrialEnd::Cancelled { by: "bob".into() }), ..trial() };
        assert_eq!((ended.is_over(NOW), ended.end()), (true, "cancelled by bob".to_owned()));
        assert_eq!(
            trial().to_string(),
            "new.yaml by alice from 1970-01-01T00:00:00Z until 1970-01-01T00:02:00Z: more servers"
        );
        let another = Period::new(at(1_001), Duration::from_secs(120));
        assert!(trial().is(&ended) && !trial().is(&Trial { period: another, ..trial() }));
    }

    #[test]
    fn settings_that_only_the_file_of_the_trial_names_are_put_back_and_no_others() {
        let state = |names: &[(&str, &str)], tcp, udp| State {
            sysctls: sysctls(names),
            timeouts: Timeouts { tcp, tcp_fin: None, udp },
            ..State::default()
        };
        let before = state(&[("net.ipv4.vs.conntrack", "1")], Some(900), None);
        let file = state(
            &[("net.ipv4.vs.conntrack", "0"), ("net.ipv4.ip_forward", "1"), ("net.core.somaxconn", "5")],
            Some(800),
            Some(30),
        );
        let live = sysctls(&[
            ("net.ipv4.vs.conntrack", "1"),
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.all.accept_redirects", "1"),
        ]);
        let timeouts = Timeouts { tcp: Some(900), tcp_fin: Some(120), udp: Some(300) };
        let mut noted = Settings::default();
        assert!(noted.note(&file, &before, &live, timeouts));
        // What it has set itself is not the original value; what was not there yet is noted later.
        let later = sysctls(&[("net.ipv4.ip_forward", "1"), ("net.core.somaxconn", "4096")]);
        assert!(noted.note(&file, &before, &later, Timeouts { udp: Some(30), ..timeouts }));
        assert!(!noted.note(&file, &before, &later, Timeouts { udp: Some(30), ..timeouts }));
        let mut back = before.clone();
        noted.put_back(&mut back);
        let all = [
            ("net.ipv4.vs.conntrack", "1"),
            ("net.ipv4.ip_forward", "0"),
            ("net.ipv4.conf.all.accept_redirects", "1"),
            ("net.core.somaxconn", "4096"),
        ];
        assert_eq!(back, state(&all, Some(900), Some(300)));
        // Where the file was confirmed, or changed meanwhile, it says itself what they are.
        let mut confirmed = state(&[("net.ipv4.conf.all.forwarding", "1")], None, Some(30));
        noted.put_back(&mut confirmed);
        let forwarding = confirmed.sysctls.keys().filter(|name| name.contains("forward")).count();
        assert_eq!((forwarding, confirmed.timeouts.udp), (1, Some(30)));
    }

    #[test]
    fn a_trial_that_would_put_back_what_no_file_can_set_is_not_sound() {
        let with = |name: &str, value: &str| {
            let settings = Settings { sysctls: sysctls(&[(name, value)]), ..Settings::default() };
            Trial { settings, ..trial() }.is_sound()
        };
        assert_eq!(
            [("net.ipv4.ip_forward", "0"), ("kernel.core_pattern", "|/tmp/x"), ("net.ipv4.ip_forward", "\0")]
                .map(|(name, value)| with(name, value)),
            [true, false, false]
        );
    }

    #[test]
    fn a_trial_deletes_no_service_that_is_in_neither_file() {
        let with = |prune| {
            let mut desired = Desired::default();
            desired.policy.prune = prune;
            desired
        };
        let prune = |file, before| during(&with(file), &with(file), &with(before)).policy.prune;
        assert_eq!(prune(Prune::All, Prune::Owned), Prune::Owned);
        assert_eq!(prune(Prune::All, Prune::All), Prune::All);
        assert_eq!(prune(Prune::Never, Prune::Owned), Prune::Never);
    }
}
