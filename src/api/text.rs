//! Keeps the text of a document in pieces, and limits how much all texts have together.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;

/// How long a piece is, in bytes. A long text is never moved to a place with more room.
const PIECE: usize = 64 << 10;
/// How long the texts are together at most that are kept for the next client or are on their way to one, in bytes, but for the short ones.
pub(super) const MOST: usize = 128 << 20;
/// How long a short text is, in bytes. There are never more of them than connections and kept documents.
const SHORT: usize = 1 << 20;

/// The text of a document. A clone has the same pieces; each of them is gone with the last text that has it.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// Those that are full
    pieces: Vec<Bytes>,
    /// What is behind them
    rest: Vec<u8>,
    /// The length of the pieces, in bytes
    full: usize,
    /// What counts them while they are there
    counted: Option<Arc<Counted>>,
}

impl Text {
    /// How long it is, in bytes.
    pub fn len(&self) -> usize {
        self.full + self.rest.len()
    }

    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it as one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.extend_from_slice(&self.rest);
        all
    }

    /// The pieces, one after the other.
    pub(super) fn into_pieces(self) -> Pieces {
        let Self { mut pieces, rest, full, counted } = self;
        let left = full + rest.len();
        if !rest.is_empty() {
            pieces.push(rest.into());
        }
        Pieces { pieces: pieces.into_iter(), left, _counted: counted }
    }
}

impl From<Vec<u8>> for Text {
    fn from(text: Vec<u8>) -> Self {
        Self { rest: text, ..Self::default() }
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest.reserve_exact(PIECE);
        }
        self.rest.extend_from_slice(bytes);
        if self.rest.len() >= PIECE {
            self.full += self.rest.len();
            self.pieces.push(std::mem::take(&mut self.rest).into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The pieces of a text that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: usize,
    _counted: Option<Arc<Counted>>,
}

impl From<Bytes> for Pieces {
    fn from(text: Bytes) -> Self {
        let left = text.len();
        let pieces = if text.is_empty() { Vec::new() } else { vec![text] };
        Self { pieces: pieces.into_iter(), left, _counted: None }
    }
}

impl Pieces {
    /// How long all of them are, in bytes.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Takes the next one.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.pieces.next()?;
        self.left = self.left.saturating_sub(piece.len());
        Some(piece)
    }
}

/// Where all texts have their place.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// A text that has a place.
#[derive(Debug)]
struct Counted {
    room: Room,
    length: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.length, Ordering::Relaxed);
    }
}

impl Room {
    /// Whether a text fits beside those that are there: it is short, there are no others, or there is enough room.
    pub(super) fn has_place(&self, text: &Text) -> bool {
        let used = self.0.load(Ordering::Relaxed);
        text.len() <= SHORT || used == 0 || used.saturating_add(text.len()) <= MOST
    }

    /// Gives it a place until its last clone is gone.
    pub(super) fn admit(&self, text: &mut Text) {
        let length = text.len();
        self.0.fetch_add(length, Ordering::Relaxed);
        text.counted = Some(Arc::new(Counted { room: self.clone(), length }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_in_pieces_as_it_was_written() {
        let mut text = Text::default();
        let lines: Vec<String> = (0..30_000).map(|number| format!("line {number}\n")).collect();
        lines.iter().for_each(|line| text.write_all(line.as_bytes()).unwrap());
        assert_eq!(text.to_bytes(), lines.concat().into_bytes());
        let (length, mut pieces) = (text.len(), text.clone().into_pieces());
        assert_eq!(pieces.left(), length);
        let mut all = Vec::new();
        while let Some(piece) = pieces.next_piece() {
            assert!(piece.len() < PIECE + 20);
            all.extend_from_slice(&piece);
            assert_eq!(pieces.left(), length - all.len());
        }
        assert_eq!(all, text.to_bytes());
        assert!(Text::default().into_pieces().next_piece().is_none());
    }

    #[test]
    fn there_is_room_for_short_texts_and_for_one_long_one_and_again_once_it_is_gone() {
        let room = Room::default();
        let text = |length| Text::from(vec![0; length]);
        let mut long = text(MOST + 1);
        assert!(room.has_place(&long));
        room.admit(&mut long);
        assert!(room.has_place(&text(SHORT)) && !room.has_place(&text(SHORT + 1)));
        let on_its_way = long.clone().into_pieces();
        drop(long);
        assert!(!room.has_place(&text(SHORT + 1)));
        drop(on_its_way);
        let mut first = text(MOST / 2);
        room.admit(&mut first);
        assert!(room.has_place(&text(MOST / 2)) && !room.has_place(&text(MOST / 2 + 1)));
    }
}
