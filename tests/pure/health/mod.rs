//! Verdicts in any order: of a checker that comes and goes, with edits of the file, overrides, pauses and restarts between them.
//!
//! Whatever happens, checks leave as many servers in service as the file says, nothing but a verdict, an edit or an operator changes a
//! weight, no step of a plan takes out the last serving server, what is shared from pass to pass is what is computed anew, and once all
//! passes the kernel is what the file says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod director;
mod passes;
mod ways;

use self::director::Director;
use lbd::model::MinServing;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Servers by the last byte of their addresses.
const NUMBERS: [u8; 6] = [1, 2, 3, 4, 5, 6];

/// What an override does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Drain,
    Remove,
    /// A weight, and whether it is given despite the checks
    Weight(u32, bool),
}

/// What happens; each is about a cluster first.
#[derive(Debug, Clone)]
enum Step {
    /// The checker says of some servers that they pass or fail
    Say(u8, Vec<u8>, bool),
    /// The file gives a server this weight, checked or not, or has it no more
    Server(u8, u8, Option<(u32, bool)>),
    /// The file replaces all servers
    Replace(u8, Vec<u8>),
    /// The file checks another port
    Check(u8, u16),
    /// The file has another interval and name for the check
    Interval(u8, u64),
    /// The file has another `min_serving`
    MinServing(u8, MinServing),
    /// An operator overrides a server
    Override(u8, u8, Does),
    /// An operator ends all overrides
    Undo,
    /// An operator pauses a cluster, with or without its checks
    Pause(u8, bool),
    /// An operator ends all pauses
    Resume,
    /// The checker starts again, and knows nothing
    Forget,
    /// The checker lacks something itself, or no more
    Freeze(bool),
    /// The checker is gone, or back
    Gone(bool),
    /// So many milliseconds pass
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let cluster = || select(vec![1_u8, 2]);
    let number = || select(NUMBERS.to_vec());
    let some = || subsequence(NUMBERS.to_vec(), 1..=4);
    let least = select(vec![
        MinServing::Percent(50),
        MinServing::Percent(0),
        MinServing::Percent(100),
        MinServing::Count(1),
        MinServing::Count(3),
    ]);
    let does = prop_oneof![
        Just(Does::Drain),
        Just(Does::Remove),
        (0..4_u32, any::<bool>()).prop_map(|(to, despite)| Does::Weight(to, despite))
    ];
    prop_oneof![
        10 => (cluster(), some(), any::<bool>()).prop_map(|(of, servers, passes)| Step::Say(of, servers, passes)),
        2 => (cluster(), any::<bool>()).prop_map(|(of, passes)| Step::Say(of, NUMBERS.to_vec(), passes)),
        4 => (cluster(), number(), option::of((0..3_u32, prop::bool::weighted(0.8))))
            .prop_map(|(of, server, to)| Step::Server(of, server, to)),
        1 => (cluster(), some()).prop_map(|(of, servers)| Step::Replace(of, servers)),
        2 => (cluster(), 1..4_u16).prop_map(|(of, port)| Step::Check(of, port)),
        1 => (cluster(), 3..9_u64).prop_map(|(of, seconds)| Step::Interval(of, seconds)),
        2 => (cluster(), least).prop_map(|(of, least)| Step::MinServing(of, least)),
        2 => (cluster(), number(), does).prop_map(|(of, server, does)| Step::Override(of, server, does)),
        1 => Just(Step::Undo),
        1 => (cluster(), any::<bool>()).prop_map(|(of, keep_checks)| Step::Pause(of, keep_checks)),
        2 => Just(Step::Resume),
        1 => Just(Step::Forget),
        1 => any::<bool>().prop_map(Step::Freeze),
        2 => any::<bool>().prop_map(Step::Gone),
        2 => select(vec![100, 5_000, 299_000, 300_000]).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn checks_never_take_out_more_than_the_file_allows_and_only_verdicts_count(steps in vec(step(), 1..40)) {
        let mut director = Director::new();
        for step in &steps {
            director.happens(step);
        }
        director.ends();
    }
}

/// The outage of Wikimedia on 2015-06-13: half the pool was out by a check that had begun to fail for all, the guard kept the rest in
/// service; then the list of servers was edited, the guard was not applied again, and all were gone.
#[test]
fn an_edit_of_the_list_does_not_go_round_the_guard() {
    let mut director = Director::new();
    director.happens(&Step::Replace(1, vec![1, 2, 3, 4, 5, 6]));
    director.happens(&Step::Say(1, vec![1, 2, 3, 4, 5, 6], true));
    for number in 1..=5 {
        director.happens(&Step::Wait(1_000));
        director.happens(&Step::Say(1, vec![number], false));
    }
    let serving = |director: &Director| -> Vec<u8> {
        let weights = director.weights().into_iter();
        weights.filter(|((of, _), weight)| *of == 1 && *weight > 0).map(|((_, number), _)| number).collect()
    };
    assert_eq!(serving(&director), [4, 5, 6]);
    // The list is edited, and the checker and the daemon start again at the same time.
    director.happens(&Step::Forget);
    director.happens(&Step::Server(1, 6, None));
    assert_eq!(serving(&director), [1, 2, 3, 4, 5]);
    // Nothing is known of one that is new beside servers of which none passes: it serves, and counts.
    director.happens(&Step::Server(1, 6, Some((1, true))));
    assert_eq!(serving(&director), [4, 5, 6]);
    director.happens(&Step::Say(1, vec![1, 2, 3, 4, 5, 6], false));
    assert_eq!(serving(&director), [1, 2, 3, 4, 5, 6]);
    director.happens(&Step::Say(1, vec![1], true));
    assert_eq!(serving(&director), [1, 5, 6]);
}
