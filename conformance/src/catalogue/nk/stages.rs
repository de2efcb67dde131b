//! What `damage` asks of the codec and the core itself, with members of any subject.

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_core::MemberId;
use quorate_sim::Place;

use crate::case::Verdict;
use crate::stage::{Effect, MILLI, MILLION, Options, SECOND, Stage};
use crate::trial::Trial;

/// A datagram of each kind that went to a member: from where, to whom, and its bytes.
type Kinds = BTreeMap<&'static str, (Place, u16, Vec<u8>)>;

/// Kinds of datagrams that the play brings about, at least.
const KINDS_MIN: usize = 13;

pub(in crate::catalogue) fn nk_28(trial: &Trial<'_>) -> Verdict {
    let mut stage = trial.stage(Options::members(3));
    let kinds = Rc::new(RefCell::new(Kinds::new()));
    let notes = Rc::clone(&kinds);
    stage.listen(move |passing| {
        if let Place::Member(MemberId(to)) = passing.to {
            let sample = (passing.from, to, passing.bytes.to_vec());
            notes.borrow_mut().insert(passing.kind(), sample);
        }
    });
    let leader = stage.settle()?;
    let clients = stage.connected_clients(2)?;
    let lossy = stage.rule("a third of all is lost", Effect::LoseSometimes(MILLION / 3), |_| true);
    stage.pour(&clients, 40, 700, 20 * SECOND)?;
    stage.remove_rule(lossy);
    stage.kill(leader);
    stage.until("a successor", 8 * SECOND, |stage| stage.leader().is_some())?;
    stage.start(leader)?;
    stage.even_out()?;
    stage.run(100 * MILLI)?;
    let kinds = kinds.borrow().clone();
    stage.check(kinds.len() >= KINDS_MIN, || {
        format!("only {:?} were sent", kinds.keys().collect::<Vec<_>>())
    })?;
    let step = trial.times(11, 3, 1) as usize;
    for (kind, (from, to, bytes)) in &kinds {
        for bit in (trial.seed() as usize % step..bytes.len() * 8).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            nothing_comes_of(&mut stage, (*from, *to, flipped), &format!("{kind}, bit {bit}"))?;
            trial.count("flipped datagrams refused", 1);
        }
    }
    // What is damaged on the way comes whole at last.
    let damaging = stage.rule("one bit of a third of all is flipped", Effect::Flip, {
        let mut number = 0_u32;
        move |_| {
            number += 1;
            number.is_multiple_of(3)
        }
    });
    stage.pour(&clients, trial.times(40, 200, 2_000), 700, 60 * SECOND)?;
    stage.remove_rule(damaging);
    stage.even_out()?;
    for member in stage.numbers() {
        stage.check_written_in_order(member, &clients)?;
    }
    Ok(())
}

/// A datagram arrives, and its receiver is as before and says nothing to it.
fn nothing_comes_of(
    stage: &mut Stage<'_>,
    (from, to, bytes): (Place, u16, Vec<u8>),
    what: &str,
) -> Verdict {
    // What is due in this moment anyway has been done.
    stage.run(0)?;
    let (before, sent) = (*stage.view(to), stage.sightings().len());
    stage.inject(from, to, bytes);
    stage.run(0)?;
    let (after, said) = (*stage.view(to), stage.sightings().len() - sent);
    stage.check(said == 0, || format!("{what} flipped: member {to} says {said} things to it"))?;
    stage.check(before == after, || {
        let (was, is) = (before.seen, after.seen);
        format!("{what} flipped: member {to} is another by it: it had seen {was}, and now {is}")
    })
}
