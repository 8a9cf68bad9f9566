//! Gives a record that a test has edited the checksum that lbd would have written.

#![allow(clippy::unwrap_used)]

/// The text with a checksum that fits.
pub(crate) fn sealed(text: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
    record.as_object_mut().unwrap().retain(|key, _| key != "version" && key != "crc32");
    String::from_utf8(lbd::files::seal::json(2, &record).unwrap()).unwrap()
}
