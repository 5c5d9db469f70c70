//! `docs/performance.md`: measured figures go between its marks; the text around them is written by hand.

use std::fs;
use std::path::{Path, PathBuf};

/// Replaces the text between the marks of `name` on the page.
///
/// # Panics
/// If the page does not have these marks.
pub(crate) fn replace(name: &str, text: &str) {
    // A cluster has a page of its own.
    let page = if name == "clusters" {
        "cluster.md"
    } else {
        "performance.md"
    };
    let path = docs().join(page);
    let page = fs::read_to_string(&path).expect("the page exists");
    let (begin, end) = (
        format!("<!-- versus {name} -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .expect("the page has the opening mark");
    let (_, after) = rest
        .split_once(&end)
        .expect("the page has the closing mark");
    let page = format!("{before}{begin}\n{}\n\n{end}{after}", text.trim());
    fs::write(&path, page).expect("the page is writable");
    eprintln!("wrote {name} to {}", path.display());
}

/// Writes a chart to `docs/performance/`.
pub(crate) fn chart(name: &str, svg: &str) {
    let folder = docs().join("performance");
    fs::create_dir_all(&folder).expect("the folder can be created");
    fs::write(folder.join(name), svg).expect("the file can be written");
}

/// Processor, cores, memory and kernel, in one line.
pub(crate) fn machine() -> String {
    let processors = read("/proc/cpuinfo");
    let model = field(&processors, "model name");
    let cores = std::thread::available_parallelism().expect("the number of processors");
    let memory = read("/proc/meminfo");
    let kib: f64 = field(&memory, "MemTotal")
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let gib = kib / 1024.0 / 1024.0;
    format!("{cores} × {model}, {gib:.0} GiB, Linux {kernel}")
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_once(':'))
        .map_or("", |(_, value)| value.trim())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}
