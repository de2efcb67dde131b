//! Who has answered, who has granted, and whether that is enough.

use super::super::Member;
use super::super::decisions::{elects, quorum};
use super::Election;
use crate::identity::MemberId;
use crate::mutant;
use crate::term::Term;

impl Member {
    /// Counts the own grant, and none of another yet.
    pub(super) fn begin_count(&mut self) {
        let (own, line) = (self.state.life.member, self.state.history.last_term());
        let is_impaired = self.is_impaired();
        let election = &mut self.state.election;
        election.granted.clear();
        election.doubtful.clear();
        election.granted.push(own);
        if is_impaired {
            election.doubtful.push((own, line));
        }
    }

    /// Somebody has answered the canvass of this round: whoever leads next, a quorum is there if
    /// enough of them have.
    pub(super) fn note_answer(&mut self, from: MemberId) {
        let answered = &mut self.state.election.answered;
        if !answered.contains(&from) {
            answered.push(from);
        }
        if self.is_answered_by_quorum() {
            self.state.election.lacks_quorum = false;
        }
    }

    pub(super) fn is_answered_by_quorum(&self) -> bool {
        let (own, answered) = (self.state.life.member, &self.state.election.answered);
        self.membership().is_quorum(|id| id == own || answered.contains(&id))
    }

    /// Whether those that granted elect: in each half, and of voters alone.
    pub(super) fn has_quorum_of_grants(&self) -> bool {
        let short = usize::from(mutant::is(mutant::ELECTION_QUORUM_ONE_SHORT));
        let election = &self.state.election;
        let newest = self.state.history.last_term();
        let lines = election.doubtful.iter().map(|(_, line)| *line).chain([newest]);
        let newest_line = lines.max().unwrap_or_default();
        let decreed = match mutant::is(mutant::DECREE_NEVER_ENDS) {
            true => election.decreed.map(|_| newest_line),
            false => election.decreed,
        };
        let led = election.led.max(decreed);
        self.membership().all_halves(|voters| {
            let is_in = |id: &MemberId| voters.contains(id);
            let granted = election.granted.iter().filter(|id| is_in(id)).count() + short;
            let doubtful = election.doubtful.iter().filter(|(id, _)| is_in(id)).count();
            match doubtful {
                0 => granted >= quorum(voters.len()),
                _ => elects(voters.len(), granted, doubtful, led, newest_line),
            }
        })
    }

    /// Counts a grant; of an impaired voter with the newest term of its history.
    pub(super) fn note_grant(&mut self, from: MemberId, doubtful: Option<Term>) {
        let Election { granted, doubtful: known, .. } = &mut self.state.election;
        let is_new = !granted.contains(&from) || mutant::is(mutant::GRANTS_COUNT_TWICE);
        if !self.state.peers.counts(from) || !is_new {
            return;
        }
        granted.push(from);
        if let Some(line) = doubtful.filter(|_| !mutant::is(mutant::IMPAIRED_GRANTS_ARE_FULL)) {
            known.push((from, line));
        }
    }
}
