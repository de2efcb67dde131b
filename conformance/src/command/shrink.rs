//! `shrink`: a small story of a failure.

use core::time::Duration;
use std::time::Instant;

use quorate_sim::shrink::{Story, shrink as shrink_story};

use super::Exit;
use super::arguments::ShrinkArguments;
use super::simulate::silence_panics;
use quorate_conformance::report::three_lines;
use quorate_conformance::{catalogue, shortest, subjects};

/// Scenes that are printed, at most: the last ones, which end with what broke.
const SCENES_MAX: usize = 60;

pub(super) fn shrink(arguments: &ShrinkArguments) -> Result<Exit, String> {
    silence_panics();
    match arguments.what.parse::<u64>() {
        Ok(seed) => Ok(shrink_seed(seed, arguments)),
        Err(_) => shrink_case(arguments),
    }
}

fn shrink_seed(seed: u64, arguments: &ShrinkArguments) -> Exit {
    let patience = Duration::from_secs(arguments.seconds);
    let Some(small) = shrink_story(Story::of(seed, arguments.steps, arguments.schedule), patience)
    else {
        println!("seed {seed}: nothing found");
        return Exit::Good;
    };
    small.lines().iter().for_each(|line| println!("{line}"));
    Exit::Failed
}

fn shrink_case(arguments: &ShrinkArguments) -> Result<Exit, String> {
    let ShrinkArguments { what, seed, seeds, seconds, .. } = arguments;
    let case = catalogue::find(what).ok_or_else(|| {
        format!("{what:?} is neither a seed nor a case; `quorate-conformance list` names all")
    })?;
    let subject = subjects::named(&arguments.subject).map_err(|error| error.to_string())?;
    let ends = Instant::now() + Duration::from_secs(*seconds);
    let Some(small) = shortest(subject.as_ref(), case, *seed, *seeds, || Instant::now() >= ends)
    else {
        println!("{}: it does not fail with seed {seed}", case.id);
        return Ok(Exit::Good);
    };
    let story = small.report.story.clone().unwrap_or_default();
    let hidden = story.scenes.len().saturating_sub(SCENES_MAX);
    let all = story.scenes.len() + story.left_out;
    if all > SCENES_MAX {
        println!("... {} scenes before", all - SCENES_MAX);
    }
    story.scenes[hidden..].iter().for_each(|scene| println!("{scene}"));
    let (before, tries, alike) = (small.scenes_before, small.tries, small.alike);
    println!("{before} scenes, then {all} ({tries} seeds, of which {alike} fail alike)");
    three_lines(&small.report).iter().for_each(|line| println!("{line}"));
    Ok(Exit::Failed)
}
