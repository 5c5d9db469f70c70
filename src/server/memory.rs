//! How much memory there is for this process: the machine's, or less where a control group says so.

use std::fs;

/// Where version 2 of control groups shows its files, and where version 1 shows those for memory.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"];

/// What is taken for the machine's memory where nothing tells it.
const UNKNOWN_BYTES: usize = 4 << 30;

/// A quarter of the memory that there is. The data has to have most; a quarter holds the replies of some clients who ask for too much, and
/// one of them never gets more than half of that.
pub(super) fn share() -> usize {
    let read = |path: &str| fs::read_to_string(path).ok();
    there_is(read).unwrap_or(UNKNOWN_BYTES) / 4
}

/// The least of the machine's memory and the bounds of the control groups that the process is in; `read` gives a file's text.
fn there_is(read: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text));
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let bounds = groups
        .lines()
        .filter_map(group_of_memory)
        .flat_map(|(root, file, path)| {
            // A group above may be the narrower one; inside of a container the path is that of the host, and the root is its own group.
            ancestors(path).map(move |above| format!("{root}{above}/{file}"))
        });
    let bounds = bounds.filter_map(|path| read(&path)?.trim().parse().ok());
    bounds.chain(machine).min()
}

/// `MemTotal:       16308428 kB`
fn machine_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Of a line of `/proc/self/cgroup`, `0::/path` or `9:memory:/path`: where to look, the file's name, and the group's path.
fn group_of_memory(line: &str) -> Option<(&'static str, &'static str, &str)> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let [unified, own] = GROUPS;
    if controllers.is_empty() {
        Some((unified, "memory.max", path))
    } else {
        let is_memory = controllers.split(',').any(|name| name == "memory");
        is_memory.then_some((own, "memory.limit_in_bytes", path))
    }
}

/// A path and all above it; that of the root is empty.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    std::iter::successors(Some(path), |path| {
        path.rsplit_once('/').map(|(above, _)| above)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_is_with(files: &[(&str, &str)]) -> Option<usize> {
        there_is(|path| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const MACHINE: (&str, &str) = ("/proc/meminfo", "MemTotal:  1000 kB\nMemFree: 5 kB\n");

    #[test]
    fn the_narrowest_bound_holds_and_the_machines_where_there_is_none() {
        assert_eq!(there_is_with(&[]), None);
        assert_eq!(there_is_with(&[MACHINE]), Some(1_024_000));
        let second = ("/proc/self/cgroup", "0::/a/b\n");
        let none = ("/sys/fs/cgroup/a/b/memory.max", "max\n");
        assert_eq!(there_is_with(&[MACHINE, second, none]), Some(1_024_000));
        let own = ("/sys/fs/cgroup/a/b/memory.max", "9000\n");
        assert_eq!(there_is_with(&[MACHINE, second, own]), Some(9000));
        let above = ("/sys/fs/cgroup/a/memory.max", "8000\n");
        assert_eq!(there_is_with(&[MACHINE, second, own, above]), Some(8000));
        let root = ("/sys/fs/cgroup/memory.max", "7000\n");
        assert_eq!(there_is_with(&[MACHINE, second, own, root]), Some(7000));
    }

    #[test]
    fn the_first_version_of_groups_is_read_where_memory_is_in_it() {
        let groups = (
            "/proc/self/cgroup",
            "9:cpu,memory:/docker/x\n8:cpu:/y\n0::/z\n",
        );
        let own = (
            "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
            "5000\n",
        );
        let other = ("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "1\n");
        assert_eq!(there_is_with(&[MACHINE, groups, own, other]), Some(5000));
        let inside = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n");
        assert_eq!(there_is_with(&[MACHINE, groups, inside]), Some(6000));
    }
}
