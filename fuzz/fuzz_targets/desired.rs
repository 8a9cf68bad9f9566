//! Whatever a file holds, it is loaded or answered with problems that can be shown.

#![no_main]

use lbd::config::{Document, Source, load};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else { return Corpus::Reject };
    let source = Source::new("desired.yaml", text);
    match load(&source) {
        Ok(desired) => {
            // What is valid is valid again after it was read and written.
            if let Ok(document) = serde_yaml::from_str::<Document>(text) {
                let written = serde_yaml::to_string(&document).expect("a document can be written");
                let again = load(&Source::new("written.yaml", written)).expect("what was valid is valid");
                assert_eq!(again, desired);
            }
        }
        Err(problems) => {
            assert!(!problems.list.is_empty() && problems.list.len() <= 50);
            for problem in &problems.list {
                assert!(problem.line >= 1 && problem.column >= 1);
                assert!(!problem.message.is_empty());
            }
            let text = problems.text(false);
            assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
            problems.text(true);
            problems.json();
        }
    }
    Corpus::Keep
});
