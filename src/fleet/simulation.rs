//! Plays many directors against a small model of etcd, in any order, with readings that are old by the time they are acted on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use indexmap::IndexMap;
use proptest::prelude::{Just, ProptestConfig, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as Values;

use super::*;

/// A store with the transactions of etcd.
#[derive(Clone, Default)]
struct Model {
    revision: i64,
    keys: BTreeMap<String, (Vec<u8>, i64)>,
}

impl Model {
    fn transact(&mut self, transaction: &Transaction) -> bool {
        let holds = |condition: &Condition| match condition {
            Condition::Absent(key) => !self.keys.contains_key(key),
            Condition::ModifiedAt { key, revision } => {
                self.keys.get(key).is_some_and(|(_, modified)| modified == revision)
            }
            Condition::NothingNewIn { folder, since } => self
                .keys
                .iter()
                .all(|(key, (_, modified))| !key.starts_with(folder.as_str()) || modified <= since),
        };
        if !transaction.conditions.iter().all(holds) {
            return false;
        }
        self.revision += 1;
        for write in &transaction.writes {
            match write {
                Write::Put { key, value, is_leased: _ } => {
                    self.keys.insert(key.clone(), (value.clone(), self.revision));
                }
                Write::Delete(key) => {
                    self.keys.remove(key);
                }
            }
        }
        true
    }

    fn put(&mut self, key: &str, value: Vec<u8>) {
        self.revision += 1;
        self.keys.insert(key.to_owned(), (value, self.revision));
    }

    fn view(&self, strategy: &Strategy) -> View {
        let entries =
            self.keys.iter().map(|(key, (value, modified))| StoredKey { key, value, modified: *modified });
        let mut view = View::read(self.revision, entries, None);
        view.strategy = Some(Stored { value: strategy.clone(), modified: 1 });
        view
    }
}

fn strategy(sizes: &[usize], parallel: &[usize], revert: Revert) -> Strategy {
    let mut directors = IndexMap::new();
    let mut stages = Vec::new();
    for (index, (size, parallel)) in sizes.iter().zip(parallel).enumerate() {
        let labels = BTreeMap::from([("stage".to_owned(), index.to_string())]);
        for number in 0..*size {
            directors.insert(format!("lb{index}-{number}"), labels.clone());
        }
        stages.push(Stage { labels, hold: Duration::ZERO, max_parallel: Parallel::Count(*parallel) });
    }
    let on_failure = OnFailure { halt: true, revert };
    Strategy { directors, stages, healthy: Healthy::default(), on_failure, max_unavailable: 1000 }
}

/// What a director does in its turn.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// It reads all keys
    Read,
    /// It acts on what it has read, however old that is
    Act,
    /// It dies, and never comes back
    Die,
    /// It starts again, without what it has read
    Restart,
}

fn turn() -> impl Values<Value = Turn> {
    prop_oneof![20 => Just(Turn::Read), 20 => Just(Turn::Act), 1 => Just(Turn::Die), 2 => Just(Turn::Restart)]
}

#[derive(Default, Clone)]
struct Director {
    seen: Option<View>,
    placed: BTreeSet<String>,
    is_dead: bool,
}

/// Plays the turns; gives the directors and the store. After each, what must always be so is checked.
fn play(strategy: &Strategy, bad: &BTreeSet<usize>, turns: &[(usize, Turn)]) -> (Vec<Director>, Model) {
    let names: Vec<String> = strategy.directors.keys().cloned().collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut model = Model { revision: 1, ..Model::default() };
    model.put(keys::STRATEGY, Vec::new());
    model.keys.remove(keys::STRATEGY);
    let head = next_head(&model.view(strategy), "r1", "test", None, false, now);
    assert!(model.transact(&promote(&model.view(strategy), &head)));
    let mut directors = vec![Director::default(); names.len()];
    for (index, turn) in turns {
        let index = index % names.len();
        let (name, director) = (&names[index], &mut directors[index]);
        if director.is_dead {
            continue;
        }
        match turn {
            Turn::Read => director.seen = Some(model.view(strategy)),
            Turn::Restart => director.seen = None,
            Turn::Die => director.is_dead = true,
            Turn::Act => {
                let Some(view) = director.seen.take() else { continue };
                match decide(&view, name, now) {
                    Decision::Take(revision) => {
                        let mut claim = claim(&view, name, &revision, now).unwrap();
                        // (The model has the strategy outside.)
                        claim.conditions.retain(|condition| !matches!(condition, Condition::ModifiedAt { key, .. } if key == keys::STRATEGY));
                        let had_failed = model.view(strategy).failed().count() > 0;
                        if model.transact(&claim) {
                            assert!(!had_failed, "{name} took a revision that had failed");
                        }
                    }
                    Decision::Continue(revision) => {
                        director.placed.insert(revision.clone());
                        let result =
                            if bad.contains(&index) { OutcomeKind::Failed } else { OutcomeKind::Verified };
                        let outcome =
                            Outcome { version: Version, revision, result, error: None, at: now.into() };
                        model.transact(&finish(&model.view(strategy), name, &outcome));
                    }
                    Decision::GoBack { revision, .. } => {
                        director.placed.remove(&revision);
                        let result = OutcomeKind::Reverted;
                        let outcome =
                            Outcome { version: Version, revision, result, error: None, at: now.into() };
                        model.transact(&finish(&model.view(strategy), name, &outcome));
                    }
                    Decision::Stay(_) => {}
                }
            }
        }
        check(strategy, &model.view(strategy), &directors, &names);
    }
    (directors, model)
}

fn check(strategy: &Strategy, view: &View, directors: &[Director], names: &[String]) {
    for (index, stage) in strategy.stages.iter().enumerate() {
        let of_stage: Vec<&str> = strategy.directors_of(index).collect();
        let in_flight = of_stage.iter().filter(|name| view.slots.contains_key(**name)).count();
        let most = stage.max_parallel.of(of_stage.len());
        assert!(in_flight <= most, "stage {index}: {in_flight} in flight, {most} may be");
        let begun = of_stage.iter().any(|name| {
            let of = names.iter().position(|other| other == name).unwrap();
            !directors[of].placed.is_empty()
        });
        let earlier: Vec<&str> = (0..index).flat_map(|earlier| strategy.directors_of(earlier)).collect();
        let is_past =
            |name: &&str| view.outcome(name).is_some_and(|outcome| outcome.result != OutcomeKind::Failed);
        assert!(
            !begun || earlier.iter().all(is_past),
            "stage {index} began before {earlier:?} were verified"
        );
    }
    // At most the stage's parallelism is lost to a revision: what has failed, and what died with its slot.
    let lost = view.failed().count();
    let most = strategy.stages.iter().map(|stage| stage.max_parallel.of(usize::MAX / 200)).max().unwrap();
    assert!(lost <= most, "{lost} lost, {most} may be");
}

proptest! {
    // Each plays hundreds of turns, after each of which all is checked.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_order_of_events_breaks_a_rollout(
        sizes in proptest::collection::vec(1usize..5, 1..4),
        parallel in proptest::collection::vec(1usize..4, 4),
        bad in proptest::collection::btree_set(0usize..12, 0..3),
        turns in proptest::collection::vec((0usize..12, turn()), 0..300),
        revert in prop_oneof![Just(Revert::Own), Just(Revert::Stage), Just(Revert::Fleet)],
    ) {
        play(&strategy(&sizes, &parallel, revert), &bad, &turns);
    }

    #[test]
    fn a_good_revision_reaches_all_whatever_the_order(
        sizes in proptest::collection::vec(1usize..5, 1..4),
        parallel in proptest::collection::vec(1usize..4, 4),
        order in proptest::collection::vec(0usize..12, 0..100),
    ) {
        let strategy = strategy(&sizes, &parallel, Revert::Own);
        let count = strategy.directors.len();
        // Some of them in any order, and then each in turn until nothing is left to be done.
        let fair = (0..count * count * 6).map(|turn| turn % count);
        let turns: Vec<_> = order.into_iter().chain(fair).flat_map(|index| [(index, Turn::Read), (index, Turn::Act)]).collect();
        let (_, model) = play(&strategy, &BTreeSet::new(), &turns);
        let view = model.view(&strategy);
        for name in strategy.directors.keys() {
            prop_assert!(view.is_verified(name), "{name}: {:?}", decide(&view, name, SystemTime::now()));
        }
    }
}
