//! Whatever a script of ipvsadm commands holds, it is converted into a valid document, and each line that is not has its number.

#![no_main]

use lbd::config::{Source, render_document};
use lbd::import::{Format, NoFiles, import_with};
use lbd::ipvsadm::ServiceNames;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else { return Corpus::Reject };
    let names = ServiceNames::from_file("/nonexistent");
    if let Ok(imported) = import_with(&Source::new("rules", text), Format::Ipvsadm, &NoFiles, &names) {
        assert!(imported.findings.iter().all(|finding| finding.line >= 1 && !finding.message.is_empty()));
        render_document(imported.document).yaml().expect("a document can be written");
    }
    Corpus::Keep
});
