//! Decides which servers of a virtual service serve: checks never take out more than `min_serving` allows.
//!
//! It is a function of the state alone, so that no order of events goes round it.

use std::cmp::Reverse;

use crate::model::{MinServing, ServiceHealth};

/// What counts of a server that file and overrides let serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// It counts as passing
    Passing,
    /// It is new, and nothing is known of it
    Waiting,
    /// It is failing since this time, in milliseconds since the boot
    Failing(u64),
}

/// What becomes of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It serves
    Serves,
    /// It would not serve by its checks, and is kept in service, since too few would be left
    Kept,
    /// It serves though its checks say otherwise, since an operator said so
    Overruled,
    /// Its checks take it out of service, or keep it out of it
    Out,
    /// The file or an operator lets it not serve
    Idle,
}

/// What becomes of a virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServicePlace {
    /// Enough servers pass
    Serves,
    /// Too few servers pass, so that some are kept in service that do not
    Guarded,
    /// No server passes, so that all serve: nothing is known that tells them apart
    FailsOpen,
    /// No server passes, or none is to serve, so that the fallback does
    Fallback,
    /// No server passes, and `min_serving` 0 lets none serve
    Nothing,
}

impl ServiceHealth {
    /// Decides which servers serve; `ranks` are those that file and overrides let serve, in the order of the file. Pure.
    pub(super) fn places(&self, ranks: &[Rank]) -> (ServicePlace, Vec<Place>) {
        let all = |place| vec![place; ranks.len()];
        let passing = ranks.iter().filter(|rank| **rank == Rank::Passing).count();
        if ranks.is_empty() {
            let has_fallback = self.fallback.is_some();
            return (if has_fallback { ServicePlace::Fallback } else { ServicePlace::Serves }, Vec::new());
        }
        if passing == ranks.len() {
            return (ServicePlace::Serves, all(Place::Serves));
        }
        if passing == 0 {
            return if self.fallback.is_some() {
                (ServicePlace::Fallback, all(Place::Out))
            } else if is_none(self.min_serving) {
                (ServicePlace::Nothing, all(Place::Out))
            } else {
                (ServicePlace::FailsOpen, all(Place::Kept))
            };
        }
        let mut places: Vec<Place> = ranks
            .iter()
            .map(|rank| if *rank == Rank::Passing { Place::Serves } else { Place::Out })
            .collect();
        let missing = self.min_serving.of(ranks.len()).saturating_sub(passing);
        if missing == 0 {
            return (ServicePlace::Serves, places);
        }
        // What nothing is known of comes before what fails; then the youngest verdict, and of equal ones the later in the file.
        let order = |(number, rank): (usize, &Rank)| match rank {
            Rank::Passing => None,
            Rank::Waiting => Some((0, Reverse(0), number, number)),
            Rank::Failing(since) => Some((1, Reverse(*since), usize::MAX - number, number)),
        };
        let mut candidates: Vec<_> = ranks.iter().enumerate().filter_map(order).collect();
        candidates.sort_unstable();
        for (.., number) in candidates.into_iter().take(missing) {
            if let Some(place) = places.get_mut(number) {
                *place = Place::Kept;
            }
        }
        (ServicePlace::Guarded, places)
    }
}

/// Whether the guard is switched off.
fn is_none(min_serving: MinServing) -> bool {
    match min_serving {
        MinServing::Percent(share) => share == 0,
        MinServing::Count(count) => count == 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::{Forwarding, OnFailure, RealServer, ServerKey, Thresholds};

    fn health(min_serving: MinServing, has_fallback: bool) -> ServiceHealth {
        let key = ServerKey { address: IpAddr::from([192, 168, 8, 99]), port: 80 };
        let real = RealServer { weight: 1, forwarding: Forwarding::Nat, thresholds: Thresholds::default() };
        ServiceHealth {
            checks: [].into(),
            servers: Default::default(),
            on_failure: OnFailure::Quiesce,
            reset_after: None,
            min_serving,
            fallback: has_fallback.then_some((key, real)),
            slow_start: None,
        }
    }

    use Place::{Kept, Out, Serves};
    use Rank::{Failing, Passing, Waiting};

    const HALF: MinServing = MinServing::Percent(50);

    #[test]
    fn the_youngest_verdicts_are_kept_in_service_and_of_equal_ones_the_later_in_the_file() {
        let places = |ranks: &[Rank]| health(HALF, false).places(ranks);
        assert_eq!(places(&[Passing, Failing(1)]), (ServicePlace::Serves, vec![Serves, Out]));
        assert_eq!(
            places(&[Failing(3), Passing, Failing(5), Failing(5), Failing(4)]),
            (ServicePlace::Guarded, vec![Out, Serves, Kept, Kept, Out])
        );
        assert_eq!(
            places(&[Failing(5), Failing(5), Passing, Failing(5)]),
            (ServicePlace::Guarded, vec![Out, Out, Serves, Kept])
        );
        // What is new comes before what fails.
        assert_eq!(
            places(&[Failing(5), Waiting, Waiting, Passing]),
            (ServicePlace::Guarded, vec![Out, Kept, Out, Serves])
        );
    }

    #[test]
    fn where_none_passes_all_serve_or_the_fallback_or_none() {
        let all = [Failing(1), Waiting];
        assert_eq!(health(HALF, false).places(&all), (ServicePlace::FailsOpen, vec![Kept, Kept]));
        assert_eq!(health(HALF, true).places(&all), (ServicePlace::Fallback, vec![Out, Out]));
        let none = MinServing::Count(0);
        assert_eq!(health(none, false).places(&all), (ServicePlace::Nothing, vec![Out, Out]));
        assert_eq!(health(none, true).places(&all), (ServicePlace::Fallback, vec![Out, Out]));
        assert_eq!(health(HALF, true).places(&[]), (ServicePlace::Fallback, vec![]));
        assert_eq!(health(HALF, false).places(&[]), (ServicePlace::Serves, vec![]));
        // While one passes, others are kept in service beside it, and the fallback is not.
        let all = MinServing::Count(9);
        assert_eq!(
            health(all, true).places(&[Failing(1), Passing]),
            (ServicePlace::Guarded, vec![Kept, Serves])
        );
    }
}
