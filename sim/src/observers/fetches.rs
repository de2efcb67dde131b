//! Snapshots of other members. E71: one is fetched and installed only where it is ahead of what the
//! member has, and S24: only where it is what was chosen. E73: while one is installed, nothing else
//! is under way, and nothing goes out that is a promise; behind it comes a new life. E74: the parts
//! of one snapshot are kept in order, and what is installed was checked. E75: one that somebody
//! fetches is kept until that is over. Offers tell what the disk has (S24).

use quorate_core::{
    Action, Event, MemberId, Message, OperationId, Position, Role, SnapshotManifest,
};

use super::rising::{ByMember, Rising};
use super::{Ghost, Kinds, Observed, Observer, Scene, Violations};

/// For so many heartbeat intervals behind the last offer or read of a snapshot it has to stay.
const SERVED_INTERVALS: u64 = 20;

#[derive(Default)]
pub(super) struct Fetches {
    members: ByMember<Fetch>,
}

/// What a life does about snapshots of others.
#[derive(Default)]
struct Fetch {
    /// Which one is kept, and how much of it.
    kept: Option<(SnapshotManifest, Position)>,
    /// A check that was asked for, and what was found whole.
    checking: Option<(OperationId, SnapshotManifest)>,
    whole: Option<SnapshotManifest>,
    installing: Option<SnapshotManifest>,
    /// When each of its own was last offered, or read for others.
    served: Rising<Position, u64>,
}

type Found = Option<(&'static str, String)>;

impl Fetch {
    fn keep(&mut self, manifest: &SnapshotManifest, start: Position, end: Position) -> Found {
        self.whole = None;
        let goes_on = self.kept.filter(|_| start > Position::ZERO);
        if start > Position::ZERO && goes_on != Some((*manifest, start)) {
            let text = format!("keeps {start} to {end} of {manifest:?} behind {:?}", self.kept);
            return Some(("E74", text));
        }
        self.kept = Some((*manifest, end));
        None
    }

    fn check(&mut self, operation: OperationId, manifest: &SnapshotManifest) -> Found {
        self.checking = Some((operation, *manifest));
        let is_all =
            |(kept, end): &(SnapshotManifest, Position)| kept == manifest && end.0 >= kept.bytes();
        (!self.kept.as_ref().is_some_and(is_all))
            .then(|| ("E74", format!("checks {manifest:?} and has kept {:?}", self.kept)))
    }

    fn install(&mut self, scene: &Scene<'_>, ghost: &Ghost, manifest: &SnapshotManifest) -> Found {
        self.installing = Some(*manifest);
        let point = manifest.point;
        // Of a loop at whose edges it is watched, nobody sees what it is told.
        let asked = self.checking.filter(|_| scene.core.is_none()).map(|(_, asked)| asked);
        if self.whole.or(asked) != Some(*manifest) {
            return Some(("E74", format!("installs {manifest:?}, which was not checked")));
        }
        if scene.view.role != Role::Follower {
            let role = scene.view.role.name();
            return Some(("E73", format!("installs {point:?} as {role}")));
        }
        let chosen = ghost.chosen_ending_at(point.position);
        if chosen.is_none_or(|chosen| (chosen.term, chosen.chain) != (point.term, point.chain)) {
            return Some(("S24", format!("installs {point:?}, where {chosen:?} was chosen")));
        }
        let writes = scene.disk.writes_under_way();
        (writes > 0).then(|| ("E73", format!("installs {point:?} during {writes} other writes")))
    }

    fn acts(&mut self, scene: &Scene<'_>, ghost: &Ghost, action: &Action) -> Found {
        // In a volatile group it is written down, behind that, that the new life is in no doubt.
        let clears = scene.rules.is_volatile
            && matches!(action, Action::PersistPeers { .. })
            && !scene.disk.is_installing();
        if let Some(installing) = self.installing
            && is_more(action)
            && !clears
        {
            return Some(("E73", format!("installs {:?}, and does {action:?}", installing.point)));
        }
        let behind = |what: &str, position: Position| {
            (position <= scene.view.verified).then(|| {
                let text =
                    format!("{what} a snapshot at {position} and has {}", scene.view.verified);
                ("E71", text)
            })
        };
        match action {
            Action::KeepSnapshotPart { manifest, range, .. } => {
                behind("keeps", manifest.point.position)
                    .or_else(|| self.keep(manifest, range.start, range.end))
            }
            Action::CheckSnapshot { operation, manifest } => self.check(*operation, manifest),
            Action::InstallSnapshot { manifest, .. } => {
                let problem = self.install(scene, ghost, manifest);
                behind("installs", manifest.point.position).or(problem)
            }
            Action::DropSnapshot => {
                (self.kept, self.whole) = (None, None);
                None
            }
            Action::Restart if self.installing.is_none() => {
                Some(("E73", "begins anew and has installed nothing".to_owned()))
            }
            Action::ReadSnapshot { position, range, .. } if !range.is_empty() => {
                self.served.insert(*position, scene.now);
                None
            }
            Action::TakeSnapshot { pinned, .. } => self.takes(scene, *pinned),
            Action::Send { message: Message::SnapshotRequest { above, .. }, .. }
                if *above < scene.view.verified =>
            {
                let text = format!("asks for one above {above} and has {}", scene.view.verified);
                Some(("E71", text))
            }
            Action::Send { message, .. } => {
                if let Message::SnapshotOffer { point, .. } = message {
                    self.served.insert(point.position, scene.now);
                }
                offers(scene, message)
            }
            _ => None,
        }
    }

    /// A newer snapshot is taken: one that was read just now must not go.
    fn takes(&self, scene: &Scene<'_>, pinned: Option<Position>) -> Found {
        let interval = scene.rules.at_least(scene.rules.timing.heartbeat_interval);
        let is_served = |(at, read): &(Position, &u64)| {
            scene.now - **read < SERVED_INTERVALS * interval && scene.disk.has_snapshot(*at)
        };
        let served: Vec<Position> =
            self.served.iter().filter(is_served).map(|(at, _)| at).collect();
        // Of several that are served it can name one.
        (!served.is_empty() && !pinned.is_some_and(|at| served.contains(&at)))
            .then(|| ("E75", format!("pins {pinned:?}, and others fetch those at {served:?}")))
    }
}

/// Whether an action is more than a life does that is about to end: it writes or promises.
const fn is_more(action: &Action) -> bool {
    match action {
        Action::Sync { .. }
        | Action::PersistVote { .. }
        | Action::PersistHistory { .. }
        | Action::PersistPeers { .. }
        | Action::TakeSnapshot { .. }
        | Action::Purge { .. }
        | Action::Apply(_)
        | Action::KeepSnapshotPart { .. }
        | Action::CheckSnapshot { .. }
        | Action::InstallSnapshot { .. } => true,
        Action::Send { message, .. } => match message {
            Message::Ballot { granted, .. } | Message::CanvassReply { granted, .. } => *granted,
            Message::RequestVote { .. }
            | Message::RequestSuccession { .. }
            | Message::Canvass { .. } => true,
            _ => false,
        },
        _ => false,
    }
}

/// What is wrong with an offer, if it is one.
fn offers(scene: &Scene<'_>, message: &Message) -> Found {
    let Message::SnapshotOffer { point, core_bytes, service_bytes, digest, .. } = *message else {
        return None;
    };
    if point.position == Position::ZERO {
        return None;
    }
    let manifest = SnapshotManifest { point, core_bytes, service_bytes, digest };
    let stored = scene.disk.snapshot_at(point.position).map(crate::disk::Stored::manifest);
    (stored != Some(manifest) || point.position > scene.view.snapshot)
        .then(|| ("S24", format!("offers {manifest:?} and has {stored:?}")))
}

impl Observer for Fetches {
    fn ids(&self) -> &'static [&'static str] {
        &["E71", "E73", "E74", "E75"]
    }

    fn kinds(&self) -> Kinds {
        Kinds::LIVES
            .and(Kinds::REPORTING_SNAPSHOT)
            .and(Kinds::SNAPSHOTS)
            .and(Kinds::OPERATIONS)
            .and(Kinds::SENDS_OTHER)
            .and(Kinds::SENDS_ELECTION)
    }

    fn observe(
        &mut self,
        scene: &Scene<'_>,
        ghost: &Ghost,
        observed: &Observed<'_>,
        violations: &mut Violations,
    ) {
        let member: MemberId = scene.member;
        let fetch = self.members.entry(member);
        match *observed {
            Observed::Started | Observed::Crashed => *fetch = Fetch::default(),
            Observed::Stepping { event: Event::SnapshotWhole { operation, .. }, .. } => {
                let checked = fetch.checking.take().filter(|(asked, _)| asked == operation);
                fetch.whole = checked.map(|(_, manifest)| manifest);
            }
            // What could not be installed leaves all as it was.
            Observed::Stepping { event: Event::SnapshotFailed { .. }, .. } => {
                (fetch.installing, fetch.checking) = (None, None);
            }
            Observed::Acting(action) => {
                if let Some((id, problem)) = fetch.acts(scene, ghost, action) {
                    violations.add(id, format!("member {member} {problem}"));
                }
            }
            _ => {}
        }
    }
}
