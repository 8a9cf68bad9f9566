//! Adds a version and a checksum to a file, and checks them when it is read.
//!
//! A JSON file begins with both; its checksum is over all else. A text begins with a comment line that holds both. What has
//! neither was written by an lbd from before them, and counts as version 1.

use std::fmt;

use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

/// Why the content of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealError {
    /// It is corrupt: it is not what was written.
    Corrupt(String),
    /// A newer lbd wrote it: its version, and the newest that this one reads.
    Newer(u32, u32),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(reason) => f.write_str(reason),
            Self::Newer(version, known) => write!(
                f,
                "version {version}, and this lbd reads up to {known}; install the newer lbd again, or remove the file"
            ),
        }
    }
}

impl SealError {
    fn checksum() -> Self {
        Self::Corrupt("its checksum does not match its content".to_owned())
    }
}

/// The CRC-32 of the pieces, one after the other, in hexadecimal. It is against accidents: whoever may write the file could
/// write any checksum, too, and with SHA-256 `apply` took a tenth more instructions (422 against 384 million for 1,000 services
/// with 10 servers each, in the race of `tests/run`).
fn checksum(pieces: &[&[u8]]) -> String {
    let mut hash = Hasher::new();
    pieces.iter().for_each(|piece| hash.update(piece));
    format!("{:08x}", hash.finalize())
}

/// Writes content as an indented JSON object with a version and a checksum.
///
/// # Errors
/// Where it cannot be written as a JSON object.
pub fn json(version: u32, content: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut body = serde_json::to_vec_pretty(content)?;
    body.push(b'\n');
    Ok(sealed(&format!("{{\n  \"version\": {version},\n  \"crc32\": \""), &body))
}

/// The same without spaces and line breaks, for content of a hundred thousand entries.
///
/// # Errors
/// As for [`json`].
pub fn compact_json(version: u32, content: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    Ok(sealed(&format!("{{\"version\":{version},\"crc32\":\""), &serde_json::to_vec(content)?))
}

/// A JSON object, not an empty one, with this beginning in place of its own, and the checksum behind that.
fn sealed(before: &str, body: &[u8]) -> Vec<u8> {
    let after = b"\",";
    let rest = body.get(1..).unwrap_or_default();
    let sum = checksum(&[before.as_bytes(), after, rest]);
    [before.as_bytes(), sum.as_bytes(), after, rest].concat()
}

/// Checks a JSON file that was made by [`json`] or [`compact_json`], by a version up to `known`, or before there were checksums.
///
/// # Errors
/// Where it is not what was written, or a newer version.
pub fn check_json(text: &[u8], known: u32) -> Result<(), SealError> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default = "first")]
        version: u32,
        crc32: Option<String>,
    }
    let head: Head = serde_json::from_slice(text)
        .map_err(|error| SealError::Corrupt(format!("not a record of lbd ({error})")))?;
    let sum = match head {
        Head { version, .. } if version > known => return Err(SealError::Newer(version, known)),
        Head { version: 1, crc32: None } => return Ok(()),
        Head { version: 2.., crc32: Some(sum) } => sum,
        Head { .. } => return Err(SealError::checksum()),
    };
    let at = memchr::memmem::find(text, sum.as_bytes()).unwrap_or_default();
    let (before, rest) = text.split_at_checked(at).unwrap_or_default();
    let after = rest.get(sum.len()..).unwrap_or_default();
    if checksum(&[before, after]) == sum { Ok(()) } else { Err(SealError::checksum()) }
}

fn first() -> u32 {
    1
}

/// How the first line of a sealed text begins; its version and checksum follow.
const MARK: &str = "# kept by lbd, version ";
/// The text between the two.
const SUM: &str = ", crc32 ";
/// The version of that line.
const TEXT_VERSION: u32 = 1;

/// The line that goes before a text.
pub fn text_head(text: &str) -> String {
    format!("{MARK}{TEXT_VERSION}{SUM}{}\n", checksum(&[text.as_bytes()]))
}

/// The text behind its line; all of it where it has none.
///
/// # Errors
/// Where it is not what was written, or a newer version.
pub fn check_text(mut text: String) -> Result<String, SealError> {
    let Some((head, rest)) = text.strip_prefix(MARK).and_then(|text| text.split_once('\n')) else {
        return Ok(text);
    };
    let (version, sum) = head.split_once(SUM).ok_or_else(SealError::checksum)?;
    match version.parse() {
        Ok(TEXT_VERSION) if checksum(&[rest.as_bytes()]) == sum => {}
        Ok(version @ TEXT_VERSION..) if version > TEXT_VERSION => {
            return Err(SealError::Newer(version, TEXT_VERSION));
        }
        _ => return Err(SealError::checksum()),
    }
    let begin = text.len() - rest.len();
    text.drain(..begin);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json as value};

    use super::*;

    fn sealed() -> Vec<u8> {
        json(2, &value!({ "owned": { "tcp://10.0.0.13:80": "web" }, "n": [1, 2] })).unwrap()
    }

    #[test]
    fn a_json_file_carries_its_version_and_checksum() {
        let sealed = sealed();
        assert_eq!(check_json(&sealed, 2), Ok(()));
        let mut read: Value = serde_json::from_slice(&sealed).unwrap();
        let sum = read.as_object_mut().unwrap().remove("crc32").unwrap();
        assert_eq!(sum.as_str().map(str::len), Some(8));
        assert_eq!(read, value!({ "version": 2, "owned": { "tcp://10.0.0.13:80": "web" }, "n": [1, 2] }));
    }

    // 3 of 250 flipped bits turned an owned service into its neighbour, which `diff` would have deleted.
    #[test]
    fn no_flipped_bit_goes_unseen() {
        let sealed = sealed();
        for bit in 0..sealed.len() * 8 {
            let mut spoilt = sealed.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            assert!(check_json(&spoilt, 2).is_err(), "bit {bit}: {}", String::from_utf8_lossy(&spoilt));
        }
        for length in 0..sealed.len() - 1 {
            assert!(check_json(&sealed[..length], 2).is_err(), "{length}");
        }
    }

    #[test]
    fn older_files_have_no_checksum_and_newer_ones_are_distinguished_from_corrupt_ones() {
        assert_eq!(check_json(b"{\"version\":1,\"owned\":{}}", 2), Ok(()));
        assert_eq!(check_json(b"{\"file\":\"a\"}", 2), Ok(()));
        assert_eq!(check_json(b"{\"version\":9,\"all\":\"other\"}", 2), Err(SealError::Newer(9, 2)));
        for text in
            ["{\"version\":2}", "{\"version\":0}", "{\"version\":2,\"crc32\":\"\"}", "", "[]", "{", "\0"]
        {
            assert!(matches!(check_json(text.as_bytes(), 2), Err(SealError::Corrupt(_))), "{text}");
        }
        let newer = SealError::Newer(9, 2).to_string();
        assert_eq!(
            newer,
            "version 9, and this lbd reads up to 2; install the newer lbd again, or remove the file"
        );
    }

    #[test]
    fn a_text_comes_back_as_it_was() {
        for text in
            ["", "version: 1\n", "\u{feff}version: 1\nclusters: []", "# kept by lbd, a comment\n", "ä"]
        {
            let kept = text_head(text) + text;
            assert_eq!(check_text(kept.clone()), Ok(text.to_owned()));
            // One that was copied to be the file is kept once more.
            assert_eq!(check_text(text_head(&kept) + &kept), Ok(kept));
        }
        assert_eq!(check_text("version: 1\n".to_owned()), Ok("version: 1\n".to_owned()));
        let kept = text_head("version: 1\n") + "version: 2\n";
        assert_eq!(check_text(kept), Err(SealError::checksum()));
        assert_eq!(check_text(format!("{MARK}2{SUM}abc\n")), Err(SealError::Newer(2, 1)));
    }
}
