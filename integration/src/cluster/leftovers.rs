//! What tests that were killed left behind: namespaces, the processes in them, mounts and directories.

use std::{fs, path::Path};

use super::place::{Place, run};

/// Everything that is made is called so, then the test's process id, then what tells it from others.
pub(super) const PREFIX: &str = "metaopt-t";

/// Removes what belongs to tests that don't run any more.
pub(super) fn clear() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_orphan(name)) {
        Place::named(&name).remove();
    }
    let directories = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in directories.filter(|entry| entry.file_name().to_str().is_some_and(is_orphan)) {
        remove(&entry.path());
    }
}

fn is_orphan(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Removes a test's directory and what is mounted in it.
pub(super) fn remove(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        if Path::new(mount).starts_with(dir) {
            let _ = run("umount", &["-l", mount]);
        }
    }
    let _ = fs::remove_dir_all(dir);
}
