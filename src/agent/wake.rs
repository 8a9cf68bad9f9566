//! Wakes the agent: a datagram without content, on a socket in its directory. Who sends it waits for nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use super::place::AgentDirectory;

fn path(directory: &Path) -> PathBuf {
    directory.join("wake.sock")
}

/// The end that the agent waits at. Dropped, its name goes.
pub struct Bell {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Bell {
    /// Makes it, in the place of one that an agent before has left.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(directory: &AgentDirectory) -> io::Result<Self> {
        let path = path(directory.files.path());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { socket, path })
    }

    /// Waits until it rings.
    pub async fn rung(&self) {
        // What is sent is not looked at.
        if self.socket.recv(&mut [0]).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Wakes the agent of a directory.
///
/// # Errors
/// Where none runs, or it does not take it.
pub fn wake(directory: &Path) -> io::Result<()> {
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to(b"", path(directory)).map(drop)
}
