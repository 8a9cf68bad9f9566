//! Pulls the events of a text from the parser, those of an alias in its place, and counts them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::mem::discriminant;
use std::rc::Rc;

use saphyr_parser::{Event, Parser};
use serde::de::{self, Error as _};

use super::limits::{DEEPEST, MOST_VALUES};
use super::str_input::StrInput;

/// Why a text is not a document. The place is found by another reading, with the tree.
#[derive(Debug)]
pub(in crate::config) struct StreamError {
    pub(in crate::config) message: String,
    /// Whether the text contains something legal and rare, which only the other reader supports
    pub(in crate::config) is_unsupported: bool,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StreamError {}

impl de::Error for StreamError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), is_unsupported: false }
    }
}

/// The events of a text, those of an alias in its place.
pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// The next event, if it was looked at already
    pub(super) next: Option<Event<'t>>,
    /// The values of aliases
    anchors: HashMap<usize, Rc<[Event<'t>]>>,
    /// The values with an anchor that have begun and not ended
    anchored: Vec<AnchoredValue<'t>>,
    /// The aliases that are being read, and how far
    aliases: Vec<(Rc<[Event<'t>]>, usize)>,
    unfolded: usize,
    /// How many more keys and values the text may have
    nodes_left: usize,
}

/// A value with an anchor, as far as it was read.
struct AnchoredValue<'t> {
    anchor: usize,
    events: Vec<Event<'t>>,
    /// How many lists and mappings of it are open
    open: usize,
}

impl<'t> Events<'t> {
    pub(super) fn of(text: &'t str, most_nodes: usize) -> Self {
        Self {
            parser: Parser::new(StrInput::of(text)),
            next: None,
            anchors: HashMap::new(),
            anchored: Vec::new(),
            aliases: Vec::new(),
            unfolded: 0,
            nodes_left: most_nodes,
        }
    }

    pub(super) fn take(&mut self) -> Result<Event<'t>, StreamError> {
        match self.next.take() {
            Some(event) => Ok(event),
            None => self.pull(),
        }
    }

    pub(super) fn peek(&mut self) -> Result<&Event<'t>, StreamError> {
        if self.next.is_none() {
            self.next = Some(self.pull()?);
        }
        Ok(self.next.get_or_insert(Event::Nothing))
    }

    /// Takes an event of this kind.
    pub(super) fn expect(&mut self, expected: &Event<'static>) -> Result<(), StreamError> {
        let event = self.take()?;
        if discriminant(&event) == discriminant(expected) { Ok(()) } else { Err(unexpected(&event)) }
    }

    /// The text of the next event, which has to be a scalar.
    pub(super) fn text(&mut self) -> Result<Cow<'t, str>, StreamError> {
        match self.take()? {
            Event::Scalar(text, ..) => Ok(text),
            event => Err(unexpected(&event)),
        }
    }

    /// Takes a whole value, which is inside of the mapping at the top.
    pub(super) fn skip(&mut self) -> Result<(), StreamError> {
        let mut open = 1_usize;
        loop {
            match self.take()? {
                Event::SequenceStart(..) | Event::MappingStart(..) if open >= DEEPEST => {
                    return Err(StreamError::custom("lists and mappings are nested too deep"));
                }
                Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                Event::SequenceEnd | Event::MappingEnd => open = open.saturating_sub(1),
                Event::Scalar(..) | Event::Alias(_) => {}
                event @ (Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd) => return Err(unexpected(&event)),
            }
            if open <= 1 {
                return Ok(());
            }
        }
    }

    /// The next event, of an alias or of the text.
    fn pull(&mut self) -> Result<Event<'t>, StreamError> {
        if !self.aliases.is_empty()
            && let Some(event) = self.unfold()?
        {
            return Ok(event);
        }
        match self.parser.next_event() {
            None => Ok(Event::Nothing),
            Some(Ok((event, _))) => {
                if is_node(&event) {
                    self.nodes_left = self.nodes_left.checked_sub(1).ok_or_else(too_many_nodes)?;
                }
                if self.anchored.is_empty() && is_bare(&event) {
                    Ok(event)
                } else {
                    self.pull_anchored(event)
                }
            }
            Some(Err(error)) => Err(StreamError::custom(error)),
        }
    }

    /// The next event of an alias's value.
    fn unfold(&mut self) -> Result<Option<Event<'t>>, StreamError> {
        while let Some((events, at)) = self.aliases.last_mut() {
            let Some(event) = events.get(*at).cloned() else {
                self.aliases.pop();
                continue;
            };
            *at += 1;
            self.unfolded += 1;
            if self.unfolded > MOST_VALUES {
                return Err(StreamError::custom("the aliases have too many values"));
            }
            match event {
                Event::Alias(anchor) => self.follow(anchor)?,
                event => return Ok(Some(event)),
            }
        }
        Ok(None)
    }

    /// Takes an event with an anchor, one inside of a value with an anchor, or an alias.
    #[cold]
    fn pull_anchored(&mut self, event: Event<'t>) -> Result<Event<'t>, StreamError> {
        let anchor = match &event {
            Event::Alias(anchor) => {
                let anchor = *anchor;
                self.remember(&event, 0);
                self.follow(anchor)?;
                return self.pull();
            }
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                return Err(StreamError { message: "a tag".into(), is_unsupported: true });
            }
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _) => *anchor,
            _ => 0,
        };
        self.remember(&event, anchor);
        Ok(event)
    }

    /// Continues with the value of an alias.
    fn follow(&mut self, anchor: usize) -> Result<(), StreamError> {
        let events =
            self.anchors.get(&anchor).ok_or(StreamError::custom("an alias inside of its own value"))?;
        self.aliases.push((Rc::clone(events), 0));
        Ok(())
    }

    /// Stores an event that has an anchor (other than 0) or is inside of a value that has one.
    fn remember(&mut self, event: &Event<'t>, anchor: usize) {
        let (begins, ends) = match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => (1, 0),
            Event::SequenceEnd | Event::MappingEnd => (0, 1),
            _ => (0, 0),
        };
        if anchor != 0 {
            self.anchored.push(AnchoredValue { anchor, events: Vec::new(), open: 0 });
        }
        for value in &mut self.anchored {
            value.events.push(event.clone());
            value.open = value.open + begins - ends;
        }
        while let Some(value) = self.anchored.pop_if(|value| value.open == 0) {
            self.anchors.insert(value.anchor, value.events.into());
        }
    }
}

#[cold]
fn too_many_nodes() -> StreamError {
    StreamError::custom("the file has too many keys and values")
}

/// Whether an event is a key or a value, or begins one.
fn is_node(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(..) | Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..) => true,
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd
        | Event::SequenceEnd
        | Event::MappingEnd => false,
    }
}

/// Whether an event has neither anchor nor tag and is no alias: nearly all of them.
fn is_bare(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(_, _, anchor, tag) => *anchor == 0 && tag.is_none(),
        Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => *anchor == 0 && tag.is_none(),
        Event::Alias(_) => false,
        _ => true,
    }
}

/// The error for an event that is not allowed here.
pub(super) fn unexpected(event: &Event<'_>) -> StreamError {
    StreamError::custom(format!("unexpected: {event:?}"))
}
