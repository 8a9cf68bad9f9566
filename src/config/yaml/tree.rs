//! Reads a file as a tree with the place of every key and value; made only where there is a problem to report.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as EventSpan, Tag};

use super::limits::{DEEPEST, MOST_NODES, MOST_VALUES};

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum TreeError {
    /// It is not YAML; the parser's own error.
    Syntax(ScanError),
    /// A second document begins here.
    SecondDocument(Span),
    /// This alias refers to a value that contains it.
    PartOfItself(Span),
    /// With this value there are more than [`MOST_VALUES`], those of aliases among them.
    TooManyValues(Span),
    /// With this key or value there are more than [`MOST_NODES`].
    TooManyNodes(Span),
    /// Here is more than [`DEEPEST`] deep.
    TooDeep(Span),
}

/// A value by its number.
pub(in crate::config) type Id = usize;

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Span {
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
    /// Its place
    pub(in crate::config) span: Span,
    /// What it is
    pub(in crate::config) content: Content<'a>,
    /// A tag, which tells how to read it
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
    /// A reference to another value
    Alias(Id),
}

/// A file as a tree.
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

/// The size of a value, which counts for what contains it or refers to it: how many values it is, and how deep.
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
        Self::parse_up_to(text, MOST_NODES)
    }

    /// The same with another limit than [`MOST_NODES`].
    pub(super) fn parse_up_to(text: &'a str, most_nodes: usize) -> Result<Self, TreeError> {
        let mut builder = Builder {
            most_nodes,
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
                return Err(TreeError::SecondDocument(span_of(&span)));
            }
            builder.take(event, &span)?;
        }
        Ok(builder.tree)
    }

    /// A key or a value.
    pub(in crate::config) fn node(&self, id: Id) -> Option<&Node<'a>> {
        self.nodes.get(id)
    }

    /// The value of an alias, or the value itself.
    pub(in crate::config) fn target(&self, id: Id) -> Option<&Node<'a>> {
        let node = self.nodes.get(id)?;
        // The parser refuses an alias with an anchor, so one step is enough.
        if let Content::Alias(target) = node.content { self.nodes.get(target) } else { Some(node) }
    }
}

struct Builder<'a> {
    most_nodes: usize,
    tree: Tree<'a>,
    sizes: Vec<Size>,
    anchors: HashMap<usize, Id>,
    open: Vec<Open>,
}

impl<'a> Builder<'a> {
    fn take(&mut self, event: Event<'a>, span: &EventSpan) -> Result<(), TreeError> {
        let here = span_of(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let id = self.push(here, Content::Scalar { text, plain }, tag)?;
                self.name(anchor, id);
                self.attach(id, Size { weight: 1, height: 1 })
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let size = target.and_then(|target| self.sizes.get(target).copied());
                match (target, size) {
                    (Some(target), Some(size)) if size.weight > 0 => {
                        let id = self.push(here, Content::Alias(target), None)?;
                        self.attach(id, size)
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

    fn push(&mut self, span: Span, content: Content<'a>, tag: Option<Cow<'a, Tag>>) -> Result<Id, TreeError> {
        let id = self.tree.nodes.len();
        if id >= self.most_nodes {
            return Err(TreeError::TooManyNodes(span));
        }
        self.tree.nodes.push(Node { span, content, tag: tag.map(|tag| Box::new(tag.into_owned())) });
        // Until a list or mapping ends it weighs nothing, by which an alias inside it is known.
        self.sizes.push(Size { weight: 0, height: 0 });
        Ok(id)
    }

    fn name(&mut self, anchor: usize, id: Id) {
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
    }

    fn begin(
        &mut self,
        here: Span,
        content: Content<'a>,
        anchor: usize,
        tag: Option<Cow<'a, Tag>>,
        span: &EventSpan,
        mapping: bool,
    ) -> Result<(), TreeError> {
        if self.open.len() >= DEEPEST {
            return Err(TreeError::TooDeep(here));
        }
        let id = self.push(here, content, tag)?;
        self.name(anchor, id);
        let block = span.is_empty();
        self.open.push(Open { id, children: Vec::new(), mapping, block, weight: 1, height: 0 });
        Ok(())
    }

    fn end(&mut self, span: &EventSpan) -> Result<(), TreeError> {
        let Some(Open { id, children, mapping, block, weight, height }) = self.open.pop() else {
            return Ok(());
        };
        let first = children.first().and_then(|first| self.tree.nodes.get(*first)).map(|node| node.span);
        if let Some(node) = self.tree.nodes.get_mut(id) {
            let end = span_of(span);
            node.span.width = match first {
                // A block has no brackets to underline: its first key or entry is underlined instead.
                Some(first) if block => {
                    node.span = first;
                    first.width
                }
                _ if end.line == node.span.line => (end.column + 1).saturating_sub(node.span.column),
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
        self.attach(id, Size { weight, height: height + 1 })
    }

    /// Puts a finished value into the list or mapping that is open.
    fn attach(&mut self, id: Id, size: Size) -> Result<(), TreeError> {
        if let Some(slot) = self.sizes.get_mut(id) {
            *slot = size;
        }
        let here = || self.tree.nodes.get(id).map_or(Span { line: 1, column: 1, width: 0 }, |node| node.span);
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

fn span_of(span: &EventSpan) -> Span {
    let (start, end) = (&span.start, &span.end);
    // What goes on in the next line is underlined to the end of its first.
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()) } else { usize::MAX };
    Span { line: start.line(), column: start.col() + 1, width }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<usize, TreeError> {
        Tree::parse(text).map(|tree| tree.nodes.len())
    }

    fn at(line: usize, column: usize, width: usize) -> Span {
        Span { line, column, width }
    }

    #[test]
    fn every_key_and_value_has_its_place() {
        let tree = Tree::parse("a: 'x'\nbc:\n  - [1, 2]\n  - {d: e}\n  - f: g\n").unwrap();
        let spans: Vec<_> =
            tree.nodes.iter().map(|node| node.span).map(|s| (s.line, s.column, s.width)).collect();
        assert_eq!(
            spans,
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
    fn keys_and_values_are_counted() {
        let text = "- {a: 1}\n- {b: 2}\n- c\n";
        assert_eq!(Tree::parse_up_to(text, 8).map(|tree| tree.nodes.len()), Ok(8));
        assert_eq!(Tree::parse_up_to(text, 7).map(drop), Err(TreeError::TooManyNodes(at(3, 3, 1))));
        assert_eq!(Tree::parse_up_to(text, 6).map(drop), Err(TreeError::TooManyNodes(at(2, 7, 1))));
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
