//! Quotes words for a POSIX shell.

use std::borrow::Cow;
use std::fmt::Write;

use super::is_harmful;

/// A word as it has to be typed in a shell to be that word: as it is where it holds nothing that means something to a shell,
/// else in single quotes.
///
/// What [`is_harmful`] to a terminal, which no name that a file may hold has, is written as a command that prints it. A
/// NUL cannot be in a word of a shell at all, and is left out.
pub fn word(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('\'');
    for letter in word.chars() {
        match letter {
            '\'' => quoted.push_str("'\\''"),
            '\0' => {}
            // A shell takes line breaks from the end of what a command prints.
            '\n' => quoted.push_str("'\"${IFS#??}\"'"),
            other if is_harmful(other) => {
                quoted.push_str("'\"$(printf '");
                for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(quoted, "\\{byte:03o}");
                }
                quoted.push_str("')\"'");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::escape::is_harmless;

    /// What a shell makes of these words.
    fn parsed(words: &[String]) -> Vec<String> {
        let quoted: Vec<_> = words.iter().map(|word| self::word(word)).collect();
        let script = format!("printf '%s\\0' {}", quoted.join(" "));
        assert!(is_harmless(&script), "{script:?}");
        let output = Command::new("/bin/sh").args(["-c", &script]).current_dir("/").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for plain in
            ["10.0.0.13:80", "net.ipv4.ip_forward=1", "--mcast-interface", "eth0.100", "192.168.8.0/24"]
        {
            assert!(matches!(word(plain), Cow::Borrowed(same) if same == plain), "{plain}");
        }
    }

    // `sysctls: {"net.ipv4.conf.$(id).rp_filter": 1}` was printed so that a shell ran `id`.
    #[test]
    fn what_means_something_to_a_shell_is_quoted() {
        for (raw, quoted) in [
            ("net.ipv4.conf.$(id).rp_filter=1", "'net.ipv4.conf.$(id).rp_filter=1'"),
            ("a;touch$IFS.x", "'a;touch$IFS.x'"),
            ("[fd00::13]:80", "'[fd00::13]:80'"),
            ("it's", "'it'\\''s'"),
            ("4096 87380", "'4096 87380'"),
            ("~", "'~'"),
            ("", "''"),
        ] {
            assert_eq!(word(raw), quoted);
            assert_eq!(parsed(&[raw.to_owned()]), [raw]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_gives_every_word_back(
            words in proptest::collection::vec("[^\\x00]{0,12}|[ -~\\n\\t\\x1b\u{9b}\u{202e}]{0,12}", 1..20)
        ) {
            prop_assert_eq!(parsed(&words), words);
        }
    }
}
