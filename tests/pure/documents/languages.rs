//! Pages in two languages have the same headings, tables and code, and lead to each other.

use super::page::{Block, Page, without_comment};
use std::path::Path;

/// Each page that there is in both languages, and by which link each leads to the other.
const TWINS: [(&str, &str, &str, &str); 3] = [
    ("README.md", "[中文](README.zh-CN.md)", "README.zh-CN.md", "[English](README.md)"),
    ("docs/guide.md", "[中文](zh-CN/guide.md)", "docs/zh-CN/guide.md", "[English](../guide.md)"),
    (
        "docs/migrating.md",
        "[中文](zh-CN/migrating.md)",
        "docs/zh-CN/migrating.md",
        "[English](../migrating.md)",
    ),
];

/// What has to be the same in both: all but comments.
fn code(block: &Block) -> (Vec<String>, String) {
    let text = if matches!(block.word(0), "yaml" | "sh" | "text") {
        let lines = block.text.lines().filter(|line| !line.trim_start().starts_with('#'));
        lines.map(|line| format!("{}\n", without_comment(line))).collect()
    } else {
        block.text.clone()
    };
    (block.words.clone(), text)
}

#[test]
fn both_languages_have_the_same_headings_tables_and_code() {
    for (english, _, chinese, _) in TWINS {
        let (english, chinese) = (Page::read(english), Page::read(chinese));
        let levels = |page: &Page| page.headings.iter().map(|(level, _)| *level).collect::<Vec<_>>();
        let titles = |page: &Page| page.headings.iter().map(|(_, title)| title.clone()).collect::<Vec<_>>();
        assert_eq!(levels(&chinese), levels(&english), "{:?} and {:?}", titles(&chinese), titles(&english));
        assert_eq!(chinese.tables, english.tables, "{}: rows and columns of its tables", chinese.name);
        for (in_chinese, in_english) in chinese.blocks.iter().zip(&english.blocks) {
            let place = format!("{}:{}, {}:{}", chinese.name, in_chinese.line, english.name, in_english.line);
            assert_eq!(code(in_chinese), code(in_english), "{place}");
        }
        assert_eq!(chinese.blocks.len(), english.blocks.len(), "{}: blocks", chinese.name);
    }
}

#[test]
fn each_language_leads_to_the_other_at_the_top() {
    for (english, to_chinese, chinese, to_english) in TWINS {
        for (name, link) in [(english, to_chinese), (chinese, to_english)] {
            let page = Page::read(name);
            assert!(page.text.lines().take(5).any(|line| line.contains(link)), "{name}: {link}");
        }
    }
}

#[test]
fn every_chinese_page_has_an_english_one() {
    for entry in std::fs::read_dir("docs/zh-CN").unwrap() {
        let name = format!("docs/zh-CN/{}", entry.unwrap().file_name().display());
        let is_page = Path::new(&name).extension().is_some_and(|word| word == "md");
        assert!(!is_page || TWINS.iter().any(|(_, _, chinese, _)| *chinese == name), "{name}");
    }
}
