//! How a member comes by another's term history, and what its log loses by it (rules 4, 7, 8).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::storage::Write;
use super::{Handled, Member};
use crate::action::{Action, Actions};
use crate::frame::Checksum;
use crate::identity::{MemberId, RecoveryEpoch};
use crate::message::{HISTORY_LINES_MAX, HISTORY_PARTS_MAX, HistoryLines, Message};
use crate::mutant;
use crate::notice::{FailStop, Notice, Role};
use crate::position::Position;
use crate::term::{Chain, HistoryError, Term, TermHistory, TermLine, VoteKey};

/// An announced history of which parts are still missing.
#[derive(Clone, Debug, Hash)]
pub(super) struct Assembly {
    from: MemberId,
    above: Position,
    checksum: u32,
    parts: BTreeMap<u16, HistoryLines>,
    parts_count: u16,
}

impl Assembly {
    fn fits(&self, from: MemberId, above: Position, checksum: u32, parts: u16) -> bool {
        (self.from, self.above, self.checksum, self.parts_count) == (from, above, checksum, parts)
    }

    /// All lines, once all parts are there and the checksum is theirs.
    fn complete(&self) -> Option<Vec<TermLine>> {
        if self.parts.len() < usize::from(self.parts_count) {
            return None;
        }
        let lines: Vec<TermLine> = self.parts.values().flatten().copied().collect();
        (lines_checksum(&lines) == self.checksum).then_some(lines)
    }
}

/// A checksum over the lines of an announced history.
fn lines_checksum(lines: &[TermLine]) -> u32 {
    let add = |sum: Checksum, line: &TermLine| {
        sum.add(&line.recovery_epoch.0.to_le_bytes())
            .add(&line.term.0.to_le_bytes())
            .add(&line.base.0.to_le_bytes())
            .add(&line.leader.member.0.to_le_bytes())
            .add(&line.leader.incarnation.0.to_le_bytes())
            .add(&line.leader.boot_epoch.0.to_le_bytes())
            .add(&line.chain.0.to_le_bytes())
    };
    lines.iter().fold(Checksum::default(), add).value()
}

impl Member {
    /// `counts` unless it is of a directory that is not known to be readmitted.
    pub(super) fn handle_history_request(
        &mut self,
        from: MemberId,
        (term, commit): (Term, Position),
        counts: bool,
        actions: &mut Actions,
    ) -> Handled {
        if term > self.state.term {
            if self.is_applicant() {
                return Ok(());
            }
            self.raise_term(term, actions);
        }
        if term == self.state.term && counts {
            self.note_heard(from);
        }
        // A line is announced once it is durable (rule 7).
        if self.state.storage.history_is_pending() {
            crate::mark::reached(crate::mark::HISTORY_WAITS);
            self.note_history_request(from, commit);
        } else {
            self.send_history(from, commit, actions);
        }
        Ok(())
    }

    pub(super) fn send_history(&self, to: MemberId, commit: Position, actions: &mut Actions) {
        let lines = self.state.history.lines_above(commit);
        let checksum = lines_checksum(lines);
        let parts = lines.len().div_ceil(HISTORY_LINES_MAX).min(usize::from(HISTORY_PARTS_MAX));
        for (part, lines) in lines.chunks(HISTORY_LINES_MAX).take(parts).enumerate() {
            let message = Message::History {
                term: self.state.term,
                above: commit,
                part: part as u16,
                parts: parts as u16,
                checksum,
                lines: lines.to_vec(),
            };
            self.send(to, message, actions);
        }
    }

    /// Asks a refuser of a canvass for what it has and this member lacks (rule 8).
    pub(super) fn learn_from(&mut self, teacher: MemberId, key: VoteKey, actions: &mut Actions) {
        self.state.following.teacher = Some((teacher, key));
        if key.term > self.state.history.last_term() {
            self.request_history(teacher, actions);
        } else {
            self.fetch_from_teacher();
        }
    }

    pub(super) fn request_history(&self, from: MemberId, actions: &mut Actions) {
        let commit = self.state.commit;
        self.send(from, Message::HistoryRequest { term: self.state.term, commit }, actions);
    }

    /// The bytes up to the teacher's verified position are known to exist now.
    fn fetch_from_teacher(&mut self) {
        if let Some((_, key)) = self.state.following.teacher
            && self.state.history.last_term() >= key.term
            && self.state.leader.is_none()
        {
            self.state.log.image.hear_newest(key.position);
        }
    }

    pub(super) fn handle_history(
        &mut self,
        from: MemberId,
        message: Message,
        actions: &mut Actions,
    ) -> Handled {
        let Message::History { term, above, part, parts, checksum, lines } = message else {
            return Ok(());
        };
        if term > self.state.term {
            self.raise_term(term, actions);
        }
        let is_leader = self.state.leader == Some(from);
        // Who stands for election has settled its history: it changes again when that is over.
        let is_teacher = matches!(self.state.role, Role::Follower | Role::Canvasser)
            && self.state.leader.is_none()
            && self.state.following.teacher.is_some_and(|(teacher, _)| teacher == from);
        // A teacher may be of a lower term than ours: its history counts, not its term (E09).
        if is_teacher {
            crate::mark::reached(crate::mark::TAUGHT_BY_FOLLOWER);
        }
        let wanted = is_teacher || (is_leader && term == self.state.term);
        if !wanted || above > self.state.commit || part >= parts || parts > HISTORY_PARTS_MAX {
            self.counters.datagrams_ignored += 1;
            return Ok(());
        }
        let fits = |old: &Assembly| old.fits(from, above, checksum, parts);
        if !self.state.assembly.as_ref().is_some_and(fits) {
            let (parts, parts_count) = (BTreeMap::new(), parts);
            self.state.assembly = Some(Assembly { from, above, checksum, parts, parts_count });
        }
        let Some(assembly) = &mut self.state.assembly else { return Ok(()) };
        assembly.parts.insert(part, lines);
        match assembly.complete() {
            Some(lines) => {
                self.state.assembly = None;
                self.adopt(&lines, actions)
            }
            None => Ok(()),
        }
    }

    /// Replaces the history atomically by a complete one of a higher term, and cuts from the log
    /// what it disowns.
    fn adopt(&mut self, lines: &[TermLine], actions: &mut Actions) -> Handled {
        // One at a time: what is under way completes first, and then it is asked for again.
        if self.state.storage.history_is_pending() {
            return Ok(());
        }
        let adopted = match self.state.history.adopted(lines) {
            Ok(adopted) => adopted,
            Err(HistoryError::Conflict { term }) => return Err(FailStop::TwoLeaders { term }),
            Err(HistoryError::OutOfOrder { .. }) => {
                self.counters.datagrams_ignored += 1;
                return Ok(());
            }
        };
        let term = adopted.last_term();
        if term <= self.state.history.last_term() {
            return Ok(());
        }
        let received = self.state.log.image.received();
        let mut cut = self.state.history.divergence(&adopted, received);
        if mutant::is(mutant::CUTS_MATCHING_BYTES) {
            // The base of a line, so that nothing but the bytes is missing.
            let base = self.state.history.owner(cut).map_or(cut, |line| line.base);
            cut = if base < self.state.commit { cut } else { base };
        }
        if cut < self.state.commit && !mutant::is(mutant::CUTS_COMMITTED_BYTES) {
            return Err(FailStop::CutBelowCommit { cut, commit: self.state.commit });
        }
        self.state.peers.cut(self.state.history.divergence(&adopted, Position::MAX));
        let former_epoch = self.state.history.last_epoch();
        if mutant::is(mutant::NO_CUT_AT_ADOPTION) {
            self.state.history = adopted;
        } else {
            self.cut(cut, &adopted, actions)?;
            self.state.history = adopted;
        }
        if term > self.state.term {
            // A line implies that its term was reached, and no authority for who told of it.
            self.state.term = term;
            self.state.granted_to = None;
        }
        self.persist_history(cut, actions)?;
        actions.push(Action::Notify(Notice::Adopted { term, cut }));
        self.note_epoch(former_epoch, actions);
        self.fetch_from_teacher();
        Ok(())
    }

    /// Disowns the bytes at and above `cut`, which is the base of a line in one of the histories
    /// whenever verified bytes lie above it.
    fn cut(&mut self, cut: Position, adopted: &TermHistory, actions: &mut Actions) -> Handled {
        if cut < self.state.log.verified {
            crate::mark::reached(crate::mark::ADOPTION_CUTS);
            self.counters.cuts += 1;
        }
        let chain = chain_at(cut, adopted).or_else(|| chain_at(cut, &self.state.history));
        let chain = match chain {
            Some(chain) => chain,
            None if cut >= self.state.log.verified => self.state.log.verified_chain,
            None if cut == Position::ZERO => Chain::default(),
            None => return Err(FailStop::ChainMismatch { at: cut }),
        };
        self.state.log.cut(cut, chain);
        self.state.storage.cut(cut);
        self.state.repairs.cut(cut);
        self.state.reads.cut(cut);
        self.state.standing.cut(cut);
        self.cut_membership(cut, actions)
    }

    /// Tells the host when the history has come to a new recovery epoch: once to each member that
    /// was there before it.
    pub(super) fn note_epoch(&self, former: RecoveryEpoch, actions: &mut Actions) {
        if let Some((epoch, kept)) = self.state.history.recovered_at()
            && epoch > former
        {
            crate::mark::reached(crate::mark::RECOVERED_BY_FORCE);
            actions.push(Action::Notify(Notice::RecoveredByForce { epoch, kept }));
        }
    }

    pub(super) fn persist_history(&mut self, cut: Position, actions: &mut Actions) -> Handled {
        let history = self.state.history.clone();
        let write = Write::History(history.last_term());
        let operation = self.state.storage.begin(self.state.now, write)?;
        actions.push(Action::PersistHistory { operation, history, cut });
        Ok(())
    }

    pub(super) fn handle_history_durable(&mut self, term: Term, actions: &mut Actions) -> Handled {
        if self.state.leading.is_some() && term == self.state.term {
            return self.open_term(actions);
        }
        self.want_acknowledgement();
        Ok(())
    }
}

fn chain_at(position: Position, history: &TermHistory) -> Option<Chain> {
    history.lines().iter().find(|line| line.base == position).map(|line| line.chain)
}
