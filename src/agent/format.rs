//! Defines the format of the agent's own file. The comments on its types are the descriptions in the schema, which editors show.

use compact_str::CompactString;
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::settings::Verify;
use crate::config::document::{Choice, DurationText, Listed, Number, PathText};
use crate::config::other::{definition, ignored, text, texts};
use crate::fleet::{LabelText, NAME, NameText};

/// Where the desired file of a director comes from, and when it is taken: what `lbd-agent` reads at its start.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "the file of lbd-agent")]
#[schemars(extend("patternProperties" = ignored()))]
pub struct AgentFile {
    /// The version of this format. It is 1.
    pub version: Number<1, 1>,

    /// The name of this director in the fleet. Default: the host's name without its domain.
    #[serde(default)]
    pub name: Option<NameText>,

    /// Labels, by which the stages of a rollout and `lbd fleet push` choose directors. Default: none.
    #[serde(default)]
    #[schemars(example = serde_json::json!({ "site": "fra", "role": "edge" }))]
    #[schemars(extend("propertyNames" = { "pattern": NAME, "not": { "const": "name" } }))]
    pub labels: IndexMap<String, LabelText>,

    /// Where the desired file comes from: one of the three.
    pub source: SourceEntry,

    /// Who says when a revision is taken. Default: each is taken at once.
    #[serde(default)]
    pub rollout: Option<RolloutEntry>,

    /// Whether this director reports its state to the etcd of `rollout`, or to that of `source`. Default: true with `rollout`, whose
    /// strategy counts the directors that do not report; else false.
    #[serde(default)]
    pub report: Option<bool>,
}

/// Where the desired file comes from: one of the three.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping with `git`, `etcd` or `directory`")]
#[schemars(rename = "Source")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct SourceEntry {
    /// A repository of git.
    #[serde(default)]
    pub git: Option<GitEntry>,

    /// What `lbd fleet push` puts into etcd.
    #[serde(default)]
    pub etcd: Option<EtcdEntry>,

    /// A directory of this host, which another program writes: its path, or a mapping.
    #[serde(default)]
    pub directory: Option<DirectoryEntry>,
}

/// Who says when a revision is taken.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping with `etcd`")]
#[schemars(rename = "Rollout")]
pub struct RolloutEntry {
    /// The strategy in this etcd (`lbd fleet strategy set`).
    pub etcd: EtcdEntry,
}

/// A repository of git.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "a mapping such as { repository: \"ssh://git@git.example/lvs.git\", paths: [\"{name}.yaml\"] }"
)]
#[schemars(rename = "Git")]
pub struct GitEntry {
    /// The address of the repository: `ssh://`, `https://`, `http://` or `file://`. There is no login by http: a repository with one is reached by
    /// `ssh://`, with `identity`.
    pub repository: RepositoryText,

    /// The branch that is followed. Default: `main`.
    #[serde(default)]
    #[schemars(extend("default" = "main"))]
    pub branch: Option<BranchText>,

    /// In place of `branch`: of the tags that fit this pattern, with one `*` at most, the newest by its version is followed.
    #[serde(default)]
    pub tag: Option<TagText>,

    /// The paths of the desired file in the repository, of which the first that exists is taken; where none does, the old file stays. `{name}` is the name
    /// of this director, `{labels.KEY}` one of its labels.
    #[schemars(extend("minItems" = 1))]
    #[schemars(example = serde_json::json!(["directors/{name}.yaml", "sites/{labels.site}.yaml"]))]
    pub paths: Vec<TemplateText>,

    /// How often the repository is fetched, 1 second to 1 day; each time varies by a tenth. Default: `30s`.
    #[serde(default)]
    pub interval: Option<DurationText>,

    /// Which commits have to be signed. Needed with `allowed_signers` or `keyring`; default without: `off`.
    #[serde(default)]
    pub verify: Option<Choice<Verify>>,

    /// The keys of ssh whose signatures count, as ssh-keygen(1) describes the file.
    #[serde(default)]
    pub allowed_signers: Option<PathText>,

    /// In place of `allowed_signers`: the OpenPGP keys whose signatures count, as `gpg --export` writes them.
    #[serde(default)]
    pub keyring: Option<PathText>,

    /// The private key for `ssh://`, without a passphrase. Needed there.
    #[serde(default)]
    pub identity: Option<PathText>,

    /// The keys of the server for `ssh://`. Default: `/etc/ssh/ssh_known_hosts`.
    #[serde(default)]
    pub known_hosts: Option<PathText>,
}

/// The path of a directory, or a mapping with it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "the path of a directory, or a mapping with `path`")]
#[schemars(rename = "Directory")]
#[schemars(extend("examples" = ["/srv/desired", { "path": "/srv/desired", "interval": "5s" }]))]
pub enum DirectoryEntry {
    /// Its path
    Path(PathText),
    /// Its path and more
    Full(FullDirectory),
}

/// A directory of this host, which another program writes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping such as { path: /srv/desired, interval: 5s }")]
pub struct FullDirectory {
    /// The directory.
    pub path: PathText,

    /// The paths of the desired file in it, as for `git`. Default: `["{name}.yaml", "desired.yaml"]`.
    #[serde(default)]
    #[schemars(extend("minItems" = 1))]
    pub paths: Option<Vec<TemplateText>>,

    /// How often it is looked at, 1 second to 1 day; each time varies by a tenth. Default: `30s`.
    #[serde(default)]
    pub interval: Option<DurationText>,
}

/// The etcd of a fleet.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping such as { endpoints: [\"https://e1:2379\"], prefix: /lbd/prod, tls: … }")]
#[schemars(rename = "Etcd")]
pub struct EtcdEntry {
    /// The members: `https://HOST:PORT`, or `http://HOST:PORT` without `tls`.
    #[schemars(extend("minItems" = 1))]
    pub endpoints: Vec<EndpointText>,

    /// What all keys of the fleet begin with.
    pub prefix: PrefixText,

    /// The certificates. Default: none, for `http://`.
    #[serde(default)]
    pub tls: Option<TlsEntry>,
}

/// The certificates for etcd.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping such as { ca: /etc/lbd/agent/ca.pem, certificate: …, key: … }")]
#[schemars(rename = "Tls")]
pub struct TlsEntry {
    /// A file with the certificate of the authority that has signed those of the members, PEM.
    pub ca: PathText,

    /// A file with the certificate of this director, PEM; the name in it (CN) is its user in etcd. With `key`.
    #[serde(default)]
    pub certificate: Option<PathText>,

    /// The file with the key of the `certificate`, PEM.
    #[serde(default)]
    pub key: Option<PathText>,
}

impl Listed for Verify {
    const DEFINITION: &'static str = "Verify";
    const TITLE: &'static str = "which commits have to be signed";
}

texts! {
    /// The address of a repository.
    RepositoryText as "Repository": {
        "type": "string",
        "title": "the address of a repository",
        "pattern": "^((ssh|https|http)://[^/]+/.|file:///.)",
        "examples": ["ssh://git@git.example/lvs.git"]
    };

    /// The name of a branch.
    BranchText as "Branch": { "type": "string", "title": "the name of a branch", "pattern": "^[^-]", "examples": ["main"] };

    /// A pattern of tags.
    TagText as "Tag": {
        "type": "string", "title": "a tag or a pattern of tags", "pattern": "^[^-*][^*]*[*]?[^*]*$|^[*][^*]*$", "examples": ["v*"]
    };

    /// The path of a file with places for the name and labels of a director.
    TemplateText as "Template": {
        "type": "string",
        "title": "the path of a file",
        "pattern": "^[^-/]",
        "examples": ["directors/{name}.yaml", "sites/{labels.site}.yaml"]
    };

    /// The address of a member of etcd.
    EndpointText as "Endpoint": {
        "type": "string", "title": "the address of a member of etcd", "pattern": "^https?://[^/@]+:[0-9]{1,5}$", "examples": ["https://e1:2379"]
    };

    /// What keys begin with.
    PrefixText as "Prefix": { "type": "string", "title": "a prefix of keys", "pattern": "^(/[^/]+)+$", "examples": ["/lbd/prod"] };
}
