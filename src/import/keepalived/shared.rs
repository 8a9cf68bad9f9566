//! Reads the lines that virtual servers, real servers and checks have in common.

use std::time::Duration;

use super::model::Pace;
use super::text::Text;
use super::tree::Node;
use super::values::{number, time};

/// The least time that is not 0.
const MICROSECOND: Duration = Duration::from_micros(1);

/// Takes a line that says when checks are done, if it is one.
pub(super) fn pace(pace: &mut Pace, line: &Node, text: &mut Text) -> bool {
    match line.name() {
        "delay_loop" => pace.delay_loop = time(line, MICROSECOND, text).or(pace.delay_loop),
        "connect_timeout" => pace.connect_timeout = time(line, MICROSECOND, text).or(pace.connect_timeout),
        "retry" | "nb_get_retry" => pace.retry = number(line, 0, u32::MAX, false, text).or(pace.retry),
        "delay_before_retry" => {
            pace.delay_before_retry = time(line, Duration::ZERO, text).or(pace.delay_before_retry);
        }
        _ => return false,
    }
    true
}

/// Names a line that is not converted.
pub(super) fn not_taken(name: &str, line: &Node, text: &mut Text) {
    let message = match name {
        "smtp_alert" => "mail is not lbd's",
        "snmp_name" => "SNMP is not lbd's",
        "notify_up" | "notify_down" | "quorum_up" | "quorum_down" => {
            "scripts are not lbd's; `lbd status --watch` and the log show what has changed"
        }
        "warmup" => "lbd spreads its first probes by itself",
        "alpha" => {
            "lbd has no such switch: a new server serves after its first success where the service has others, and at once where it has none"
        }
        "omega" => "lbd leaves the table as it is when it ends",
        "ha_suspend" => "lbd checks servers whether this host has the address or not",
        "log_all_failures" => "lbd logs what changes a verdict",
        _ => "it is not lbd's",
    };
    text.note(line.origin, message);
}
