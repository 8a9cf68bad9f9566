//! Whatever a keepalived.conf holds, its import ends, and what is written of it is a valid file.

#![no_main]

use lbd::config::{self, Remark, Source};
use lbd::import::{Effect, Format, NoFiles, Place, import};
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else { return Corpus::Reject };
    let source = Source::new("keepalived.conf", text);
    let imported = import(&source, Format::Keepalived, &NoFiles).expect("any text is read");
    let mut rendered = config::render_document(imported.document);
    let mut remarks = Vec::new();
    for finding in &imported.findings {
        assert!(finding.line >= 1 && !finding.message.is_empty());
        match finding.place {
            Place::Head => rendered.comment(finding.comment()),
            Place::Before(cluster) => rendered.comment_before(cluster, finding.comment()),
        }
        let (file, text, message) = (&*finding.file, &*finding.text, &*finding.message);
        remarks.push(Remark { file, line: finding.line, text, message, is_warning: finding.effect == Effect::Lost });
    }
    let shown = config::remarks(&remarks, false);
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    let yaml = rendered.yaml().expect("a document can be written");
    if let Err(problems) = config::load(&Source::new("desired.yaml", yaml.as_str())) {
        panic!("{}\n{yaml}", problems.text(false));
    }
    Corpus::Keep
});
