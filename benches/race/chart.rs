//! The results of a race as a chart: how many times what the limit takes, a column for each clock.

use std::fmt::Write as _;

use crate::results::{Row, ratio};

/// The tasks that are shown, one below the other.
const TASKS: [(&str, &str); 2] =
    [("load", "Filling an empty table"), ("read", "Reading the table, and comparing it with the file")];
/// Who is shown, in this order.
const COLOURS: [(&str, &str); 6] = [
    ("lbd", "#1b7f5c"),
    ("lbd run", "#4fa386"),
    ("lbd validate", "#a9d3c3"),
    ("keepalived", "#d39a3d"),
    ("ipvsadm -R", "#b0504f"),
    ("ipvsadm -Sn", "#b0504f"),
];
const TICKS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
/// The logarithmic scale of a column.
const SCALE: (f64, f64) = (0.5, 800.0);
const LEFT: f64 = 180.0;
const COLUMN: f64 = 400.0;
const GAP: f64 = 50.0;
const BAR: f64 = 18.0;

/// The chart as SVG.
pub(crate) fn svg(rows: &[Row]) -> String {
    let clocks = distinct(rows.iter().map(|row| row.clock.as_str()));
    let lefts: Vec<f64> = (0..clocks.len()).map(|column| LEFT + column as f64 * (COLUMN + GAP)).collect();
    let width = LEFT + clocks.len() as f64 * (COLUMN + GAP);
    let mut body = String::new();
    text(
        &mut body,
        (14.0, 28.0),
        "font-size='18' font-weight='bold'",
        "What it takes, compared with a bare netlink client (the limit)",
    );
    let mut y = 56.0;
    for (clock, left) in clocks.iter().zip(&lefts) {
        text(&mut body, (*left, y), "font-weight='bold'", name(clock).0);
    }
    for (task, title) in TASKS {
        y += 34.0;
        text(&mut body, (14.0, y), "font-size='15' font-weight='bold'", title);
        y += 8.0;
        let top = y;
        let mut bars = String::new();
        let of_task = || rows.iter().filter(|row| row.task == task);
        for size in distinct(of_task().map(|row| row.size.as_str())) {
            y += 20.0;
            text(&mut bars, (14.0, y), "font-weight='bold'", size);
            let of_size = || of_task().filter(|row| row.size == size);
            for (clock, left) in clocks.iter().zip(&lefts) {
                if let Some(limit) = of_size().find(|row| row.clock == *clock && row.who == "limit") {
                    let limit = format!("limit: {:.1} {}", limit.median, name(clock).1);
                    text(&mut bars, (place(*left, 1.0) + 4.0, y), "fill='#666666'", &limit);
                }
            }
            y += 6.0;
            for (who, colour) in COLOURS.into_iter().filter(|(who, _)| of_size().any(|row| row.who == *who)) {
                let base = y + 13.0;
                text(&mut bars, (LEFT - 10.0, base), "text-anchor='end'", who);
                for (clock, left) in clocks.iter().zip(&lefts) {
                    let row = of_size().find(|row| row.clock == *clock && row.who == who);
                    if let Some(times) = row.and_then(|row| ratio(rows, row, "limit")) {
                        bar(&mut bars, *left, y, colour, times);
                    }
                }
                y += BAR;
            }
        }
        y += 6.0;
        for left in &lefts {
            scale(&mut body, *left, top, y);
        }
        body += &bars;
        y += 38.0;
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {y}' font-family='sans-serif' font-size='13'>\n\
         <rect width='100%' height='100%' fill='white'/>\n{body}</svg>\n"
    )
}

/// A clock in words, and its unit.
fn name(clock: &str) -> (&str, &str) {
    match clock {
        "minstr" => ("Instructions (QEMU)", "million"),
        "uml-ms" => ("Time in User Mode Linux: slow system calls", "ms"),
        other => (other, ""),
    }
}

/// A bar from the limit, to the left where something takes less.
fn bar(body: &mut String, left: f64, y: f64, colour: &str, times: f64) {
    let (limit, end) = (place(left, 1.0), place(left, times));
    let (from, to) = (limit.min(end), limit.max(end));
    let _ = writeln!(
        body,
        "<rect x='{from:.1}' y='{y}' width='{:.1}' height='{}' fill='{colour}'/>",
        to - from,
        BAR - 3.0
    );
    text(
        body,
        (to + 5.0, y + 13.0),
        "paint-order='stroke' stroke='white' stroke-width='3'",
        &format!("{times:.1}x"),
    );
}

/// The lines of a scale, with what they stand for below them.
fn scale(body: &mut String, left: f64, top: f64, bottom: f64) {
    for times in TICKS {
        let x = place(left, times);
        let stroke = if times == 1.0 { "#333333' stroke-width='1.2" } else { "#cccccc' stroke-width='0.7" };
        let _ = writeln!(body, "<line x1='{x:.1}' x2='{x:.1}' y1='{top}' y2='{bottom}' stroke='{stroke}'/>");
        text(body, (x, bottom + 15.0), "text-anchor='middle' fill='#666666'", &times.to_string());
    }
    text(body, (left, bottom + 31.0), "fill='#666666'", "times the limit (logarithmic); less is better");
}

fn text(body: &mut String, (x, y): (f64, f64), style: &str, words: &str) {
    let _ = writeln!(body, "<text x='{x:.1}' y='{y:.1}' {style}>{words}</text>");
}

/// Where on the scale a ratio stands.
fn place(left: f64, times: f64) -> f64 {
    let (least, most) = SCALE;
    left + (times.clamp(least, most) / least).ln() / (most / least).ln() * COLUMN
}

/// Each once, in the order of their first appearance.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    all.for_each(|one| {
        if !seen.contains(&one) {
            seen.push(one)
        }
    });
    seen
}
