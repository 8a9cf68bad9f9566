//! The samples of a race: medians, ratios, and their forms as CSV and as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::process::Taken;

/// One measurement.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) size: String,
    /// What was done
    pub(crate) task: &'static str,
    /// By whom
    pub(crate) who: &'static str,
    pub(crate) taken: Taken,
}

/// The measurements of one task at one size by one contender, put together.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What the time is counted in
    pub(crate) clock: String,
    pub(crate) size: String,
    pub(crate) task: String,
    pub(crate) who: String,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: usize,
    pub(crate) peak_kb: u64,
    pub(crate) calls: u64,
}

const HEAD: &str = "clock,size,task,who,median,least,most,runs,peak_kb,socket_calls";

/// Medians as CSV, in the order in which the rows were first measured.
pub(crate) fn csv(clock: &str, samples: &[Sample]) -> String {
    let mut order: Vec<(&str, &str, &str)> = Vec::new();
    let mut groups: BTreeMap<(&str, &str, &str), Vec<Taken>> = BTreeMap::new();
    for Sample { size, task, who, taken } in samples {
        let key = (size.as_str(), *task, *who);
        if !order.contains(&key) {
            order.push(key);
        }
        groups.entry(key).or_default().push(*taken);
    }
    let mut text = format!("{HEAD}\n");
    for key in order {
        let takes = &groups[&key];
        let mut times: Vec<f64> = takes.iter().map(|taken| taken.time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let (size, task, who) = key;
        let peak = takes.iter().map(|taken| taken.peak_kb).max().unwrap_or(0);
        let calls = takes.iter().map(|taken| taken.calls).max().unwrap_or(0);
        let (median, least, most) = (times[times.len() / 2], times[0], times[times.len() - 1]);
        let runs = times.len();
        let _ = writeln!(
            text,
            "{clock},{size},{task},{who},{median:.3},{least:.3},{most:.3},{runs},{peak},{calls}"
        );
    }
    text
}

/// Reads what [`csv`] wrote.
pub(crate) fn read(path: &str) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let row = |line: &str| -> Option<Row> {
        let [clock, size, task, who, median, least, most, runs, peak, calls] =
            line.split(',').collect::<Vec<_>>().try_into().ok()?;
        Some(Row {
            clock: clock.into(),
            size: size.into(),
            task: task.into(),
            who: who.into(),
            median: median.parse().ok()?,
            least: least.parse().ok()?,
            most: most.parse().ok()?,
            runs: runs.parse().ok()?,
            peak_kb: peak.parse().ok()?,
            calls: calls.parse().ok()?,
        })
    };
    let lines = text.lines().filter(|line| *line != HEAD);
    lines.map(|line| row(line).ok_or(format!("{path}: not a row: {line}"))).collect()
}

/// A row's time against that of another contender in the same task, at the same size and by the same clock.
pub(crate) fn ratio(rows: &[Row], row: &Row, who: &str) -> Option<f64> {
    let other = rows.iter().find(|other| {
        (&other.clock, &other.size, &other.task, other.who.as_str())
            == (&row.clock, &row.size, &row.task, who)
    })?;
    Some(row.median / other.median)
}

/// A table for people: each time with its ratios to the limit and to lbd.
pub(crate) fn report(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut heading = (String::new(), String::new());
    let times = |ratio: Option<f64>| ratio.map_or("-".into(), |ratio| format!("{ratio:.2}x"));
    for row in rows {
        let Row { clock, size, task, who, median, least, most, runs, peak_kb, calls } = row;
        if heading != (clock.clone(), size.clone()) {
            heading = (clock.clone(), size.clone());
            let _ = writeln!(
                text,
                "\n{size} ({clock})\n  {:<22} {:<16} {:>10} {:>21} {:>9} {:>9} {:>9} {:>10}",
                "task", "who", "median", "range (runs)", "to limit", "to lbd", "peak MB", "calls"
            );
        }
        let range = format!("{least:.1}-{most:.1} ({runs})");
        let (peak, calls) =
            (if *peak_kb == 0 { "-".into() } else { format!("{:.1}", *peak_kb as f64 / 1024.0) }, {
                if *calls == 0 { "-".into() } else { calls.to_string() }
            });
        let _ = writeln!(
            text,
            "  {task:<22} {who:<16} {median:>10.1} {range:>21} {:>9} {:>9} {peak:>9} {calls:>10}",
            times(ratio(rows, row, "limit")),
            times(ratio(rows, row, "lbd")),
        );
    }
    text
}
