//! A member that lost its directory, and comes up in an empty one.

use crate::case::{Failure, Verdict};
use crate::stage::{MILLI, Options, SECOND, Stage};
use crate::subject::Feature;
use crate::trial::Trial;

pub(super) fn cu_01(trial: &mut Trial<'_>) -> Verdict {
    trial.needs(Feature::VirtualDisk)?;
    let duration = trial.times(300 * MILLI, SECOND, 60 * SECOND);
    let (mut stage, _) = filled(trial)?;
    let clients = stage.connected_clients(4)?;
    let usual = stage.offer(&clients, 1_000, MILLI, duration)?.answered;

    let (mut stage, leader) = filled(trial)?;
    let clients = stage.connected_clients(4)?;
    let wiped = stage.other_than(leader);
    stage.power_off(wiped);
    stage.damage(wiped, |disk| {
        disk.wipe();
        // As an operator does it, who says that the directory is a new one.
        disk.make_anew();
    });
    let life = stage.view(wiped).life;
    stage.start(wiped)?;
    let now = stage.view(wiped).life;
    stage.check(now.incarnation > life.incarnation, || {
        format!("{now:?} is no life behind {life:?}")
    })?;
    let meanwhile = stage.offer(&clients, 1_000, MILLI, duration)?.answered;
    stage.check(meanwhile * 10 >= usual * 9, || {
        format!("{meanwhile} answers while a member began anew, and {usual} without")
    })?;
    let all: Vec<u16> = stage.numbers().collect();
    let level = |stage: &Stage<'_>| stage.is_answered(&clients) && stage.is_level(&all);
    stage.until("it holds the same as the others", 20 * SECOND, level)?;
    let elections = stage.elections();
    stage.check(elections == 1, || format!("{elections} elections"))?;
    // Without it there is no majority of the five: it counts again.
    let others: Vec<u16> =
        stage.numbers().filter(|member| ![leader, wiped].contains(member)).collect();
    others[..2].iter().for_each(|member| stage.power_off(*member));
    stage.request(clients[0], b"with it")?;
    others[..2].iter().try_for_each(|member| stage.start(*member))?;
    stage.even_out()
}

/// Five members with a log that is longer than a window.
fn filled<'a>(trial: &Trial<'a>) -> Result<(Stage<'a>, u16), Failure> {
    let options = Options::members(5).limits(|limits| {
        limits.window_bytes = 128 << 10;
        limits.uncommitted_bytes_max = 64 << 10;
        limits.unapplied_bytes_max = 64 << 10;
        limits.session_window_bytes = 32 << 10;
        limits.message_bytes_max = 4 << 10;
        limits.read_bytes_max = 32 << 10;
    });
    let mut stage = trial.stage(options);
    let leader = stage.settle()?;
    let client = stage.client();
    stage.pour(&[client], 100, 3_000, 20 * SECOND)?;
    stage.even_out()?;
    Ok((stage, leader))
}
