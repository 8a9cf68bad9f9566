//! The switches of a scheduler: three bits in the kernel, each with one name or several.

use super::SchedulerName;
use super::named::{Named, named};

/// The three switches that the kernel hands to a scheduler, which gives them their meaning: for `sh` and `mh` the first
/// is "fall back to another server where the chosen one cannot serve", the second "hash the source port too".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SchedulerFlags {
    /// `flag-1`, `sh-fallback`, `mh-fallback`
    pub flag_1: bool,
    /// `flag-2`, `sh-port`, `mh-port`
    pub flag_2: bool,
    /// `flag-3`
    pub flag_3: bool,
}

named! {
    /// A switch of the scheduler.
    pub enum SchedulerFlag {
        /// `sh`: take another server where the chosen one cannot serve.
        ShFallback = "sh-fallback",
        /// `sh`: hash the source port too.
        ShPort = "sh-port",
        /// `mh`: take another server where the chosen one cannot serve.
        MhFallback = "mh-fallback",
        /// `mh`: hash the source port too.
        MhPort = "mh-port",
        /// The first switch of any scheduler.
        Flag1 = "flag-1",
        /// The second switch of any scheduler.
        Flag2 = "flag-2",
        /// The third switch of any scheduler.
        Flag3 = "flag-3",
    }
}

/// Which of the three bits a switch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bit {
    First,
    Second,
    Third,
}

impl SchedulerFlag {
    /// The one scheduler that has the switch by this name; `None` where every scheduler has it.
    pub fn scheduler(self) -> Option<&'static str> {
        match self {
            Self::ShFallback | Self::ShPort => Some("sh"),
            Self::MhFallback | Self::MhPort => Some("mh"),
            Self::Flag1 | Self::Flag2 | Self::Flag3 => None,
        }
    }

    /// The name that a scheduler has of its own for the same switch.
    pub fn of(self, scheduler: &str) -> Option<Self> {
        let is_twin = |other: &Self| other.scheduler() == Some(scheduler) && other.bit() == self.bit();
        Self::ALL.iter().copied().find(is_twin)
    }

    fn bit(self) -> Bit {
        match self {
            Self::ShFallback | Self::MhFallback | Self::Flag1 => Bit::First,
            Self::ShPort | Self::MhPort | Self::Flag2 => Bit::Second,
            Self::Flag3 => Bit::Third,
        }
    }
}

impl SchedulerFlags {
    /// Switches one on. Returns whether it was on before.
    pub fn switch_on(&mut self, flag: SchedulerFlag) -> bool {
        let switch = match flag.bit() {
            Bit::First => &mut self.flag_1,
            Bit::Second => &mut self.flag_2,
            Bit::Third => &mut self.flag_3,
        };
        std::mem::replace(switch, true)
    }

    fn is_on(self, flag: SchedulerFlag) -> bool {
        match flag.bit() {
            Bit::First => self.flag_1,
            Bit::Second => self.flag_2,
            Bit::Third => self.flag_3,
        }
    }

    /// The switches that are on, by the names that this scheduler has for them.
    pub fn flags(self, scheduler: &SchedulerName) -> impl Iterator<Item = SchedulerFlag> + use<> {
        [SchedulerFlag::Flag1, SchedulerFlag::Flag2, SchedulerFlag::Flag3]
            .into_iter()
            .filter(move |flag| self.is_on(*flag))
            .map({
                let scheduler = scheduler.clone();
                move |flag| flag.of(scheduler.as_str()).unwrap_or(flag)
            })
    }

    /// The names of these.
    pub fn names(self, scheduler: &SchedulerName) -> Vec<&'static str> {
        self.flags(scheduler).map(SchedulerFlag::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_with_names_of_its_own_is_described_by_them() {
        let all = SchedulerFlags { flag_1: true, flag_2: true, flag_3: true };
        for (scheduler, names) in [
            ("sh", ["sh-fallback", "sh-port", "flag-3"]),
            ("mh", ["mh-fallback", "mh-port", "flag-3"]),
            ("rr", ["flag-1", "flag-2", "flag-3"]),
        ] {
            let scheduler = SchedulerName::new(scheduler).unwrap();
            assert_eq!(all.names(&scheduler), names);
            let mut flags = SchedulerFlags::default();
            for flag in all.flags(&scheduler) {
                assert!(!flags.switch_on(flag) && flags.switch_on(flag), "{flag}");
            }
            assert_eq!(flags, all);
        }
        assert_eq!(SchedulerFlags::default().names(&SchedulerName::new("sh").unwrap()), Vec::<&str>::new());
    }
}
