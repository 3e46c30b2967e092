//! A small disk for one box, that can be filled.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use super::{Lan, place::run};

/// A tmpfs; let go with the network's directory, or when dropped.
pub struct Small(PathBuf);

impl Small {
    /// Mounts one of so many MiB.
    pub fn mount(lan: &Lan, name: &str, mib: u32) -> Self {
        let dir = lan.dir().join(name);
        fs::create_dir(&dir).expect("a new directory");
        let options = format!("size={mib}m,mode=0700");
        run("mount", &["-t", "tmpfs", "-o", &options, "metaopt-test", &dir.display().to_string()])
            .expect("root mounts");
        Self(dir)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes until so many bytes are left.
    pub fn fill(&self, left: u64) {
        let mut file = fs::File::options().create(true).append(true).open(self.filler()).expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while self.free() >= left + size && file.write_all(&vec![0; size as usize]).is_ok() {}
        }
    }

    /// Bytes that are left.
    pub fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).expect("a disk");
        stat.f_bavail * stat.f_bsize
    }

    /// Makes room again.
    pub fn clear(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", &self.0.display().to_string()]);
    }
}
