//! Reads and writes kernel settings by the names that people use for them.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::Refusal;
use crate::model::Operation;

/// Reads a setting under `net.`, in the network namespace of this thread. The name is written with dots, or with slashes
/// where a part of it holds a dot itself (`net/ipv4/conf/eth0.100/forwarding`).
///
/// # Errors
/// A name that is not one of a setting under `net.`; a setting that this kernel does not have.
pub fn read(name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(path(name)?)?.trim_end().to_owned())
}

/// Sets a setting under `net.`, in the network namespace of this thread.
///
/// # Errors
/// As for [`read`], and where the kernel does not take the value.
pub(super) fn write(name: &str, value: &str) -> io::Result<()> {
    fs::write(path(name)?, format!("{value}\n"))
}

/// Why a setting could not be set, in words an operator can act on.
pub(super) fn refusal(_operation: &Operation, error: &io::Error) -> Refusal {
    Refusal { errno: error.raw_os_error().unwrap_or(0), message: error.to_string() }
}

fn path(name: &str) -> io::Result<PathBuf> {
    let parts: Vec<&str> = name.split(if name.contains('/') { '/' } else { '.' }).collect();
    let is_sound = parts.iter().all(|part| !matches!(*part, "" | "." | ".."));
    if parts.len() < 2 || parts.first() != Some(&"net") || !is_sound {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the full name of a setting under `net.`, such as net.ipv4.ip_forward",
        ));
    }
    Ok(["/proc/sys"].iter().chain(&parts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_settings() {
        for name in
            ["", "net", "kernel.hostname", "net/../kernel/hostname", "net..ipv4", "/net/ipv4", "net/ipv4/"]
        {
            assert_eq!(path(name).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput), "{name}");
        }
        let expected = PathBuf::from("/proc/sys/net/ipv4/conf/eth0.100/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.100/forwarding").unwrap(), expected);
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), PathBuf::from("/proc/sys/net/ipv4/ip_forward"));
    }
}
