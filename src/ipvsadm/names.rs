//! Looks up the names that `ipvsadm -S` prints without `-n`: of ports (`http`) in the file that it took them from.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::model::Protocol;

/// Looks up names of ports and hosts.
pub trait Lookup {
    /// The port that goes by this name for this protocol.
    ///
    /// # Errors
    /// Where there is none: where that was looked for, or why it could not be.
    fn port(&self, name: &str, protocol: Protocol) -> Result<u16, String>;

    /// The IPv4 addresses of a host, in their order; `None` where hosts are not looked up.
    ///
    /// # Errors
    /// Where there is none: why.
    fn host(&self, name: &str) -> Option<Result<Vec<Ipv4Addr>, String>>;
}

/// The names of ports, read from `/etc/services` at the first lookup.
#[derive(Debug)]
pub struct ServiceNames {
    path: PathBuf,
    ports: OnceCell<HashMap<(String, String), u16>>,
}

impl Default for ServiceNames {
    fn default() -> Self {
        Self::from_file("/etc/services")
    }
}

impl ServiceNames {
    /// The names in another file of that format. A file that cannot be read has none.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ports: OnceCell::new() }
    }

    /// The port that goes by this name for this protocol.
    pub fn find(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let ports = self.ports.get_or_init(|| parse(&fs::read(&self.path).unwrap_or_default()));
        ports.get(&(name.to_owned(), protocol.to_string())).copied()
    }
}

impl Lookup for ServiceNames {
    fn port(&self, name: &str, protocol: Protocol) -> Result<u16, String> {
        self.find(name, protocol).ok_or_else(|| format!("in {}", self.path.display()))
    }

    fn host(&self, _: &str) -> Option<Result<Vec<Ipv4Addr>, String>> {
        None
    }
}

/// Lines such as `http  80/tcp  www  # World Wide Web`: name, port and protocol, other names.
fn parse(bytes: &[u8]) -> HashMap<(String, String), u16> {
    let mut ports = HashMap::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(name), Some(place)) = (words.next(), words.next()) else { continue };
        let Some((port, protocol)) = place.split_once('/') else { continue };
        let Ok(port) = port.parse::<u16>() else { continue };
        for name in std::iter::once(name).chain(words) {
            // The first line of a name wins, as in the C library.
            ports.entry((name.to_owned(), protocol.to_owned())).or_insert(port);
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_its_protocol_and_aliases_count() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            &file,
            "# ports\nhttp 80/tcp www # web\n\nsyslog 514/udp\nshell 514/tcp cmd syslog\nbad x/tcp\n",
        )
        .unwrap();
        let names = ServiceNames::from_file(file.path());
        assert_eq!(names.find("www", Protocol::Tcp), Some(80));
        assert_eq!(names.find("http", Protocol::Udp), None);
        assert_eq!(names.find("syslog", Protocol::Udp), Some(514));
        assert_eq!(names.find("bad", Protocol::Tcp), None);
        assert_eq!(ServiceNames::from_file("/nonexistent").find("http", Protocol::Tcp), None);
    }
}
