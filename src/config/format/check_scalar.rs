//! The single values of health checks as they are written, each with the schema that an editor checks it by.

use compact_str::CompactString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::limits;
use super::scalar::{Number, Scalar, definition, scalars, text, texts};

/// How many probes in a row make a verdict.
pub type Count = Number<1, 100>;

texts! {
    /// The name of a check.
    CheckName: {
        "type": "string", "title": "the name of a check", "minLength": 1, "maxLength": (limits::NAME_LENGTH), "examples": ["web", "none"]
    };

    /// An IP address.
    Ip: {
        "type": "string", "title": "an IP address", "pattern": "^[0-9a-fA-F:.]+$", "examples": ["192.168.8.14", "fd00::14"]
    };

    /// The absolute path of a file.
    PathText: { "type": "string", "title": "an absolute path", "pattern": "^/", "examples": ["/etc/lbd/ca.pem"] };

    /// A path or pattern below the directory of the file.
    IncludeText: {
        "type": "string", "title": "a path or pattern below the directory of the file", "pattern": "^[^/]", "examples": ["clusters.d/*.yaml", "web.yaml"]
    };

    /// Any text.
    Text: { "type": "string", "title": "text", "maxLength": (limits::CHECK_TEXT) };
}

scalars! {
    /// A duration of a check: `N` (seconds), `Nms`, `Ns`, `Nm`, `Nh`, `Nd`.
    CheckTime as "CheckDuration": {
        "title": "a duration, also in milliseconds",
        "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": (limits::CHECK_TIME.end() / 1_000) },
            { "type": "string", "pattern": "^0*[1-9][0-9]*(ms|[smhd])?$" }
        ],
        "examples": ["5s", "500ms"]
    };

    /// A status code or a range of them.
    StatusText as "Status": {
        "title": "a status code or a range of them",
        "anyOf": [
            { "type": "integer", "minimum": (limits::STATUS.start()), "maximum": (limits::STATUS.end()) },
            { "type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$" }
        ],
        "examples": [200, "200-299"]
    };

    /// A share or a number of servers.
    MinServingText as "MinServing": {
        "title": "a share or a number of servers",
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": (u32::MAX) },
            { "type": "string", "pattern": "^(100|[0-9]{1,2})%$" }
        ],
        "examples": ["50%", 2]
    };
}
