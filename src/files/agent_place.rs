//! Names the place where an agent puts the desired file of a fleet, and the user that writes there.

/// The directory on every host, which belongs to the agent's user.
pub const AGENT_DIR: &str = "/var/lib/lbd-agent";

/// The file in it that an agent renames into place; the desired file is a link to it while the agent is enabled.
pub const AGENT_FILE: &str = "/var/lib/lbd-agent/desired.yaml";

/// The user that an agent runs as.
pub const AGENT_USER: &str = "lbd-agent";
