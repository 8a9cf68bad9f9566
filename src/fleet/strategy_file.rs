//! Loads the file of a strategy, and says everything that is wrong with it, each problem at its place.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::names::{LabelText, NAME, check, check_label};
use super::records::are_labels_of;
use super::strategy::{Healthy, OnFailure, Parallel, Revert, Stage, Strategy};
use crate::config::document::{Choice, DrainText, DurationText, Listed, Number, ParallelText};
use crate::config::other::{self, Amount, Issue, Issues, KeyPath, ignored};
use crate::config::{Diagnostics, Source, nearest};

/// What the types generate, as it was last written down: `tests/pure/schema.rs` says how.
const WRITTEN: &str = include_str!("../../schema/strategy.schema.json");
/// The longest time of a strategy, in seconds: a day.
const LONGEST: u32 = 86_400;

/// In which stages a revision goes out to the directors of a fleet: what `lbd fleet strategy set` puts into etcd.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "the strategy of a fleet")]
#[schemars(extend("patternProperties" = ignored()))]
pub(super) struct StrategyFile {
    /// The version of this format. It is 1.
    version: Number<1, 1>,

    /// The directors by their names, each with its labels: who must be heard of. The labels here count, and not those of `agent.yaml`.
    #[schemars(extend("propertyNames" = { "pattern": NAME }, "minProperties" = 1))]
    #[schemars(example = serde_json::json!({ "lb1": { "site": "fra", "role": "canary" }, "lb2": { "site": "fra" } }))]
    directors: IndexMap<String, IndexMap<String, LabelText>>,

    /// The stages, one after the other. A director is in the first one whose labels it has; each has to be in one.
    #[schemars(extend("minItems" = 1))]
    stages: Vec<StageEntry>,

    /// What makes a revision verified at a director.
    #[serde(default)]
    healthy: Option<HealthyEntry>,

    /// What follows where it is not.
    #[serde(default)]
    on_failure: Option<OnFailureEntry>,

    /// How many directors may be without a report while a revision goes out; those that take it do not count. Default: 0.
    #[serde(default)]
    #[schemars(extend("default" = 0))]
    max_unavailable: Option<Number<0, 10_000>>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a stage such as { match: { role: canary }, hold: 10m }")]
#[schemars(rename = "Stage")]
struct StageEntry {
    /// The labels that its directors have; `name` is the name of one. `{}`: all that are left.
    #[serde(rename = "match")]
    labels: IndexMap<String, LabelText>,

    /// How long after its last director was verified the next stage begins. Default: 0.
    #[serde(default)]
    #[schemars(extend("default" = 0))]
    hold: Option<DrainText>,

    /// How many of its directors take a revision at the same time: a number, or a share of the stage, rounded up. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = 1))]
    max_parallel: Option<ParallelText>,
}

/// What makes a revision verified at a director.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping with `deadline` and `in_sync`")]
#[schemars(rename = "Healthy")]
struct HealthyEntry {
    /// Within this time the daemon has verified the file. Default: `2m`.
    #[serde(default)]
    #[schemars(extend("default" = "2m"))]
    deadline: Option<DurationText>,

    /// For so long the kernel has to be in sync since then, and as many services as before have a server that passes its check. Default: `30s`.
    #[serde(default)]
    #[schemars(extend("default" = "30s"))]
    in_sync: Option<DurationText>,
}

/// What follows where a revision fails at a director, which goes back to the file before in any case.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping with `halt` and `revert`")]
#[schemars(rename = "OnFailure")]
struct OnFailureEntry {
    /// Whether no other director takes that revision any more. A new revision goes on. Default: true.
    #[serde(default)]
    #[schemars(extend("default" = true))]
    halt: Option<bool>,

    /// Which directors go back to the file before. Default: `self`.
    #[serde(default)]
    #[schemars(extend("default" = "self"))]
    revert: Option<Choice<Revert>>,
}

impl Listed for Revert {
    const DEFINITION: &'static str = "Revert";
    const TITLE: &'static str = "which directors go back";
}

/// The JSON Schema (Draft 2020-12) of a strategy, as text with a final newline.
pub fn schema() -> String {
    other::schema_text(schema_value())
}

fn schema_value() -> &'static Value {
    static SCHEMA: LazyLock<Value> =
        LazyLock::new(|| other::schema_of::<StrategyFile>("urn:lbd:strategy:1", WRITTEN));
    &SCHEMA
}

/// What a strategy says.
///
/// # Errors
/// All that is wrong with it.
pub fn load(source: &Source) -> Result<Strategy, Diagnostics> {
    other::load(source, schema_value(), |file: StrategyFile, issues| Some(resolve(file, issues)))
}

fn at(key: &'static str) -> KeyPath {
    KeyPath::default().then(key)
}

fn labels_of(entries: IndexMap<String, LabelText>) -> BTreeMap<String, String> {
    entries.into_iter().map(|(label, value)| (label, value.as_str().to_owned())).collect()
}

fn resolve(file: StrategyFile, issues: &mut Issues) -> Strategy {
    let StrategyFile { version: _, directors, stages, healthy, on_failure, max_unavailable } = file;
    for (name, labels) in &directors {
        let here = at("directors").then(name.clone());
        check(name, "the name of a director", here.clone(), true, issues);
        for (label, value) in labels {
            check_label(label, value.as_str(), here.then(label.clone()), issues);
        }
    }
    let directors: IndexMap<_, _> =
        directors.into_iter().map(|(name, labels)| (name, labels_of(labels))).collect();
    let stages: Vec<Stage> = stages
        .into_iter()
        .enumerate()
        .map(|(index, stage)| resolve_stage(index, stage, &directors, issues))
        .collect();
    for (name, labels) in &directors {
        if !stages.iter().any(|stage| are_labels_of(&stage.labels, name, labels)) {
            issues.push(
                Issue::new(at("directors").then(name.clone()), format!("no stage has the director {name}"))
                    .at_key()
                    .expected("a last stage with `match: {}`, which has all that are left"),
            );
        }
    }
    let (healthy, default) = (healthy.as_ref(), Healthy::default());
    let mut time = |entry: Option<&DurationText>, key, default: Duration| {
        let seconds =
            entry.and_then(|entry| other::seconds(entry, 1..=LONGEST, || at("healthy").then(key), issues));
        seconds.map_or(default, |seconds| Duration::from_secs(seconds.into()))
    };
    let healthy = Healthy {
        deadline: time(healthy.and_then(|healthy| healthy.deadline.as_ref()), "deadline", default.deadline),
        in_sync: time(healthy.and_then(|healthy| healthy.in_sync.as_ref()), "in_sync", default.in_sync),
    };
    let default = OnFailure::default();
    let on_failure = on_failure.map_or(default, |entry| OnFailure {
        halt: entry.halt.unwrap_or(default.halt),
        revert: entry.revert.map_or(default.revert, |Choice(revert)| revert),
    });
    let max_unavailable = max_unavailable.map_or(0, |number| number.get() as usize);
    Strategy { directors, stages, healthy, on_failure, max_unavailable }
}

fn resolve_stage(
    index: usize,
    entry: StageEntry,
    directors: &IndexMap<String, BTreeMap<String, String>>,
    issues: &mut Issues,
) -> Stage {
    let StageEntry { labels, hold, max_parallel } = entry;
    let here = at("stages").then(index);
    for (label, value) in &labels {
        let at_label = here.then("match").then(label.clone());
        check_selected(label, value.as_str(), at_label, directors, issues);
    }
    let hold = hold.and_then(|hold| other::in_range(&hold.0, 0..=LONGEST, || here.then("hold"), issues));
    let amount = max_parallel.and_then(|parallel| {
        other::share_or_number(&parallel.0, "directors", || here.then("max_parallel"), issues)
    });
    if matches!(amount, Some(Amount::Percent(0) | Amount::Count(0))) {
        let issue =
            Issue::new(here.then("max_parallel"), "with 0 no director of this stage ever takes a revision");
        issues.push(issue.expected("1 or more, or a share such as `25%`"));
    }
    let max_parallel = match amount {
        Some(Amount::Percent(percent)) => Parallel::Percent(percent.into()),
        Some(Amount::Count(count)) => Parallel::Count(count as usize),
        None => Parallel::Count(1),
    };
    Stage {
        labels: labels_of(labels),
        hold: Duration::from_secs(hold.unwrap_or_default().into()),
        max_parallel,
    }
}

/// Reports a label that no director has: a selection of nothing, or of all, is mostly a typo.
fn check_selected(
    label: &str,
    value: &str,
    here: KeyPath,
    directors: &IndexMap<String, BTreeMap<String, String>>,
    issues: &mut Issues,
) {
    let of_name = label == "name";
    let values: Vec<&str> = match of_name {
        true => directors.keys().map(String::as_str).collect(),
        false => directors.values().filter_map(|labels| labels.get(label).map(String::as_str)).collect(),
    };
    if values.is_empty() {
        let known = directors.values().flat_map(|labels| labels.keys().map(String::as_str));
        let near = nearest(label, known.chain(["name"])).map(str::to_owned);
        let issue = Issue::new(here, format!("no director has the label `{label}`")).at_key().suggest(near);
        issues.push(issue.expected("a label of `directors`, or `name`"));
    } else if !values.contains(&value) {
        let near = nearest(value, values.iter().copied()).map(str::to_owned);
        let issue = Issue::new(here, format!("no director has `{label}: {value}`")).suggest(near);
        issues.push(issue.expected(if of_name {
            "the name of a director"
        } else {
            "a value that a director has"
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
version: 1
directors: { lb1: { site: fra, role: canary }, lb2: { site: fra }, lb3: { site: ams } }
stages: [ { match: { role: canary }, hold: 10m }, { match: { site: fra }, max_parallel: 1, hold: 2m }, { match: {}, max_parallel: 25% } ]
healthy: { deadline: 2m, in_sync: 30s }
on_failure: { halt: true, revert: self }
max_unavailable: 1
";

    fn loaded(text: &str) -> Result<Strategy, Vec<String>> {
        let problem = |problem: crate::config::Diagnostic| {
            format!("{}:{} {}", problem.line, problem.column, problem.message)
        };
        load(&Source::new("s.yaml", text))
            .map_err(|problems| problems.list.into_iter().map(problem).collect())
    }

    #[test]
    fn the_example_says_who_is_in_which_stage() {
        let strategy = loaded(EXAMPLE).unwrap();
        let stages = ["lb1", "lb2", "lb3", "lb4"].map(|name| strategy.stage_of(name));
        assert_eq!(stages, [Some(0), Some(1), Some(2), None]);
        assert_eq!(strategy.first_canary(), Some("lb1"));
        let of = |stage: usize| (strategy.stages[stage].hold.as_secs(), strategy.stages[stage].max_parallel);
        assert_eq!(
            [of(0), of(1), of(2)],
            [(600, Parallel::Count(1)), (120, Parallel::Count(1)), (0, Parallel::Percent(25))]
        );
        assert_eq!(strategy.max_unavailable, 1);
        assert_eq!(
            [Parallel::Percent(25).of(9), Parallel::Percent(1).of(9), Parallel::Count(3).of(9)],
            [3, 1, 3]
        );
    }

    #[test]
    fn what_is_not_said_is_gentle() {
        let strategy = loaded("version: 1\ndirectors: { a: {} }\nstages: [{ match: {} }]\n").unwrap();
        assert_eq!(
            strategy.healthy,
            Healthy { deadline: Duration::from_secs(120), in_sync: Duration::from_secs(30) }
        );
        assert_eq!(strategy.on_failure, OnFailure { halt: true, revert: Revert::Own });
        assert_eq!((strategy.max_unavailable, strategy.stages[0].max_parallel), (0, Parallel::Count(1)));
    }

    #[test]
    fn what_is_wrong_is_named_at_its_place() {
        let text = "\
version: 1
directors: { lb1: { site: fra }, lb/2: { name: x }, lb3: { rack: r1 } }
stages:
  - { match: { sitee: fra } }
  - { match: { site: far }, hold: 2d }
  - { match: { name: lb1 }, max_parallel: 0 }
healthy: { deadline: 0 }
on_failure: { revert: all }
";
        assert_eq!(
            loaded(text).unwrap_err(),
            [
                "2:34 `lb/2` cannot be the name of a director",
                "2:34 no stage has the director lb/2",
                "2:42 `name` cannot be the key of a label: it is the name of the director",
                "2:53 no stage has the director lb3",
                "4:16 no director has the label `sitee`",
                "5:22 no director has `site: far`",
                "5:35 `2d` is too long",
                "6:43 with 0 no director of this stage ever takes a revision",
                "7:22 `0` is too short",
                "8:23 `revert` cannot be `all`"
            ]
        );
    }
}
