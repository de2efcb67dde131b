//! A group that is backed up while it runs, and another that begins with that.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use super::group::{self, Killed, quorate, send, status};

/// Lines before the backup, lines of the old group behind it, and lines of the new one.
const LINES: [usize; 3] = [120, 30, 40];

fn start(config: &Path) -> Killed {
    let mut member = quorate(&["member", "--config"]);
    Killed(member.arg(config).stderr(Stdio::null()).spawn().unwrap())
}

fn all_have(entries: usize) -> impl Fn(&[Value]) -> bool {
    move |told| {
        let level = told.iter().all(|it| it["entries"] == entries);
        level && told.iter().any(|it| it["serving"] == true)
    }
}

fn digest(told: &[Value]) -> Value {
    assert!(told.iter().all(|it| it["digest"] == told[0]["digest"]), "{told:?}");
    told[0]["digest"].clone()
}

/// A configuration like that in `old`, of group 8, with its data elsewhere.
fn moved(old: &Path, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    let text = std::fs::read_to_string(old).unwrap();
    let data = directory.join(name);
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("group", _)) => "group = 8".to_owned(),
        Some(("data", _)) => format!("data = \"{}\"", data.display()),
        _ => line.to_owned(),
    });
    let config = directory.join(format!("{name}.toml"));
    std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    (config, data)
}

fn restore(backup: &Path, configs: &[PathBuf], more: &[&str]) -> Output {
    let mut command = quorate(&["tool", "restore"]);
    command.arg(backup).args(more);
    configs.iter().for_each(|config| {
        command.arg("--config").arg(config);
    });
    command.output().unwrap()
}

fn told(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output, code: i32, reason: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(reason), "{text}");
}

#[test]
fn sn18_a_new_group_begins_with_a_backup_and_hears_nothing_of_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let (data, configs) = group::configured(directory.path(), "", "");
    for config in &configs {
        assert!(quorate(&["init", "--config"]).arg(config).output().unwrap().status.success());
    }
    let mut old: Vec<Killed> = configs.iter().map(|config| start(config)).collect();
    send(&configs[0], LINES[0]);
    let told_old = status(&data, all_have(LINES[0]));
    let before = digest(&told_old);
    let leader = told_old.iter().position(|it| it["serving"] == true).unwrap();

    // There is no snapshot yet; with --fresh there is one, of all that was answered.
    let file = directory.path().join("backup");
    let back_up = |data: &Path, more: &[&str]| {
        let mut command = quorate(&["tool", "backup", "--json"]);
        command.arg(data).arg("--to").arg(&file).args(more).output().unwrap()
    };
    refused(&back_up(&data[leader], &[]), 1, "tool snapshot");
    let follower = (leader + 1) % 3;
    refused(&back_up(&data[follower], &["--fresh"]), 1, "");
    let taken = told(&back_up(&data[leader], &["--fresh"]));
    assert_eq!((&taken["group"], &taken["done"]), (&"0000000000000007".into(), &true.into()));
    refused(&back_up(&data[leader], &[]), 2, "exists");
    send(&configs[0], LINES[1]);
    status(&data, all_have(LINES[0] + LINES[1]));

    // Two of the old members go; the third stays, and calls for them where the new ones are.
    let stays = old.remove(follower);
    drop(old);
    let moved: Vec<(PathBuf, PathBuf)> = (0..3)
        .filter(|index| *index != follower)
        .map(|index| moved(&configs[index], directory.path(), &format!("new-{index}")))
        .collect();
    let (new_configs, new_data): (Vec<PathBuf>, Vec<PathBuf>) = moved.into_iter().unzip();

    // What cannot be is refused before anything is written.
    refused(&restore(&file, &configs, &[]), 2, "give the new group another number");
    let mixed = [new_configs[0].clone(), configs[follower].clone()];
    refused(&restore(&file, &mixed, &[]), 2, "of another group");
    let damaged = directory.path().join("damaged");
    std::fs::copy(&file, &damaged).unwrap();
    let bytes = std::fs::File::options().write(true).open(&damaged).unwrap();
    bytes.write_all_at(b"\xff", 4 << 10).unwrap();
    refused(&restore(&damaged, &new_configs, &[]), 1, "at byte 4096");
    refused(&restore(&configs[0], &new_configs, &[]), 1, "is no backup");
    let planned = told(&restore(&file, &new_configs, &["--dry-run", "--json"]));
    assert_eq!((&planned["done"], &planned["backup"]["digest"]), (&false.into(), &taken["digest"]));
    assert!(new_data.iter().all(|data| !data.exists()), "nothing was to be done");

    let done = told(&restore(&file, &new_configs, &["--json"]));
    assert_eq!(done["backup"]["position"], taken["position"]);
    assert_eq!(done["members"].as_array().unwrap().len(), 2);
    refused(&restore(&file, &new_configs, &[]), 2, "is not empty");
    for data in &new_data {
        assert!(quorate(&["tool", "verify"]).arg(data).output().unwrap().status.success());
    }

    // Equal in state; and the old member, which has more, is heard by nobody.
    let new: Vec<Killed> = new_configs.iter().map(|config| start(config)).collect();
    let told_new = status(&new_data, all_have(LINES[0]));
    assert_eq!(digest(&told_new), before);
    assert!(told_new.iter().all(|it| it["origin"] == taken["position"]), "{told_new:?}");
    send(&new_configs[0], LINES[2]);
    let told_new = status(&new_data, all_have(LINES[0] + LINES[2]));
    digest(&told_new);
    let told_old = status(&data[follower..=follower], |_| true);
    assert_eq!(told_old[0]["entries"], LINES[0] + LINES[1]);
    assert_eq!(told_old[0]["serving"], false);

    // The third member of the new group begins with the same backup, where its own was.
    drop(stays);
    let (config, third) = self::moved(&configs[follower], directory.path(), "new-third");
    told(&restore(&file, core::slice::from_ref(&config), &["--json"]));
    let _third = start(&config);
    let all: Vec<PathBuf> = new_data.into_iter().chain([third]).collect();
    digest(&status(&all, all_have(LINES[0] + LINES[2])));
    drop(new);
}

#[test]
fn sn18_a_directory_at_rest_is_backed_up_as_far_as_its_newest_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let (data, configs) = group::configured(directory.path(), "", "");
    for config in &configs {
        assert!(quorate(&["init", "--config"]).arg(config).output().unwrap().status.success());
    }
    let running: Vec<Killed> = configs.iter().map(|config| start(config)).collect();
    send(&configs[0], LINES[0]);
    let told_old = status(&data, all_have(LINES[0]));
    let leader = told_old.iter().position(|it| it["serving"] == true).unwrap();
    let taken = quorate(&["tool", "snapshot"]).arg(&data[leader]).output().unwrap();
    assert!(taken.status.success(), "{taken:?}");
    send(&configs[0], LINES[1]);
    status(&data, all_have(LINES[0] + LINES[1]));
    drop(running);

    let file = directory.path().join("backup");
    let back_up = |more: &[&str]| {
        let mut command = quorate(&["tool", "backup"]);
        command.arg(&data[leader]).arg("--to").arg(&file).args(more).output().unwrap()
    };
    let planned = told(&back_up(&["--dry-run", "--json"]));
    assert!(planned["log_end"].as_u64() > planned["position"].as_u64(), "{planned}");
    assert!(!file.exists());
    refused(&back_up(&["--at", "8"]), 2, "has no snapshot at 8");
    let done = back_up(&[]);
    let text = String::from_utf8(done.stdout).unwrap();
    let behind = planned["log_end"].as_u64().unwrap() - planned["position"].as_u64().unwrap();
    assert!(text.contains(&format!("{behind} bytes of its log lie behind that")), "{text}");
    let new: Vec<(PathBuf, PathBuf)> = (0..3)
        .map(|index| moved(&configs[index], directory.path(), &format!("new-{index}")))
        .collect();
    let (new_configs, new_data): (Vec<PathBuf>, Vec<PathBuf>) = new.into_iter().unzip();
    let text = restore(&file, &new_configs, &[]);
    assert_eq!(text.status.code(), Some(0), "{text:?}");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("the backup is whole: group 0x0000000000000007"), "{text}");
    let _new: Vec<Killed> = new_configs.iter().map(|config| start(config)).collect();
    digest(&status(&new_data, all_have(LINES[0])));
}
