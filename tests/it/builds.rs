//! Where builds of one version answer differently, because a distribution patches its server and keeps the version number.
//!
//! A snapshot contains only the version, so redtail answers like the version as released. Where a difference is listed here, the
//! tests also accept the answer of a patched build.

use crate::client::Reply;

/// Scripts that patched builds refuse: without the check, `acl_check_cmd` reads past the end of its arguments.
/// Source: Debian's redis 5:8.0.2-3+deb13u3, compared with 5:8.0.2-3+deb13u1.
const REFUSED_SCRIPT: &str = "Wrong number of args for redis.acl_check_cmd()";

/// Scripts whose error message contains a line break in builds without the patch, which is not valid RESP. Source: as above.
pub const BREAKS_ITS_LINE: &[&str] = &["error({err='x\\r\\ny'})", "error('a\\r\\nb')"];

/// Values that patched builds refuse to load: a pending entry of two consumers would be freed twice, and NaN scores have no place
/// in the order. redtail loads the snapshot and answers TAINTED for the key.
/// Source: Debian's redis 5:7.0.15-1~deb12u10, compared with 5:7.0.15-1~deb12u7, and 5:6.0.16-1+deb11u9 with +deb11u2.
pub const REFUSED_SNAPSHOTS: &[&str] = &["group pel two owners", "zset3 nan text"];

/// Commands whose key specifications patched builds call incomplete: if an option is repeated or looks like a key, they name
/// another key than the command writes or reads. Source: as above.
const INCOMPLETE: &[&str] = &["georadius", "georadiusbymember", "xread", "xreadgroup"];

/// Whether a patched build closed the connection of a client without a password because too many bytes would have waited for it.
/// Redis 6.0 repeats a whole unknown command name in its error. Source: Debian's redis 5:6.0.16-1+deb11u9, compared with +deb11u2
/// (CVE-2025-21605).
pub fn closes_before_the_password(name: &str, theirs: &str) -> bool {
    name == "redis-6.0" && theirs.is_empty()
}

/// Whether a patched build stopped at a pattern with that number of stars. Source: as above (CVE-2024-31228). All later versions
/// do.
pub fn gives_up_on_stars(name: &str, pattern: &str, theirs: &Reply) -> bool {
    let stars = pattern.matches('*').count();
    name == "redis-6.0" && stars > 1000 && theirs.0.ends_with(b"*0\r\n")
}

/// Scripts that leave the sandbox in releases before the fix for it, such as Redis 7.4.1: they change the strings of all scripts,
/// or run a function with other globals. redtail has the fix for every version. Source: CVE-2025-46818, redis 7.4.6.
const LEAVES_THE_SANDBOX: &[&str] = &[
    "getmetatable('x').__index=1",
    "return getfenv()",
    "return setfenv(1,{})",
    "return newproxy",
];

/// Whether `theirs` is the answer of another build to `script`, for which redtail answers `ours`.
pub fn other_build(script: &str, ours: &Reply, theirs: &Reply) -> bool {
    if BREAKS_ITS_LINE.contains(&script) {
        let line = theirs.0.strip_suffix(b"\r\n").unwrap_or_default();
        return line.len() > 1 && ours.0.starts_with(line);
    }
    let lists_globals = String::from_utf8_lossy(&theirs.0).contains("\r\ngetfenv:function\r\n");
    if LEAVES_THE_SANDBOX.contains(&script) || lists_globals {
        return !theirs.is_error();
    }
    ours.0 == b":1\r\n" && theirs.text().contains(REFUSED_SCRIPT)
}

/// Whether `theirs` is a patched build's COMMAND INFO of `command`, for which the release answers `ours`.
pub fn patched_specification(command: &str, ours: &Reply, theirs: &Reply) -> bool {
    let theirs = String::from_utf8_lossy(&theirs.0);
    INCOMPLETE.contains(&command) && without_incomplete(&theirs).as_bytes() == ours.0
}

/// Removes the notes that begin with `Incomplete` from COMMAND INFO, and the flag that goes with them.
fn without_incomplete(info: &str) -> String {
    let mut specifications = info.split("*8\r\n$5\r\nnotes\r\n");
    let mut plain = specifications.next().unwrap_or_default().to_owned();
    for noted in specifications {
        let (_, rest) = noted
            .split_once("\r\nIncomplete because ")
            .unwrap_or_else(|| panic!("unexpected note: {noted}"));
        let (_, rest) = rest.split_once("\r\n").expect("the note ends");
        let rest = rest.replacen("flags\r\n*3\r\n", "flags\r\n*2\r\n", 1);
        plain.push_str("*6\r\n");
        plain.push_str(&rest.replacen("+incomplete\r\n", "", 1));
    }
    plain
}

#[test]
fn only_the_note_and_its_flag_are_taken_out() {
    let flags = "flags\r\n*2\r\n+RO\r\n+access\r\n$4\r\nrest\r\n";
    let released = format!("*1\r\n*6\r\n$5\r\n{flags}");
    let noted = flags.replace("*2", "*3").replace("$4", "+incomplete\r\n$4");
    let note = "$5\r\nnotes\r\n$30\r\nIncomplete because of a reason\r\n";
    let patched = format!("*1\r\n*8\r\n{note}$5\r\n{noted}");
    let [released, patched] = [released, patched].map(|text| Reply(text.into_bytes()));
    assert!(patched_specification("xread", &released, &patched));
    assert!(!patched_specification("get", &released, &patched));
    let other = Reply(b"*0\r\n".to_vec());
    assert!(!patched_specification("xread", &other, &patched));
}
