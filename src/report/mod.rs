//! Plans and what became of them, as text for people and as JSON for scripts.

mod json;
mod text;

pub use json::{comparison as comparison_json, report as report_json};
pub use text::{comparison as comparison_text, count, operations as operations_text, report as report_text};
