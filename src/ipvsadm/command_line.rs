//! Reads one command line as ipvsadm does: which command it is, and its options with their values.

use super::error::{OptionError, SplitError};

/// Whether an option carries a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Never
    No,
    /// Always: the next word, whatever it looks like
    Yes,
    /// The next word, unless that is an option
    Maybe,
}

/// Every option of ipvsadm 1.31: its long name, its letter, its value. The first group are the commands.
const OPTIONS: [(&str, Option<char>, Takes); 58] = {
    use Takes::{Maybe, No, Yes};
    [
        ("add-service", Some('A'), No),
        ("edit-service", Some('E'), No),
        ("delete-service", Some('D'), No),
        ("add-server", Some('a'), No),
        ("edit-server", Some('e'), No),
        ("delete-server", Some('d'), No),
        ("clear", Some('C'), No),
        ("restore", Some('R'), No),
        ("save", Some('S'), No),
        ("list", Some('L'), No),
        ("list", Some('l'), No),
        ("zero", Some('Z'), No),
        ("set", None, No),
        ("start-daemon", None, Yes),
        ("stop-daemon", None, Yes),
        ("help", Some('h'), No),
        ("version", Some('v'), No),
        ("tcp-service", Some('t'), Yes),
        ("udp-service", Some('u'), Yes),
        ("sctp-service", None, Yes),
        ("fwmark-service", Some('f'), Yes),
        ("ipv6", Some('6'), No),
        ("scheduler", Some('s'), Yes),
        ("pe", None, Yes),
        ("persistent", Some('p'), Maybe),
        ("netmask", Some('M'), Yes),
        ("sched-flags", Some('b'), Maybe),
        ("ops", Some('o'), No),
        ("real-server", Some('r'), Yes),
        ("gatewaying", Some('g'), No),
        ("ipip", Some('i'), No),
        ("masquerading", Some('m'), No),
        ("tun-type", None, Yes),
        ("tun-port", None, Yes),
        ("tun-nocsum", None, No),
        ("tun-csum", None, No),
        ("tun-remcsum", None, No),
        ("weight", Some('w'), Yes),
        ("u-threshold", Some('x'), Yes),
        ("l-threshold", Some('y'), Yes),
        ("syncid", None, Yes),
        ("sync-maxlen", None, Yes),
        ("mcast-interface", None, Yes),
        ("mcast-group", None, Yes),
        ("mcast-port", None, Yes),
        ("mcast-ttl", None, Yes),
        ("numeric", Some('n'), No),
        ("connection", Some('c'), No),
        ("timeout", None, No),
        ("daemon", None, No),
        ("stats", None, No),
        ("rate", None, No),
        ("exact", None, No),
        ("thresholds", None, No),
        ("persistent-conn", None, No),
        ("tun-info", None, No),
        ("nosort", None, No),
        ("sort", None, No),
    ]
};

/// How many at the head of `OPTIONS` are commands.
const COMMANDS: usize = 17;

/// One command of ipvsadm. Options are taken out of it one by one; what is left over does not belong there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// Long name of the command
    pub(super) command: &'static str,
    /// The command's own value (`--start-daemon master`)
    pub(super) operand: Option<String>,
    /// Words that are no options (`--set 900 120 300`)
    pub(super) words: Vec<String>,
    options: Vec<(&'static str, Option<String>)>,
    /// The options in their order, also those that were taken out
    order: Vec<&'static str>,
}

impl CommandLine {
    /// Reads the words after `ipvsadm`.
    pub(super) fn parse(arguments: Vec<String>) -> Result<Self, OptionError> {
        let mut options: Vec<(&'static str, Option<String>)> = Vec::new();
        let (mut commands, mut words) = (Vec::new(), Vec::new());
        let mut before_command = None;
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            if let Some(dash) = argument.chars().next().filter(|first| is_odd_dash(*first)) {
                return Err(OptionError::Dash { dash, word: argument });
            }
            let (found, rest) = match argument.strip_prefix("--") {
                Some(long) => {
                    let (name, value) =
                        long.split_once('=').map_or((long, None), |(name, v)| (name, Some(v)));
                    (
                        vec![by_name(name).ok_or_else(|| OptionError::Unknown(format!("--{name}")))?],
                        value.map(str::to_owned),
                    )
                }
                None => match argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                    Some(letters) => cluster(letters)?,
                    None => {
                        words.push(argument);
                        continue;
                    }
                },
            };
            let last = found.len().saturating_sub(1);
            for (at, (index, name, takes)) in found.into_iter().enumerate() {
                let value = match takes {
                    Takes::No if at == last && rest.is_some() => {
                        return Err(OptionError::TakesNoValue(name));
                    }
                    Takes::No => None,
                    Takes::Yes => {
                        Some(rest.clone().or_else(|| arguments.next()).ok_or(OptionError::LacksValue(name))?)
                    }
                    Takes::Maybe => rest.clone().or_else(|| arguments.next_if(|next| !next.starts_with('-'))),
                };
                if index < COMMANDS {
                    commands.push((name, value));
                } else if options.iter().any(|(known, _)| *known == name) {
                    return Err(OptionError::Duplicate(name));
                } else {
                    if commands.is_empty() {
                        before_command = before_command.or(Some(name));
                    }
                    options.push((name, value));
                }
            }
        }
        match (commands.pop(), commands.is_empty()) {
            (Some((command, operand)), true) => match before_command {
                Some(option) => Err(OptionError::BeforeCommand { option, command }),
                None => {
                    let order = options.iter().map(|(name, _)| *name).collect();
                    Ok(Self { command, operand, words, options, order })
                }
            },
            (Some(_), false) => Err(OptionError::MoreThanOneCommand),
            (None, _) => Err(OptionError::NoCommand),
        }
    }

    /// Whether an option stood before another one; ipvsadm reads them in their order.
    pub(super) fn is_before(&self, option: &str, other: &str) -> bool {
        let place = |name: &str| self.order.iter().position(|known| *known == name);
        place(option).zip(place(other)).is_some_and(|(option, other)| option < other)
    }

    /// Whether an option stands before the service.
    pub(super) fn is_before_service(&self, option: &str) -> bool {
        ["tcp-service", "udp-service", "sctp-service", "fwmark-service"]
            .into_iter()
            .any(|service| self.is_before(option, service))
    }

    /// Whether an option is there, and was not taken out.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// Takes an option out, with its value if it carries one.
    pub(super) fn take(&mut self, name: &str) -> Option<Option<String>> {
        let at = self.options.iter().position(|(known, _)| *known == name)?;
        Some(self.options.remove(at).1)
    }

    /// Takes an option out that always carries a value.
    pub(super) fn take_value(&mut self, name: &str) -> Option<String> {
        self.take(name).flatten()
    }

    /// Takes a switch out, and returns whether it was there.
    pub(super) fn take_switch(&mut self, name: &str) -> bool {
        self.take(name).is_some()
    }

    /// Refuses the options and words that were not taken.
    pub(super) fn finish(&self) -> Result<(), OptionError> {
        if let Some((name, _)) = self.options.first() {
            return Err(OptionError::NotOfCommand { option: name, command: self.command });
        }
        self.words.first().map_or(Ok(()), |word| Err(OptionError::Unexpected(word.clone())))
    }
}

/// Whether a character only looks like the hyphen of an option: a dash that a web page or an editor made of it.
pub(super) fn is_odd_dash(first: char) -> bool {
    matches!(first, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// An option by its place among the options, its long name, and whether it carries a value.
type FoundOption = (usize, &'static str, Takes);

fn by_name(name: &str) -> Option<FoundOption> {
    let found = OPTIONS.iter().enumerate().find(|(_, (long, ..))| *long == name)?;
    Some((found.0, found.1.0, found.1.2))
}

/// `-At10.0.0.13:80`: letters, the last of which may have its value behind it, with or without `=`.
fn cluster(letters: &str) -> Result<(Vec<FoundOption>, Option<String>), OptionError> {
    let mut found = Vec::new();
    let mut rest = letters.chars();
    while let Some(letter) = rest.next() {
        let (index, (name, _, takes)) = OPTIONS
            .iter()
            .enumerate()
            .find(|(_, (_, short, _))| *short == Some(letter))
            .ok_or_else(|| OptionError::Unknown(format!("-{letter}")))?;
        found.push((index, *name, *takes));
        let value = rest.as_str();
        if *takes != Takes::No && !value.is_empty() {
            return Ok((found, Some(value.strip_prefix('=').unwrap_or(value).to_owned())));
        }
    }
    Ok((found, None))
}

/// Splits a line into words as a shell does, as far as saved rules and simple scripts need it.
///
/// Quotes and backslashes are removed and a comment is left out. What only a shell can expand, such as `$VIP`, is an
/// error. (The quotes of `iptables-save` follow other rules: `host` reads those.)
pub(super) fn split(line: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '\'' | '"' => {
                let quoted = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        None => return Err(SplitError::OpenQuote(c)),
                        Some(end) if end == c => break,
                        Some(inner @ ('$' | '`')) if c == '"' => return Err(SplitError::ShellOnly(inner)),
                        Some(inner) => quoted.push(inner),
                    }
                }
            }
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => return Err(SplitError::ShellOnly(c)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvsadm::LineError;

    fn parse(line: &str) -> Result<CommandLine, LineError> {
        Ok(CommandLine::parse(split(line)?)?)
    }

    #[test]
    fn every_spelling_that_ipvsadm_takes_is_one() {
        let long =
            parse("--add-service --tcp-service 10.0.0.13:80 --scheduler=rr --persistent 50 --ops").unwrap();
        for line in [
            "-A -t 10.0.0.13:80 -s rr -p 50 -o",
            "-At 10.0.0.13:80 -srr -p=50 -o # comment",
            "-A -t '10.0.0.13:80' -s=rr -p50 -o",
            r#"-A -t 10.0.0.13:80 -s "r"r -p 50 --ops"#,
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&long), "{line}");
        }
        let mut bare = parse("-A -u 10.0.0.13:80 -op -s rr").unwrap();
        assert_eq!(bare.take("persistent"), Some(None));
    }

    #[test]
    fn what_is_no_command_line_says_why() {
        let error = |line| parse(line).unwrap_err().to_string();
        assert_eq!(error("-t 10.0.0.13:80"), "no command such as -A or -a");
        assert_eq!(error("-A -D"), "more than one command");
        assert_eq!(error("-A --tcp-serv x"), "unknown option `--tcp-serv`");
        assert_eq!(error("-AX"), "unknown option `-X`");
        assert_eq!(error("-A -t"), "`--tcp-service` lacks its value");
        assert_eq!(error("-A -s rr -s rr"), "duplicate option `--scheduler`");
        assert_eq!(error("-A --ops=yes"), "`--ops` takes no value");
        assert!(error("-A -t $VIP:80").starts_with("`$` has a meaning that only a shell knows"));
        assert_eq!(error("-A -t '10.0.0.13:80"), "a quote (') is not closed");
        assert_eq!(
            parse("-C junk -n").unwrap().finish().unwrap_err(),
            OptionError::NotOfCommand { option: "numeric", command: "clear" }
        );
        assert_eq!(parse("-C junk").unwrap().finish(), Err(OptionError::Unexpected("junk".to_owned())));
    }
}
