//! The binding to the kernel, on a real mount; where there is none, a line says so.
#![expect(clippy::print_stdout, reason = "a skipped test says so")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use quorate_faultfs::{Disk, PAGES_MAX, Station, mount};
use tempfile::TempDir;

/// Plays on a mount, if there can be one.
fn on_a_mount(play: impl FnOnce(&Path, &dyn Fn(&str) -> String)) {
    let folder = TempDir::new().unwrap();
    let station = Arc::new(Mutex::new(Station::new(Disk::new(PAGES_MAX), None)));
    let mounted = match mount(folder.path(), Arc::clone(&station)) {
        Ok(mounted) => mounted,
        Err(why) => return println!("skipped, nothing can be mounted here: {why}"),
    };
    let obey = |line: &str| station.lock().unwrap().obey(line.parse().unwrap()).to_string();
    play(folder.path(), &obey);
    mounted.end();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it is still mounted");
}

#[test]
fn programs_find_a_file_system() {
    on_a_mount(|at, _| {
        let path = at.join("folder/file");
        fs::create_dir(at.join("folder")).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(&[1; 10_000]).unwrap();
        file.write_all_at(&[2; 300], 5_000).unwrap();
        file.sync_all().unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes.len(), bytes[4_999], bytes[5_000], bytes[5_300]), (10_000, 1, 2, 1));
        file.set_len(100_000).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 100_000);
        fs::rename(&path, at.join("moved")).unwrap();
        assert_eq!(fs::read(at.join("moved")).unwrap().len(), 100_000);
        assert_eq!(fs::read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::remove_dir(at.join("folder")).unwrap();
        // Shorter than before, by opening it anew.
        fs::write(at.join("moved"), b"short").unwrap();
        assert_eq!(fs::read(at.join("moved")).unwrap(), b"short");
        let listener = UnixListener::bind(at.join("socket")).unwrap();
        drop(listener);
        let mut names: Vec<_> =
            fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["moved", "socket"]);
        for name in names {
            fs::remove_file(at.join(name)).unwrap();
        }
        let file = OpenOptions::new().write(true).create_new(true).open(at.join("lock")).unwrap();
        file.lock().unwrap();
        let other = OpenOptions::new().write(true).open(at.join("lock")).unwrap();
        assert!(other.try_lock().is_err(), "two have the lock");
    });
}

#[test]
fn a_power_loss_takes_what_no_sync_covered() {
    on_a_mount(|at, obey| {
        let path = at.join("log");
        let file = File::create(&path).unwrap();
        File::open(at).unwrap().sync_all().unwrap();
        file.write_all_at(b"synced", 0).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(b"SYNCED, and more", 0).unwrap();
        File::create(at.join("nameless")).unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"SYNCED, and more");
        // Some seed keeps nothing.
        let lost = (0..64).find(|seed| keeps_nothing(*seed));
        let answer = obey(&format!("crash {}", lost.unwrap()));
        assert!(answer.contains("pages_lost=1") && answer.contains("names_lost=1"), "{answer}");
        assert_eq!(fs::read(&path).unwrap(), b"synced");
        assert!(!at.join("nameless").exists());
    });
}

/// Whether this seed keeps none of many names.
fn keeps_nothing(seed: u64) -> bool {
    let mut disk = Disk::new(10);
    for number in 0..50 {
        let name = format!("{number}");
        disk.create(1, name.as_ref(), quorate_faultfs::Kind::File, 0).unwrap();
    }
    disk.crash(seed).names_kept == 0
}

#[test]
fn calls_fail_as_they_are_told() {
    on_a_mount(|at, obey| {
        let file = File::create(at.join("log")).unwrap();
        obey("fault sync log 1 1 forget");
        obey("fault write log 1 1 error ENOSPC");
        obey("fault write log 2 1 short 3");
        obey("fault read log 0 1 error EIO");
        file.sync_data().unwrap();
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        file.sync_data().unwrap();
        assert_eq!(file.write_at(b"abcdef", 0).unwrap(), 6);
        assert_eq!(file.write_at(b"abcdef", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(file.write_at(b"ABCDEF", 0).unwrap(), 3);
        assert_eq!(fs::read(at.join("log")).unwrap_err().raw_os_error(), Some(5));
        assert_eq!(fs::read(at.join("log")).unwrap(), b"ABCdef");
        obey("heal");
        obey("fault sync * 0 1 power-off");
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
        assert_eq!(file.write_at(b"x", 0).unwrap_err().raw_os_error(), Some(5));
        obey("crash 1");
        file.write_at(b"x", 0).unwrap();
    });
}

#[test]
fn a_call_that_takes_long_holds_up_no_other() {
    on_a_mount(|at, obey| {
        let file = File::create(at.join("slow")).unwrap();
        obey("fault sync slow 0 1 delay 600000");
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| file.sync_data());
            while !obey("calls").contains(" sync=1") {
                std::thread::yield_now();
            }
            fs::write(at.join("fast"), b"there").unwrap();
            assert!(!slow.is_finished(), "the slow one was not slow");
            // Nobody waits for a disk without power.
            obey("crash 1");
            assert_eq!(slow.join().unwrap().unwrap_err().raw_os_error(), Some(5));
        });
    });
}
