//! Reads what `nft` listed of lbd's table: what is lbd's own becomes the model, and everything else a stray.
//!
//! The listing is JSON. The text of a stray rule is read from a second listing, that for people, and only where
//! there is such a rule.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value, json};

use super::sets::SETS;
use super::untracked;
use super::{SourceNat, TABLE, Table, rule};
use crate::model::untracked::sorted;
use crate::model::{Mark, MarkMatch};

/// The longest text of a stray; what is longer is cut off.
const STRAY_MAX: usize = 300;

/// A table as it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    marks: Vec<Mark>,
    untracked: Vec<MarkMatch>,
    source_nat: HashSet<SourceNat>,
    strays: Vec<Stray>,
}

/// Why nft's output is not a listing of a table.
#[derive(Debug)]
pub enum ListingError {
    /// It is not JSON.
    Json(serde_json::Error),
    /// It is JSON of another form.
    NoList,
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The parser's error is the whole error; there is nothing to add.
            Self::Json(error) => error.fmt(f),
            Self::NoList => f.write_str("there is no list `nftables` in it"),
        }
    }
}

impl std::error::Error for ListingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => error.source(),
            Self::NoList => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stray {
    /// A rule, to be named by the text that it has in the listing for people
    Rule { chain: String, handle: u64 },
    /// Flags of the table, to be named by that listing, too
    Flags,
    /// Anything else, by its name
    Named(String),
}

impl Listing {
    /// Reads the answer to `nft -n -j list table inet lbd`.
    ///
    /// # Errors
    /// Where it is no listing at all. What is in a listing is read, whatever it is.
    pub fn read(json: &str) -> Result<Self, ListingError> {
        let document: Value = serde_json::from_str(json).map_err(ListingError::Json)?;
        match document.get("nftables") {
            Some(Value::Array(entries)) => Ok(Reading::new(entries).listing()),
            _ => Err(ListingError::NoList),
        }
    }

    /// The listing of a table that has flags, if the listing for people shows any: nft 1.0.6 has freed their names when it
    /// writes them as JSON, so that there is anything in it, or no JSON at all.
    pub fn of_flagged(for_people: &str) -> Option<Self> {
        flags(for_people).map(|_| Self { strays: vec![Stray::Flags], ..Self::default() })
    }

    /// Whether there are strays that only the listing for people has a name for.
    pub fn needs_names(&self) -> bool {
        self.strays.iter().any(|stray| !matches!(stray, Stray::Named(_)))
    }

    /// The table, its stray rules named by their texts in `for_people`: the answer to
    /// `nft -s -a list table inet lbd`.
    pub fn table(self, for_people: &str) -> Table {
        let Self { marks, untracked, source_nat, strays } = self;
        let name = |stray| match stray {
            Stray::Named(name) => shown(&name),
            Stray::Flags => shown(flags(for_people).unwrap_or("flags")),
            Stray::Rule { chain, handle } => {
                let text = rule_text(for_people, &chain, handle);
                shown(&match text {
                    Some(text) => format!("rule {text} in {chain}"),
                    None => format!("rule with handle {handle} in {chain}"),
                })
            }
        };
        let strays = strays.into_iter().map(name).collect();
        Table { marks, untracked: sorted(untracked), source_nat, strays }
    }
}

/// Whether lbd's table is among those in the answer to `nft list tables`.
pub fn names_table(for_people: &str) -> bool {
    let own = format!("table inet {TABLE}");
    for_people.lines().any(|line| line.trim() == own)
}

/// A comment in a rule may be anything, and the text goes to terminals.
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(STRAY_MAX).collect();
    if text.chars().nth(STRAY_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// `flags dormant`
fn flags(for_people: &str) -> Option<&str> {
    for_people.lines().find(|line| line.starts_with("\tflags ")).map(str::trim)
}

/// The text of the rule with this handle, from lines such as `\t\ttcp dport 22 drop # handle 7`.
fn rule_text<'a>(for_people: &'a str, chain: &str, handle: u64) -> Option<&'a str> {
    let begin = format!("\tchain {chain} {{");
    let lines = for_people.lines().skip_while(|line| !line.starts_with(&begin));
    let mut rules = lines.take_while(|line| *line != "\t}").filter_map(|line| line.rsplit_once(" # handle "));
    rules.find(|(_, number)| number.parse() == Ok(handle)).map(|(text, _)| text.trim_start())
}

/// The entries of a listing, sorted by what they can be.
#[derive(Default)]
struct Reading<'a> {
    rules: Vec<&'a Map<String, Value>>,
    sets: Vec<&'a Map<String, Value>>,
    /// The names of the chains that are as lbd makes them
    chains: HashSet<&'a str>,
    /// The names of the other chains, whose rules count as part of them
    stray_chains: HashSet<&'a str>,
    /// Whether the table as a whole is switched off, or not quite an ordinary one
    flagged: bool,
    strays: Vec<Stray>,
}

impl<'a> Reading<'a> {
    fn new(entries: &'a [Value]) -> Self {
        let mut reading = Self::default();
        for entry in entries {
            let single =
                entry.as_object().filter(|entry| entry.len() == 1).and_then(|entry| entry.iter().next());
            match single.map(|(kind, of)| (kind.as_str(), of, of.as_object())) {
                Some(("metainfo", ..)) => {}
                Some(("table", _, Some(of))) => reading.table(of),
                Some(("chain", _, Some(of))) => reading.chain(of),
                Some(("set", _, Some(of))) => reading.sets.push(of),
                Some(("rule", _, Some(of))) => reading.rules.push(of),
                Some((kind, of, _)) => reading.named(kind, of.get("name").and_then(Value::as_str)),
                None => reading.named("an entry that has no kind", None),
            }
        }
        reading
    }

    fn named(&mut self, kind: &str, name: Option<&str>) {
        self.strays.push(Stray::Named(match name {
            Some(name) => format!("{kind} {name}"),
            None => kind.to_owned(),
        }));
    }

    /// A dormant table does nothing, whatever is in it.
    fn table(&mut self, of: &Map<String, Value>) {
        if !without_handle(of).eq(&json!({ "family": "inet", "name": TABLE })) {
            self.flagged = true;
            self.strays.push(Stray::Flags);
        }
    }

    fn chain(&mut self, of: &'a Map<String, Value>) {
        let base = |name: &str, kind: &str, hook: &str, priority: i32| {
            json!({
                "family": "inet", "table": TABLE, "name": name,
                "type": kind, "hook": hook, "prio": priority, "policy": "accept",
            })
        };
        let name = of.get("name").and_then(Value::as_str);
        let own = match name {
            Some(name @ "prerouting") => Some(base(name, "filter", name, -150)),
            Some(name @ "postrouting") => Some(base(name, "nat", name, 100)),
            Some(name @ untracked::CHAIN) => Some(base(name, "filter", "prerouting", -300)),
            _ => None,
        };
        match name {
            Some(name) if own == Some(without_handle(of)) => {
                self.chains.insert(name);
            }
            _ => {
                self.stray_chains.extend(name);
                self.named("chain", name);
            }
        }
    }

    fn listing(mut self) -> Listing {
        if self.flagged {
            return Listing { strays: self.strays, ..Listing::default() };
        }
        let (mut marks, mut untracked, mut used) = (Vec::<Mark>::new(), Vec::new(), HashSet::new());
        for of in std::mem::take(&mut self.rules) {
            let chain = of.get("chain").and_then(Value::as_str).unwrap_or_default();
            if self.stray_chains.contains(chain) {
                continue;
            }
            let known = if self.chains.contains(chain) { statements(of, chain) } else { None };
            let is_own = known.is_some_and(|statements| match chain {
                "prerouting" => {
                    rule::read(statements).map(|(mark, packets)| add(&mut marks, mark, packets)).is_some()
                }
                untracked::CHAIN => {
                    untracked::SETS.iter().any(|set| set.is_rule(statements) && used.insert(set.name))
                        || rule::read_untracked(statements).map(|packets| untracked.push(packets)).is_some()
                }
                // One that is there twice is one too many.
                _ => SETS.iter().any(|set| set.is_rule(statements) && used.insert(set.name)),
            });
            if !is_own {
                let handle = of.get("handle").and_then(Value::as_u64).unwrap_or_default();
                self.strays.push(Stray::Rule { chain: chain.to_owned(), handle });
            }
        }
        let mut source_nat = HashSet::new();
        for of in std::mem::take(&mut self.sets) {
            let name = of.get("name").and_then(Value::as_str);
            let used = name.filter(|name| used.contains(name));
            let nat = used.and_then(|name| SETS.iter().find(|set| set.name == name));
            let raw = used.and_then(|name| untracked::SETS.iter().find(|set| set.name == name));
            // One of lbd's that no rule looks into does nothing, and is a stray as well.
            if let Some((set, elements)) = nat.and_then(|set| Some((set, own_set(of, &set.types())?))) {
                self.elements(set.name, elements, |element| {
                    set.read_element(element).map(|of| source_nat.insert(of))
                });
            } else if let Some((set, elements)) = raw.and_then(|set| Some((set, own_set(of, &set.types())?)))
            {
                self.elements(set.name, elements, |element| {
                    set.read_element(element).map(|of| untracked.push(of))
                });
            } else {
                self.named("set", name);
            }
        }
        Listing { marks, untracked, source_nat, strays: self.strays }
    }

    /// Hands each element of a set to `take`; what that does not know is a stray.
    fn elements<T>(&mut self, set: &str, elements: &[Value], mut take: impl FnMut(&Value) -> Option<T>) {
        for element in elements {
            if take(element).is_none() {
                self.strays.push(Stray::Named(format!("element {} of {set}", element_text(element))));
            }
        }
    }
}

/// `{ 10 . 192.168.8.14 }`, without what is attached to it.
fn element_text(element: &Value) -> String {
    let bare = element.pointer("/elem/val").unwrap_or(element);
    let Some(parts) = bare.get("concat").and_then(Value::as_array) else { return element.to_string() };
    let part = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("{{ {} }}", parts.iter().map(part).collect::<Vec<_>>().join(" . "))
}

/// An entry without its number, which is another one each time.
fn without_handle(of: &Map<String, Value>) -> Value {
    let mut of = of.clone();
    of.shift_remove("handle");
    Value::Object(of)
}

/// The statements of a rule that has nothing beside them, such as a comment.
fn statements<'a>(of: &'a Map<String, Value>, chain: &str) -> Option<&'a [Value]> {
    let is_plain = of.iter().all(|(key, value)| match key.as_str() {
        "family" => value == "inet",
        "table" => value == TABLE,
        "chain" => value == chain,
        "handle" | "expr" => true,
        _ => false,
    });
    of.get("expr").and_then(Value::as_array).filter(|_| is_plain).map(Vec::as_slice)
}

/// What is in a set of these types; `None` where it is not made as lbd makes it.
fn own_set<'a>(of: &'a Map<String, Value>, types: &[&str]) -> Option<&'a [Value]> {
    let is_plain = of.iter().all(|(key, value)| match key.as_str() {
        "family" => value == "inet",
        "table" => value == TABLE,
        "type" => *value == json!(types),
        "name" | "handle" | "elem" => true,
        _ => false,
    });
    match of.get("elem") {
        _ if !is_plain => None,
        None => Some(&[]),
        Some(elements) => Some(elements.as_array()?),
    }
}

/// The rules of one mark that follow each other are one entry.
fn add(marks: &mut Vec<Mark>, mark: u32, packets: MarkMatch) {
    match marks.last_mut() {
        Some(last) if last.mark == mark => last.matches.push(packets),
        _ => marks.push(Mark { mark, matches: vec![packets] }),
    }
}
