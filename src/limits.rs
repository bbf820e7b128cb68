//! Limits that the system sets to the memory of this process: its control groups' and its address space's. They are read
//! from Linux's files; other systems have none of these.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Bytes that the control groups of this process leave it; `None` where none has a limit.
///
/// A group's limit holds for all groups below it, so every group up to the root counts
/// (<https://docs.kernel.org/admin-guide/cgroup-v2.html>, and `cgroup-v1/memory.html`).
pub(crate) fn control_groups() -> Option<u64> {
    groups_of(Path::new("/proc/self"))
}

/// What is left of the address space for stacks of threads and for arrays too small to be asked for.
const RESERVE: u64 = 16 << 20;

/// Bytes that the limits on the address space (`ulimit -v`) and on data (`ulimit -d`) leave this process, some megabytes
/// aside; `None` where there are none.
pub(crate) fn address_space() -> Option<u64> {
    static LIMITED: OnceLock<bool> = OnceLock::new();
    let process = Path::new("/proc/self");
    let limited = LIMITED.get_or_init(|| {
        let limited = space_of(process).is_some();
        if limited {
            // What the allocator sets aside for a thread at its first array counts, and is much.
            rayon::broadcast(|_| drop(std::hint::black_box(vec![0u8; 64])));
        }
        limited
    });
    let left = limited.then(|| space_of(process)).flatten();
    left.map(|left| left.saturating_sub(RESERVE))
}

fn groups_of(process: &Path) -> Option<u64> {
    let groups = read_to_string(process.join("cgroup")).ok()?;
    let mounts = read_to_string(process.join("mountinfo")).ok()?;
    let mounts = mounts.lines().filter_map(Hierarchy::parse);
    let left = mounts.filter_map(|hierarchy| {
        let group = groups.lines().find_map(|line| hierarchy.group(line))?;
        // What is mounted may be the part of the tree below the root that a container is given.
        let group = group.strip_prefix(&hierarchy.root).unwrap_or(Path::new(""));
        let folders = group.ancestors().map(|part| hierarchy.mount.join(part));
        folders.filter_map(|folder| hierarchy.left(&folder)).min()
    });
    left.min()
}

/// A mounted tree of control groups that accounts for memory.
struct Hierarchy {
    /// The group that is mounted.
    root: PathBuf,
    /// Where.
    mount: PathBuf,
    unified: bool,
}

impl Hierarchy {
    /// From a line of `mountinfo`: `36 35 98:0 ROOT MOUNT options … - TYPE source options`.
    fn parse(line: &str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mount) = (place.next()?.into(), place.next()?.into());
        let mut kind = kind.split(' ');
        let unified = match (kind.next()?, kind.next_back()?) {
            ("cgroup2", _) => true,
            ("cgroup", options) if options.split(',').any(|it| it == "memory") => false,
            _ => return None,
        };
        Some(Self {
            root,
            mount,
            unified,
        })
    }

    /// The group of this hierarchy that a line of `cgroup` names: `ID:controllers:GROUP`.
    fn group<'a>(&self, line: &'a str) -> Option<&'a Path> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?);
        let is_it = match self.unified {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|it| it == "memory"),
        };
        is_it.then_some(Path::new(group))
    }

    /// Bytes that a group leaves; cached files, which the system gives up when asked to, do not count.
    fn left(&self, group: &Path) -> Option<u64> {
        let [limit, usage, cached] = match self.unified {
            true => ["memory.max", "memory.current", "inactive_file "],
            false => [
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            ],
        };
        let number = |name| -> Option<u64> {
            let text = read_to_string(group.join(name)).ok()?;
            text.trim().parse().ok()
        };
        let limit = number(limit)?;
        let statistics = read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = statistics.lines().find_map(|it| it.strip_prefix(cached));
        let cached = cached.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        let used = number(usage).unwrap_or(0).saturating_sub(cached);
        Some(limit.saturating_sub(used))
    }
}

fn space_of(process: &Path) -> Option<u64> {
    let limits = read_to_string(process.join("limits")).ok()?;
    let status = read_to_string(process.join("status")).ok()?;
    let number = |text: &str, name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let left = [
        ("Max address space", "VmSize:"),
        ("Max data size", "VmData:"),
    ]
    .into_iter()
    .filter_map(|(limit, used)| {
        let limit = number(&limits, limit)?;
        let used = number(&status, used).unwrap_or(0).saturating_mul(1024);
        Some(limit.saturating_sub(used))
    });
    left.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A process in group `group`, with the tree mounted from `root`.
    struct Fake(tempfile::TempDir);

    impl Fake {
        fn new(groups: &str, mounts: &str) -> Self {
            let fake = Self(tempfile::tempdir().unwrap());
            let mounts = mounts.replace("TREE", &fake.path("tree").display().to_string());
            fake.write("cgroup", groups);
            fake.write("mountinfo", &mounts);
            fake
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn left(&self) -> Option<u64> {
            groups_of(self.0.path())
        }
    }

    #[test]
    fn the_limit_of_every_group_above_counts() {
        let mounts = "24 1 0:22 / /proc rw - proc proc rw\n\
                      30 24 0:26 / TREE rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let fake = Fake::new("0::/user.slice/job.scope/step\n", mounts);
        assert_eq!(fake.left(), None);
        fake.write("tree/user.slice/job.scope/step/memory.max", "max\n");
        assert_eq!(fake.left(), None);
        fake.write("tree/user.slice/job.scope/memory.max", "2147483648\n");
        assert_eq!(fake.left(), Some(2 * GIB));
        fake.write("tree/user.slice/job.scope/memory.current", "1610612736\n");
        let cached = "anon 5\ninactive_file 536870912\nactive_file 7\n";
        fake.write("tree/user.slice/job.scope/memory.stat", cached);
        assert_eq!(fake.left(), Some(GIB));
        fake.write("tree/user.slice/memory.max", "1048576\n");
        assert_eq!(fake.left(), Some(1 << 20));
        // Another job's is none of ours.
        fake.write("tree/user.slice/other.scope/memory.max", "1\n");
        assert_eq!(fake.left(), Some(1 << 20));
    }

    #[test]
    fn the_first_version_has_a_hierarchy_for_memory() {
        let mounts = "31 24 0:27 / TREE/cpu rw - cgroup cgroup rw,cpu\n\
                      32 24 0:28 / TREE/memory rw - cgroup cgroup rw,memory\n\
                      33 24 0:29 / TREE/unified rw - cgroup2 cgroup2 rw\n";
        let groups = "4:cpu:/other\n3:memory:/slurm/job_7\n0::/init.scope\n";
        let fake = Fake::new(groups, mounts);
        let group = "tree/memory/slurm/job_7";
        fake.write("tree/memory/memory.limit_in_bytes", "9223372036854771712\n");
        fake.write(&format!("{group}/memory.limit_in_bytes"), "3221225472\n");
        fake.write(&format!("{group}/memory.usage_in_bytes"), "2147483648\n");
        fake.write(&format!("{group}/memory.stat"), "total_inactive_file 0\n");
        assert_eq!(fake.left(), Some(GIB));
    }

    #[test]
    fn a_container_sees_its_part_of_the_tree() {
        let mounts = "32 24 0:28 /docker/abc TREE rw - cgroup cgroup rw,memory\n";
        for group in ["/docker/abc", "/docker/abc/step", "/elsewhere"] {
            let fake = Fake::new(&format!("3:memory:{group}\n"), mounts);
            fake.write("tree/memory.limit_in_bytes", "1073741824\n");
            assert_eq!(fake.left(), Some(GIB), "{group}");
        }
    }

    #[test]
    fn the_address_space_may_be_limited() {
        let fake = Fake::new("", "");
        assert_eq!(space_of(fake.0.path()), None);
        let limits = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max data size             {data}            unlimited            bytes     \n\
                 Max address space         {space}           unlimited            bytes     \n"
            )
        };
        fake.write(
            "status",
            "VmPeak:\t 9000 kB\nVmSize:\t 2048 kB\nVmData:\t 1024 kB\n",
        );
        fake.write("limits", &limits("unlimited", "unlimited"));
        assert_eq!(space_of(fake.0.path()), None);
        fake.write("limits", &limits("3145728", "unlimited"));
        assert_eq!(space_of(fake.0.path()), Some(1 << 20));
        fake.write("limits", &limits("3145728", "1048577"));
        assert_eq!(space_of(fake.0.path()), Some(1));
        fake.write("limits", &limits("1048576", "unlimited"));
        assert_eq!(space_of(fake.0.path()), Some(0));
    }
}
