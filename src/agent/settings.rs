//! Defines what the agent's own file says, once it is read and found right.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::named;

/// What `/etc/lbd/agent.yaml` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of this director in the fleet
    pub name: String,
    /// What strategies and `lbd fleet push` choose it by
    pub labels: BTreeMap<String, String>,
    /// Where its desired file comes from
    pub source: SourceSettings,
    /// The etcd whose strategy says when it takes a revision; `None`: each revision at once
    pub rollout: Option<EtcdSettings>,
    /// Whether it reports its state to that etcd, or to that of its source
    pub report: bool,
}

/// Where the desired file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// A repository of git
    Git(GitSettings),
    /// What `lbd fleet push` has put into etcd
    Etcd(EtcdSettings),
    /// A directory of this host, which another program writes
    Directory(DirectorySettings),
}

/// A directory of desired files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySettings {
    /// The directory
    pub path: PathBuf,
    /// The files in it, below it, of which the first that exists is taken
    pub paths: Vec<String>,
    /// How often it is looked at
    pub interval: Duration,
}

/// A repository of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSettings {
    /// Its address: `ssh://`, `https://`, `http://` or `file://`
    pub repository: String,
    /// What of it is followed
    pub follow: Follow,
    /// The paths of the file, of which the first that exists is taken; the name and the labels of this director are in them already
    pub paths: Vec<String>,
    /// How often it is fetched; each time varies by a tenth
    pub interval: Duration,
    /// Which commits have to be signed
    pub verify: Verify,
    /// By which keys; there where [`Self::verify`] is not [`Verify::Off`], and only there
    pub signers: Option<Signers>,
    /// The private key for `ssh://`, and there only
    pub identity: Option<PathBuf>,
    /// The keys of the server for `ssh://`; `None`: those in `/etc/ssh/ssh_known_hosts`
    pub known_hosts: Option<PathBuf>,
}

/// What of a repository is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// The head of this branch
    Branch(String),
    /// The newest tag, by version, of those that fit this pattern, such as `v*`; it has one `*` at most
    Tag(String),
}

named! {
    /// Which commits have to be signed.
    pub enum Verify {
        /// None.
        Off = "off",
        /// The one that is taken; with `tag`, the tag or its commit.
        Head = "head",
        /// Each since the one in force; where none is in force yet, the one that is taken.
        Every = "every",
    }
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// Those of the keys of ssh in this file, in the format of `allowed_signers` (ssh-keygen(1))
    Ssh(PathBuf),
    /// Those of the OpenPGP keys in this keyring, as `gpg --export` writes it
    OpenPgp(PathBuf),
}

/// How the etcd of a fleet is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdSettings {
    /// The addresses of its members, `https://HOST:PORT`, or `http://` without [`Self::tls`]
    pub endpoints: Vec<String>,
    /// What all keys of the fleet begin with, without a slash at its end: `/lbd/prod`
    pub prefix: String,
    /// The certificates
    pub tls: Option<TlsSettings>,
}

/// The certificates for etcd, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// That of the authority which has signed those of the members
    pub ca: PathBuf,
    /// That of this director and its private key; the name in it (CN) is its user in etcd
    pub client: Option<ClientCertificate>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, PEM
    pub certificate: PathBuf,
    /// Its private key, PEM
    pub key: PathBuf,
}
