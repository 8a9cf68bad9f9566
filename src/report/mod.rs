//! Writes plans, results of passes and the daemon's state, as text for people and as JSON for scripts.

mod checks;
mod commands;
mod connections;
mod frame;
mod health;
mod history;
mod impacts;
mod json;
mod observed;
mod observed_json;
mod output;
mod statistics;
mod styled;
mod table;
mod text;
mod warnings;

pub use checks::{json as checks_json, text as checks_text};
pub use commands::commands;
pub use connections::{connection_counts_json, connection_counts_text, connection_json, connection_text};
pub use frame::{clear, frame};
pub use history::{event_lines, events_json, events_text, json as history_json, text as history_text};
pub use json::{
    DeletedServers, PlannedFile, VERSION as JSON_VERSION, comparison as comparison_json, deleted_servers,
    override_list as override_list_json, report as report_json, warnings as warnings_json,
};
pub use observed::{
    DaemonReport, Observed, daemon as daemon_text, head as observed_head, text as observed_text,
};
pub use observed_json::json as observed_json;
pub use output::{COLLECTED, Output};
pub use statistics::{ShownStatistics, short as short_number};
pub use table::{TableDocument, TableQuestion, json as table_json};
pub use text::{comparison as comparison_text, count, operations as operations_text, report as report_text};
