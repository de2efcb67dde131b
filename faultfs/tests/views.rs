//! What programs read and what a power loss leaves, without a mount.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use quorate_faultfs::{
    Disk, Fates, Kind, NodeId, PAGE_BYTES, PAGES_MAX, ROOT, Refusal, SECTOR_BYTES, VERSIONS_MAX,
};

const SEEDS: u64 = 200;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn disk() -> Disk {
    Disk::new(PAGES_MAX)
}

/// A file whose name is durable.
fn file(disk: &mut Disk, called: &str) -> NodeId {
    let node = disk.create(ROOT, name(called), Kind::File, 0o644).unwrap();
    disk.sync(ROOT).unwrap();
    node
}

fn all_of(disk: &mut Disk, node: NodeId) -> Vec<u8> {
    let length = disk.attributes(node).unwrap().length as usize;
    disk.read(node, 0, length).unwrap()
}

/// What each of many power losses leaves of a disk, by what `look` sees.
fn outcomes<T: Ord>(disk: &Disk, mut look: impl FnMut(&mut Disk) -> T) -> BTreeSet<T> {
    let after = |seed| {
        let mut copy = disk.clone();
        copy.crash(seed);
        copy
    };
    (0..SEEDS).map(|seed| look(&mut after(seed))).collect()
}

#[test]
fn what_is_synced_outlives_every_power_loss() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 3_000, &[7; 5_000]).unwrap();
    disk.sync(node).unwrap();
    let wanted = all_of(&mut disk, node);
    assert_eq!((wanted.len(), wanted[2_999], wanted[3_000]), (8_000, 0, 7));
    assert_eq!(outcomes(&disk, |disk| all_of(disk, node)), BTreeSet::from([wanted]));
}

#[test]
fn each_sector_that_was_not_synced_is_of_some_age() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 0, &[1; 2 * PAGE_BYTES]).unwrap();
    disk.sync(node).unwrap();
    disk.write(node, 0, &[2; 2 * PAGE_BYTES]).unwrap();
    disk.write(node, 0, &[3; 2 * PAGE_BYTES]).unwrap();
    let images = outcomes(&disk, |disk| all_of(disk, node));
    let mut seen = BTreeMap::<u8, u32>::new();
    for image in &images {
        assert_eq!(image.len(), 2 * PAGE_BYTES);
        for sector in image.chunks(SECTOR_BYTES) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
            *seen.entry(sector[0]).or_default() += 1;
        }
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    // Pages are torn within, and from one another.
    let is_torn = |image: &&Vec<u8>| image[..PAGE_BYTES].iter().any(|byte| *byte != image[0]);
    assert!(images.iter().any(|image| is_torn(&image)), "no page was torn");
    let apart = |image: &Vec<u8>| {
        let (one, other) = image.split_at(PAGE_BYTES);
        one != other && one.iter().all(|byte| *byte == one[0])
    };
    assert!(images.iter().any(apart), "pages share one fate");
}

#[test]
fn a_length_is_apart_from_the_content() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 0, &[1; 100]).unwrap();
    disk.sync(node).unwrap();
    disk.write(node, 100, &[2; 100]).unwrap();
    let seen = outcomes(&disk, |disk| {
        let bytes = all_of(disk, node);
        assert_eq!(bytes[..100], [1; 100]);
        (bytes.len(), bytes.get(100).copied())
    });
    assert_eq!(seen, BTreeSet::from([(100, None), (200, Some(0)), (200, Some(2))]));
}

#[test]
fn what_was_cut_off_is_zeros_when_the_file_grows_again() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 0, &[1; 3 * PAGE_BYTES]).unwrap();
    disk.sync(node).unwrap();
    disk.set_length(node, 10).unwrap();
    disk.set_length(node, 2 * PAGE_BYTES as u64).unwrap();
    let bytes = all_of(&mut disk, node);
    assert_eq!(bytes[..10], [1; 10]);
    assert!(bytes[10..].iter().all(|byte| *byte == 0));
    // Not synced, the old length may come back, with the old content.
    let lengths = outcomes(&disk, |disk| disk.attributes(node).unwrap().length as usize);
    assert_eq!(lengths, BTreeSet::from([10, 2 * PAGE_BYTES, 3 * PAGE_BYTES]));
    disk.sync(node).unwrap();
    assert_eq!(outcomes(&disk, |disk| all_of(disk, node)), BTreeSet::from([bytes]));
}

#[test]
fn a_sync_of_a_file_does_not_sync_its_name() {
    let mut disk = disk();
    let node = disk.create(ROOT, name("log"), Kind::File, 0o644).unwrap();
    disk.write(node, 0, b"there").unwrap();
    disk.sync(node).unwrap();
    let found = outcomes(&disk, |disk| disk.lookup(ROOT, name("log")).is_ok());
    assert_eq!(found, BTreeSet::from([false, true]));
    disk.sync(ROOT).unwrap();
    assert_eq!(outcomes(&disk, |disk| all_of(disk, node)), BTreeSet::from([b"there".to_vec()]));
}

#[test]
fn a_rename_is_whole_or_not_there() {
    let mut disk = disk();
    let old = file(&mut disk, "mark");
    disk.write(old, 0, b"old").unwrap();
    disk.sync(old).unwrap();
    let draft = disk.create(ROOT, name("draft"), Kind::File, 0o644).unwrap();
    disk.write(draft, 0, b"new").unwrap();
    disk.sync(draft).unwrap();
    disk.rename((ROOT, name("draft")), (ROOT, name("mark"))).unwrap();
    let mark = |disk: &mut Disk| {
        let node = disk.lookup(ROOT, name("mark")).unwrap();
        all_of(disk, node)
    };
    let seen = outcomes(&disk, mark);
    assert_eq!(seen, BTreeSet::from([b"new".to_vec(), b"old".to_vec()]));
    disk.sync(ROOT).unwrap();
    assert_eq!(outcomes(&disk, mark), BTreeSet::from([b"new".to_vec()]));
    let names = outcomes(&disk, |disk| disk.list(ROOT).unwrap().len());
    assert_eq!(names, BTreeSet::from([1]));
}

#[test]
fn a_rename_between_directories_is_durable_with_either() {
    for synced in [0, 1] {
        let mut disk = disk();
        let folders = ["a", "b"].map(|called| {
            let folder = disk.create(ROOT, name(called), Kind::Folder, 0o755).unwrap();
            disk.sync(ROOT).unwrap();
            folder
        });
        let node = disk.create(folders[0], name("x"), Kind::File, 0o644).unwrap();
        disk.rename((folders[0], name("x")), (folders[1], name("y"))).unwrap();
        assert_eq!(disk.path(node), "b/y");
        disk.sync(folders[synced]).unwrap();
        let seen = outcomes(&disk, |disk| {
            let has = |folder, called| disk.lookup(folder, name(called)).is_ok();
            (has(folders[0], "x"), has(folders[1], "y"))
        });
        assert_eq!(seen, BTreeSet::from([(false, true)]));
    }
}

#[test]
fn names_have_fates_of_their_own() {
    let mut disk = disk();
    for called in ["a", "b", "c"] {
        disk.create(ROOT, name(called), Kind::File, 0o644).unwrap();
    }
    let seen = outcomes(&disk, |disk| {
        let names = disk.list(ROOT).unwrap();
        names.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    });
    assert_eq!(seen.len(), 8, "each subset of three names: {seen:?}");
}

#[test]
fn a_removed_file_may_come_back() {
    let mut disk = disk();
    let node = file(&mut disk, "old");
    disk.write(node, 0, b"here").unwrap();
    disk.sync(node).unwrap();
    disk.remove(ROOT, name("old"), Kind::File).unwrap();
    assert_eq!(disk.lookup(ROOT, name("old")), Err(Refusal::NotFound));
    let found =
        outcomes(&disk, |disk| disk.lookup(ROOT, name("old")).ok().map(|node| all_of(disk, node)));
    assert_eq!(found, BTreeSet::from([None, Some(b"here".to_vec())]));
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.attributes(node), Err(Refusal::NotFound), "it still takes room");
}

#[test]
fn a_sync_that_forgets_is_not_made_good_by_the_next() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 0, b"old").unwrap();
    disk.sync(node).unwrap();
    disk.write(node, 0, b"new").unwrap();
    disk.forget(node).unwrap();
    disk.sync(node).unwrap();
    assert_eq!(all_of(&mut disk, node), b"new");
    assert_eq!(outcomes(&disk, |disk| all_of(disk, node)), BTreeSet::from([b"old".to_vec()]));
}

#[test]
fn an_unreadable_range_is_readable_when_it_is_written_again() {
    let mut disk = disk();
    let node = file(&mut disk, "log");
    disk.write(node, 0, &[1; 2 * PAGE_BYTES]).unwrap();
    disk.make_unreadable(node, 5_000, 1).unwrap();
    assert_eq!(disk.read(node, 0, PAGE_BYTES).unwrap(), [1; PAGE_BYTES]);
    assert_eq!(disk.read(node, 4_000, 200), Err(Refusal::Fault(5)));
    disk.write(node, 4_096, &[2; PAGE_BYTES]).unwrap();
    assert_eq!(disk.read(node, 8_000, 10).unwrap(), [2; 10]);
    disk.make_unreadable(node, 0, 1).unwrap();
    disk.make_readable();
    disk.rot(node, 0, 1).unwrap();
    assert_eq!(disk.read(node, 0, 2).unwrap(), [3, 1]);
    assert_eq!(disk.rot(node, 1 << 20, 0), Err(Refusal::NotFound));
}

#[test]
fn a_seed_is_one_power_loss() {
    let mut disk = disk();
    for number in 0..20 {
        let node = disk.create(ROOT, name(&number.to_string()), Kind::File, 0o644).unwrap();
        disk.write(node, 0, &[number; 10_000]).unwrap();
    }
    let mut fates = BTreeSet::new();
    for seed in 0..20 {
        let (mut one, mut other) = (disk.clone(), disk.clone());
        let fate = one.crash(seed);
        assert_eq!(fate, other.crash(seed));
        assert_eq!(one.list(ROOT), other.list(ROOT));
        assert_eq!(fate.pages_kept + fate.pages_lost + fate.pages_torn, 60);
        assert_eq!(fate.names_kept + fate.names_lost, 20);
        assert_eq!(one.crash(seed), Fates::default(), "nothing is left to lose");
        fates.insert(fate.pages_lost);
    }
    assert!(fates.len() > 10, "seeds hardly differ");
}

#[test]
fn a_disk_is_full_before_memory_is() {
    let mut disk = Disk::new(64);
    let node = file(&mut disk, "log");
    // The same page again and again takes no more than its versions.
    for _ in 0..10 * VERSIONS_MAX {
        disk.write(node, 0, &[1]).unwrap();
    }
    assert!(disk.pages().0 <= VERSIONS_MAX + 1);
    disk.sync(node).unwrap();
    let refused = (1..100).find_map(|page| disk.write(node, page << 12, &[1]).err());
    assert_eq!(refused, Some(Refusal::Full));
    assert!(disk.pages().0 <= 64);
    // Length alone takes none, and has an end.
    disk.allocate(node, 1 << 30).unwrap();
    assert_eq!(disk.allocate(node, u64::MAX), Err(Refusal::TooLong));
    assert_eq!(disk.write(node, u64::MAX, &[1]), Err(Refusal::TooLong));
}

#[test]
fn names_are_refused_as_a_system_refuses_them() {
    let mut disk = disk();
    let folder = disk.create(ROOT, name("folder"), Kind::Folder, 0o755).unwrap();
    let file = disk.create(folder, name("file"), Kind::File, 0o644).unwrap();
    assert_eq!(disk.create(folder, name("file"), Kind::File, 0), Err(Refusal::Exists));
    assert_eq!(disk.create(file, name("x"), Kind::File, 0), Err(Refusal::NotFolder));
    assert_eq!(disk.remove(ROOT, name("folder"), Kind::Folder), Err(Refusal::NotEmpty));
    assert_eq!(disk.remove(ROOT, name("folder"), Kind::File), Err(Refusal::IsFolder));
    assert_eq!(disk.remove(folder, name("file"), Kind::Folder), Err(Refusal::NotFolder));
    assert_eq!(disk.remove(folder, name("none"), Kind::File), Err(Refusal::NotFound));
    assert_eq!(disk.read(folder, 0, 1), Err(Refusal::IsFolder));
    let over = disk.rename((folder, name("file")), (ROOT, name("folder")));
    assert_eq!(over, Err(Refusal::IsFolder));
}
