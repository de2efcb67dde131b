//! `shrink`: a small story of a failure.

use core::time::Duration;
use std::time::Instant;

use quorate_sim::shrink::shrink as shrink_story;
use quorate_sim::story::Story;

use super::Exit;
use super::arguments::ShrinkArguments;
use super::simulate::silence_panics;
use quorate_conformance::report::three_lines;
use quorate_conformance::{Profile, catalogue, shortest, subjects};

/// Scenes that are printed, at most: the last ones, which end with what broke.
const SCENES_MAX: usize = 60;

pub(super) fn shrink(arguments: &ShrinkArguments) -> Result<Exit, String> {
    silence_panics();
    let what = &arguments.what;
    let is_file = || std::path::Path::new(what).is_file();
    if what.parse::<u64>().is_ok() || is_file() {
        let story = Story::named(what, arguments.steps, arguments.schedule)?;
        return Ok(shrink_world(story, arguments));
    }
    shrink_case(arguments)
}

fn shrink_world(story: Story, arguments: &ShrinkArguments) -> Exit {
    let patience = Duration::from_secs(arguments.seconds);
    let seed = story.seed;
    let Some(small) = shrink_story(story, patience) else {
        tell!("seed {seed}: nothing found");
        return Exit::Good;
    };
    small.lines().iter().for_each(|line| tell!("{line}"));
    Exit::Failed
}

fn shrink_case(arguments: &ShrinkArguments) -> Result<Exit, String> {
    let ShrinkArguments { what, seed, seeds, seconds, profile, .. } = arguments;
    let case = catalogue::find(what).ok_or_else(|| {
        format!(
            "{what:?} is neither a seed, nor the file of a story, nor a case; `quorate-conformance \
             list` names all cases"
        )
    })?;
    let subject = subjects::named(&arguments.subject).map_err(|error| error.to_string())?;
    let ends = Instant::now() + Duration::from_secs(*seconds);
    let profile = Profile::from(*profile);
    let is_over = || Instant::now() >= ends;
    let Some(small) = shortest(subject.as_ref(), case, *seed, *seeds, profile, is_over) else {
        tell!("{}: it does not fail with seed {seed}", case.id);
        return Ok(Exit::Good);
    };
    let story = small.report.story.clone().unwrap_or_default();
    let hidden = story.scenes.len().saturating_sub(SCENES_MAX);
    let all = story.scenes.len() + story.left_out;
    if all > SCENES_MAX {
        tell!("... {} scenes before", all - SCENES_MAX);
    }
    story.scenes[hidden..].iter().for_each(|scene| tell!("{scene}"));
    let (before, tries, alike) = (small.scenes_before, small.tries, small.alike);
    tell!("{before} scenes, then {all} ({tries} seeds, of which {alike} fail alike)");
    three_lines(&small.report).iter().for_each(|line| tell!("{line}"));
    Ok(Exit::Failed)
}
