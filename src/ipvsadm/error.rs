//! The errors of reading rules: why a line is not in the state, and what to do about it.

use std::fmt;
use std::net::IpAddr;

use crate::model::{Protocol, SchedulerFlag, ServerKey, ServiceKey, SyncRole, TunnelKind};

/// Why a line is not in the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineError {
    /// The line cannot be taken apart into words.
    Words(SplitError),
    /// The options are not those of one command of ipvsadm.
    Options(OptionError),
    /// An option has a value that ipvsadm or the kernel would refuse.
    Value(ValueError),
    /// It is a listing of `ipvsadm -L`, which is for people.
    Listing,
    /// It begins with neither `ipvsadm` nor an option.
    NotIpvsadm,
    /// `ipvsadm -S` printed `(null)` for a forwarding method that it does not know.
    UnknownMethod,
    /// `ipvsadm -R` reads from another file.
    Restore,
    /// The service is added a second time.
    ServiceExists(ServiceKey),
    /// No line above adds the service.
    NoService(ServiceKey),
    /// The line that adds the service is not in the state either.
    ServiceLost {
        /// The service
        service: ServiceKey,
        /// The number of that line
        line: usize,
    },
    /// The server is added a second time.
    ServerExists(ServiceKey, ServerKey),
    /// No line above adds the server.
    NoServer(ServiceKey, ServerKey),
    /// A sync daemon of this role is started a second time.
    SyncRuns(SyncRole),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // These are the whole error; there is nothing to add.
            Self::Words(error) => error.fmt(f),
            Self::Options(error) => error.fmt(f),
            Self::Value(error) => error.fmt(f),
            Self::Listing => f.write_str(
                "this is a listing of `ipvsadm -L`, which leaves out half of what a service is; give what `ipvsadm -Sn` prints",
            ),
            Self::NotIpvsadm => f.write_str("not a command of ipvsadm"),
            Self::UnknownMethod => {
                f.write_str("ipvsadm had no name for the forwarding method of this server")
            }
            Self::Restore => f.write_str("restores from another file; give that file instead"),
            Self::ServiceExists(service) => {
                write!(f, "{service} is there already; the kernel refuses a second one")
            }
            Self::NoService(service) => write!(f, "there is no service {service} in the lines above"),
            Self::ServiceLost { service, line } => {
                write!(f, "its service {service} could not be read (line {line})")
            }
            Self::ServerExists(service, server) => {
                write!(f, "{server} is in {service} already; the kernel refuses a second one")
            }
            Self::NoServer(service, server) => write!(f, "there is no server {server} in {service}"),
            Self::SyncRuns(role) => write!(f, "a sync {role} runs already; the kernel refuses a second one"),
        }
    }
}

impl std::error::Error for LineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Words(error) => error.source(),
            Self::Options(error) => error.source(),
            Self::Value(error) => error.source(),
            Self::Listing
            | Self::NotIpvsadm
            | Self::UnknownMethod
            | Self::Restore
            | Self::ServiceExists(_)
            | Self::NoService(_)
            | Self::ServiceLost { .. }
            | Self::ServerExists(..)
            | Self::NoServer(..)
            | Self::SyncRuns(_) => None,
        }
    }
}

impl From<SplitError> for LineError {
    fn from(error: SplitError) -> Self {
        Self::Words(error)
    }
}

impl From<OptionError> for LineError {
    fn from(error: OptionError) -> Self {
        Self::Options(error)
    }
}

impl From<ValueError> for LineError {
    fn from(error: ValueError) -> Self {
        Self::Value(error)
    }
}

/// Why a line cannot be split into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitError {
    /// This quote is not closed.
    OpenQuote(char),
    /// This character has a meaning that only a shell knows.
    ShellOnly(char),
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenQuote(quote) => write!(f, "a quote ({quote}) is not closed"),
            Self::ShellOnly(character) => write!(
                f,
                "`{character}` has a meaning that only a shell knows; run the script and save the result with `ipvsadm -Sn`"
            ),
        }
    }
}

impl std::error::Error for SplitError {}

/// Why options are not those of one command of ipvsadm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionError {
    /// ipvsadm has no such option; as it is written, with its dashes.
    Unknown(String),
    /// The option takes no value and has one.
    TakesNoValue(&'static str),
    /// The option needs a value and has none.
    LacksValue(&'static str),
    /// The option is there more than once.
    Duplicate(&'static str),
    /// There is no command among them.
    NoCommand,
    /// There are several commands.
    MoreThanOneCommand,
    /// The command does not take this option.
    NotOfCommand {
        /// The option's long name
        option: &'static str,
        /// The command's long name
        command: &'static str,
    },
    /// A word that is neither an option nor the value of one.
    Unexpected(String),
    /// An option stands before the command.
    BeforeCommand {
        /// The option's long name
        option: &'static str,
        /// The command's long name
        command: &'static str,
    },
    /// A word begins with a character that only looks like a hyphen.
    Dash {
        /// The character
        dash: char,
        /// The word
        word: String,
    },
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(option) => write!(f, "unknown option `{option}`"),
            Self::TakesNoValue(option) => write!(f, "`--{option}` takes no value"),
            Self::LacksValue(option) => write!(f, "`--{option}` lacks its value"),
            Self::Duplicate(option) => write!(f, "duplicate option `--{option}`"),
            Self::NoCommand => f.write_str("no command such as -A or -a"),
            Self::MoreThanOneCommand => f.write_str("more than one command"),
            Self::NotOfCommand { option, command } => {
                write!(f, "`--{option}` does not belong to `--{command}`")
            }
            Self::Unexpected(word) => write!(f, "unexpected `{word}`"),
            Self::BeforeCommand { option, command } => write!(
                f,
                "`--{option}` stands before `--{command}`; ipvsadm refuses options before the command"
            ),
            Self::Dash { dash, word } => write!(
                f,
                "`{word}` begins with the dash `{dash}` (U+{:04X}), as web pages write it, not with a hyphen: type `-`",
                u32::from(*dash)
            ),
        }
    }
}

impl std::error::Error for OptionError {}

/// Why the value of an option is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueError {
    /// It is no number, or one that is out of range.
    Number {
        /// The value
        text: String,
        /// What it should be, with its article
        what: &'static str,
        /// The least number
        least: u64,
        /// The greatest number
        most: u64,
    },
    /// Something that the line needs is missing; what, as a sentence.
    Missing(&'static str),
    /// Several of what there can be only one of; its noun.
    MoreThanOne(&'static str),
    /// `-6` belongs to a firewall mark, and there is none.
    Ipv6WithoutMark,
    /// It cannot be the name of a kernel module; of what kind.
    Name {
        /// The value
        text: String,
        /// What it should name
        what: &'static str,
    },
    /// It is no scheduler flag.
    UnknownFlag(String),
    /// The flag belongs to another scheduler.
    FlagOfOther {
        /// The flag
        flag: SchedulerFlag,
        /// The scheduler that has it
        owner: &'static str,
        /// The scheduler of the line
        scheduler: String,
    },
    /// It is no netmask of IPv4.
    Netmask(String),
    /// Server and service have different address families.
    OtherFamily(IpAddr, ServiceKey),
    /// The lower threshold is above the upper one.
    Thresholds,
    /// It is no type of tunnel.
    UnknownTunnel(String),
    /// A tunnel of this type has no port.
    TunnelPort(TunnelKind),
    /// A tunnel of this type has no remote checksum.
    TunnelChecksum(TunnelKind),
    /// It is neither master nor backup.
    Role(String),
    /// It is no address of a multicast group.
    MulticastGroup(String),
    /// It is no IP address.
    Address(String),
    /// It is the name of a host, and names are not looked up.
    HostName(String),
    /// The name of a host was looked up and has no address; why.
    Unresolved {
        /// The name
        name: String,
        /// Why
        reason: String,
    },
    /// ipvsadm refuses an address in brackets without a port.
    BracketsWithoutPort(String),
    /// ipvsadm refuses `-6` before `-f`.
    Ipv6BeforeMark,
    /// A service has port 0 and is not persistent.
    ZeroPort,
    /// One-packet scheduling of something else than UDP.
    OnePacket(Protocol),
    /// The name of a port before the service, which has the protocol.
    PortNameBeforeService(String),
    /// No scheduler of Linux has this name, but one is near.
    UnknownScheduler {
        /// The name
        name: String,
        /// The one that is near
        nearest: &'static str,
    },
    /// No port has this name.
    PortName {
        /// The name
        name: String,
        /// The protocol
        protocol: Protocol,
        /// Where, or why not
        reason: String,
    },
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { text, what, least, most } => {
                write!(f, "`{text}` is not {what}, {least} to {most}")
            }
            Self::Missing(what) => f.write_str(what),
            Self::MoreThanOne(noun) => write!(f, "more than one {noun}"),
            Self::Ipv6WithoutMark => f.write_str("`--ipv6` belongs to a firewall mark (-f)"),
            Self::Name { text, what } => write!(f, "`{text}` is not the name of {what}"),
            Self::UnknownFlag(name) => write!(f, "unknown scheduler flag `{name}`"),
            Self::FlagOfOther { flag, owner, scheduler } => {
                write!(f, "the scheduler flag `{flag}` belongs to `{owner}`, not to `{scheduler}`")
            }
            Self::Netmask(text) => write!(
                f,
                "`{text}` is not a netmask such as 255.255.255.0 (ipvsadm takes a prefix length only for IPv6)"
            ),
            Self::OtherFamily(server, service) => write!(
                f,
                "the server {server} has another address family than {service}; only `-i` can do that"
            ),
            Self::Thresholds => {
                f.write_str("the lower threshold is above the upper one; the kernel refuses that")
            }
            Self::UnknownTunnel(name) => write!(f, "unknown tunnel type `{name}`; ipip, gue or gre"),
            Self::TunnelPort(kind) => write!(f, "a {kind} tunnel has no port"),
            Self::TunnelChecksum(kind) => write!(f, "a {kind} tunnel has no remote checksum"),
            Self::Role(text) => write!(f, "`{text}` is neither master nor backup"),
            Self::MulticastGroup(text) => write!(f, "`{text}` is not the address of a multicast group"),
            Self::Address(text) => write!(f, "`{text}` is not an IP address"),
            Self::HostName(text) => write!(
                f,
                "`{text}` is a host name; save the rules again with `ipvsadm -Sn`, which prints addresses, or look it up with `lbd export --from FILE --resolve`"
            ),
            Self::Unresolved { name, reason } => {
                write!(f, "the host `{name}` has no IPv4 address, which ipvsadm looks for: {reason}")
            }
            Self::BracketsWithoutPort(text) => {
                write!(
                    f,
                    "`{text}` has brackets and no port, which ipvsadm refuses; write the address without brackets, or a port"
                )
            }
            Self::Ipv6BeforeMark => f.write_str("`-6` stands before `-f`, which ipvsadm refuses"),
            Self::ZeroPort => {
                f.write_str("a service with port 0 has to be persistent (`-p`); ipvsadm refuses it")
            }
            Self::OnePacket(protocol) => {
                write!(
                    f,
                    "one-packet scheduling (`-o`) is for UDP, and this is {protocol}; ipvsadm refuses it"
                )
            }
            Self::PortNameBeforeService(name) => write!(
                f,
                "the port `{name}` stands before the service, whose protocol it needs; ipvsadm refuses it"
            ),
            Self::UnknownScheduler { name, nearest } => {
                write!(f, "unknown scheduler `{name}`; did you mean `{nearest}`?")
            }
            Self::PortName { name, protocol, reason } => {
                write!(f, "no {protocol} port is called `{name}` {reason}; save with `ipvsadm -Sn`")
            }
        }
    }
}

impl std::error::Error for ValueError {}
