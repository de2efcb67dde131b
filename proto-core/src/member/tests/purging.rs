//! A log that loses its beginning: where it may begin, what is told to those who ask for what is
//! gone, and the way back from what is left.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::cluster::{Cluster, Datagram, Disk, endpoint, id};
use crate::config::{ConfigError, Limits, Recovered};
use crate::event::Event;
use crate::identity::{BootEpoch, Incarnation, Life};
use crate::member::Member;
use crate::message::{EpochRange, Message, NakRanges, Sender, Stream};
use crate::notice::Notice;
use crate::position::{Position, PositionRange};
use crate::snapshot::SnapshotPoint;
use crate::term::{Chain, Term};
use crate::time::Duration;

impl Disk {
    /// Leaves zeros of what is before `origin`.
    pub(super) fn purge(&mut self, origin: SnapshotPoint) {
        self.origin = origin;
        self.log[..origin.position.0 as usize].fill(0);
    }
}

pub(super) fn say(cluster: &mut Cluster, payload: &[u8]) {
    let replies = cluster.replies.len();
    cluster.submit(payload);
    cluster.run_until("a reply", |cluster| cluster.replies.len() > replies);
}

/// Three members that purge as `limits` say.
fn cluster(change: impl FnOnce(&mut Limits)) -> Cluster {
    let mut cluster = Cluster::new(3);
    change(&mut cluster.limits);
    for member in 1..=3 {
        cluster.start(member);
    }
    cluster.run_until_led();
    cluster.connect_client();
    cluster
}

/// Has a snapshot taken by all that run, behind some messages; returns where it stands.
pub(super) fn take(cluster: &mut Cluster) -> Position {
    for _ in 0..4 {
        say(cluster, &[7; 900]);
    }
    let leader = cluster.run_until_led();
    cluster.step(leader, Event::TakeSnapshot);
    let marked = cluster.nodes[&id(leader)].notices.last().copied();
    let Some(Notice::SnapshotMarked { position, .. }) = marked else { panic!("{marked:?}") };
    cluster.run_until("snapshots are stored", |cluster| {
        let running = cluster.running();
        running.iter().all(|&member| cluster.member(member).view().snapshot >= position)
    });
    position
}

fn origins(cluster: &Cluster) -> Vec<Position> {
    cluster.running().iter().map(|&member| cluster.member(member).view().origin).collect()
}

#[test]
fn a_log_is_purged_up_to_the_snapshot_before_the_newest() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    let first = take(&mut cluster);
    assert_eq!(origins(&cluster), [Position::ZERO; 3], "the newest may turn out to be broken");
    take(&mut cluster);
    assert_eq!(origins(&cluster), [first; 3]);
    let disk = &cluster.nodes[&id(1)].disk;
    assert_eq!(disk.origin.position, first);
    assert!(disk.log[..first.0 as usize].iter().all(|byte| *byte == 0));
    let told = Notice::LogPurged { origin: first };
    assert!(cluster.nodes.values().all(|node| node.notices.contains(&told)));
    assert_eq!(cluster.member(1).counters().purges, 1);
}

#[test]
fn a_log_is_purged_only_when_the_snapshot_behind_it_counts() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    let first = take(&mut cluster);
    for node in cluster.nodes.values_mut() {
        node.holds_snapshots = true;
    }
    let leader = cluster.run_until_led();
    cluster.step(leader, Event::TakeSnapshot);
    cluster.run_until("snapshots are under way", |cluster| {
        cluster.nodes.values().all(|node| !node.taken.is_empty())
    });
    assert_eq!(origins(&cluster), [Position::ZERO; 3]);
    for member in 1..=3 {
        let operation = cluster.nodes[&id(member)].taken[0].0;
        cluster.step(member, Event::SnapshotFailed { operation });
        cluster.nodes.get_mut(&id(member)).unwrap().taken.clear();
        cluster.nodes.get_mut(&id(member)).unwrap().holds_snapshots = false;
    }
    assert_eq!(origins(&cluster), [Position::ZERO; 3], "it failed");
    take(&mut cluster);
    assert_eq!(origins(&cluster), [first; 3]);
}

#[test]
fn a_trailing_window_is_kept_for_others() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 10_000);
    let taken: Vec<_> = (0..6).map(|_| take(&mut cluster)).collect();
    let newest = *taken.last().unwrap();
    // The newest of those that are so far behind.
    let expected = taken.iter().rfind(|at| newest.since(**at) >= 10_000).copied().unwrap();
    assert!(expected > taken[0] && expected < taken[4]);
    assert_eq!(origins(&cluster), [expected; 3]);
}

#[test]
fn a_window_that_holds_more_snapshots_than_are_remembered_moves_on_all_the_same() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 60_000);
    let taken: Vec<_> = (0..40).map(|_| take(&mut cluster)).collect();
    let newest = *taken.last().unwrap();
    let origin = cluster.member(1).view().origin;
    let kept = newest.since(origin);
    assert!(taken.contains(&origin) && (60_000..120_000).contains(&kept), "{kept} bytes are kept");
}

#[test]
fn nothing_is_purged_unless_it_is_asked_for() {
    let mut cluster = cluster(|_| {});
    for _ in 0..4 {
        take(&mut cluster);
    }
    assert_eq!(origins(&cluster), [Position::ZERO; 3]);
}

#[test]
fn a_cap_has_snapshots_taken_and_one_dead_member_does_not_pin_the_log() {
    let cap = 4 * Cluster::new(1).limits.window_bytes;
    let mut cluster = cluster(|limits| limits.log_bytes_max = cap);
    let dead = *cluster.running().iter().find(|member| Some(**member) != cluster.leader()).unwrap();
    cluster.crash(dead);
    let mut longest = 0;
    for _ in 0..4 * cap / 1_000 {
        say(&mut cluster, &[7; 1_000]);
        for member in cluster.running() {
            let view = cluster.member(member).view();
            longest = longest.max(view.durable.since(view.origin));
        }
    }
    // One message, and its marker, may come on top before the snapshot is stored.
    assert!(longest <= cap + 2_000 && longest > cap / 2, "{longest} of {cap}");
}

#[test]
fn what_is_too_old_is_purged_however_little_it_is_and_whoever_is_away() {
    let mut cluster = Cluster::new(3);
    // Nothing is purged for its bytes.
    cluster.timing.log_age_max = Duration::from_millis(2_000);
    for member in 1..=3 {
        cluster.start(member);
    }
    cluster.run_until_led();
    cluster.connect_client();
    let dead = *cluster.running().iter().find(|member| Some(**member) != cluster.leader()).unwrap();
    cluster.crash(dead);
    // When each message was answered, and where the log ended then.
    let mut answered = Vec::new();
    let mut purged = 0;
    for _ in 0..200 {
        say(&mut cluster, &[7; 100]);
        answered.push((cluster.now, cluster.member(cluster.running()[0]).view().commit));
        let until = cluster.now + Duration::from_millis(40);
        cluster.run_until("a while", |cluster| cluster.now >= until);
        let oldest = cluster.now.0.saturating_sub(2_000_000_000);
        for member in cluster.running() {
            let origin = cluster.member(member).view().origin;
            purged += u32::from(origin > Position::ZERO);
            let too_old = answered.iter().rfind(|(at, _)| at.0 < oldest);
            assert!(too_old.is_none_or(|(_, end)| *end <= origin), "{too_old:?}, {origin}");
        }
    }
    assert!(purged > 200, "{purged}");
    // A log that does not grow is left alone.
    let marks = |cluster: &Cluster| {
        let notices = cluster.nodes.values().flat_map(|node| &node.notices);
        notices.filter(|notice| matches!(notice, Notice::SnapshotMarked { .. })).count()
    };
    let until = cluster.now + Duration::from_millis(1_000);
    cluster.run_until("a while", |cluster| cluster.now >= until);
    let before = marks(&cluster);
    let until = cluster.now + Duration::from_millis(6_000);
    cluster.run_until("a while", |cluster| cluster.now >= until);
    assert_eq!(marks(&cluster), before);
}

fn nak(leader: Life, term: Term, range: PositionRange) -> (Sender, Datagram) {
    let mut ranges = NakRanges::new();
    ranges.push(EpochRange { epoch: term.0, range });
    let Life { member, incarnation, boot_epoch } = leader;
    let sender = Sender::Member { member, incarnation, boot_epoch };
    (sender, Datagram::Control(Message::Nak { stream: Stream::Log, ranges }))
}

#[test]
fn e77_what_is_purged_is_refused_at_once() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    // Behind the window too: what is in memory is there all the same.
    for _ in 0..30 {
        take(&mut cluster);
    }
    let leader = cluster.run_until_led();
    let follower = cluster.running().into_iter().find(|member| *member != leader).unwrap();
    let view = cluster.member(leader).view();
    let low = cluster.member(leader).state.log.low;
    let oldest = view.origin.min(low);
    assert!(oldest > Position(1_000));
    let life = cluster.member(follower).view().life;
    let asked = PositionRange::new(Position(oldest.0 - 800), oldest.plus(800));
    let term = view.term;
    let (sender, datagram) = nak(life, term, asked);
    let before = cluster.queue.len();
    cluster.deliver(endpoint(follower), endpoint(leader), sender, &datagram);
    let sent: Vec<_> = cluster.queue.iter().skip(before).map(|(_, _, _, what)| what).collect();
    let gone = PositionRange::new(asked.start, oldest);
    let refused = sent.iter().any(|what| {
        matches!(what, Datagram::Control(Message::Unavailable { range, oldest: left, .. })
            if range.range == gone && *left == oldest)
    });
    assert!(refused, "{sent:?}");
    // The rest of it is sent, and not a byte from before.
    let starts = sent.iter().filter_map(|what| match what {
        Datagram::Data { stream: Stream::Log, position, .. } => Some(*position),
        _ => None,
    });
    assert_eq!(starts.min(), Some(oldest));
}

#[test]
fn a_read_that_a_purge_overtakes_is_void() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    for _ in 0..12 {
        say(&mut cluster, &[7; 900]);
    }
    let first = take(&mut cluster);
    for _ in 0..100 {
        say(&mut cluster, &[7; 900]);
    }
    let leader = cluster.run_until_led();
    let follower = cluster.running().into_iter().find(|member| *member != leader).unwrap();
    cluster.nodes.get_mut(&id(leader)).unwrap().held_reads = Some(Vec::new());
    let (life, term) = (cluster.member(follower).view().life, cluster.member(leader).view().term);
    let asked = PositionRange::new(Position(first.0 - 800), first);
    assert!(first < cluster.member(leader).state.log.low, "it is read from the archive");
    let (sender, datagram) = nak(life, term, asked);
    cluster.deliver(endpoint(follower), endpoint(leader), sender, &datagram);
    let reads = cluster.nodes.get_mut(&id(leader)).unwrap().held_reads.take().unwrap();
    assert_eq!(reads.iter().map(|read| read.1).collect::<Vec<_>>(), [asked]);
    take(&mut cluster);
    assert_eq!(cluster.member(leader).view().origin, first);
    let refused = cluster.member(leader).counters().repairs_refused;
    let before = cluster.member(leader).counters().repair_bytes_sent;
    let zeros = [0; 800];
    cluster.step(leader, Event::LogRead { operation: reads[0].0, bytes: &zeros });
    let after = cluster.member(leader).counters();
    assert_eq!((after.repair_bytes_sent, after.repairs_refused), (before, refused + 1));
}

#[test]
fn a_member_that_lacks_what_is_purged_says_so_once() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    let leader = cluster.run_until_led();
    let away = cluster.running().into_iter().find(|member| *member != leader).unwrap();
    cluster.crash(away);
    for _ in 0..30 {
        take(&mut cluster);
    }
    cluster.start(away);
    let told = |cluster: &Cluster| {
        let notices = cluster.nodes[&id(away)].notices.iter();
        notices.filter(|notice| matches!(notice, Notice::Purged { .. })).count()
    };
    cluster.lose = |_, _, _, what| matches!(what, Datagram::Control(Message::SnapshotOffer { .. }));
    cluster.run_until("it says so", |cluster| told(cluster) > 0);
    let held = cluster.member(away).view().verified;
    for _ in 0..200 {
        cluster.tick();
    }
    assert_eq!(told(&cluster), 1);
    assert_eq!(cluster.member(away).view().verified, held);
    // It votes, and the others go on.
    say(&mut cluster, b"still");
}

#[test]
fn a_member_begins_again_with_what_is_left() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    for _ in 0..4 {
        take(&mut cluster);
    }
    cluster.run_until_level();
    let before = cluster.member(1).view();
    let applied = cluster.nodes[&id(1)].applied.clone();
    cluster.crash(1);
    // The newest is broken: the one before is the one that the log begins with.
    cluster.nodes.get_mut(&id(1)).unwrap().disk.snapshots.pop();
    cluster.start(1);
    let view = cluster.member(1).view();
    assert_eq!((view.origin, view.snapshot), (before.origin, before.origin));
    assert_eq!((view.verified, view.verified_chain), (before.verified, before.verified_chain));
    cluster.run_until_level();
    assert_eq!(cluster.nodes[&id(1)].applied, applied);
    // It goes on to purge.
    take(&mut cluster);
    take(&mut cluster);
    assert!(cluster.member(1).view().origin > before.origin);
}

#[test]
fn an_origin_that_nothing_stands_for_is_refused() {
    let mut cluster = cluster(|limits| limits.purge_keep_bytes = 0);
    for _ in 0..3 {
        take(&mut cluster);
    }
    cluster.run_until_level();
    let disk = &cluster.nodes[&id(1)].disk;
    let view = cluster.member(1).view();
    let snapshot = disk.snapshots.last().unwrap().0.clone();
    let life =
        Life { member: id(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(view.term.0 + 9) };
    let good = Recovered {
        history: disk.history.clone(),
        origin: disk.origin,
        log_end: view.verified,
        chain: view.verified_chain,
        snapshot: Some(Box::new(snapshot)),
        ..Recovered::empty(life)
    };
    let begin = |recovered: Recovered| {
        Member::new(cluster.config(1), recovered, cluster.now).map(|member| member.view().origin)
    };
    assert_eq!(begin(good.clone()), Ok(disk.origin.position));
    let origin = |change: fn(&mut SnapshotPoint)| {
        let mut recovered = good.clone();
        change(&mut recovered.origin);
        recovered
    };
    let older = Recovered { origin: disk.snapshots[0].0.point, ..good.clone() };
    assert_eq!(begin(older), Ok(disk.snapshots[0].0.point.position));
    let newest = good.snapshot.as_ref().unwrap().point;
    for (what, recovered) in [
        ("without a snapshot", Recovered { snapshot: None, ..good.clone() }),
        ("behind the snapshot", origin(|point| point.position = point.position.plus(80_000))),
        ("of another term", origin(|point| point.term = Term(9))),
        ("not aligned", origin(|point| point.position = Position(point.position.0 - 4))),
        ("nowhere", origin(|point| point.position = Position::ZERO)),
        (
            "of another chain at the end",
            Recovered {
                origin: SnapshotPoint { chain: Chain(1), ..newest },
                log_end: newest.position,
                chain: newest.chain,
                ..good.clone()
            },
        ),
    ] {
        let found = begin(recovered);
        assert!(matches!(found, Err(ConfigError::Origin { .. })), "{what}: {found:?}");
    }
}

#[test]
fn limits_follow_from_the_cap() {
    let limits = |interval, keep, cap| Limits {
        snapshot_interval_bytes: interval,
        purge_keep_bytes: keep,
        log_bytes_max: cap,
        ..Limits::default()
    };
    const NONE: u64 = u64::MAX;
    for (given, interval, keep) in [
        (limits(0, NONE, NONE), 0, NONE),
        (limits(100, 5, NONE), 100, 5),
        (limits(0, NONE, 4_000), 1_000, 2_000),
        (limits(300, 700, 4_000), 300, 700),
        (limits(3_000, 3_000, 4_000), 1_000, 2_000),
    ] {
        assert_eq!((given.marker_interval_bytes(), given.kept_bytes()), (interval, keep));
    }
}
