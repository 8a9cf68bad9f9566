//! The files of the page, which are inside the program.

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageFile {
    /// Its path in a request
    path: &'static str,
    /// What it is
    pub(super) kind: &'static str,
    /// Its content
    pub(super) content: &'static str,
}

static FILES: [PageFile; 4] = [
    PageFile { path: "/", kind: "text/html; charset=utf-8", content: include_str!("page/index.html") },
    PageFile {
        path: "/page.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("page/page.js"),
    },
    PageFile { path: "/page.css", kind: "text/css; charset=utf-8", content: include_str!("page/page.css") },
    PageFile { path: "/icon.svg", kind: "image/svg+xml", content: include_str!("page/icon.svg") },
];

/// The file of a path, if there is one.
pub(super) fn file(path: &str) -> Option<&'static PageFile> {
    FILES.iter().find(|file| file.path == path)
}
