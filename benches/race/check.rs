//! Holds the results of a race against what lbd promises of itself, with room for what may differ from machine to machine.

use std::fmt::Write as _;

use crate::results::Row;

/// One promise: in this task, the figure of `who` is at most so many times that of `than`.
struct Promise {
    task: &'static str,
    who: &'static str,
    than: &'static str,
    most: f64,
    of: fn(&Row) -> f64,
}

/// What leaves room for code that is simple rather than quick: whole `apply` 3 times the bare client and 0.42 of
/// `ipvsadm -R`, of which a tenth is SHA-256 without help of the processor (the history), its kernel phase 1.1; reading and one weight a fifth above what was measured before that. Counts of
/// instructions hardly differ between machines, so that a step backwards shows. (`tests/bench/run` measures, `race report`
/// shows all.)
const PROMISES: [Promise; 10] = [
    Promise { task: "load: kernel phase", who: "lbd", than: "limit", most: 1.1, of: instructions },
    Promise { task: "load: kernel phase", who: "lbd", than: "limit", most: 1.3, of: calls },
    Promise { task: "read: kernel phase", who: "lbd", than: "limit", most: 1.5, of: instructions },
    Promise { task: "read: kernel phase", who: "lbd", than: "limit", most: 0.7, of: calls },
    Promise { task: "glance: kernel phase", who: "lbd", than: "limit", most: 0.3, of: instructions },
    Promise { task: "read", who: "lbd", than: "limit", most: 4.4, of: instructions },
    Promise { task: "load", who: "lbd", than: "limit", most: 3.0, of: instructions },
    Promise { task: "load", who: "lbd", than: "ipvsadm -R", most: 0.42, of: instructions },
    Promise { task: "load", who: "lbd run", than: "keepalived", most: 0.6, of: instructions },
    Promise { task: "one weight", who: "lbd run", than: "keepalived", most: 0.66, of: instructions },
];

fn instructions(row: &Row) -> f64 {
    row.median
}

fn calls(row: &Row) -> f64 {
    row.calls as f64
}

/// The promises with what was measured, and whether all are kept. One that was not measured is not.
pub(crate) fn check(rows: &[Row]) -> (String, bool) {
    let mut text = String::new();
    let mut is_kept = true;
    for Promise { task, who, than, most, of } in &PROMISES {
        let find = |who: &str| rows.iter().find(|row| row.task == *task && row.who == who).map(of);
        let times = find(who).zip(find(than)).map(|(own, other)| own / other);
        let word = match times {
            Some(times) if times <= *most => "kept",
            Some(_) => "BROKEN",
            None => "NOT MEASURED",
        };
        is_kept &= word == "kept";
        let measured = times.map_or("-".into(), |times| format!("{times:.2}x"));
        let _ = writeln!(text, "{word:<12} {task}: {who} {measured} of {than}, promised at most {most}x");
    }
    (text, is_kept)
}
