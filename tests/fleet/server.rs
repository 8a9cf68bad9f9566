//! Starts an etcd of one member for a test, and ends it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lbd::agent::etcd::Etcd;
use lbd::agent::settings::EtcdSettings;
use tempfile::TempDir;

/// An etcd of one member, without certificates.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::with_options(&[])
    }

    /// The same with further options.
    pub(crate) fn with_options(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [port, peer] = free_ports();
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
        let child = Command::new("etcd")
            .args([
                "--name",
                "one",
                "--log-level",
                "fatal",
                "--heartbeat-interval",
                "10",
                "--election-timeout",
                "100",
            ])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}")])
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need etcd: the packages etcd-server and etcd-client");
        let mut server = Self { child, port, _directory: directory };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "etcd has ended");
            assert!(Instant::now() < until, "etcd does not start");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The fleet with this prefix in it.
    pub(crate) fn fleet(&self, prefix: &str) -> Etcd {
        fleet(&[&self.address()], prefix)
    }

    /// Runs `etcdctl`, and returns what it prints.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.address()))
            .args(arguments)
            .output()
            .expect("these tests need etcdctl: the package etcd-client");
        assert!(
            output.status.success(),
            "etcdctl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The fleet with this prefix in the etcd with these members.
pub(crate) fn fleet(members: &[&str], prefix: &str) -> Etcd {
    let endpoints = members.iter().map(|member| (*member).to_owned()).collect();
    Etcd::new(EtcdSettings { endpoints, prefix: prefix.to_owned(), tls: None })
}

/// Ports that nothing listens on.
pub(crate) fn free_ports<const NUMBER: usize>() -> [u16; NUMBER] {
    let listeners = [(); NUMBER].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
