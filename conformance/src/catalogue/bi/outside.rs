//! What people give: configurations, payloads, and the operators' own deeds.

use std::path::Path;

use quorate_archive::memory::MemoryDisk;
use quorate_archive::{Archive, ArchiveError, Identity, describe_on, init_on};
use quorate_core::client::Reject;
use quorate_driver::{Configuration, ConfigurationError};
use quorate_sim::Dice;

use crate::case::{Failure, Verdict, check};
use crate::files::{DIRECTORY, Log, OPTIONS, Open, empty, identity, sound};
use crate::stage::Options;
use crate::trial::Trial;

const GOOD: &str = r#"
group = "0x51d0a7e5c0ffee42"
member = 2
data = "member-2"
security = "checksum-only"
members = [
    { id = 1, address = "127.0.0.1:9001" },
    { id = 2, address = "127.0.0.1:9002" },
]
"#;

/// Every option of a section: its name, and a value that is good with the others' defaults.
const TIMING: [(&str, &str); 13] = [
    ("heartbeat_interval", "\"25ms\""),
    ("heartbeat_first", "\"2ms\""),
    ("election_timeout_min", "\"160ms\""),
    ("election_timeout_max", "\"310ms\""),
    ("nak_delay", "\"1ms\""),
    ("nak_retry", "\"11ms\""),
    ("repair_linger", "\"6ms\""),
    ("progress_timeout", "\"900ms\""),
    ("session_timeout", "\"9s\""),
    ("peer_record_interval", "\"2s\""),
    ("stall_timeout", "\"400ms\""),
    ("candidacy_delay", "\"100ms\""),
    ("log_age_max", "\"3600s\""),
];
const LIMITS: [(&str, &str); 17] = [
    ("window_bytes", "33554432"),
    ("message_bytes_max", "1024"),
    ("uncommitted_bytes_max", "4194304"),
    ("unapplied_bytes_max", "4194304"),
    ("slice_bytes", "1024"),
    ("run_bytes_max", "12160"),
    ("coverage_ranges_max", "7"),
    ("repair_request_bytes_max", "65536"),
    ("repair_budget_bytes", "65536"),
    ("reads_max", "1"),
    ("read_bytes_max", "131072"),
    ("apply_batch_max", "1"),
    ("sessions_max", "1"),
    ("session_window_bytes", "1048576"),
    ("in_flight_max", "1"),
    ("reply_bytes_max", "1"),
    ("timers_max", "1"),
];

/// What is wrong with a configuration, in words.
fn problems(text: &str) -> Result<Vec<String>, Failure> {
    match Configuration::parse(text) {
        Ok(configuration) => {
            // What is taken can be used.
            let problems = configuration.member_config(1).problems();
            check(problems.is_empty(), || format!("{text} is taken, and {problems:?}"))?;
            Ok(Vec::new())
        }
        Err(ConfigurationError::Problems { problems, .. }) => {
            Ok(problems.iter().map(ToString::to_string).collect())
        }
        Err(error) => Err(Failure::broken(format!("{text}: {error}"))),
    }
}

fn one_named(text: &str, key: &str) -> Verdict {
    let found = problems(text)?;
    let named = !found.is_empty() && found.iter().all(|problem| problem.contains('`'));
    let about = found.iter().any(|problem| problem.contains(key));
    check(named && about, || format!("{key} is not named: {found:?}"))
}

pub(super) fn bi_08(trial: &mut Trial<'_>) -> Verdict {
    let all = TIMING.map(|option| ("timing", option)).into_iter();
    let all = all.chain(LIMITS.map(|option| ("limits", option)));
    for (section, (key, good)) in all {
        let with = |value: &str| format!("{GOOD}\n[{section}]\n{key} = {value}\n");
        check(problems(&with(good))?.is_empty(), || format!("{key} = {good} is refused"))?;
        // At the edges it is taken whole or refused by name.
        for edge in ["0", "1", "9223372036854775807", "\"0ns\"", "\"1ns\"", "\"100000h\""] {
            let text = with(edge);
            if !problems(&text)?.is_empty() {
                one_named(&text, key)?;
            }
            trial.count("values", 1);
        }
        for wrong in ["-1", "1.5", "true", "\"many\"", "[]", "\"\"", "\"-1ms\""] {
            one_named(&with(wrong), key)?;
            trial.count("values", 1);
        }
        let misspelled = format!("{GOOD}\n[{section}]\n{key}x = {good}\n");
        one_named(&misspelled, &format!("{key}x"))?;
    }
    for key in ["group", "member", "data", "security", "members"] {
        let start = GOOD.find(&format!("\n{key} =")).unwrap_or(0);
        let length = if key == "members" {
            GOOD.len() - start
        } else {
            GOOD[start + 1..].find('\n').unwrap_or(0) + 1
        };
        let mut without = GOOD.to_owned();
        without.replace_range(start..start + length, "");
        one_named(&without, key)?;
        let mut empty = without;
        empty.insert_str(0, &format!("{key} = {{}}\n"));
        one_named(&empty, key)?;
    }
    // All at once.
    let keys = TIMING.iter().map(|(key, _)| format!("{key} = false\n")).collect::<String>();
    let more = LIMITS.iter().map(|(key, _)| format!("{key} = false\n")).collect::<String>();
    let text = format!("[timing]\n{keys}[limits]\n{more}");
    let found = problems(&text)?;
    let wanted = TIMING.len() + LIMITS.len() + 5;
    check(found.len() >= wanted, || format!("{} of {wanted} problems are told", found.len()))
}

pub(super) fn bi_10(trial: &mut Trial<'_>) -> Verdict {
    let options = Options::members(3);
    let (limit, slice) = (options.limits.message_bytes_max as usize, options.limits.slice_bytes);
    let mut stage = trial.stage(options);
    stage.settle()?;
    let client = stage.client();
    stage.request(client, b"first")?;
    let slice = slice as usize;
    let mut lengths = vec![0, 1, 7, 8, 9, 24, slice - 49, slice - 1, slice, slice + 1];
    lengths.extend([2 * slice, limit / 2, limit - 1, limit]);
    let mut dice = Dice::new(trial.seed(), "payloads");
    let random = trial.times(8, 100, 2_000);
    lengths.extend((0..random).map(|_| dice.below(limit as u64 + 1) as usize));
    for length in lengths {
        let payload: Vec<u8> = (0..length).map(|_| dice.bits() as u8).collect();
        stage.request(client, &payload)?;
        for beyond in [limit + 1, limit + 8, 2 * limit] {
            let refused = stage.submit(client, &vec![1; beyond]);
            let typed = matches!(refused, Err(Reject::TooLarge { bytes, limit: of })
                if (bytes, of) == (beyond as u64, limit as u64));
            stage.check(typed, || format!("{beyond} bytes are answered {refused:?}"))?;
        }
        trial.count("payloads", 1);
    }
    let sessions = (stage.connections(client), stage.ended(client).is_some());
    stage.check(sessions == (1, false), || format!("the session did not last: {sessions:?}"))
}

pub(super) fn bi_11(_: &mut Trial<'_>) -> Verdict {
    let directory = Path::new(DIRECTORY);
    let disk = MemoryDisk::default();
    let opened = Open::on(&disk).err();
    check(matches!(opened, Some(ArchiveError::NotInitialised { .. })), || {
        format!("a start without `init`: {opened:?}")
    })?;
    for segment_bytes in [0, 1, 4_095, 5_000, 2 << 30] {
        let wrong = Identity { segment_bytes, ..identity() };
        let refused = init_on(&disk, directory, &wrong);
        check(matches!(refused, Err(ArchiveError::Identity { .. })), || {
            format!("`init` with segments of {segment_bytes} bytes: {refused:?}")
        })?;
        check(disk.files().is_empty(), || format!("it left {:?} behind", disk.files()))?;
    }
    let log = Log::of(2, 100);
    let mut running = empty(&disk, &log)?;
    sound("append", running.append(&log, log.end().0))?;
    sound("sync", running.syncer.sync())?;
    let before: Vec<_> = disk.files().iter().map(|path| disk.content(path)).collect();
    // On a running member: `init` again, with its identity and another one, and a second start.
    let other = Identity { member: quorate_core::MemberId(3), ..identity() };
    for identity in [identity(), other] {
        let again = init_on(&disk, directory, &identity);
        check(matches!(again, Err(ArchiveError::AlreadyInitialised { .. })), || {
            format!("`init` on a running member: {again:?}")
        })?;
    }
    let second = Archive::open_on(disk.clone(), directory, &OPTIONS).err();
    check(matches!(second, Some(ArchiveError::Locked { .. })), || {
        format!("a second start: {second:?}")
    })?;
    // Looking changes nothing, and may be done at any time.
    let described = sound("describe", describe_on(&disk, directory, &OPTIONS))?;
    check(described.log_end == log.end() && described.problems.is_empty(), || {
        format!("it is described as {described}")
    })?;
    let after: Vec<_> = disk.files().iter().map(|path| disk.content(path)).collect();
    check(before == after, || "a refusal or a look changed files".to_owned())?;
    // The member goes on as if nothing had been tried.
    let mut more = log;
    more.message(50);
    sound("append", running.append(&more, more.end().0))?;
    sound("sync", running.syncer.sync())?;
    drop(running);
    let found = sound("open", Open::on(&disk))?.recovered.log_end;
    check(found == more.end(), || format!("the log ends at {found}"))
}
