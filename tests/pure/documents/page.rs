//! A page of the documents: its blocks, headings, tables and links.

use std::collections::BTreeSet;
use std::fs;

/// A block between backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The words behind the backticks.
    pub(super) words: Vec<String>,
    pub(super) text: String,
    /// The line of the backticks, from 1.
    pub(super) line: usize,
}

impl Block {
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// Its commands: what is behind a prompt, or, without prompts, each line without its comment.
    pub(super) fn commands(&self) -> Vec<String> {
        match self.word(0) {
            "console" => self.text.lines().filter_map(command).map(str::to_owned).collect(),
            "sh" => {
                let joined = self.text.replace("\\\n", " ");
                joined.lines().map(|line| without_comment(line).to_owned()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The command of a line that begins with a prompt: `$ `, or that of a host in a lab, `director# ` or `client$ `.
pub(super) fn command(line: &str) -> Option<&str> {
    let (prompt, command) = line.split_once(' ')?;
    let is_host = |host: &str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric());
    let host = prompt.strip_suffix(['#', '$']);
    (prompt == "$" || host.is_some_and(is_host)).then_some(command)
}

pub(super) fn without_comment(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().trim_end()
}

/// A page, as its readers and the tests see it.
#[derive(Debug)]
pub(super) struct Page {
    /// Its path from the root of the repository.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) blocks: Vec<Block>,
    /// Level and text of each heading.
    pub(super) headings: Vec<(usize, String)>,
    /// Rows and columns of each table.
    pub(super) tables: Vec<(usize, usize)>,
    /// Where its links lead, and their lines.
    pub(super) links: Vec<(String, usize)>,
}

impl Page {
    pub(super) fn read(name: &str) -> Self {
        let text = fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut page = Self {
            name: name.to_owned(),
            blocks: Vec::new(),
            headings: Vec::new(),
            tables: Vec::new(),
            links: Vec::new(),
            text: text.clone(),
        };
        let mut inside: Option<Block> = None;
        let mut table = None;
        for (index, line) in text.lines().enumerate() {
            if let Some(words) = line.trim_start().strip_prefix("```") {
                match inside.take() {
                    Some(block) => page.blocks.push(block),
                    None => {
                        let words = words.split_whitespace().map(str::to_owned).collect();
                        inside = Some(Block { words, text: String::new(), line: index + 1 });
                    }
                }
                continue;
            }
            if let Some(block) = &mut inside {
                block.text += line;
                block.text += "\n";
                continue;
            }
            if line.starts_with('|') {
                let columns = line.replace("\\|", "").matches('|').count() - 1;
                let (rows, first) = table.get_or_insert((0, columns));
                assert_eq!(*first, columns, "{name}:{}: a row of other columns", index + 1);
                *rows += 1;
            } else {
                page.tables.extend(table.take());
            }
            let level = line.chars().take_while(|c| *c == '#').count();
            if level > 0 && line[level..].starts_with(' ') {
                page.headings.push((level, line[level..].trim().to_owned()));
            }
            // Code between backticks may look like a link.
            let prose: String = line.split('`').step_by(2).collect();
            // An escaped bracket ends no text of a link.
            let ends = prose.match_indices("](").filter(|(at, _)| !prose[..*at].ends_with('\\'));
            let targets = ends.filter_map(|(at, _)| prose[at + 2..].split(')').next());
            page.links.extend(targets.map(|target| (target.to_owned(), index + 1)));
        }
        assert_eq!(inside, None, "{name}: a block has no end");
        page.tables.extend(table);
        page
    }

    /// The names by which links lead to its headings.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let anchor = |text: &str| {
            let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        };
        self.headings.iter().map(|(_, text)| anchor(text)).collect()
    }
}
