//! The memory available to this process: the machine's, or less if a control group limits it.

use std::fs;

/// The directory of control groups version 2, and the memory directory of version 1.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"];

/// The memory that is assumed if the system does not report it.
const UNKNOWN_BYTES: usize = 4 << 30;

/// Returns a quarter of the available memory. The data needs most of it. A quarter holds the replies of several clients that ask
/// for too much, and one of them never gets more than half of that quarter.
pub(super) fn share() -> usize {
    let read = |path: &str| fs::read_to_string(path).ok();
    there_is(read).unwrap_or(UNKNOWN_BYTES) / 4
}

/// Returns the least of the machine's memory and the limits of the process's control groups. `read` returns a file's text.
fn there_is(read: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let machine = read("/proc/meminfo").and_then(|text| machine_bytes(&text));
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let bounds = groups
        .lines()
        .filter_map(group_of_memory)
        .flat_map(|(root, file, path)| {
            // An ancestor group may have the lower limit. In a container the path is the host's, and the root is the container's
            // group.
            ancestors(path).map(move |above| format!("{root}{above}/{file}"))
        });
    let bounds = bounds.filter_map(|path| read(&path)?.trim().parse().ok());
    bounds.chain(machine).min()
}

/// Reads the line `MemTotal:       16308428 kB`.
fn machine_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// For a line of `/proc/self/cgroup`, `0::/path` or `9:memory:/path`, returns the root directory, the file's name, and the
/// group's path.
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

/// Returns a path and all its ancestors. The root's is empty.
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
