//! Defines how the file writes a health check. The comments on the types are the descriptions in the schema.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_scalar::{CheckName, CheckTime, Count, Ip, PathText, StatusText, Text};
use super::choice::Choice;
use super::non_null::{non_null, non_null_list, unique};
use super::scalar::PortNumber;
use crate::model::{CheckType, WeightSource};

/// The health checks of servers: one, or a list of which all must pass.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "a check or a list of them")]
#[schemars(extend("examples" = ["web", "none", ["web", { "type": "tls", "port": 443, "host": "shop.example.com" }]]))]
pub enum CheckList {
    /// One check, or `none`
    One(CheckUse),
    /// Several checks, of which all must pass
    #[schemars(extend("minItems" = 1))]
    Many(Vec<CheckUse>),
}

impl CheckList {
    /// The checks, also where there is but one.
    pub fn uses(&self) -> &[CheckUse] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(list) => list,
        }
    }
}

/// A health check: by its name, or itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "the name of a check, or a check")]
#[schemars(extend("examples" = ["web", { "type": "tcp" }]))]
pub enum CheckUse {
    /// The name of a check that `checks` defines
    Name(CheckName),
    /// The check itself
    Inline(Box<CheckEntry>),
}

/// A health check: what is sent to a server, how often, and what is expected. Keys that its type does not have are an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    title = "a mapping that describes a check, such as { type: http, port: 80, path: /healthz, status: [200-299] }"
)]
#[schemars(rename = "Check")]
pub struct CheckEntry {
    /// The type of the check. Default: `tcp`.
    #[serde(
        rename = "type",
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "non_null"
    )]
    pub kind: Option<Choice<CheckType>>,

    /// The IP address to probe. Default: the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub address: Option<Ip>,

    /// The port to probe: one verdict for each server, whatever it listens on. Default: the server's own port behind each listener, which counts there;
    /// servers of a firewall mark or of port 0 have none, and need it here. Not for `ping`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub port: Option<PortNumber>,

    /// The IP address to probe from; none that a cluster listens on, since the server has that one itself. Default: that of the route. Not for `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub source: Option<Ip>,

    /// How often a server is probed, 100 milliseconds to 1 day; each time up to 10 % more or less. Default: 5s.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub interval: Option<CheckTime>,

    /// When a probe without an answer has failed: from 100 milliseconds, and below the `interval`. Default: 2s.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub timeout: Option<CheckTime>,

    /// The interval until the first verdict, and while a verdict is about to change; at most the `interval`. Default: 1s, or the `interval` where that is
    /// shorter.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub fast: Option<CheckTime>,

    /// How many probes in a row have to fail. Default: 3.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    #[schemars(extend("default" = 3))]
    pub fall: Option<Count>,

    /// How many probes in a row have to succeed after a failure; where nothing was known, the first is enough. Default: 2.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    #[schemars(extend("default" = 2))]
    pub rise: Option<Count>,

    /// `http` and `https`: the path, with a query if it has one. Default: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub path: Option<Text>,

    /// `http` and `https`: the `Host` header; `https` and `tls`: the name that is sent as SNI and that the certificate has to be for. A name or an IP
    /// address, for the header also with a port. Default: the server's address and port, and no name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub host: Option<Text>,

    /// `http` and `https`: the method. Default: `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub method: Option<Text>,

    /// `http` and `https`: more headers, as text by their names.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty", deserialize_with = "unique")]
    #[schemars(example = serde_json::json!({ "User-Agent": "lbd" }))]
    pub headers: IndexMap<String, Text>,

    /// `http` and `https`: the status codes that pass, numbers and ranges; redirects are not followed. Default: `[200-399]`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null_list")]
    #[schemars(extend("minItems" = 1))]
    pub status: Option<Vec<StatusText>>,

    /// `http` and `https`: what the first 64 KiB of the body have to contain, as text or as a regular expression between slashes (`/^ok/`).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub body: Option<Text>,

    /// `tls` and `https`: by which authorities the certificate is verified, and for which name. Default: `system`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub verify: Option<VerifyEntry>,

    /// `tls` and `https`: a file with the checker's own certificate in PEM, for servers that want one. With `key`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub certificate: Option<PathText>,

    /// `tls` and `https`: the file with the key of the `certificate` in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub key: Option<PathText>,

    /// `tcp`, `tls` and `udp`: what is sent, as text or as `hex:` with hexadecimal digits. Default: nothing; for `udp`, an empty packet.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub send: Option<Text>,

    /// `tcp`, `tls` and `udp`: what the answer has to contain, as text or as `hex:` with hexadecimal digits. Default: no answer is needed; a server
    /// fails `udp` only where it refuses the packet.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub expect: Option<Text>,

    /// `dns`: the question, as `NAME` or `NAME TYPE`; the type is A, AAAA, CNAME, NS, SOA or TXT, and follows from the `answer` where it is not
    /// given, else A. Default: `. SOA`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub query: Option<Text>,

    /// `dns`: what one of the records has to be, an IP address or text. Default: any answer without an error.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub answer: Option<Text>,

    /// `exec`: the program by its absolute path, and its arguments, in which `{address}`, `{port}` and `{cluster}` are replaced. No shell is involved. Exit
    /// code 0 passes. Required for this type.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null_list")]
    #[schemars(extend("minItems" = 1))]
    #[schemars(example = serde_json::json!(["/usr/local/lib/check-replica", "{address}"]))]
    pub command: Option<Vec<Text>>,

    /// `exec`: with `output`, the first line that the program writes sets the weight: `75%` of the one in the file, `weight:3`, `up`, `down`, `drain` or
    /// `maint`. Default: the weight of the file.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub weight: Option<Choice<WeightSource>>,
}

/// How a certificate is verified: by the authorities of the system, by others, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(title = "how a certificate is verified")]
#[schemars(extend("examples" = ["system", "none", { "ca": "/etc/lbd/ca.pem", "name": "shop.example.com" }]))]
#[schemars(rename = "Verify")]
pub enum VerifyEntry {
    /// `system` or `none`
    #[schemars(extend("enum" = ["system", "none"]))]
    Word(String),
    /// By a file, or for a name
    By(VerifyFile),
}

/// How a certificate is verified; at least one of the keys is needed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a mapping such as { ca: /etc/lbd/ca.pem, name: shop.example.com }")]
#[schemars(extend("minProperties" = 1))]
#[schemars(rename = "VerifyBy")]
pub struct VerifyFile {
    /// A file with the certificates of the authorities in PEM. Default: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub ca: Option<PathText>,

    /// The name that the certificate has to be for, which is sent as SNI, too. Default: the `host`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "non_null")]
    pub name: Option<Text>,
}
