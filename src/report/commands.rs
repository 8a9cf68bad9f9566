//! Writes an operation as the commands that an operator would type for it: `ipvsadm`, `sysctl` and `nft`.

use crate::ipvsadm;
use crate::model::Operation;

/// The lines that do the same, to be typed in a shell.
pub fn commands(operation: &Operation) -> Vec<String> {
    if let Some(command) = ipvsadm::command(operation) {
        return vec![command];
    }
    match operation {
        Operation::SetSysctl { name, to, .. } => vec![format!("sysctl -w {}", setting(name, to))],
        _ => Vec::new(),
    }
}

/// `net.ipv4.ip_forward=1`, quoted for a shell where that is needed.
fn setting(name: &str, value: &str) -> String {
    let text = format!("{name}={value}");
    if value.contains(|letter: char| !letter.is_ascii_alphanumeric() && !".,:_-".contains(letter)) {
        format!("'{}'", text.replace('\'', "'\\''"))
    } else {
        text
    }
}
