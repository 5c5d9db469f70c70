//! The files of the status page, which the binary contains.

/// Each file: its path, its media type and its contents.
pub(super) const FILES: &[(&str, &str, &[u8])] = &[
    ("/", HTML, include_bytes!("page/index.html")),
    ("/style.css", CSS, include_bytes!("page/style.css")),
    ("/theme.js", SCRIPT, include_bytes!("page/theme.js")),
    ("/script.js", SCRIPT, include_bytes!("page/script.js")),
    ("/statement.js", SCRIPT, include_bytes!("page/statement.js")),
    ("/lines.js", SCRIPT, include_bytes!("page/lines.js")),
    ("/tables.js", SCRIPT, include_bytes!("page/tables.js")),
    ("/keys.js", SCRIPT, include_bytes!("page/keys.js")),
    ("/dom.js", SCRIPT, include_bytes!("page/dom.js")),
    ("/words.js", SCRIPT, include_bytes!("page/words.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
