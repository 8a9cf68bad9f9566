//! Binds the daemon's socket: with its mode and group before it has its name, in place of a stale one, and never of a living one.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, chmod, chownat, fstat, openat};
use socket2::{Domain, SockAddr, Socket, Type};

/// Its owner and its group connect.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP);

/// Why a socket cannot be bound. `Display` names it.
#[derive(Debug)]
pub struct SocketError {
    path: PathBuf,
    cause: SocketCause,
}

#[derive(Debug)]
enum SocketCause {
    /// A process answers there.
    InUse,
    /// What is there is no socket.
    NotSocket,
    /// Anything else
    Io(io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            SocketCause::InUse => write!(f, "{path}: another process answers there"),
            SocketCause::NotSocket => write!(f, "{path}: is there already, and is no socket; remove it"),
            SocketCause::Io(_) => write!(f, "{path}: cannot bind a socket there"),
        }
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            SocketCause::Io(error) => Some(error),
            SocketCause::InUse | SocketCause::NotSocket => None,
        }
    }
}

/// A socket with a name, which is removed when this is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode, by which another daemon's socket of this name is left alone
    identity: (u64, u64),
}

impl BoundSocket {
    /// Binds it; `group` is whose members connect, beside the user of this process, where that may give it to them.
    ///
    /// # Errors
    /// Where a process answers there already, something else than a socket has the name, or it cannot be bound.
    pub fn bind(path: &Path, group: Option<u32>) -> Result<Self, SocketError> {
        let failed = |cause| SocketError { path: path.to_owned(), cause };
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => return Err(failed(SocketCause::NotSocket)),
            Ok(_) if answers(path) => return Err(failed(SocketCause::InUse)),
            Ok(_) | Err(_) => {}
        }
        let new = beside(path);
        let bind = || -> io::Result<Self> {
            match fs::remove_file(&new) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let listener = UnixListener::bind(&new)?;
            listener.set_nonblocking(true)?;
            let identity = set_access(&new, group)?;
            fs::rename(&new, path)?;
            Ok(Self { listener, path: path.to_owned(), identity })
        };
        bind().map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(SocketCause::Io(error))
        })
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        let is_own = |there: fs::Metadata| (there.dev(), there.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_own) {
            // Where it cannot be removed, the next daemon replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether a process answers at a socket, perhaps one that is busy.
fn answers(path: &Path) -> bool {
    let connect = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Gives a socket its group and mode, and gives its identity. Its directory may be another user's, who could put a link in its place: it is
/// opened without following one, and changed as what is open.
fn set_access(path: &Path, group: Option<u32>) -> io::Result<(u64, u64)> {
    let socket = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let now = fstat(&socket)?;
    if let Some(group) = group.filter(|group| *group != now.st_gid) {
        // Who is not permitted to do so leaves it as it is.
        let _ = chownat(&socket, "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH);
    }
    chmod(format!("/proc/self/fd/{}", socket.as_raw_fd()), MODE)?;
    Ok((now.st_dev, now.st_ino))
}

/// The name under which a socket is made.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::error_chain::ErrorChain;

    #[test]
    fn a_stale_socket_is_replaced_and_one_that_answers_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let bind = || BoundSocket::bind(&path, None);
        let error = || bind().map(drop).map_err(|error| ErrorChain(&error).to_string());
        let first = bind().unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        assert_eq!(error(), Err(format!("{}: another process answers there", path.display())));
        // More than wait for a busy process.
        let mut waiting = Vec::new();
        let full = loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            match socket.connect(&SockAddr::unix(&path).unwrap()) {
                Ok(()) => waiting.push(socket),
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(error().is_err_and(|error| error.ends_with("another process answers there")));
        // As a killed process leaves it.
        let BoundSocket { listener, .. } = &first;
        let listener = listener.try_clone().unwrap();
        std::mem::forget(first);
        drop(waiting);
        drop(listener);
        let stale = directory.path().join("stale.sock");
        drop(UnixListener::bind(&stale).unwrap());
        let second = BoundSocket::bind(&stale, None).unwrap();
        assert!(UnixStream::connect(&stale).is_ok());
        drop(second);
        assert!(!stale.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_socket_is_left_alone_and_so_is_another_daemons_one_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lbd.sock");
        let error = || BoundSocket::bind(&path, None).map(drop).map_err(|error| error.to_string());
        let not_socket = format!("{}: is there already, and is no socket; remove it", path.display());
        fs::write(&path, "mine").unwrap();
        assert_eq!(error(), Err(not_socket.clone()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
        symlink("elsewhere", &path).unwrap();
        assert_eq!(error(), Err(not_socket));
        fs::remove_file(&path).unwrap();
        // What an interrupted daemon left.
        fs::write(directory.path().join("lbd.sock.new"), "").unwrap();
        let own = BoundSocket::bind(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        let others = UnixListener::bind(&path).unwrap();
        drop(own);
        assert!(UnixStream::connect(&path).is_ok());
        drop(others);
        let nowhere = BoundSocket::bind(Path::new("/no/such/lbd.sock"), None).unwrap_err();
        assert_eq!(
            ErrorChain(&nowhere).to_string(),
            "/no/such/lbd.sock: cannot bind a socket there: No such file or directory (os error 2)"
        );
    }
}
