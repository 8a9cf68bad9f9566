//! The guide shows the files of the labs, and what was typed with ipvsadm there is what is written now.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use lbd::config::{Source, load, render_document};
use lbd::import::{Format, NoFiles, import};

fn text(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The first code block of a page that opens so, without its fences.
fn block<'a>(page: &'a str, opening: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("```{opening}\n"))?;
    Some(rest.split_once("\n```")?.0)
}

#[test]
fn the_files_in_the_guide_are_those_of_the_labs() {
    let guide = text("docs/guide.md");
    for lab in ["nat", "dr", "tun", "fwm", "businesses", "fullnat", "health", "vrrp"] {
        let file = text(&format!("examples/{lab}/desired.yaml"));
        // The header is for those who open the file without the guide.
        let body: Vec<&str> = file.lines().skip_while(|line| line.starts_with('#')).collect();
        assert!(
            guide.contains(&format!("```yaml\n{}\n```", body.join("\n"))),
            "the guide has not the file of {lab}"
        );
    }
    assert_eq!(block(&guide, "text keepalived.conf"), Some(text("examples/vrrp/keepalived.conf").trim_end()));
}

#[test]
fn what_was_typed_with_ipvsadm_is_what_is_written_now() {
    let guide = text("docs/guide.md");
    let scenes: Vec<&str> =
        guide.split("\n### Scene ").skip(1).filter(|scene| block(scene, "yaml").is_some()).collect();
    assert_eq!(scenes.len(), 5);
    for scene in scenes {
        let title = scene.lines().next().unwrap();
        let typed = Source::new(title, block(scene, "sh").unwrap());
        let typed = import(&typed, Format::Ipvsadm, &NoFiles).unwrap().document;
        let typed = render_document(typed).yaml().unwrap();
        let typed = load(&Source::new(title, &typed)).unwrap_or_else(|problems| panic!("{problems}"));
        let written = load(&Source::new(title, block(scene, "yaml").unwrap()));
        let written = written.unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(typed.state.services, written.state.services, "scene {title}");
    }
}
