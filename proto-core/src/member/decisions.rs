//! The scary decisions, as pure total functions over small inputs.

use crate::config::{PeerRecord, Recovered};
use crate::identity::MemberId;
pub(super) use crate::membership::majority as quorum;
use crate::position::Position;
use crate::snapshot::SnapshotPoint;
use crate::term::{Term, TermHistory, Vote, VoteKey};

/// The term that a new life begins in: no vote of a former one is forgotten (E02, E55).
pub(super) fn recovered_term(vote: Vote, history: &TermHistory) -> Term {
    match crate::mutant::is(crate::mutant::VOTE_IS_FORGOTTEN) {
        true => history.last_term(),
        false => vote.term.max(history.last_term()),
    }
}

/// What a new life knows to be committed: what was applied was so, and stays so.
pub(super) fn recovered_commit(applied: SnapshotPoint, recovered: &Recovered) -> Position {
    match crate::mutant::is(crate::mutant::RESTART_COMMITS_ITS_LOG) {
        true => recovered.log_end,
        false => applied.position,
    }
}

/// Whether grants elect (rule 5): a majority, and of unimpaired voters so many that one of them is
/// in every quorum that may have committed anything. Or, for who led `led` in this life, a majority
/// whose newest line is of no later term: nothing was committed that it does not have. Who was
/// chosen by a forced recovery stands as if it had led the newest term that any knew of then.
pub(super) fn elects(
    voters: usize,
    granted: usize,
    doubtful: usize,
    led: Option<Term>,
    newest_line: Term,
) -> bool {
    let needed = voters - quorum(voters) + 1;
    let covers = led.is_some_and(|led| newest_line <= led);
    granted >= quorum(voters) && (granted - doubtful >= needed || covers)
}

/// What a voter knows when somebody asks for its vote, or whether it would give it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The asker's term: the term to be led, or for a canvass its current one.
    pub(super) term: Term,
    /// How complete its log is.
    pub(super) key: VoteKey,
}

/// Whether a canvass is answered with yes (pre-vote, Raft thesis §9.6): nobody is known to lead,
/// and the vote of the canvasser's next term would be granted.
pub(super) fn canvass_granted(
    asked: Asked,
    own_term: Term,
    own_key: VoteKey,
    has_leader: bool,
) -> bool {
    !has_leader && asked.term >= own_term && key_suffices(asked.key, own_key)
}

/// Whether the vote of `asked.term`, which is the voter's current one, goes to `candidate`
/// (Raft §5.4.1 over positions, rule 7; E02, E03, E04).
pub(super) fn vote_granted(
    candidate: MemberId,
    asked: Asked,
    own_vote: Vote,
    own_key: VoteKey,
) -> bool {
    let free = crate::mutant::is(crate::mutant::DOUBLE_VOTE)
        || own_vote.granted_to.is_none_or(|granted| granted == candidate);
    asked.term == own_vote.term && free && key_suffices(asked.key, own_key)
}

/// Whether a request for the votes of `term`, above the voter's own, is the leader's own wish, so
/// that the voter need not wait for its silence (thesis §3.10, E18): it names the leader of the
/// term before, and that is whom the voter follows, or it is of a term that the voter has not heard
/// of, whose leader has deposed the voter's.
pub(super) fn is_handed_over(
    term: Term,
    predecessor: Option<MemberId>,
    own_term: Term,
    leader: Option<MemberId>,
) -> bool {
    let before = Term(term.0.saturating_sub(1));
    predecessor.is_some() && (before > own_term || (before == own_term && predecessor == leader))
}

fn key_suffices(asked: VoteKey, own: VoteKey) -> bool {
    if crate::mutant::is(crate::mutant::VOTE_KEY_WITHOUT_TERM) {
        return asked.position >= own.position;
    }
    asked >= own
}

/// The highest position that a quorum holds durably, if the leader may commit it: see
/// [`committed`]. `durable` holds one position for each voter.
pub(super) fn commit_position(
    durable: &mut [Position],
    own_term_base: Position,
    commit: Position,
) -> Position {
    committed(quorum_position(durable), own_term_base, commit)
}

/// The highest position that a quorum of the voters holds that have these.
pub(super) fn quorum_position(durable: &mut [Position]) -> Position {
    let mut needed = quorum(durable.len());
    if crate::mutant::is(crate::mutant::COMMIT_QUORUM_ONE_SHORT) {
        needed = (needed - 1).max(1);
    }
    if durable.len() == 2 && crate::mutant::is(crate::mutant::COMMIT_OF_TWO_NEEDS_ONE) {
        needed = 1;
    }
    match *durable {
        // The middle one of three, as nearly all groups have.
        [a, b, c] if needed == 2 => a.min(b).max(a.max(b).min(c)),
        _ => {
            sort_falling(durable);
            durable[needed - 1]
        }
    }
}

/// What is committed when a quorum of each half holds all up to `held`: it must lie in the leader's
/// own term (Raft §5.4.2, E21).
pub(super) fn committed(held: Position, own_term_base: Position, commit: Position) -> Position {
    let own_term = held > own_term_base || crate::mutant::is(crate::mutant::COMMIT_OLD_TERMS);
    if !own_term && held > commit {
        crate::mark::reached(crate::mark::OLD_TERM_COUNTED);
    }
    if own_term { held.max(commit) } else { commit }
}

/// Sorts a handful of positions, the highest first: by insertion, which the library does after it
/// has looked at what else could be done.
#[inline(never)]
fn sort_falling(positions: &mut [Position]) {
    for end in 1..positions.len() {
        let mut at = end;
        while at > 0 && positions[at - 1] < positions[at] {
            positions.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// How far a follower may take over its leader's commit position (rule 4, E23).
pub(super) fn follower_commit(
    leader_commit: Position,
    verified: Position,
    received: Position,
    commit: Position,
) -> Position {
    if crate::mutant::is(crate::mutant::COMMIT_BEYOND_VERIFIED) {
        // Frames of a partly received prefix count as if they were whole.
        return leader_commit.min(received).max(commit);
    }
    leader_commit.min(verified).max(commit)
}

/// Whether a member whose log is as complete as `key` has lost bytes that it had acknowledged
/// (rule 9). What it acknowledged is compared as a vote key is, by the lines of `history` that it
/// knew then: a longer log of an older term has lost them too.
///
/// A key of a newer line than that of the acknowledgement says that its log was cut since, by a
/// leader that is perhaps not heard of here: no fall can be told from it.
pub(super) fn has_regressed(record: &PeerRecord, history: &TermHistory, key: VoteKey) -> bool {
    let known = history.lines().iter().rev();
    let owner =
        known.clone().find(|line| line.term <= record.term && line.base <= record.acknowledged);
    let acknowledged =
        VoteKey { term: owner.map_or(Term(0), |line| line.term), position: record.acknowledged };
    key.term <= record.term && key < acknowledged
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn key(term: u64, position: u64) -> VoteKey {
        VoteKey { term: Term(term), position: Position(position) }
    }

    #[test]
    fn el05_a_log_is_not_behind_by_term_first_and_position_second() {
        for (own_term, own_position) in pairs() {
            for (term, position) in pairs() {
                let granted = vote_granted(
                    MemberId(2),
                    Asked { term: Term(9), key: key(term, position) },
                    Vote { term: Term(9), granted_to: None },
                    key(own_term, own_position),
                );
                let behind = term < own_term || (term == own_term && position < own_position);
                assert_eq!(granted, !behind);
            }
        }
    }

    fn pairs() -> impl Iterator<Item = (u64, u64)> {
        (0..4).flat_map(|term| (0..4).map(move |position| (term, position)))
    }

    #[test]
    fn e02_one_vote_a_term() {
        let asked = Asked { term: Term(3), key: key(0, 0) };
        let voted = |granted_to, term| Vote { term: Term(term), granted_to };
        let other = Some(MemberId(3));
        assert!(!vote_granted(MemberId(2), asked, voted(other, 3), key(0, 0)));
        assert!(vote_granted(MemberId(3), asked, voted(other, 3), key(0, 0)));
        assert!(!vote_granted(MemberId(2), asked, voted(None, 4), key(0, 0)));
    }

    #[test]
    fn e18_only_the_own_leader_or_that_of_a_newer_term_hands_over() {
        let (own, leader) = (Term(4), Some(MemberId(1)));
        assert!(is_handed_over(Term(5), leader, own, leader));
        assert!(!is_handed_over(Term(5), Some(MemberId(2)), own, leader));
        assert!(!is_handed_over(Term(5), None, own, leader));
        assert!(is_handed_over(Term(6), Some(MemberId(2)), own, leader));
        assert!(!is_handed_over(Term(4), leader, own, leader));
        assert!(!is_handed_over(Term(9), None, own, leader));
    }

    #[test]
    fn a_canvass_is_refused_while_somebody_leads() {
        let asked = Asked { term: Term(3), key: key(1, 8) };
        assert!(canvass_granted(asked, Term(3), key(1, 8), false));
        assert!(!canvass_granted(asked, Term(3), key(1, 8), true));
        assert!(!canvass_granted(asked, Term(4), key(1, 8), false));
        assert!(!canvass_granted(asked, Term(3), key(1, 16), false));
    }

    #[test]
    fn e22_commit_equals_a_brute_force_count() {
        for voters in 1..=5_usize {
            let combinations = 4_usize.pow(voters as u32);
            for combination in 0..combinations {
                let durable: Vec<Position> = (0..voters)
                    .map(|voter| Position(8 * (combination / 4_usize.pow(voter as u32) % 4) as u64))
                    .collect();
                let brute = (0..4)
                    .map(|step| Position(8 * step))
                    .filter(|p| durable.iter().filter(|d| *d >= p).count() > voters / 2)
                    .max()
                    .unwrap();
                let expected = if brute > Position(8) { brute } else { Position(0) };
                let found = commit_position(&mut durable.clone(), Position(8), Position(0));
                assert_eq!(found, expected, "{durable:?}");
            }
        }
    }

    #[test]
    fn e21_old_terms_are_not_committed_by_counting() {
        let mut durable = vec![Position(64); 3];
        assert_eq!(commit_position(&mut durable, Position(64), Position(8)), Position(8));
        let mut durable = vec![Position(72), Position(72), Position(0)];
        assert_eq!(commit_position(&mut durable, Position(64), Position(8)), Position(72));
    }

    /// Rule 5 by force: whatever quorum had committed something, and whoever of it is impaired, of
    /// those who elect one has what was committed.
    #[test]
    fn cd11_one_of_those_who_elect_has_what_was_committed() {
        for voters in 2..=5_usize {
            for (held, impaired, grants) in triples(1 << voters) {
                let committed = held.count_ones() as usize >= quorum(voters);
                let (granted, doubtful) = (grants.count_ones(), (grants & impaired).count_ones());
                let (granted, doubtful) = (granted as usize, doubtful as usize);
                if !committed || !elects(voters, granted, doubtful, None, Term(1)) {
                    continue;
                }
                assert!(granted >= quorum(voters), "{held:b} {impaired:b} {grants:b}");
                assert_ne!(held & grants & !impaired, 0, "{held:b} {impaired:b} {grants:b}");
            }
        }
        // One of two, or of three with one dead, who led before.
        assert!(elects(2, 2, 1, None, Term(1)));
        assert!(!elects(3, 2, 1, None, Term(1)) && elects(3, 2, 1, Some(Term(4)), Term(4)));
        assert!(
            !elects(3, 2, 1, Some(Term(4)), Term(5)) && !elects(3, 1, 0, Some(Term(4)), Term(4))
        );
    }

    fn triples(end: u32) -> impl Iterator<Item = (u32, u32, u32)> {
        (0..end).flat_map(move |one| {
            (0..end).flat_map(move |two| (0..end).map(move |three| (one, two, three)))
        })
    }

    #[test]
    fn a_fall_of_an_acknowledged_position_is_noticed_unless_a_cut_explains_it() {
        use crate::identity::{Life, RecoveryEpoch};
        use crate::term::{Chain, TermLine};
        let line = |term, base| TermLine {
            recovery_epoch: RecoveryEpoch(0),
            term: Term(term),
            base: Position(base),
            leader: Life::default(),
            chain: Chain(0),
        };
        let record = PeerRecord { term: Term(2), acknowledged: Position(80), ..Default::default() };
        let history = TermHistory::new(vec![line(1, 0), line(2, 40), line(3, 80)]).unwrap();
        for (stated, regressed) in [
            (key(2, 72), true),
            (key(2, 80), false),
            (key(2, 88), false),
            // A longer log of an older term.
            (key(1, 96), true),
            // A leader of a newer term has cut it.
            (key(3, 72), false),
        ] {
            assert_eq!(has_regressed(&record, &history, stated), regressed, "{stated:?}");
        }
        // Lines that it did not know when it acknowledged are not expected of it.
        let short = TermHistory::new(vec![line(1, 0), line(3, 64)]).unwrap();
        assert!(!has_regressed(&record, &short, key(1, 80)));
    }
}
