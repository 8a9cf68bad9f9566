//! Knows the words of an ldirectord.cf, and what the value of each may be.

/// A word of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    shape: Shape,
    /// What of it is not lbd's, if anything
    other: Option<&'static str>,
}

/// What the value of a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Anything
    Any,
    /// Text in double quotes
    Quoted,
    /// Text, with double quotes or without
    Text,
    /// The first number in it, above 0
    Positive,
    /// The first number in it
    Number,
    /// `yes` or `no`
    YesNo,
    /// A word that ldirectord no longer knows; what it wants in its place
    Gone(&'static str),
}

impl Key {
    /// What there is to say of a word that is not lbd's.
    pub(super) fn note(&self) -> Option<String> {
        self.other.map(|other| format!("`{}` is not lbd's: {other}", self.name))
    }
}

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape, other: None }
}

const fn other(name: &'static str, shape: Shape, other: &'static str) -> Key {
    Key { name, shape, other: Some(other) }
}

const MAIL: &str = "mail is sent by what reads the journal or `lbd events`";
const LOG: &str = "it logs to the journal";
const COMMAND: &str = "a program that is run when the fallback comes and goes";

/// The words outside of virtual services.
pub(super) const GLOBAL: [Key; 25] = [
    key("checktimeout", Shape::Positive),
    key("negotiatetimeout", Shape::Positive),
    key("checkinterval", Shape::Positive),
    key("checkcount", Shape::Positive),
    key("failurecount", Shape::Positive),
    key("connecttimeout", Shape::Gone("negotiatetimeout")),
    key("timeout", Shape::Gone("checktimeout")),
    key("fallback", Shape::Any),
    key("fallback6", Shape::Any),
    key("quiescent", Shape::YesNo),
    key("fork", Shape::YesNo),
    key("autoreload", Shape::YesNo),
    key("readdquiescent", Shape::YesNo),
    other("fallbackcommand", Shape::Any, COMMAND),
    other("callback", Shape::Quoted, "it copied the file to another director"),
    other("logfile", Shape::Quoted, LOG),
    other("execute", Shape::Any, "it started another ldirectord; convert that file, too"),
    other("supervised", Shape::Any, "systemd runs it in the foreground"),
    other("emailalert", Shape::Any, MAIL),
    other("emailalertfreq", Shape::Any, MAIL),
    other("emailalertstatus", Shape::Any, MAIL),
    other("emailalertfrom", Shape::Any, MAIL),
    other("cleanstop", Shape::YesNo, "it leaves the table as it is when it stops"),
    other("smtp", Shape::Any, MAIL),
    other("maintenancedir", Shape::Any, "`lbd drain` takes a server out of service"),
];

/// The words of a virtual service.
pub(super) const VIRTUAL: [Key; 39] = [
    key("real", Shape::Any),
    key("real6", Shape::Any),
    key("request", Shape::Quoted),
    key("receive", Shape::Quoted),
    key("checktype", Shape::Any),
    key("checkcommand", Shape::Text),
    key("checktimeout", Shape::Positive),
    key("connecttimeout", Shape::Gone("negotiatetimeout")),
    key("negotiatetimeout", Shape::Positive),
    key("checkcount", Shape::Positive),
    key("failurecount", Shape::Positive),
    key("checkinterval", Shape::Positive),
    key("checkport", Shape::Number),
    key("login", Shape::Quoted),
    key("passwd", Shape::Quoted),
    key("database", Shape::Quoted),
    key("secret", Shape::Quoted),
    key("load", Shape::Quoted),
    key("scheduler", Shape::Any),
    key("persistent", Shape::Number),
    key("schedflags", Shape::Any),
    key("netmask", Shape::Any),
    key("protocol", Shape::Any),
    key("ops", Shape::YesNo),
    key("service", Shape::Any),
    key("httpmethod", Shape::Any),
    key("virtualhost", Shape::Text),
    key("fallback", Shape::Any),
    key("fallback6", Shape::Any),
    key("quiescent", Shape::YesNo),
    key("servicename", Shape::Any),
    key("comment", Shape::Any),
    other("fallbackcommand", Shape::Text, COMMAND),
    other("monitorfile", Shape::Text, LOG),
    other("cleanstop", Shape::YesNo, "it leaves the table as it is when it stops"),
    other("emailalert", Shape::Any, MAIL),
    other("emailalertfreq", Shape::Any, MAIL),
    other("emailalertstatus", Shape::Any, MAIL),
    other("smtp", Shape::Any, MAIL),
];

/// The value of a word.
///
/// # Errors
/// Why ldirectord refuses it.
pub(super) fn value(key: &Key, text: &str) -> Result<String, String> {
    let name = key.name;
    let digits = || {
        let start = text.find(|c: char| c.is_ascii_digit())?;
        let rest = text.get(start..)?;
        rest.split(|c: char| !c.is_ascii_digit()).next()
    };
    let quoted = || {
        let (_, rest) = text.split_once('"').filter(|(before, _)| before.is_empty())?;
        rest.rsplit_once('"').map(|(inside, _)| inside)
    };
    match key.shape {
        Shape::Any => {
            Some(text.trim_end()).filter(|text| !text.is_empty()).ok_or(format!("`{name}` lacks its value"))
        }
        Shape::Quoted => match quoted() {
            Some("") => Err(format!("`{name}` is empty")),
            Some(inside) => Ok(inside),
            None => Err(format!("the value of `{name}` has to be in double quotes")),
        },
        Shape::Text => {
            let inside = quoted().unwrap_or(text.trim_end());
            Some(inside).filter(|text| !text.is_empty()).ok_or(format!("`{name}` lacks its value"))
        }
        Shape::Positive | Shape::Number => match digits() {
            Some(digits) if key.shape == Shape::Positive && digits.trim_start_matches('0').is_empty() => {
                Err(format!("`{name}` is 0"))
            }
            Some(digits) => Ok(digits),
            None => Err(format!("`{name}` is no number")),
        },
        Shape::YesNo => match text {
            word @ ("yes" | "no") => Ok(word),
            _ => Err(format!("`{name}` is `yes` or `no`")),
        },
        Shape::Gone(instead) => Err(format!("`{name}` is called `{instead}`")),
    }
    .map(str::to_owned)
}
