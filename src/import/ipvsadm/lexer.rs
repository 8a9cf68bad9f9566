//! Takes the text of a shell script apart into words and operators, each with its line, and expands nothing.

/// A piece of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text, without its quotes; whether it had some
    Text(String, bool),
    /// `$NAME` or `${NAME}`
    Variable {
        /// The name
        name: String,
        /// What `${NAME:-default}` gives where it is not set
        default: Option<String>,
        /// Whether it stands in quotes, so that spaces in the value divide no words
        quoted: bool,
    },
    /// What only a shell can work out: `$(…)`, `$1`; as it is written
    Computed(String),
}

/// A word of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub(super) parts: Vec<Part>,
}

impl Word {
    /// The text of a word in which nothing is expanded and nothing was quoted: a keyword, say.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text, false)] => Some(text),
            _ => None,
        }
    }

    fn push(&mut self, c: char, quoted: bool) {
        match self.parts.last_mut() {
            Some(Part::Text(text, of)) if *of == quoted => text.push(c),
            _ => self.parts.push(Part::Text(c.into(), quoted)),
        }
    }
}

/// Lines that follow a command as its input (`<<END`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HereDocument {
    /// The number of its first line
    pub(super) line: usize,
    /// Its lines
    pub(super) lines: Vec<String>,
    /// Whether variables are expanded in them
    pub(super) expands: bool,
}

/// A word or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word
    Word(Word),
    /// The end of a line
    Newline,
    /// `;`, `&&`, `(`, …
    Operator(&'static str),
    /// `>`, `2>>`, `<`, with its target
    Redirect(&'static str, Word),
    /// `<<END`, with what follows
    Here(HereDocument),
    /// A quote that is not closed, in place of its command and the rest of its line
    OpenQuote(char),
}

/// The operators, the longer ones first.
const OPERATORS: [&str; 8] = [";;", "&&", "||", ";", "&", "|", "(", ")"];

/// The redirections, the longer ones first.
const REDIRECTS: [&str; 9] = ["&>>", "<<<", ">>", "&>", ">&", "<&", ">|", ">", "<"];

/// The tokens of a text, each with the number of its line.
pub(super) fn tokens(text: &str) -> Vec<(usize, Token)> {
    // A byte order mark is what a Windows editor leaves.
    Lexer { rest: text.trim_start_matches('\u{feff}'), line: 1, tokens: Vec::new(), awaited: Vec::new() }
        .run()
}

/// A here-document whose lines are still to come: which token it is, and how it ends.
struct Awaited {
    token: usize,
    delimiter: String,
    strips_tabs: bool,
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<(usize, Token)>,
    awaited: Vec<Awaited>,
}

impl Lexer<'_> {
    fn run(mut self) -> Vec<(usize, Token)> {
        while let Some(c) = self.peek() {
            match c {
                '\n' => {
                    self.tokens.push((self.line, Token::Newline));
                    self.next();
                    self.read_here_documents();
                }
                c if c.is_whitespace() => {
                    self.next();
                }
                '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
                '\\' if self.is_continued() => {}
                _ => {
                    if !self.redirect() && !self.operator() {
                        self.word();
                    }
                }
            }
        }
        self.tokens
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Goes on by one character.
    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.skip(c.len_utf8());
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Goes past a text, if it is next.
    fn passes(&mut self, text: &str) -> bool {
        let is_next = self.rest.starts_with(text);
        if is_next {
            self.skip(text.len());
        }
        is_next
    }

    /// Goes past a backslash and the end of its line; spaces between them are what an editor left.
    fn is_continued(&mut self) -> bool {
        let Some((blank, _)) = self.rest.strip_prefix('\\').and_then(|rest| rest.split_once('\n')) else {
            return false;
        };
        let is_continued = blank.trim().is_empty();
        if is_continued {
            self.skip(2 + blank.len());
            self.line += 1;
        }
        is_continued
    }

    fn operator(&mut self) -> bool {
        // How `ipvsadm -S` prints a forwarding method that it does not know.
        if self.rest.starts_with("(null)") {
            return false;
        }
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.rest.starts_with(operator)) else {
            return false;
        };
        self.tokens.push((self.line, Token::Operator(operator)));
        self.skip(operator.len());
        true
    }

    fn redirect(&mut self) -> bool {
        let line = self.line;
        // `2>`
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let behind = self.rest.get(digits..).unwrap_or_default();
        if behind.starts_with("<<") && !behind.starts_with("<<<") {
            self.skip(digits + 2);
            let strips_tabs = self.passes("-");
            self.blanks();
            let Some(word) = self.read_word() else { return true };
            let expands = word.parts.iter().all(|part| matches!(part, Part::Text(_, false)));
            let delimiter = word.parts.iter().map(|part| match part {
                Part::Text(text, _) | Part::Computed(text) => text.as_str(),
                Part::Variable { name, .. } => name.as_str(),
            });
            self.awaited.push(Awaited {
                token: self.tokens.len(),
                delimiter: delimiter.collect(),
                strips_tabs,
            });
            let document = HereDocument { line: line + 1, lines: Vec::new(), expands };
            self.tokens.push((line, Token::Here(document)));
            return true;
        }
        let Some(redirect) = REDIRECTS.into_iter().find(|redirect| behind.starts_with(redirect)) else {
            return false;
        };
        self.skip(digits + redirect.len());
        self.blanks();
        if let Some(target) = self.read_word() {
            self.tokens.push((line, Token::Redirect(redirect, target)));
        }
        true
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn read_here_documents(&mut self) {
        for Awaited { token, delimiter, strips_tabs } in std::mem::take(&mut self.awaited) {
            let (first, mut lines) = (self.line, Vec::new());
            while !self.rest.is_empty() {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                let line = self.rest.get(..end).unwrap_or_default().trim_end_matches('\r');
                let line = if strips_tabs { line.trim_start_matches('\t') } else { line }.to_owned();
                self.skip(end);
                self.next();
                if line == delimiter {
                    break;
                }
                lines.push(line);
            }
            if let Some((_, Token::Here(document))) = self.tokens.get_mut(token) {
                (document.line, document.lines) = (first, lines);
            }
        }
    }

    fn word(&mut self) {
        let line = self.line;
        if let Some(word) = self.read_word() {
            self.tokens.push((line, Token::Word(word)));
        }
    }

    /// Reads a word; none where a quote is not closed.
    fn read_word(&mut self) -> Option<Word> {
        let mut word = Word::default();
        if self.passes("(null)") {
            "(null)".chars().for_each(|c| word.push(c, false));
        }
        while let Some(c) = self.peek() {
            match c {
                c if c.is_whitespace() => break,
                ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    if !self.is_continued() {
                        self.next();
                        if let Some(c) = self.next() {
                            word.push(c, true);
                        }
                    }
                }
                '\'' | '"' => {
                    if !self.quoted(&mut word, c) {
                        return None;
                    }
                }
                '$' | '`' => self.expansion(&mut word, false),
                c => {
                    self.next();
                    word.push(c, false);
                }
            }
        }
        Some(word)
    }

    /// Reads what stands in quotes. Where they are not closed, the command is left out with the rest of the line.
    fn quoted(&mut self, word: &mut Word, quote: char) -> bool {
        let (rest, line) = (self.rest, self.line);
        self.next();
        // An empty word in quotes is a word.
        word.parts.push(Part::Text(String::new(), true));
        while let Some(c) = self.peek() {
            match c {
                c if c == quote => {
                    self.next();
                    return true;
                }
                '\\' if quote == '"' => {
                    if !self.is_continued() {
                        self.next();
                        match self.next() {
                            Some(c @ ('$' | '`' | '"' | '\\')) => word.push(c, true),
                            Some(c) => {
                                word.push('\\', true);
                                word.push(c, true);
                            }
                            None => {}
                        }
                    }
                }
                '$' | '`' if quote == '"' => self.expansion(word, true),
                c => {
                    self.next();
                    word.push(c, true);
                }
            }
        }
        (self.rest, self.line) = (rest, line);
        let is_end = |token: &Token| match token {
            Token::Newline | Token::Operator(_) | Token::OpenQuote(_) => true,
            Token::Word(_) | Token::Redirect(..) | Token::Here(_) => false,
        };
        let end = self.tokens.iter().rposition(|(_, token)| is_end(token)).map_or(0, |end| end + 1);
        self.tokens.truncate(end);
        self.awaited.retain(|awaited| awaited.token < end);
        self.tokens.push((line, Token::OpenQuote(quote)));
        self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        false
    }

    /// Reads what begins with `$` or a backtick.
    fn expansion(&mut self, word: &mut Word, quoted: bool) {
        let start = self.rest;
        let mut computed = |lexer: &Self| {
            let length = start.len() - lexer.rest.len();
            word.parts.push(Part::Computed(start.get(..length).unwrap_or_default().to_owned()));
        };
        if self.passes("`") {
            while self.next().is_some_and(|c| c != '`') {}
            return computed(self);
        }
        self.next();
        match self.peek() {
            Some('(') => {
                let mut depth = 0_usize;
                while let Some(c) = self.next() {
                    match c {
                        '(' => depth += 1,
                        ')' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
                computed(self);
            }
            Some('{') => {
                while self.next().is_some_and(|c| c != '}') {}
                let length = start.len() - self.rest.len();
                let inner = start.get(2..length.saturating_sub(1)).unwrap_or_default();
                match braced(inner, quoted) {
                    Some(part) => word.parts.push(part),
                    None => computed(self),
                }
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let end = self.rest.find(|c: char| !is_of_name(c)).unwrap_or(self.rest.len());
                let name = self.rest.get(..end).unwrap_or_default().to_owned();
                self.skip(end);
                word.parts.push(Part::Variable { name, default: None, quoted });
            }
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.next();
                computed(self);
            }
            Some(_) | None => word.push('$', quoted),
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a text can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_of_name)
}

/// `NAME`, `NAME:-default`: what stands between `${` and `}`.
fn braced(inner: &str, quoted: bool) -> Option<Part> {
    let end = inner.find(|c: char| !is_of_name(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(end)?;
    let default = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'));
    let default = default.map(|default| default.trim_matches(['"', '\'']));
    let is_known = rest.is_empty() || default.is_some_and(|default| !default.contains(['$', '`']));
    (is_name(name) && is_known).then(|| Part::Variable {
        name: name.to_owned(),
        default: default.map(str::to_owned),
        quoted,
    })
}

#[cfg(test)]
mod tests;
