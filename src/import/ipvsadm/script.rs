//! Takes a shell script apart into lists of simple commands, and finds the constructs that decide what runs.

use super::lexer::{HereDocument, Part, Token, Word, is_name, tokens};

/// One command with its words, which are not expanded yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Simple {
    /// The number of its line
    pub(super) line: usize,
    pub(super) words: Vec<Word>,
    /// `>`, `>>`, …, each with its target
    pub(super) redirects: Vec<(&'static str, Word)>,
    pub(super) input: Option<HereDocument>,
}

/// What stands between a pipeline and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connector {
    /// A new line, `;` or `&`: it runs in any case
    Then,
    /// `&&`: it runs where the one before succeeds
    And,
    /// `||`: it runs where the one before fails
    Or,
}

/// A part of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Commands between pipes, of which the last connects to the next item
    Pipeline(Connector, Vec<Simple>),
    /// A construct that decides what runs, or a function
    Construct(Construct),
    /// A quote that is not closed, with the number of its line
    OpenQuote(usize, char),
}

/// A construct that decides what runs, or a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Construct {
    /// Its keyword, `&&`, or the name of the function
    pub(super) keyword: String,
    /// Whether it defines a function
    pub(super) is_function: bool,
    /// The number of its first line
    pub(super) first: usize,
    /// The number of its last line
    pub(super) last: usize,
    /// The variables that it may set
    pub(super) sets: Vec<String>,
    /// Whether a command of ipvsadm or a kernel setting is in it
    pub(super) matters: bool,
}

/// The items of a script, in their order.
pub(super) fn items(text: &str) -> Vec<Item> {
    let mut parser = Parser { tokens: tokens(text), at: 0, items: Vec::new() };
    parser.run();
    parser.items
}

/// Keywords that open a construct, each with the one that closes it.
const CONSTRUCTS: [(&str, &str); 6] = [
    ("if", "fi"),
    ("case", "esac"),
    ("for", "done"),
    ("while", "done"),
    ("until", "done"),
    ("select", "done"),
];

/// Keywords behind which a command begins.
const LEADING: [&str; 6] = ["then", "else", "elif", "do", "!", "{"];

struct Parser {
    tokens: Vec<(usize, Token)>,
    at: usize,
    items: Vec<Item>,
}

impl Parser {
    fn run(&mut self) {
        let mut connector = Connector::Then;
        while let Some((line, token)) = self.tokens.get(self.at) {
            let line = *line;
            match token {
                Token::Newline => self.at += 1,
                Token::OpenQuote(quote) => {
                    self.items.push(Item::OpenQuote(line, *quote));
                    self.at += 1;
                }
                Token::Operator(operator) => {
                    connector = match *operator {
                        "&&" => Connector::And,
                        "||" => Connector::Or,
                        "(" if connector != Connector::Then => {
                            self.construct(line, "(", false);
                            connector = Connector::Then;
                            continue;
                        }
                        _ => Connector::Then,
                    };
                    self.at += 1;
                    // A line may end behind the operator.
                    if connector != Connector::Then {
                        while matches!(self.tokens.get(self.at), Some((_, Token::Newline))) {
                            self.at += 1;
                        }
                    }
                    continue;
                }
                Token::Word(_) | Token::Redirect(..) | Token::Here(_) => {
                    let plain = self.plain(self.at).unwrap_or_default().to_owned();
                    if self.is_function(self.at) {
                        let name = if plain == "function" {
                            self.plain(self.at + 1).unwrap_or_default()
                        } else {
                            &plain
                        };
                        let name = name.to_owned();
                        self.construct(line, &name, true);
                    } else if CONSTRUCTS.iter().any(|(keyword, _)| *keyword == plain)
                        || (plain == "{" && connector != Connector::Then)
                    {
                        self.construct(line, &plain, false);
                    } else if LEADING.contains(&plain.as_str()) || plain == "}" {
                        // A group of commands runs in any case.
                        self.at += 1;
                        continue;
                    } else {
                        let pipeline = self.pipeline();
                        self.items.push(Item::Pipeline(connector, pipeline));
                    }
                }
            }
            connector = Connector::Then;
        }
    }

    fn plain(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at) {
            Some((_, Token::Word(word))) => word.plain(),
            Some(_) | None => None,
        }
    }

    fn is_operator(&self, at: usize, operator: &str) -> bool {
        matches!(self.tokens.get(at), Some((_, Token::Operator(found))) if *found == operator)
    }

    /// `name() {` or `function name {`
    fn is_function(&self, at: usize) -> bool {
        let named =
            self.plain(at).is_some_and(|word| word.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)));
        self.plain(at) == Some("function")
            || (named && self.is_operator(at + 1, "(") && self.is_operator(at + 2, ")"))
    }

    /// Goes past a construct, and keeps what there is to say of it.
    fn construct(&mut self, first: usize, keyword: &str, is_function: bool) {
        let mut construct = Construct {
            keyword: keyword.to_owned(),
            is_function,
            first,
            last: first,
            sets: Vec::new(),
            matters: false,
        };
        // What closes the constructs that are open.
        let mut open: Vec<&str> = Vec::new();
        let mut begins = true;
        if is_function {
            while self.at < self.tokens.len() && self.plain(self.at) != Some("{") {
                self.at += 1;
            }
        }
        while let Some((line, token)) = self.tokens.get(self.at) {
            construct.last = *line;
            let mut is_end = false;
            let next_begins = match token {
                Token::Word(word) => {
                    construct.sets.extend(assigned(word).map(str::to_owned));
                    construct.matters |= matters(word);
                    let plain = word.plain().unwrap_or_default();
                    let opened = CONSTRUCTS.iter().find(|(keyword, _)| *keyword == plain);
                    if begins && let Some((_, close)) = opened {
                        open.push(close);
                        // `for NAME in`, `case WORD in`
                        if plain == "for" || plain == "select" {
                            construct.sets.extend(self.plain(self.at + 1).map(str::to_owned));
                        }
                        plain != "case" && plain != "for" && plain != "select"
                    } else if begins && plain == "{" {
                        open.push("}");
                        true
                    } else if begins && open.last() == Some(&plain) {
                        open.pop();
                        is_end = open.is_empty();
                        false
                    } else {
                        LEADING.contains(&plain)
                    }
                }
                Token::Operator("(") if keyword == "(" && open.is_empty() => {
                    open.push(")");
                    true
                }
                Token::Operator(")") if open.last() == Some(&")") => {
                    open.pop();
                    is_end = open.is_empty();
                    false
                }
                Token::Newline | Token::Operator(_) => true,
                Token::Redirect(_, target) => {
                    construct.matters |= matters(target);
                    false
                }
                Token::Here(_) | Token::OpenQuote(_) => false,
            };
            begins = next_begins;
            self.at += 1;
            if is_end {
                break;
            }
        }
        self.items.push(Item::Construct(construct));
    }

    /// Reads simple commands up to the end of their pipeline.
    fn pipeline(&mut self) -> Vec<Simple> {
        let (mut pipeline, mut simple) = (Vec::new(), Simple::default());
        while let Some((line, token)) = self.tokens.get(self.at) {
            if simple == Simple::default() {
                simple.line = *line;
            }
            match token {
                Token::Word(word) => simple.words.push(word.clone()),
                Token::Redirect(kind, target) => simple.redirects.push((kind, target.clone())),
                Token::Here(document) => simple.input = Some(document.clone()),
                Token::Operator("|") => {
                    pipeline.push(std::mem::take(&mut simple));
                    let next = self.plain(self.at + 1).unwrap_or_default();
                    if CONSTRUCTS.iter().any(|(keyword, _)| *keyword == next) {
                        self.at += 1;
                        return pipeline;
                    }
                }
                Token::Newline if simple.words.is_empty() && !pipeline.is_empty() => {}
                Token::Newline | Token::Operator(_) | Token::OpenQuote(_) => break,
            }
            self.at += 1;
        }
        pipeline.push(simple);
        pipeline
    }
}

/// The name of the variable that a word sets, if it is an assignment.
pub(super) fn assigned(word: &Word) -> Option<&str> {
    match word.parts.first()? {
        Part::Text(text, false) => text.split_once('=').map(|(name, _)| name).filter(|name| is_name(name)),
        Part::Text(..) | Part::Variable { .. } | Part::Computed(_) => None,
    }
}

impl Simple {
    /// Whether it has to do with the table or a kernel setting.
    pub(super) fn matters(&self) -> bool {
        let first = self.words.first().and_then(Word::plain);
        first.is_some_and(|word| word.starts_with('-'))
            || self.words.iter().chain(self.redirects.iter().map(|(_, target)| target)).any(matters)
    }
}

/// Whether a word has to do with the table or a kernel setting.
fn matters(word: &Word) -> bool {
    word.parts.iter().any(|part| match part {
        Part::Text(text, _) => {
            text.contains("ipvsadm")
                || text == "sysctl"
                || text.ends_with("/sysctl")
                || text.contains("/proc/sys/")
        }
        Part::Variable { name, .. } => name.to_ascii_lowercase().contains("ipvs"),
        Part::Computed(text) => text.contains("ipvsadm"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items in short: commands by their first word, constructs by keyword and lines.
    fn short(script: &str) -> Vec<String> {
        let first =
            |simple: &Simple| simple.words.first().and_then(|word| word.plain()).unwrap_or("?").to_owned();
        items(script)
            .iter()
            .map(|item| match item {
                Item::Pipeline(connector, commands) => {
                    let words: Vec<_> = commands.iter().map(first).collect();
                    format!("{connector:?} {}", words.join("|"))
                }
                Item::Construct(Construct { keyword, first, last, sets, matters, .. }) => {
                    format!("{keyword} {first}-{last} {sets:?} {matters}")
                }
                Item::OpenQuote(line, quote) => format!("{quote} {line}"),
            })
            .collect()
    }

    #[test]
    fn constructs_are_found_whole() {
        let script = "A=1\ncase \"$1\" in\n  start)\n    ipvsadm -A -t $A:80\n    if true; then x; fi\n    ;;\n  stop) ipvsadm -C ;;\nesac\n\
            start() {\n  B=2; { ipvsadm -C; }\n}\nfunction go\n{\n  echo if\n}\nfor i in 1 2; do echo $i; done; last && next ||\n other | pipe\n";
        assert_eq!(
            short(script),
            [
                "Then A=1",
                "case 2-8 [] true",
                "start 9-11 [\"B\"] true",
                "go 12-15 [] false",
                "for 16-16 [\"i\"] false",
                "Then last",
                "And next",
                "Or other|pipe",
            ]
        );
        assert_eq!(
            short("[ -x y ] && { ipvsadm -C; }\n( a )\n{ b; }\nif x"),
            ["Then [", "{ 1-1 [] true", "Then a", "Then b", "if 4-4 [] false",]
        );
        assert_eq!(
            short("cat f | while read x; do ipvsadm -A -f $x; done\nz"),
            ["Then cat", "while 1-1 [] true", "Then z"]
        );
    }
}
