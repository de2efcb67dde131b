//! Elections.

use crate::case::{Case, Verdict};
use crate::stage::Options;
use crate::trial::Trial;

pub(super) const CASES: &[Case] = &[
    Case::cluster(
        "EL-01",
        "single voter",
        "A group of one leads within one election time-out, commits alone, and sends itself nothing.",
        el_01,
    )
    .quick()
    .edges(&["E15"]),
    Case::cluster(
        "EL-09",
        "rejoin with long absence",
        "A member that was cut off for long and comes back changes neither the leader nor the term.",
        el_09,
    )
    .quick()
    .edges(&["E07"]),
];

fn el_01(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(1));
    for life in 0..2 {
        stage.start(1)?;
        let within = stage.election_timeout();
        stage.until("member 1 serves", within, |stage| stage.view(1).serving)?;
        let client = stage.client();
        stage.request(client, b"alone")?;
        let sent = stage.sightings().iter().filter(|sent| sent.from == sent.to).count();
        stage.check(sent == 0, || format!("it sent itself {sent} datagrams in life {life}"))?;
        stage.power_off(1);
    }
    Ok(())
}

fn el_09(trial: &mut Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let leader = stage.settle()?;
    let term = stage.view(leader).term;
    let away = stage.other_than(leader);
    stage.isolate(away);
    stage.run(100 * stage.election_timeout())?;
    stage.heal_all();
    let back = 4 * stage.election_timeout();
    stage.until("the member that was away follows again", back, |stage| stage.is_settled())?;
    let same = stage.leader() == Some(leader) && stage.view(leader).term == term;
    stage.check(same, || format!("member {leader} led {term} before"))
}
