//! The file as YAML sees it, with the place of every key and value; made only when there is a problem to show.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::limits::{DEEPEST, MOST_VALUES};

/// Why a text is not taken.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum TreeError {
    /// It is not YAML, as the parser says.
    Syntax(ScanError),
    /// A second document begins here.
    SecondDocument(Spot),
    /// This alias stands for a value that it is a part of.
    PartOfItself(Spot),
    /// With this value there are more than [`MOST_VALUES`], those that aliases stand for among them.
    TooManyValues(Spot),
    /// Here is more than [`DEEPEST`] deep.
    TooDeep(Spot),
}

/// A value by its number.
pub(in crate::config) type Id = usize;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Spot {
    /// Line, from 1
    pub(in crate::config) line: usize,
    /// Column in characters, from 1
    pub(in crate::config) column: usize,
    /// How many characters, on that line
    pub(in crate::config) width: usize,
}

/// A key or a value.
#[derive(Debug)]
pub(in crate::config) struct Node<'a> {
    /// Where it stands
    pub(in crate::config) spot: Spot,
    /// What it is
    pub(in crate::config) content: Content<'a>,
    /// A tag that says how to read it
    pub(in crate::config) tag: Option<Box<Tag>>,
}

/// What a key or a value is.
#[derive(Debug)]
pub(in crate::config) enum Content<'a> {
    /// Text; `plain` without quotes
    Scalar { text: Cow<'a, str>, plain: bool },
    /// A list
    List(Vec<Id>),
    /// A mapping
    Map(Vec<(Id, Id)>),
    /// A value that stands elsewhere
    Alias(Id),
}

/// A file as YAML sees it.
#[derive(Debug)]
pub(in crate::config) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// The value at the top, if there is any
    pub(in crate::config) root: Option<Id>,
}

/// A list or mapping that has begun.
struct Open {
    id: Id,
    children: Vec<Id>,
    mapping: bool,
    block: bool,
    weight: usize,
    height: usize,
}

/// What of a value matters to those that hold it or refer to it: how many values it is, and how deep.
#[derive(Clone, Copy)]
struct Size {
    weight: usize,
    height: usize,
}

impl<'a> Tree<'a> {
    /// Reads a text of one document.
    ///
    /// # Errors
    /// Where it is not YAML, is more than one document or beyond a limit.
    pub(in crate::config) fn parse(text: &'a str) -> Result<Self, TreeError> {
        let mut builder = Builder {
            tree: Self { nodes: Vec::new(), root: None },
            sizes: Vec::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
        };
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(TreeError::Syntax)?;
            if let Event::DocumentStart(_) = event {
                documents += 1;
            }
            if documents > 1 {
                return Err(TreeError::SecondDocument(spot(&span)));
            }
            builder.take(event, &span)?;
        }
        Ok(builder.tree)
    }

    /// A key or a value.
    pub(in crate::config) fn node(&self, id: Id) -> Option<&Node<'a>> {
        self.nodes.get(id)
    }

    /// What an alias stands for, or the value itself.
    pub(in crate::config) fn target(&self, id: Id) -> Option<&Node<'a>> {
        let node = self.nodes.get(id)?;
        // The parser refuses an alias with an anchor, so one step is enough.
        if let Content::Alias(target) = node.content { self.nodes.get(target) } else { Some(node) }
    }
}

struct Builder<'a> {
    tree: Tree<'a>,
    sizes: Vec<Size>,
    anchors: HashMap<usize, Id>,
    open: Vec<Open>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, span: &Span) -> Result<(), TreeError> {
        let here = spot(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let id = self.push(here, Content::Scalar { text, plain }, tag);
                self.name(anchor, id);
                self.place(id, Size { weight: 1, height: 1 })
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let size = target.and_then(|target| self.sizes.get(target).copied());
                match (target, size) {
                    (Some(target), Some(size)) if size.weight > 0 => {
                        let id = self.push(here, Content::Alias(target), None);
                        self.place(id, size)
                    }
                    _ => Err(TreeError::PartOfItself(here)),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(here, Content::List(Vec::new()), anchor, tag, span, false)
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(here, Content::Map(Vec::new()), anchor, tag, span, true)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn push(&mut self, spot: Spot, content: Content<'a>, tag: Option<Cow<'a, Tag>>) -> Id {
        let id = self.tree.nodes.len();
        self.tree.nodes.push(Node { spot, content, tag: tag.map(|tag| Box::new(tag.into_owned())) });
        // Until a list or mapping ends it weighs nothing, by which an alias inside it is known.
        self.sizes.push(Size { weight: 0, height: 0 });
        id
    }

    fn name(&mut self, anchor: usize, id: Id) {
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
    }

    fn begin(
        &mut self,
        here: Spot,
        content: Content<'a>,
        anchor: usize,
        tag: Option<Cow<'a, Tag>>,
        span: &Span,
        mapping: bool,
    ) -> Result<(), TreeError> {
        if self.open.len() >= DEEPEST {
            return Err(TreeError::TooDeep(here));
        }
        let id = self.push(here, content, tag);
        self.name(anchor, id);
        let block = span.is_empty();
        self.open.push(Open { id, children: Vec::new(), mapping, block, weight: 1, height: 0 });
        Ok(())
    }

    fn end(&mut self, span: &Span) -> Result<(), TreeError> {
        let Some(Open { id, children, mapping, block, weight, height }) = self.open.pop() else {
            return Ok(());
        };
        let first = children.first().and_then(|first| self.tree.nodes.get(*first)).map(|node| node.spot);
        if let Some(node) = self.tree.nodes.get_mut(id) {
            let end = spot(span);
            node.spot.width = match first {
                // A block has no brackets to underline: its first key or entry stands for it.
                Some(first) if block => {
                    node.spot = first;
                    first.width
                }
                _ if end.line == node.spot.line => (end.column + 1).saturating_sub(node.spot.column),
                _ => 1,
            };
            node.content = if mapping {
                let mut pairs = Vec::with_capacity(children.len() / 2);
                let mut children = children.into_iter();
                while let (Some(key), Some(value)) = (children.next(), children.next()) {
                    pairs.push((key, value));
                }
                Content::Map(pairs)
            } else {
                Content::List(children)
            };
        }
        self.place(id, Size { weight, height: height + 1 })
    }

    /// Puts a finished value into the list or mapping that is open.
    fn place(&mut self, id: Id, size: Size) -> Result<(), TreeError> {
        if let Some(slot) = self.sizes.get_mut(id) {
            *slot = size;
        }
        let here = || self.tree.nodes.get(id).map_or(Spot { line: 1, column: 1, width: 0 }, |node| node.spot);
        let depth = self.open.len();
        let Some(parent) = self.open.last_mut() else {
            self.tree.root = Some(id);
            return Ok(());
        };
        parent.weight = parent.weight.saturating_add(size.weight);
        parent.height = parent.height.max(size.height);
        if parent.weight > MOST_VALUES {
            return Err(TreeError::TooManyValues(here()));
        }
        if depth + size.height > DEEPEST + 1 {
            return Err(TreeError::TooDeep(here()));
        }
        parent.children.push(id);
        Ok(())
    }
}

fn spot(span: &Span) -> Spot {
    let (start, end) = (&span.start, &span.end);
    // What goes on in the next line is underlined to the end of its first.
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { usize::MAX };
    Spot { line: start.line(), column: start.col() + 1, width }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<usize, TreeError> {
        Tree::parse(text).map(|tree| tree.nodes.len())
    }

    fn at(line: usize, column: usize, width: usize) -> Spot {
        Spot { line, column, width }
    }

    #[test]
    fn every_key_and_value_has_its_place() {
        let tree = Tree::parse("a: 'x'\nbc:\n  - [1, 2]\n  - {d: e}\n  - f: g\n").unwrap();
        let spots: Vec<_> =
            tree.nodes.iter().map(|node| node.spot).map(|s| (s.line, s.column, s.width)).collect();
        assert_eq!(
            spots,
            [
                (1, 1, 1), // the mapping, by its first key
                (1, 1, 1),
                (1, 4, 3),
                (2, 1, 2),
                (3, 5, 6), // the list, by its first entry
                (3, 5, 6),
                (3, 6, 1),
                (3, 9, 1),
                (4, 5, 6),
                (4, 6, 1),
                (4, 9, 1),
                (5, 5, 1),
                (5, 5, 1),
                (5, 8, 1),
            ]
        );
    }

    #[test]
    fn an_alias_is_counted_and_not_unfolded() {
        assert_eq!(parse("a: &x [1]\nb: *x\n"), Ok(6));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..30 {
            let inside = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{inside}]\n"));
        }
        assert_eq!(parse(&bomb), Err(TreeError::TooManyValues(at(7, 25, 3))));
    }

    #[test]
    fn an_alias_inside_its_own_value_is_refused() {
        assert_eq!(parse("a: &a [*a]\n"), Err(TreeError::PartOfItself(at(1, 8, 2))));
    }

    #[test]
    fn depth_has_an_end() {
        assert_eq!(parse(&format!("{}{}", "[".repeat(64), "]".repeat(64))), Ok(64));
        assert_eq!(parse(&"[".repeat(65)), Err(TreeError::TooDeep(at(1, 65, 1))));
        assert_eq!(parse(&"- ".repeat(100)), Err(TreeError::TooDeep(at(1, 129, 0))));
        // Through aliases too.
        let deep =
            format!("- &a {}{}\n- {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(40), "]".repeat(40));
        assert_eq!(parse(&deep), Err(TreeError::TooDeep(at(2, 43, 2))));
    }

    #[test]
    fn a_second_document_is_refused() {
        assert_eq!(parse("a: b\n---\nc: d\n"), Err(TreeError::SecondDocument(at(2, 1, 3))));
        assert_eq!(parse("---\na: b\n...\n"), Ok(3));
    }
}
