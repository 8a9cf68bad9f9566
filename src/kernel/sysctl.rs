//! Reads and writes kernel settings by the names that people use for them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Refusal;
use super::explain::sysctl as explain;
use crate::model::sysctl;

/// Where the settings are, those of this thread's network namespace among them.
const ROOT: &str = "/proc/sys";

/// Reads a setting under `net.`, in the network namespace of this thread. The name is written with dots, or with slashes
/// where a part of it holds a dot itself (`net/ipv4/conf/eth0.100/forwarding`). The parts of the value, between which the
/// kernel puts tabs, are separated by one space.
///
/// # Errors
/// A name that is not one of a setting under `net.`; a setting that this kernel does not have, or never shows.
pub fn read(name: &str) -> io::Result<String> {
    let text = fs::read_to_string(path(name)?)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Sets a setting under `net.`, in the network namespace of this thread, and looks at what the kernel made of it: what
/// it shows differently would be set again and again.
pub(super) fn set(name: &str, value: &str) -> Result<(), Refusal> {
    let path = path(name).map_err(|error| Refusal { errno: 0, message: error.to_string() })?;
    let mode = match fs::metadata(&path) {
        Ok(there) if there.is_dir() => return Err(explain::directory()),
        Ok(there) => there.permissions().mode(),
        Err(error) if is_missing(&error) => return Err(missing(name)),
        Err(error) => return Err(explain::unwritable(number(&error), false)),
    };
    if mode & 0o444 == 0 {
        return Err(explain::unreadable());
    }
    let mut file = OpenOptions::new().write(true).open(&path).map_err(|error| {
        if is_missing(&error) {
            missing(name)
        } else {
            explain::unwritable(number(&error), mode & 0o222 == 0)
        }
    })?;
    // The kernel takes a value in one piece, and takes no notice of a second one.
    if let Err(error) = file.write(format!("{value}\n").as_bytes()) {
        return Err(explain::value(name, value, number(&error), read(name).ok().as_deref()));
    }
    match read(name) {
        Ok(shown) if sysctl::is_set(name, &shown, value) => Ok(()),
        Ok(shown) => Err(explain::other_value(value, &shown)),
        Err(error) => Err(explain::not_read_back(number(&error))),
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// Also where a setting is taken for a directory.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

/// Why there is no such setting in the network namespace of this thread, or which one was probably meant. `None` where it
/// is there, where it belongs to an interface that may come, and where the name is not one of a setting.
pub fn absence(name: &str) -> Option<String> {
    if path(name).ok()?.exists() {
        return None;
    }
    let (place, near) = look_for(name);
    let is_interface = sysctl::parts(name).get(place).copied() == sysctl::interface(name);
    (!is_interface).then(|| explain::absence(name, place, near.as_deref()))
}

/// The refusal for a setting that is not there, with the one that was probably meant.
fn missing(name: &str) -> Refusal {
    let (place, near) = look_for(name);
    explain::missing(name, place, near.as_deref())
}

/// How many parts of a name are there, and the setting that was probably meant.
fn look_for(name: &str) -> (usize, Option<String>) {
    let parts = sysctl::parts(name);
    let mut directory = PathBuf::from(ROOT);
    let mut place = 0;
    for part in &parts {
        let next = directory.join(part);
        if !next.is_dir() {
            break;
        }
        directory = next;
        place += 1;
    }
    let place = place.min(parts.len().saturating_sub(1));
    // An interface that is not there is no typing error: it may come.
    let is_interface = parts.get(place).copied() == sysctl::interface(name);
    let near = (!is_interface).then(|| nearest(&parts, place, &directory)).flatten();
    (place, near)
}

/// The name of a setting that is there, and that differs in one part by a few letters.
fn nearest(parts: &[&str], place: usize, directory: &PathBuf) -> Option<String> {
    let wrong = *parts.get(place)?;
    let most = (wrong.chars().count() / 3).max(1);
    let there =
        fs::read_dir(directory).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut candidates: Vec<(usize, String)> = there
        .map(|name| (strsim::osa_distance(wrong, &name), name))
        .filter(|(distance, name)| (1..=most).contains(distance) && *distance < name.chars().count())
        .collect();
    candidates.sort();
    let (_, right) = candidates.into_iter().next()?;
    let mut parts = parts.to_vec();
    *parts.get_mut(place)? = &right;
    let separator = if parts.iter().any(|part| part.contains('.')) { "/" } else { "." };
    let name = parts.join(separator);
    path(&name).is_ok_and(|path| path.is_file()).then_some(name)
}

fn path(name: &str) -> io::Result<PathBuf> {
    let parts = sysctl::parts(name);
    let is_sound = parts.iter().all(|part| !matches!(*part, "" | "." | "..") && !part.contains('\0'));
    if parts.len() < 2 || parts.first() != Some(&"net") || !is_sound {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the full name of a setting under `net.`, such as net.ipv4.ip_forward",
        ));
    }
    Ok([ROOT].iter().chain(&parts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_the_settings() {
        for name in [
            "",
            "net",
            "net.ipv4.a\0b",
            "kernel.hostname",
            "net/../kernel/hostname",
            "net..ipv4",
            "/net/ipv4",
            "net/ipv4/",
        ] {
            assert_eq!(path(name).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput), "{name}");
        }
        let expected = PathBuf::from("/proc/sys/net/ipv4/conf/eth0.100/forwarding");
        assert_eq!(path("net/ipv4/conf/eth0.100/forwarding").unwrap(), expected);
        assert_eq!(path("net.ipv4.ip_forward").unwrap(), PathBuf::from("/proc/sys/net/ipv4/ip_forward"));
    }
}
