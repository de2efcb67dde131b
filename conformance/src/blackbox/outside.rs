//! Scripts about what people and crashes leave to a member: configurations, files, and a port that
//! is taken.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use quorate_sim::Dice;

use super::RealTrial;
use super::cases::{Files, answered_in_turn, counts_up, files_of, serves, write};
use super::description::LogFile;
use super::grounds::Grounds;
use super::process::Ended;
use crate::case::{Failure, Verdict, check};

/// Bytes at the beginning of a file that become others, at most.
const SPOILED_MAX: usize = 32 << 10;
/// Bytes of a frame that are there when it is torn, at most: fewer than any frame has.
const TORN_MAX: u64 = 40;
/// Bytes that are looked at together for the end of a log.
const PAGE_BYTES: usize = 4_096;

/// A configuration that is wrong is refused by a text that names what is.
pub(super) fn bi_08(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(1)?;
    let member = grounds.member(1);
    let good = fs::read_to_string(member.config())
        .map_err(|error| Failure::Harness(format!("no configuration: {error}")))?;
    let spoiled = member.config().with_extension("spoiled.toml");
    let mut all = String::new();
    let mut keys = Vec::new();
    for (number, line) in good.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) else {
            continue;
        };
        let wrong = format!("{key} = {{}}");
        let mut lines: Vec<&str> = good.lines().collect();
        lines[number] = &wrong;
        write(&spoiled, lines.join("\n").as_bytes())?;
        refused(&mut grounds, &spoiled, &[key])?;
        all.push_str(&wrong);
        all.push('\n');
        keys.push(key);
    }
    check(!keys.is_empty(), || "the configuration has no line such as `key = value`")?;
    // All at once, and an option that there is none of.
    write(&spoiled, all.as_bytes())?;
    refused(&mut grounds, &spoiled, &keys)?;
    write(&spoiled, format!("no-such-option = 1\n{good}").as_bytes())?;
    refused(&mut grounds, &spoiled, &["no-such-option"])?;
    // The true one is still good.
    grounds.start(1)?;
    serves(&mut grounds)
}

/// Neither can a directory be prepared nor a member started with this configuration, and both say
/// why.
fn refused(grounds: &mut Grounds, config: &Path, named: &[&str]) -> Verdict {
    let both = grounds.member(1).with_config(config).map_err(Failure::Harness)?;
    for ended in both {
        complains(&ended, named)?;
    }
    Ok(())
}

/// A command ended with an error that names all of this, and not by a panic.
fn complains((code, said): &Ended, named: &[&str]) -> Verdict {
    check(code.is_some_and(|code| code > 0), || format!("it ends with {code:?}: {said}"))?;
    check(!said.contains("panicked"), || format!("it panics: {said}"))?;
    let missing = named.iter().find(|word| !said.contains(**word));
    check(missing.is_none(), || format!("it does not name {missing:?}: {said}"))
}

/// The files of a member are cut short, made longer, or other bytes: it starts, or says why not.
pub(super) fn bi_09(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let mut dice = Dice::new(trial.seed(), "files");
    grounds.settle()?;
    serves(&mut grounds)?;
    grounds.kill_all();
    let data = grounds.data_of(2);
    let files = files_of(&data)?;
    check(!files.is_empty(), || "the member has written no file")?;
    for (path, content) in &files {
        for _ in 0..trial.times(1, 1, 60) {
            let mut other = content.clone();
            let length = dice.below(content.len().min(SPOILED_MAX) as u64 + 1) as usize;
            let noise = (0..length).map(|_| dice.bits() as u8).collect::<Vec<u8>>();
            match dice.below(3) {
                0 => other.truncate(length),
                1 => other.extend(noise),
                _ => other[..length].copy_from_slice(&noise),
            }
            write(path, &other)?;
            starts_or_says_why(&mut grounds, path)?;
            put_back(&data, &files)?;
        }
    }
    grounds.settle()?;
    serves(&mut grounds)
}

fn starts_or_says_why(grounds: &mut Grounds, path: &Path) -> Verdict {
    if let Err(said) = grounds.member(2).start() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let named = said.contains(&*name) && !said.contains("panicked");
        check(named, || format!("it does not name {}: {said}", path.display()))?;
    }
    grounds.kill(2);
    Ok(())
}

/// The files of a member are as they were.
fn put_back(data: &Path, files: &Files) -> Verdict {
    let harness = |error: std::io::Error| Failure::Harness(error.to_string());
    for (path, found) in files_of(data)? {
        match files.iter().find(|(known, _)| *known == path) {
            None => fs::remove_file(&path).map_err(harness)?,
            Some((_, content)) if *content != found => write(&path, content)?,
            Some(_) => {}
        }
    }
    files.iter().filter(|(path, _)| !path.exists()).try_for_each(|(path, content)| {
        fs::create_dir_all(path.parent().unwrap_or(data)).map_err(harness)?;
        write(path, content)
    })
}

/// Operators prepare a directory that is in use, and use a configuration that is not there.
pub(super) fn bi_11(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    grounds.settle()?;
    serves(&mut grounds)?;
    let data = grounds.data_of(2);
    let names = |data: &Path| -> Result<Vec<_>, Failure> {
        Ok(files_of(data)?.into_iter().map(|(path, _)| path).collect())
    };
    let before = names(&data)?;
    let nowhere = data.with_extension("nowhere");
    let mut codes = Vec::new();
    // Twice, and the same comes of it.
    for _ in 0..2 {
        let member = grounds.member(2);
        let again = member.init_again().map_err(Failure::Harness)?;
        let absent = member.with_config(&nowhere).map_err(Failure::Harness)?;
        let folder = data.display().to_string();
        complains(&again, &[&folder])?;
        let missing = nowhere.display().to_string();
        absent.iter().try_for_each(|ended| complains(ended, &[&missing]))?;
        codes.push([again.0, absent[0].0, absent[1].0]);
    }
    check(codes[0] == codes[1], || format!("it ended with {:?}, then {:?}", codes[0], codes[1]))?;
    let after = names(&data)?;
    check(before == after, || format!("of {before:?} a refusal made {after:?}"))?;
    check(!grounds.has_ended(2), || "the member ended of it")?;
    serves(&mut grounds)
}

/// A second member, with a directory of its own, is started where one runs.
pub(super) fn ad_30(trial: &RealTrial<'_>) -> Verdict {
    let mut grounds = trial.grounds(3)?;
    let leader = grounds.settle()?;
    let term = grounds.term();
    for id in [leader, grounds.other_than(leader)] {
        let address = grounds.member(id).host.address.to_string();
        let data = grounds.data_of(id);
        let member = grounds.member(id);
        let text = fs::read_to_string(member.config())
            .map_err(|error| Failure::Harness(format!("no configuration: {error}")))?;
        let (own, other) = (data.display().to_string(), data.with_extension("twin"));
        let twin = member.config().with_extension("twin.toml");
        write(&twin, text.replace(&own, &other.display().to_string()).as_bytes())?;
        let [prepared, started] = member.with_config(&twin).map_err(Failure::Harness)?;
        check(prepared.0 == Some(0), || format!("a directory cannot be prepared: {prepared:?}"))?;
        complains(&started, &[&address])?;
        check(!grounds.has_ended(id), || "the first member ended of it")?;
    }
    serves(&mut grounds)?;
    grounds.timely(grounds.term() == term, || {
        format!("the term was {term}, and is {}", grounds.term())
    })
}

/// Behind the log of a member that does not run there are the first bytes of another frame: it cuts
/// them, and goes on.
pub(super) fn df_02(trial: &RealTrial<'_>) -> Verdict {
    let Some(log) = trial.product.member.log.clone() else {
        let what = "the product's description has no `log` of a member";
        return Err(Failure::NotApplicable(what.into()));
    };
    let mut grounds = trial.grounds(3)?;
    let mut dice = Dice::new(trial.seed(), "torn tail");
    let leader = grounds.settle()?;
    let torn = grounds.other_than(leader);
    // Its session stays open: each last frame is a message, and ends with what it says.
    let mut client = grounds.client()?;
    let third = grounds.numbers().find(|id| ![leader, torn].contains(id)).unwrap_or(leader);
    for _ in 0..trial.times(2, 3, 100) {
        answered_in_turn(&mut grounds, &mut client, 5)?;
        grounds.kill(torn);
        tear(&mut dice, &grounds.data_of(torn), &log)?;
        grounds.start(torn)?;
        // It is needed now, and has to have all.
        grounds.kill(third);
        answered_in_turn(&mut grounds, &mut client, 5)?;
        grounds.start(third)?;
    }
    counts_up(&mut client)
}

/// Behind the last frame of a log there are the first bytes of another one.
fn tear(dice: &mut Dice, data: &Path, log: &LogFile) -> Verdict {
    let harness = |error: std::io::Error| Failure::Harness(format!("{}: {error}", log.file));
    let files = files_of(data)?;
    let found = files.into_iter().find(|(path, _)| path.to_string_lossy().contains(&log.file));
    let (path, bytes) = found.ok_or_else(|| Failure::Harness(format!("no {}", log.file)))?;
    let zeros = [0; PAGE_BYTES];
    let page = bytes.chunks(PAGE_BYTES).rposition(|page| page != &zeros[..page.len()]);
    let page = page.unwrap_or_default() * PAGE_BYTES;
    let last = bytes[page..].iter().take(PAGE_BYTES).rposition(|byte| *byte != 0);
    // Frames begin at multiples of eight, and a copy of the first begins as any does.
    let end = (page + last.map_or(0, |last| last + 1)).next_multiple_of(8) as u64;
    let (begin, length) = (log.begin as usize, 1 + dice.below(TORN_MAX) as usize);
    let file = fs::File::options().write(true).open(path).map_err(harness)?;
    file.write_all_at(&bytes[begin..begin + length], end.max(log.begin)).map_err(harness)
}
