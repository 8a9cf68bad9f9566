//! Checks whether virtual services are gone that the last reading found, for so little that it can be done each second.
//!
//! The kernel reports no deletion. It has two numbers that each deletion changes: how many IPv4 services there are (old interface), and how
//! many references to its module (sysfs), which each service of any network namespace has one of, IPv6 ones included. A number that
//! is as before says nothing of a service that was exchanged for another one; a list does. The old interface lists IPv4 services
//! for a twentieth of netlink's cost.

use std::collections::HashSet;
use std::fs;

use foldhash::fast::RandomState;
use neli::consts::nl::NlmF;

use super::Ipvs;
use super::codec::decode;
use super::snapshot::Snapshot;
use super::uapi::cmd;
use crate::kernel::{KernelError, Look, Loss, Query};
use crate::model::{Family, ServiceKey, Services};

/// The references to the module: services, sync daemons and schedulers, of all network namespaces. Absent where IPVS is built in.
const REFERENCES: &str = "/sys/module/ip_vs/refcnt";
/// How many services that the old interface hides are requested one by one with each look at the numbers, in turn: where all are
/// gone, the first shows it.
const SAMPLE: usize = 4;

/// The services that are to be there, and the numbers of the kernel when they were.
#[derive(Debug)]
pub(super) struct LossCheck {
    /// Those that the old interface lists
    plain: HashSet<ServiceKey, RandomState>,
    /// Those that it does not list: IPv6, or all where it cannot be had
    hidden: Vec<ServiceKey>,
    numbers: Numbers,
    /// The place in `hidden` of the next one that is requested by itself
    turn: usize,
}

/// Two numbers of the kernel that each deletion of a service changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The IPv4 services of this network namespace; `None` where the old interface cannot be had
    v4_services: Option<usize>,
    /// The references to the module; `None` where IPVS is built in, or not there
    references: Option<u64>,
}

impl Numbers {
    /// As they are now.
    pub(super) fn read() -> Self {
        Self {
            v4_services: Snapshot::open().and_then(|mut old| old.service_count()),
            references: fs::read_to_string(REFERENCES).ok().and_then(|text| text.trim().parse().ok()),
        }
    }
}

impl LossCheck {
    /// Of the expected services those that were found, after the numbers were read: what goes during a reading is seen, too.
    pub(super) fn of(expected: &Services, found: &Services, numbers: Numbers) -> Self {
        let has_old = numbers.v4_services.is_some();
        let is_plain = |service: &ServiceKey| has_old && service.family() == Family::V4;
        let found = expected.keys().filter(|service| found.contains_key(*service)).copied();
        let (plain, hidden): (Vec<_>, Vec<_>) = found.partition(is_plain);
        Self { plain: plain.into_iter().collect(), hidden, numbers, turn: 0 }
    }

    /// Looks for a loss.
    ///
    /// # Errors
    /// Where the kernel cannot be read over netlink.
    pub(super) fn look(&mut self, ipvs: &mut Ipvs, look: Look) -> Result<Loss, KernelError> {
        if self.plain.is_empty() && self.hidden.is_empty() {
            return Ok(Loss::None);
        }
        match look {
            Look::Numbers => self.look_at_numbers(ipvs),
            Look::Lists => self.look_at_lists(ipvs),
        }
    }

    fn look_at_numbers(&mut self, ipvs: &mut Ipvs) -> Result<Loss, KernelError> {
        for service in self.sample() {
            if !ipvs.exists(&service)? {
                return Ok(Loss::Certain);
            }
        }
        let now = Numbers::read();
        let is_same = (self.plain.is_empty() || now.v4_services == self.numbers.v4_services)
            && (self.hidden.is_empty() || now.references == self.numbers.references);
        Ok(if is_same { Loss::None } else { Loss::Possible })
    }

    /// The next of the hidden services, in turn.
    fn sample(&mut self) -> Vec<ServiceKey> {
        let count = SAMPLE.min(self.hidden.len());
        let sample = self.hidden.iter().cycle().skip(self.turn).take(count).copied().collect();
        self.turn = (self.turn + count).checked_rem(self.hidden.len()).unwrap_or_default();
        sample
    }

    fn look_at_lists(&mut self, ipvs: &mut Ipvs) -> Result<Loss, KernelError> {
        // Before the lists: what goes after it was listed is seen by the next look.
        let numbers = Numbers::read();
        let plain = match numbers.v4_services {
            _ if self.plain.is_empty() => Loss::None,
            Some(count) => self.plain_loss(count),
            // The module may have been unloaded.
            None => netlink_loss(ipvs, self.plain.iter().chain(&self.hidden))?,
        };
        if plain != Loss::None {
            return Ok(plain);
        }
        let hidden =
            if self.hidden.is_empty() { Loss::None } else { netlink_loss(ipvs, self.hidden.iter())? };
        if hidden == Loss::None {
            self.numbers = numbers;
        }
        Ok(hidden)
    }

    /// Whether the old interface, which has `count` services, lists all that it should.
    fn plain_loss(&self, count: usize) -> Loss {
        let mut known = 0;
        let listed = Snapshot::open().and_then(|mut old| {
            old.services(count, |key, _| known += usize::from(self.plain.contains(&key)))
        });
        match listed {
            // The list is as it was at one moment, and has none twice.
            Some(_) if known == self.plain.len() => Loss::None,
            Some(listed) if listed <= count => Loss::Certain,
            // More came meanwhile than there was room for, or the module has just gone.
            Some(_) | None => Loss::Possible,
        }
    }
}

/// Whether netlink lists all of these services. It leaves out some where others are deleted meanwhile, so that each one that
/// is missing is requested by itself.
fn netlink_loss<'a>(
    ipvs: &mut Ipvs,
    services: impl Iterator<Item = &'a ServiceKey>,
) -> Result<Loss, KernelError> {
    let mut missing: HashSet<ServiceKey, RandomState> = services.copied().collect();
    let answer = ipvs.query(cmd::GET_SERVICE, NlmF::DUMP, None, |attributes| {
        missing.remove(&decode::service(attributes)?.0);
        Ok(())
    })?;
    if answer.errno != 0 {
        return Err(KernelError::Refused { query: Query::Services, errno: answer.errno });
    }
    for service in missing {
        if !ipvs.exists(&service)? {
            return Ok(Loss::Certain);
        }
    }
    Ok(Loss::None)
}
