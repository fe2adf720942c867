//! Writes that fail.

use super::*;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn a_write_that_fails_leaves_the_checkpoints_before_it() {
    let (_folder, directory, mut trainer) = two_checkpoints();
    // A plain file where the temporary directory should be: fails for every user, root included.
    let obstacle = directory.path().join(format!("last.tmp-{}", std::process::id()));
    fs::write(&obstacle, "").expect("a file");
    rounds(&mut trainer, 1);
    let error = write_last(&directory, &founding(), &mut trainer).expect_err("an error");
    assert!(error.to_string().contains("last.tmp-"), "{error}");
    fs::remove_file(&obstacle).expect("removable");
    assert_eq!(resume(&directory, Device::Cpu).expect("the run").trainer.counters.rounds, 20);
}

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&path).ok()?;
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_checkpoints_before_it_and_no_leftover() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let Some(disk) = SmallDisk::mount(folder.path().join("disk"), "1m") else {
        println!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let path = disk.0.join("run");
    let directory = RunDirectory::create(&path, &founding(), &config()).expect("a run");
    let mut trainer = new_trainer(&founding(), &config(), Device::Cpu).expect("a trainer");
    rounds(&mut trainer, 10);
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    fs::write(disk.0.join("filler"), vec![0; 2 << 20]).expect_err("a full disk");
    rounds(&mut trainer, 10);
    let error = write_last(&directory, &founding(), &mut trainer).expect_err("an error");
    assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    let entries = fs::read_dir(&path).expect("a directory");
    let leftovers =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".tmp-"));
    assert_eq!(leftovers.count(), 0);
    assert_eq!(resume(&directory, Device::Cpu).expect("the run").trainer.counters.rounds, 10);
    // Once there is room again, the next checkpoint is written.
    fs::remove_file(disk.0.join("filler")).expect("removable");
    write_last(&directory, &founding(), &mut trainer).expect("a checkpoint");
    assert_eq!(resume(&directory, Device::Cpu).expect("the run").trainer.counters.rounds, 20);
}
