//! The results of a race as a chart: who takes how much longer than the limit.

use std::fmt::Write as _;

use crate::results::{Row, ratio};

/// The tasks that are shown, each in a panel.
const TASKS: [(&str, &str); 2] =
    [("load", "Loading an empty table, whole process"), ("read", "Reading and comparing, whole process")];
const COLOURS: [(&str, &str); 6] = [
    ("lbd", "#1b7f5c"),
    ("lbd run", "#6fb89e"),
    ("lbd validate", "#b9dccd"),
    ("keepalived", "#c98a2b"),
    ("ipvsadm -R", "#a33b3b"),
    ("ipvsadm -Sn", "#a33b3b"),
];
const LEFT: f64 = 190.0;
const WIDTH: f64 = 860.0;
const BAR: f64 = 16.0;
/// The scale goes from 1 to so many powers of ten.
const DECADES: f64 = 2.5;

/// The chart as SVG.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut y = 20.0;
    for (task, title) in TASKS {
        y += 16.0;
        let _ = writeln!(
            body,
            "<text x='10' y='{y}' font-size='15' font-weight='bold'>{title}: times the limit</text>"
        );
        y += 12.0;
        let top = y;
        let mut size = "";
        for row in rows.iter().filter(|row| row.task == task && row.who != "limit") {
            let Some(times) = ratio(rows, row, "limit") else { continue };
            if row.size != size {
                size = &row.size;
                y += 20.0;
                let _ =
                    writeln!(body, "<text x='10' y='{y}' font-weight='bold'>{size} ({})</text>", row.clock);
                y += 6.0;
            }
            let colour =
                COLOURS.iter().find(|(who, _)| *who == row.who).map_or("#777777", |(_, colour)| colour);
            let (length, base) = (place(times.max(1.0)) - LEFT, y + 12.0);
            let _ = writeln!(
                body,
                "<text x='{}' y='{base}' text-anchor='end'>{}</text>\
                 <rect x='{LEFT}' y='{y}' width='{length:.1}' height='{}' fill='{colour}'/>\
                 <text x='{:.1}' y='{base}'>{times:.1}x</text>",
                LEFT - 8.0,
                row.who,
                BAR - 2.0,
                LEFT + length + 5.0
            );
            y += BAR;
        }
        for times in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0] {
            let x = place(times);
            let _ = writeln!(
                body,
                "<line x1='{x:.1}' x2='{x:.1}' y1='{top}' y2='{y}' stroke='#999999' stroke-width='0.5'/>\
                 <text x='{x:.1}' y='{}' text-anchor='middle' fill='#666666'>{times}</text>",
                y + 14.0
            );
        }
        y += 30.0;
    }
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {y}' font-family='sans-serif' font-size='12'>\n\
         <rect width='100%' height='100%' fill='white'/>\n{body}</svg>\n",
        WIDTH + 60.0
    )
}

/// Where on the logarithmic scale a ratio stands.
fn place(times: f64) -> f64 {
    LEFT + times.log10() / DECADES * (WIDTH - LEFT)
}
