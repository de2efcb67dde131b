//! What has held this member back for long, and for how long: told once, by cause.
//!
//! It is looked at with each heartbeat, of a leader when it sends one, of a follower when it hears
//! one: what moves between two looks costs nothing.

use super::table::Table;
use super::{Member, State};
use crate::action::{Action, Actions};
use crate::identity::MemberId;
use crate::mutant;
use crate::notice::{Notice, Stall};
use crate::time::{Duration, Instant};

/// All that is watched.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Stalls {
    looked_at: Instant,
    disk: Watch,
    service: Watch,
    installation: Watch,
    followers: Table<MemberId, Watch>,
}

/// Something that may hold the member back.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Watch {
    /// How far it was: of any other value it has moved since.
    progress: [u64; 2],
    /// Since when it has not moved.
    since: Instant,
    /// What was told, and is not over yet.
    told: Option<Stall>,
}

impl Watch {
    /// Takes in how far it is and whether, and for what, it is waited for at all. Returns what is
    /// to be told.
    fn look(
        &mut self,
        now: Instant,
        progress: [u64; 2],
        waits: Option<Stall>,
        patience: Duration,
    ) -> Option<Notice> {
        let Some(cause) = waits.filter(|_| progress == self.progress) else {
            (self.progress, self.since) = (progress, now);
            return self.end();
        };
        let is_told = self.told.is_some() && !mutant::is(mutant::STALLS_ARE_TOLD_AGAIN);
        if is_told || now.since(self.since) < patience {
            return None;
        }
        self.told = Some(cause);
        Some(Notice::Stalled { cause })
    }

    fn end(&mut self) -> Option<Notice> {
        self.told.take().map(|cause| Notice::StallEnded { cause })
    }
}

impl Stalls {
    pub(super) fn new(others: impl Iterator<Item = MemberId>) -> Self {
        Self { followers: others.map(|id| (id, Watch::default())).collect(), ..Self::default() }
    }

    /// Others are members now. Who is none any more holds nobody back.
    pub(super) fn follow(&mut self, others: &[MemberId], mut tell: impl FnMut(Notice)) {
        let gone = self.followers.iter_mut().filter(|(id, _)| !others.contains(id));
        gone.filter_map(|(_, watch)| watch.end()).for_each(&mut tell);
        self.followers.retain(|id, _| others.contains(&id));
        for &id in others {
            self.followers.get_or_insert(id, Watch::default());
        }
    }

    /// Who was not there itself has not seen what moved meanwhile.
    fn note_look(&mut self, now: Instant, interval: Duration) {
        if now.since(self.looked_at) > interval.times(3) {
            let followers = self.followers.values_mut();
            [&mut self.disk, &mut self.service].into_iter().chain(followers).for_each(|watch| {
                watch.since = now;
            });
        }
        self.looked_at = now;
    }

    /// When to look at an installation that is under way, if it was not told of.
    pub(super) fn installation_deadline(&self, patience: Duration) -> Option<Instant> {
        let Watch { since, told, .. } = self.installation;
        told.is_none().then(|| since + patience)
    }
}

impl Member {
    /// Looks what moves, and tells what has not for `Timing::stall_timeout`.
    pub(super) fn watch_stalls(&mut self, actions: &mut Actions) {
        let (interval, patience) =
            (self.config.timing.heartbeat_interval, self.config.timing.stall_timeout);
        let State { now, stalls, storage, reads, applier, leading, log, .. } = &mut self.state;
        let now = *now;
        stalls.note_look(now, interval);
        let mut tell = |notice: Option<Notice>| {
            if let Some(notice) = notice {
                actions.push(Action::Notify(notice));
            }
        };
        let read = reads.to_apply().map(|(operation, _)| operation);
        let operation = storage.oldest_sequence().into_iter().chain(read).min();
        let waits = operation.map(|_| Stall::Disk);
        tell(stalls.disk.look(now, [operation.unwrap_or_default(), 0], waits, patience));
        let waits = applier.is_applying().then_some(Stall::Service);
        tell(stalls.service.look(now, [applier.applied.0, 0], waits, patience));
        let Some(leading) = leading else { return };
        for (member, watch) in stalls.followers.iter_mut() {
            let Some((durable, limit)) = leading.held_and_limit(member) else { continue };
            let cause = match limit < log.verified && limit.0 > 0 {
                true => Stall::Window { member },
                false => Stall::Acknowledgement { member },
            };
            let waits = (durable < log.verified).then_some(cause);
            tell(watch.look(now, [durable.0, limit.0], waits, patience));
        }
    }

    /// Looks how the installation of another member's snapshot gets on, for which this one stands
    /// still. It hears no heartbeat: it looks when that begins, at its timer, and when it is over.
    pub(super) fn watch_installation(&mut self, actions: &mut Actions) {
        let State { now, stalls, fetching, .. } = &mut self.state;
        let operation = fetching.installs();
        let (waits, patience) =
            (operation.map(|_| Stall::Installation), self.config.timing.stall_timeout);
        let progress = [operation.map_or(0, |operation| operation.sequence), 0];
        if let Some(notice) = stalls.installation.look(*now, progress, waits, patience) {
            actions.push(Action::Notify(notice));
        }
    }

    /// A leader's followers hold it back no more when it leads no more.
    pub(super) fn end_stalls_of_followers(&mut self, actions: &mut Actions) {
        for watch in self.state.stalls.followers.values_mut() {
            if let Some(notice) = watch.end() {
                actions.push(Action::Notify(notice));
            }
            // The next leadership begins to count with its first look.
            watch.progress = [u64::MAX; 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration(100);

    fn look(watch: &mut Watch, now: u64, progress: u64, waits: bool) -> Option<Notice> {
        watch.look(Instant(now), [progress, 0], waits.then_some(Stall::Disk), PATIENCE)
    }

    #[test]
    fn fc12_a_stall_is_told_once_and_its_end_once() {
        let mut watch = Watch::default();
        let (stalled, ended) = (
            Some(Notice::Stalled { cause: Stall::Disk }),
            Some(Notice::StallEnded { cause: Stall::Disk }),
        );
        assert_eq!(look(&mut watch, 10, 8, true), None);
        assert_eq!(look(&mut watch, 109, 8, true), None, "too early");
        assert_eq!(look(&mut watch, 110, 8, true), stalled);
        assert_eq!(look(&mut watch, 900, 8, true), None, "told already");
        assert_eq!(look(&mut watch, 910, 16, true), ended, "it moves");
        assert_eq!(look(&mut watch, 920, 16, true), None);
        assert_eq!(look(&mut watch, 1_009, 16, true), None, "counted from the last move");
        assert_eq!(look(&mut watch, 1_010, 16, true), stalled);
        assert_eq!(look(&mut watch, 1_020, 16, false), ended, "nothing is waited for");
        assert_eq!(look(&mut watch, 9_000, 16, false), None);
    }

    #[test]
    fn who_was_away_itself_begins_to_count_anew() {
        let mut stalls = Stalls::new([MemberId(2)].into_iter());
        stalls.note_look(Instant(10), Duration(20));
        stalls.disk.since = Instant(10);
        stalls.note_look(Instant(70), Duration(20));
        assert_eq!(stalls.disk.since, Instant(10));
        stalls.note_look(Instant(131), Duration(20));
        assert_eq!(stalls.disk.since, Instant(131));
    }
}
