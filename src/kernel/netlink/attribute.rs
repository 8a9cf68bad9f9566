//! Splits netlink attributes (a length, a type, a value), and appends them to a request.

use super::error::Malformed;

/// The length and the type before each value.
const HEADER: usize = 4;

/// Netlink aligns messages and attributes to four bytes.
pub(super) fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// The attributes in a run of bytes: type and value of each. Ends after the first that is malformed.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    fn split(&mut self) -> Option<(u16, &'a [u8])> {
        /// The two highest bits of a type are flags.
        const TYPE: u16 = 0x3fff;
        let [l0, l1, t0, t1, ..] = *self.0 else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([t0, t1]) & TYPE, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.split().ok_or_else(|| {
            self.0 = &[];
            Malformed("an attribute that is cut off")
        }))
    }
}

/// The value of the first attribute of a type; `None` where there is none.
///
/// # Errors
/// Where an attribute before it is cut off.
pub(crate) fn find(attributes: &[u8], wanted: u16) -> Result<Option<&[u8]>, Malformed> {
    for attribute in Attributes::new(attributes) {
        let (kind, value) = attribute?;
        if kind == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// A number in host order at the start of a value; `None` where the value is too short.
pub(crate) fn u16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// A number in network order at the start of a value.
pub(crate) fn be16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// A number in host order at the start of a value.
pub(crate) fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A number in host order at the start of a value.
pub(crate) fn u64_of(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// A number in network order at the start of a value.
pub(crate) fn be32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A string up to its final NUL.
pub(crate) fn text_of(value: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// Appends an attribute; `body` appends its value.
pub(crate) fn append(buffer: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0, 0]);
    buffer.extend_from_slice(&kind.to_ne_bytes());
    body(buffer);
    let length = buffer.len() - start;
    if let Some(place) = buffer.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        // The longest attribute, a nest, is a few hundred bytes long.
        *place = (length as u16).to_ne_bytes();
    }
    buffer.resize(start + align(length), 0);
}

/// Appends an attribute that holds others, which `body` appends.
pub(crate) fn append_nest(buffer: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    /// IPVS does not need it; netlink's own rules want it.
    const NLA_F_NESTED: u16 = 1 << 15;
    append(buffer, kind | NLA_F_NESTED, body);
}

/// Appends a string with its final NUL.
pub(crate) fn append_text(buffer: &mut Vec<u8>, kind: u16, text: &str) {
    append(buffer, kind, |buffer| {
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(0);
    });
}

/// Appends a value of a fixed length, at most that of an IPv6 address: in one piece, which is faster than [`append`].
pub(crate) fn append_bytes<const N: usize>(buffer: &mut Vec<u8>, kind: u16, value: [u8; N]) {
    const { assert!(N <= 16) };
    let mut attribute = [0; HEADER + 16];
    let ([l0, l1], [k0, k1]) = (((HEADER + N) as u16).to_ne_bytes(), kind.to_ne_bytes());
    if let Some((header, place)) = attribute.split_first_chunk_mut() {
        *header = [l0, l1, k0, k1];
        if let Some(place) = place.first_chunk_mut() {
            *place = value;
        }
    }
    buffer.extend_from_slice(attribute.get(..HEADER + align(N)).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back() {
        let mut buffer = Vec::new();
        append_nest(&mut buffer, 3, |buffer| {
            append_bytes(buffer, 1, 7_u16.to_ne_bytes());
            append_text(buffer, 2, "abcd");
        });
        append(&mut buffer, 4, |buffer| buffer.extend([9, 8, 7]));
        assert_eq!(buffer.len() % 4, 0);
        let all: Vec<_> = Attributes::new(&buffer).map(Result::unwrap).collect();
        let (kind, nest) = all[0];
        assert_eq!((kind, all[1], all.len()), (3, (4, &[9, 8, 7][..]), 2));
        assert_eq!(find(nest, 1).unwrap().and_then(u16_of), Some(7));
        assert_eq!(find(nest, 2).unwrap().map(text_of).as_deref(), Some("abcd"));
        assert_eq!(find(nest, 5), Ok(None));
    }

    #[test]
    fn an_attribute_that_is_cut_off_ends_the_list() {
        let bytes = [8, 0, 1, 0, 1, 2, 3, 4, 8, 0, 2, 0, 1];
        let all: Vec<_> = Attributes::new(&bytes).collect();
        let cut_off = Malformed("an attribute that is cut off");
        assert_eq!(all, [Ok((1, &[1, 2, 3, 4][..])), Err(cut_off)]);
        assert_eq!(find(&bytes, 2), Err(cut_off));
        // A length that does not even cover its own header.
        assert_eq!(Attributes::new(&[3, 0, 1, 0]).collect::<Vec<_>>(), [Err(cut_off)]);
    }
}
