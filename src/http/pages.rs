//! The files of the status page, which the binary contains.

/// Each file: its path, its media type and its contents.
pub(super) const FILES: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("page/index.html")),
    ("/style.css", CSS, include_bytes!("page/style.css")),
    ("/script.js", SCRIPT, include_bytes!("page/script.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
