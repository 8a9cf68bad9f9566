//! Takes the middle out of a text that is too long for a message.

/// The longest message, in bytes; it may quote the file, which may have megabytes without a space.
pub(in crate::config) const LONGEST: usize = 600;

/// A text without its middle, where it is long.
pub(in crate::config) fn shorten(text: String) -> String {
    if text.len() <= LONGEST {
        return text;
    }
    // A letter has at most four bytes, so a boundary is near.
    let head = (0..4).find_map(|less| text.get(..LONGEST / 2 - less)).unwrap_or_default();
    let tail = (0..4).find_map(|more| text.get(text.len() - LONGEST / 3 + more..)).unwrap_or_default();
    format!("{head}...{tail}")
}
