//! C libraries that intercept calls to the system's libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source`, a file in `tests/it`, into `folder`. Returns the path for `LD_PRELOAD`.
pub fn library(folder: &Path, source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it")
        .join(source);
    let library = folder.join("preloaded.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]);
    let compiled = compiler.arg(&library).arg(source).status();
    assert!(compiled.expect("a C compiler").success());
    library
}
