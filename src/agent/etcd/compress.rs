//! Compresses what is put into etcd, which takes values of 1.5 MB at most, and reads it again.

use std::fmt;
use std::io::{self, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::files::{UntrustedFileError, read_limited};

/// The most bytes of a value, compressed. etcd refuses a request of 1.5 MiB, with all that is around the value.
pub const MOST_STORED: usize = 1_400_000;

/// The most bytes of a text, as for a desired file.
pub const MOST_TEXT: u64 = 32 << 20;

/// What a compressed value begins with (RFC 1952).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a text cannot be stored in etcd, or a value there is no text.
#[derive(Debug)]
pub enum ContentError {
    /// It has so many bytes, compressed.
    TooLarge(usize),
    /// It has more than [`MOST_TEXT`] bytes, once it is decompressed.
    TooLong,
    /// What begins as compressed data is damaged.
    Damaged(io::Error),
    /// It is not UTF-8.
    NotText,
}

impl fmt::Display for ContentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(size) => write!(
                f,
                "it has {size} bytes, compressed, and etcd is for {MOST_STORED} at most: use git as the source of a file like this"
            ),
            Self::TooLong => write!(f, "it has more than {} MiB, decompressed", MOST_TEXT >> 20),
            Self::Damaged(_) => f.write_str("it is compressed and damaged"),
            Self::NotText => f.write_str("it is not UTF-8"),
        }
    }
}

impl std::error::Error for ContentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Damaged(error) => Some(error),
            Self::TooLarge(_) | Self::TooLong | Self::NotText => None,
        }
    }
}

/// A text as it lies in etcd: with gzip. The same text always gives the same bytes.
///
/// # Errors
/// Where it is too large for etcd.
pub fn compressed(text: &str) -> Result<Vec<u8>, ContentError> {
    compressed_to(text, MOST_STORED)
}

fn compressed_to(text: &str, most: usize) -> Result<Vec<u8>, ContentError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let bytes = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    let bytes = bytes.map_err(ContentError::Damaged)?;
    if bytes.len() > most { Err(ContentError::TooLarge(bytes.len())) } else { Ok(bytes) }
}

/// The text of a value: compressed, as its first bytes say, or plain, as another program may have put it there.
///
/// # Errors
/// Where it is longer than [`MOST_TEXT`], damaged, or no text.
pub fn decompressed(value: &[u8]) -> Result<String, ContentError> {
    decompressed_to(value, MOST_TEXT)
}

fn decompressed_to(value: &[u8], most: u64) -> Result<String, ContentError> {
    let bytes = if value.starts_with(&MAGIC) {
        // Most files are a twentieth when compressed.
        let expected = (value.len() as u64).saturating_mul(20).min(most);
        read_limited(MultiGzDecoder::new(value), expected, most).map_err(|error| match error {
            UntrustedFileError::Io(error) => ContentError::Damaged(error),
            UntrustedFileError::TooLong(_) | UntrustedFileError::NotRegular(_) => ContentError::TooLong,
        })?
    } else {
        value.to_vec()
    };
    String::from_utf8(bytes).map_err(|_| ContentError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_text_comes_back_and_plain_text_is_taken_too() {
        let text = "version: 1\nclusters: []\n".repeat(1000);
        let stored = compressed(&text).unwrap();
        assert!(stored.len() < 1000 && stored == compressed(&text).unwrap());
        assert_eq!(decompressed(&stored).unwrap(), text);
        assert_eq!(decompressed(b"version: 1\n").unwrap(), "version: 1\n");
        assert_eq!(decompressed(b"").unwrap(), "");
    }

    #[test]
    fn what_is_too_large_for_etcd_is_for_git() {
        let text = "version: 1\n".repeat(100);
        let size = compressed(&text).unwrap().len();
        assert_eq!(compressed_to(&text, size).unwrap().len(), size);
        let error = compressed_to(&text, size - 1).unwrap_err().to_string();
        assert!(error.ends_with("use git as the source of a file like this"), "{error}");
    }

    #[test]
    fn a_value_that_grows_without_end_ends_at_the_limit() {
        let bomb = gzip(&[b'0'; 1_000_000]);
        assert!(bomb.len() < 2000);
        assert_eq!(decompressed_to(&bomb, 1_000_000).unwrap().len(), 1_000_000);
        assert!(matches!(decompressed_to(&bomb, 999_999), Err(ContentError::TooLong)));
    }

    #[test]
    fn damaged_and_binary_values_are_named() {
        let stored = compressed("version: 1\n").unwrap();
        let (most, _) = stored.split_at(stored.len() - 4);
        assert!(matches!(decompressed(most), Err(ContentError::Damaged(_))));
        assert!(matches!(
            decompressed(&[stored.as_slice(), b"more"].concat()),
            Err(ContentError::Damaged(_))
        ));
        assert!(matches!(decompressed(b"\xff"), Err(ContentError::NotText)));
        assert!(matches!(decompressed(&gzip(b"\xff")), Err(ContentError::NotText)));
    }
}
