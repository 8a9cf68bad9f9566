//! Notifies the service manager: ready, status, watchdog.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Once;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tracing::debug;

use crate::escape;

/// The longest status: it is for one line of `systemctl status`, and the log has the whole text.
const LONGEST_STATUS: usize = 300;

/// How long a service manager that does not receive may block the daemon.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connection to the service manager. Without one (at a terminal, under another init) every method does nothing.
#[derive(Debug)]
pub struct Notifier {
    /// None without a service manager
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// The watchdog's timeout
    watchdog: Option<Duration>,
    /// Logs the first failure only
    logged: Once,
}

impl Notifier {
    /// Finds the service manager in the environment (`NOTIFY_SOCKET`), with its watchdog (`WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_env() -> Self {
        Self::new(|name| env::var_os(name))
    }

    /// The same with these variables as the environment.
    pub(crate) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let logged = Once::new();
        let socket = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            connect(&name)
                .map_err(|error| logged.call_once(|| debug!("NOTIFY_SOCKET {}: {error}", name.display())))
                .ok()
        });
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // The timeout may be meant for the process that started this one.
        let is_for_us =
            variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(process::id().into());
        let timeout = number("WATCHDOG_USEC").filter(|&timeout| is_for_us && timeout > 0);
        let watchdog = timeout.filter(|_| socket.is_some()).map(Duration::from_micros);
        Self { socket, watchdog, logged }
    }

    /// The table was verified: units ordered after lbd may start. Ends a reload, too.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    /// Sets the line of `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", one_line(status)));
    }

    /// The file is being read again; [`Self::ready`] must follow.
    pub fn reloading(&self) {
        // Every kernel has this clock.
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        let micros = now.as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The daemon is about to stop.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Feeds the watchdog; to be called each [`Self::watchdog_interval`].
    pub fn watchdog(&self) {
        if self.watchdog.is_some() {
            self.send("WATCHDOG=1");
        }
    }

    /// How often to feed the watchdog: twice within its timeout. None where no watchdog is set.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|timeout| timeout / 2)
    }

    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
        {
            self.logged.call_once(|| debug!("cannot notify the service manager: {error}"));
        }
    }
}

/// A path, or `@` and the name of an abstract socket.
fn connect(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract socket"));
        }
    };
    let socket = UnixDatagram::unbound()?;
    // Sending blocks where the receiver's queue is full.
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address))
}

/// Removes line breaks, which would begin another assignment, escapes control characters, and cuts a long text after a word.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let word = &*escape::text(word);
        let room = LONGEST_STATUS.saturating_sub(length);
        let separator = if line.is_empty() { "" } else { " " };
        let needs = separator.len() + word.chars().count();
        if needs < room {
            length += needs;
            // Writing to a string does not fail.
            let _ = write!(line, "{separator}{word}");
        } else {
            if line.is_empty() {
                line = word.chars().take(room.saturating_sub(1)).collect();
            }
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tempfile::TempDir;

    use super::*;

    fn notifier(variables: &[(&str, &OsStr)]) -> Notifier {
        let variables: HashMap<&str, &OsStr> = variables.iter().copied().collect();
        Notifier::new(|name| variables.get(name).map(OsString::from))
    }

    fn received(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn is_silent(socket: &UnixDatagram) -> bool {
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut [0; 16]).unwrap_err().kind() == io::ErrorKind::WouldBlock
    }

    #[test]
    fn each_message_follows_the_protocol() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier =
            notifier(&[("NOTIFY_SOCKET", path.as_os_str()), ("WATCHDOG_USEC", OsStr::new("30000000"))]);
        assert_eq!(notifier.watchdog_interval(), Some(Duration::from_secs(15)));
        notifier.ready("12 virtual services, in sync");
        assert_eq!(received(&manager), "READY=1\nSTATUS=12 virtual services, in sync");
        notifier.status("the file is not valid");
        assert_eq!(received(&manager), "STATUS=the file is not valid");
        notifier.watchdog();
        assert_eq!(received(&manager), "WATCHDOG=1");
        notifier.stopping();
        assert_eq!(received(&manager), "STOPPING=1");
        let micros = || {
            notifier.reloading();
            received(&manager).strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse::<u64>().unwrap()
        };
        let earlier = micros();
        assert!(earlier > 0 && earlier <= micros());
        assert!(is_silent(&manager));
    }

    #[test]
    fn an_abstract_socket_is_reached() {
        let name = format!("lbd-test-notify-{}", process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        notifier(&[("NOTIFY_SOCKET", OsStr::new(&format!("@{name}")))]).ready("well");
        assert_eq!(received(&manager), "READY=1\nSTATUS=well");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        let absent: [&[(&str, &OsStr)]; 5] = [
            &[],
            &[("NOTIFY_SOCKET", OsStr::new(""))],
            &[("NOTIFY_SOCKET", OsStr::new("relative"))],
            &[("NOTIFY_SOCKET", OsStr::new("/nowhere/at/all"))],
            // A watchdog without a socket cannot be fed.
            &[("WATCHDOG_USEC", OsStr::new("1000"))],
        ];
        for variables in absent {
            let notifier = notifier(variables);
            notifier.ready("well");
            notifier.stopping();
            notifier.watchdog();
            assert_eq!(notifier.watchdog_interval(), None, "{variables:?}");
        }
    }

    #[test]
    fn a_manager_that_comes_back_is_notified_again() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("notify");
        let notifier = notifier(&[("NOTIFY_SOCKET", path.as_os_str())]);
        notifier.status("lost");
        let manager = UnixDatagram::bind(&path).unwrap();
        notifier.status("heard");
        assert_eq!(received(&manager), "STATUS=heard");
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        let own = process::id().to_string();
        let cases = [
            ("1000000", own.as_str(), Some(Duration::from_millis(500))),
            ("1000000", "1", None),
            ("1000000", "", None),
            ("0", own.as_str(), None),
            ("soon", own.as_str(), None),
        ];
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        for (timeout, pid, interval) in cases {
            let notifier = notifier(&[
                ("NOTIFY_SOCKET", path.as_os_str()),
                ("WATCHDOG_USEC", OsStr::new(timeout)),
                ("WATCHDOG_PID", OsStr::new(pid)),
            ]);
            assert_eq!(notifier.watchdog_interval(), interval, "{timeout} {pid}");
            if interval.is_none() {
                notifier.watchdog();
            }
        }
        assert!(is_silent(&manager));
    }

    #[test]
    fn a_status_is_one_short_line() {
        assert_eq!(one_line(""), "");
        assert_eq!(
            one_line(" a\n\n  b\r\n\tc\u{0}d\u{2028}e\nREADY=1 \u{1b}[2J"),
            "a b c\\x00d e READY=1 \\x1b[2J"
        );
        let exact = format!("{} {}", "a".repeat(149), "ü".repeat(149));
        assert_eq!(one_line(&exact), exact);
        assert_eq!(one_line(&format!("{exact} more")), format!("{exact}…"));
        assert_eq!(one_line(&"wörter ".repeat(100)), format!("{}…", ["wörter"; 42].join(" ")));
        assert_eq!(one_line(&"ü".repeat(1000)), format!("{}…", "ü".repeat(299)));
    }
}
