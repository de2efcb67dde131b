//! Volatile groups that lost what they held, and are recovered by force.

use std::path::{Path, PathBuf};

use quorate_archive::memory::{Fate, MemoryDisk};
use quorate_archive::{
    Archive, Identity, Options, describe_on, init_on, plan_recovery_on, recover_by_force_on,
};
use quorate_core::frame::Level;
use quorate_core::message::{Incoming, Message, Stream};
use quorate_core::{
    Action, Actions, BootEpoch, Chain, Durability, Duration, Event, ForcedError, ForcedRecovery,
    Instant, Member, MemberConfig, MemberId, Notice, PeerRecord, Position, Recovered,
    RecoveryEpoch, Role, Survivor, Term, TermHistory, VoteKey, plan_forced_recovery,
};

use crate::case::{Failure, Verdict, check};
use crate::desk::{self, DeskOptions, frames, heartbeat, history, life, line};
use crate::files;
use crate::trial::Trial;

/// The newest term of the epoch that is lost.
const TERM: u64 = 5;
const FIRST: RecoveryEpoch = RecoveryEpoch(0);
const NEXT: RecoveryEpoch = RecoveryEpoch(1);

pub(super) fn cd_10(trial: &mut Trial<'_>) -> Verdict {
    let planned = plans_keep_the_best()?;
    trial.count("plans", planned);
    for (forced, epoch, newest, leads) in [
        (Some(1), NEXT, TERM, true),
        (Some(1), NEXT, TERM - 1, true),
        (Some(1), NEXT, TERM + 1, false),
        (Some(2), NEXT, TERM, false),
        (Some(1), RecoveryEpoch(2), TERM, false),
        (None, NEXT, TERM, false),
    ] {
        let led = leads_with_an_impaired_grant(forced, epoch, newest)?;
        check(led == leads, || {
            format!("chosen {forced:?}, in {epoch:?}, granted with a line of {newest}: {led}")
        })?;
    }
    reads_both_epochs()?;
    trial.count("crashes", every_crash_is_found_by_any_majority()?);
    Ok(())
}

/// The record by which a member says that it may have lost what it held, up to `stated` at least.
fn mark(member: u16, stated: u64) -> PeerRecord {
    PeerRecord {
        life: life(member),
        acknowledged_in: BootEpoch(0),
        term: Term(0),
        acknowledged: Position(stated),
    }
}

/// Of all groups of three disks, each of one of a few kinds: what is kept is what nobody given has
/// more of, what is lost begins there, and nothing is kept by force that goes without.
fn plans_keep_the_best() -> Result<u64, Failure> {
    let base = |term, base| line(term, 1, Position(base), Chain(0));
    let histories = [vec![base(3, 0)], vec![base(3, 0), base(TERM, 80)]]
        .map(|lines| TermHistory::new(lines).unwrap_or_default());
    let voters = [1, 2, 3].map(MemberId);
    let kinds = 2 * 3 * 2;
    let mut planned = 0;
    for code in 0..kinds * kinds * kinds {
        let kind = |member: u64| code / u64::pow(kinds, member as u32 - 1) % kinds;
        let records = [1, 2, 3].map(|member| match kind(member) / 6 {
            0 => vec![mark(member as u16, 8 * member)],
            _ => Vec::new(),
        });
        let survivors = [1, 2, 3].map(|member| Survivor {
            life: life(member as u16),
            epoch: FIRST,
            history: &histories[(kind(member) % 2) as usize],
            log_end: Position([64, 80, 96][(kind(member) / 2 % 3) as usize]),
            peers: &records[member as usize - 1],
            recoveries: &[],
        });
        for given in [&survivors[..], &survivors[..2], &survivors[1..]] {
            let found = plan_forced_recovery(&voters, given);
            let whole = given.iter().filter(|it| !it.is_marked()).count();
            if whole >= 2 {
                let expected = ForcedError::NotNeeded { unimpaired: whole };
                check(found == Err(expected), || format!("{whole} are whole: {found:?}"))?;
                continue;
            }
            let forced = found.map_err(|error| Failure::broken(error.to_string()))?;
            let key = |it: &Survivor<'_>| it.history.vote_key(it.log_end);
            let best = given.iter().map(key).max().unwrap_or_default();
            let chosen = given.iter().find(|it| it.life.member == forced.chosen);
            let is_best = chosen.is_some_and(|it| key(it) == best && it.log_end == forced.kept);
            let knows = given.iter().all(|it| it.history.last_term() <= forced.term);
            let told = forced.epoch == NEXT && forced.promised >= forced.kept;
            check(is_best && knows && told, || format!("of {given:?} this is kept: {forced:?}"))?;
            planned += 1;
        }
    }
    Ok(planned)
}

/// Member 1 of three in a life that begins impaired, with an empty log of `TERM` and of the epoch.
fn impaired(forced: Option<u16>, epoch: RecoveryEpoch) -> Result<Member, Failure> {
    let config = MemberConfig {
        recovery_epoch: epoch,
        durability: Durability::Volatile { checkpoint_interval: Duration(3_600_000_000_000) },
        ..desk::config(&DeskOptions::small(3))
    };
    let lines = vec![line(TERM, 2, Position::ZERO, Chain(0))];
    let forced = forced.map(|chosen| ForcedRecovery {
        epoch: NEXT,
        term: Term(TERM),
        chosen: MemberId(chosen),
        ..ForcedRecovery::default()
    });
    let recovered = Recovered {
        history: TermHistory::new(lines).unwrap_or_default(),
        peers: vec![mark(1, 8)],
        forced,
        ..Recovered::empty(life(1))
    };
    Member::new(config, recovered, Instant(1)).map_err(|error| Failure::broken(error.to_string()))
}

/// Whether it leads when another impaired one, whose newest line is of `newest`, grants all that it
/// asks for; and if so, whether it tells in which epoch it does.
fn leads_with_an_impaired_grant(
    forced: Option<u16>,
    epoch: RecoveryEpoch,
    newest: u64,
) -> Result<bool, Failure> {
    let mut member = impaired(forced, epoch)?;
    let (mut now, mut actions, mut told) = (Instant(1), Actions::new(), Vec::new());
    for _ in 0..64 {
        if member.view().role == Role::Leader {
            let kept = Position::ZERO;
            return match told[..] == [Notice::RecoveredByForce { epoch, kept }] {
                true => Ok(true),
                false => Err(Failure::broken(format!("it leads, and tells {told:?}"))),
            };
        }
        now = member.next_deadline().map_or(now, |due| due.max(now));
        member.step(now, Event::Timer, &mut actions);
        let mut done: Vec<Action> = actions.drain().collect();
        while let Some(action) = done.pop() {
            let event = match action {
                Action::PersistVote { operation, .. }
                | Action::PersistPeers { operation, .. }
                | Action::PersistHistory { operation, .. } => Event::Durable { operation },
                Action::Send { message, .. } => match grant(&message, newest) {
                    Some(grant) => received(grant),
                    None => continue,
                },
                Action::Notify(notice @ Notice::RecoveredByForce { .. }) => {
                    told.push(notice);
                    continue;
                }
                _ => continue,
            };
            member.step(now, event, &mut actions);
            done.extend(actions.drain());
        }
    }
    Ok(false)
}

fn received(message: Message) -> Event<'static> {
    Event::Received {
        sender: desk::member_sender(2, 1),
        source: desk::place(2),
        content: Incoming::Control(message),
    }
}

/// What an impaired member 2 answers to a request of member 1.
fn grant(asked: &Message, newest: u64) -> Option<Message> {
    let (term, round) = match *asked {
        Message::Canvass { term, round, .. } => (term, round),
        Message::RequestVote { term, .. } => (term, 0),
        _ => return None,
    };
    Some(Message::LevelGrant {
        term,
        round,
        candidate: MemberId(1),
        line: Term(newest),
        key: VoteKey::default(),
        level: Level::Volatile,
        impaired: true,
    })
}

/// Frames of the former epoch are verified as what they are, behind a leader of the new one.
fn reads_both_epochs() -> Verdict {
    let config = MemberConfig { recovery_epoch: NEXT, ..desk::config(&DeskOptions::small(3)) };
    let mut member = Member::new(config, Recovered::empty(life(1)), Instant(1))
        .map_err(|error| Failure::broken(error.to_string()))?;
    let former = line(TERM, 2, Position::ZERO, Chain(0));
    let pieces = frames(&former, 3);
    let Some(last) = pieces.last() else { return Ok(()) };
    let mut newer = line(TERM + 1, 2, last.end, last.chain);
    newer.recovery_epoch = NEXT;
    let (now, mut actions) = (Instant(1), Actions::new());
    let mut step = |member: &mut Member, event: Event<'_>| {
        member.step(now, event, &mut actions);
        let mut done: Vec<Action> = actions.drain().collect();
        while let Some(action) = done.pop() {
            if let Action::PersistVote { operation, .. }
            | Action::PersistPeers { operation, .. }
            | Action::PersistHistory { operation, .. }
            | Action::Sync { operation } = action
            {
                member.step(now, Event::Durable { operation }, &mut actions);
                done.extend(actions.drain());
            }
        }
    };
    step(&mut member, received(heartbeat(TERM + 1, 1)));
    for message in history(TERM + 1, Position::ZERO, &[former, newer]) {
        step(&mut member, received(message));
    }
    for piece in &pieces {
        let (position, slice) = (piece.start, piece.bytes.as_slice());
        let content =
            Incoming::Data { stream: Stream::Log, epoch: TERM, position, live: None, slice };
        let (sender, source) = (desk::member_sender(2, 1), desk::place(2));
        step(&mut member, Event::Received { sender, source, content });
    }
    let view = member.view();
    check(view.verified == last.end, || {
        format!("of the former epoch's {} it has {}", last.end, view.verified)
    })?;
    check(view.recovered_at == Some((NEXT, last.end)), || format!("{:?}", view.recovered_at))
}

fn directories() -> [PathBuf; 3] {
    ["/first", "/second", "/third"].map(PathBuf::from)
}

/// Three empty directories of members that may have lost something.
fn marked() -> Result<MemoryDisk, Failure> {
    let disk = MemoryDisk::default();
    for (member, directory) in (1..).zip(&directories()) {
        let identity = Identity { member: MemberId(member), ..files::identity() };
        let make = || {
            init_on(&disk, directory, &identity)?;
            let (archive, _) = Archive::open_on(disk.clone(), directory, &Options::default())?;
            let (_, mut syncer, _) = archive.split();
            syncer.persist_peers(&[mark(member, 8)])
        };
        make().map_err(|error| Failure::broken(error.to_string()))?;
    }
    Ok(disk)
}

/// Wherever a recovery is interrupted: if anybody is in the new epoch, whoever comes with any of
/// the directories finds it there.
fn every_crash_is_found_by_any_majority() -> Result<u64, Failure> {
    let broken = |error: &dyn core::fmt::Display| Failure::broken(error.to_string());
    let options = Options::default();
    let look = |disk: &MemoryDisk, at: &Path| {
        let found = describe_on(disk, at, &options).map_err(|error| broken(&error))?;
        let knows = found.recoveries.iter().any(|record| record.forced.epoch == NEXT);
        Ok::<_, Failure>((found.identity.recovery_epoch, knows))
    };
    let (mut crashes, mut halves) = (0, 0);
    loop {
        let disk = marked()?;
        let plan = plan_recovery_on(&disk, &directories(), &options);
        let plan = plan.map_err(|error| broken(&error))?;
        let begun = disk.world().operations;
        disk.world().crash_at = Some(begun + crashes);
        let is_done = recover_by_force_on(&disk, &plan, 1, &options).is_ok();
        for fate in [Fate::Kept, Fate::Lost] {
            let after = disk.crashed(fate);
            let found = directories().map(|at| look(&after, &at));
            let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
            let raised = found.iter().filter(|(epoch, _)| *epoch == NEXT).count();
            halves += u64::from(0 < raised && raised < found.len());
            check(raised == 0 || found.iter().all(|(_, knows)| *knows), || {
                format!("call {crashes}, {fate:?}: {raised} are in the new epoch: {found:?}")
            })?;
            let again = plan_recovery_on(&after, &directories(), &options);
            check(again.is_ok() || raised == found.len(), || {
                format!("call {crashes}, {fate:?}: it is not planned anew: {again:?}")
            })?;
        }
        if is_done {
            check(halves > 0, || "no crash came between two directories".to_owned())?;
            return Ok(crashes);
        }
        crashes += 1;
    }
}
