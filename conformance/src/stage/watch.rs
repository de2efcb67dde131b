//! The observers of a stage: they see what members do at their edges, and the disks.

use quorate_codecs::decode;
use quorate_core::frame::Body;
use quorate_core::{
    Action, Actions, Apply, Delivery, Destination, Endpoint, Event, Incarnation, Incoming, LogTime,
    Message, Notice, Outputs, PositionRange, Stream, View,
};
use quorate_sim::observers::{Members, Observed, Observers, Rules, Scene, Violations};
use quorate_sim::{FrameMark, Place, SimDisk, Work};

use super::clients::hash_of;
use super::written::{WrittenFrame, written_frame};
use super::{Machine, Stage, TAG};
use crate::edges::Deed;
use crate::subject::MembersView;

/// Bytes of a frame that readmits somebody, at most.
const READMISSION_BYTES: u64 = 128;

/// The observers with what they found.
pub(super) struct Watch {
    observers: Observers,
    pub(super) violations: Violations,
    /// A member took in many inputs in one turn: what it asked for half-way cannot be judged by
    /// what it holds at the end.
    pub(super) is_blind_to_requests: bool,
    rules: Rules,
}

impl Watch {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            observers: Observers::default(),
            violations: Violations::default(),
            is_blind_to_requests: false,
            rules,
        }
    }
}

impl Stage<'_> {
    fn show(&mut self, node: usize, observed: Observed<'_>) {
        let machines = &self.machines;
        let watch = &mut self.watch;
        let machine = &machines[node];
        with_disks(machines, &[], &mut |disks| {
            let scene = Scene {
                now: self.now,
                member: machine.id,
                before: &machine.before.view,
                view: &machine.seen.view,
                history: &machine.seen.history,
                core: None,
                members: machine.seen.members.as_ref().map(members_of),
                disk: disks[node],
                disks: disks.into(),
                rules: &watch.rules,
            };
            watch.observers.observe(&scene, observed, &mut watch.violations);
        });
    }

    pub(super) fn watch_start(&mut self, node: usize) {
        self.show(node, Observed::Started);
    }

    pub(super) fn watch_crash(&mut self, node: usize) {
        self.show(node, Observed::Crashed);
    }

    pub(super) fn watch_client(&mut self, observed: Observed<'_>) {
        self.show(0, observed);
    }

    pub(super) fn watch_durable(&mut self, node: usize, work: &Work) {
        self.show(node, Observed::Durable(work));
    }

    pub(super) fn watch_turn(&mut self, node: usize) {
        self.show(node, Observed::Stepped { actions: &Actions::new() });
    }

    /// Shows what a turn has changed of whom the member takes for members, as its host is told.
    pub(super) fn watch_members(&mut self, node: usize) {
        let machine = &self.machines[node];
        let (Some(before), Some(seen)) = (&machine.before.members, &machine.seen.members) else {
            return;
        };
        let (position, joint) = (seen.position, seen.membership.is_joint());
        let (is_other, is_settled) = (before.position != position, seen.former.is_none());
        let is_committed = is_settled && (is_other || before.former.is_some());
        let removed = seen.removed_at.filter(|_| before.removed_at.is_none());
        if is_other {
            let notice = Notice::Membership { position, joint };
            self.show(node, Observed::Acting(&Action::Notify(notice)));
        }
        if is_committed {
            let notice = Notice::MembershipCommitted { position, joint };
            self.show(node, Observed::Acting(&Action::Notify(notice)));
        }
        if let Some(position) = removed {
            let notice = Notice::Removed { position };
            self.show(node, Observed::Acting(&Action::Notify(notice)));
        }
    }

    pub(super) fn watch_arrival(&mut self, node: usize, bytes: &[u8]) {
        let running = self.machines[node].node.is_some() && !self.machines[node].paused;
        let (true, Ok((sender, content))) = (running, decode(bytes, TAG)) else { return };
        match content {
            Incoming::Control(message) => {
                self.show(node, Observed::Received { sender, message: &message });
            }
            Incoming::Data { stream: Stream::Log, position, live, slice, .. } => {
                let end = position.plus(slice.len() as u64);
                let heard = live.map_or(end, |live| live.newest.max(end));
                self.show(node, Observed::Heard(heard));
            }
            Incoming::Data { .. } => {}
        }
    }

    pub(super) fn watch_deed(&mut self, node: usize, deed: &Deed) {
        match deed {
            Deed::Sent { to, bytes } => self.watch_sent(node, *to, bytes),
            Deed::Appended { frames_before, bad } => {
                let frames = self.machines[node].edges.with_disk(|disk| {
                    disk.frames().get(*frames_before..).unwrap_or_default().to_vec()
                });
                self.show(node, Observed::Written { frames: &frames, bad: *bad });
                self.watch_readmissions(node, &frames);
            }
            Deed::Asked { operation, work } => {
                let operation = *operation;
                let action = match work.clone() {
                    Work::Sync { .. } => Action::Sync { operation },
                    Work::Vote(vote) => Action::PersistVote { operation, vote },
                    Work::History { history, cut } => {
                        Action::PersistHistory { operation, history, cut }
                    }
                    Work::Peers(peers) => {
                        Action::PersistPeers { operation, peers: peers.into_iter().collect() }
                    }
                    Work::Read(range) => Action::ReadLog { operation, range },
                    Work::Snapshot { stored, pinned } => {
                        let snapshot = Box::new(stored.snapshot);
                        Action::TakeSnapshot { operation, snapshot, pinned }
                    }
                    Work::ReadSnapshot { position, range } => {
                        Action::ReadSnapshot { operation, position, range }
                    }
                    Work::Part { manifest, start, bytes } => {
                        let range = PositionRange::new(start, start.plus(bytes.len() as u64));
                        Action::KeepSnapshotPart { operation, manifest, range }
                    }
                    Work::Check(manifest) => Action::CheckSnapshot { operation, manifest },
                    Work::Install { manifest, .. } => {
                        Action::InstallSnapshot { operation, manifest }
                    }
                };
                self.show(node, Observed::Acting(&action));
            }
            Deed::DroppedSnapshot => self.show(node, Observed::Acting(&Action::DropSnapshot)),
            Deed::DiscardedSnapshots { from } => {
                self.show(node, Observed::Acting(&Action::DiscardSnapshots { from: *from }));
            }
            Deed::Purged { origin } => {
                self.show(node, Observed::Acting(&Action::Purge { origin: *origin }));
            }
            Deed::Applied { apply, payload, reply } => {
                self.note_fired(node, apply);
                self.watch_applied(node, apply, payload, reply);
            }
            Deed::Timer { timer, deadline } => self.watch_timer(node, *timer, *deadline),
        }
    }

    fn watch_sent(&mut self, node: usize, to: Endpoint, bytes: &[u8]) {
        let Ok((_, content)) = decode(bytes, TAG) else {
            let text = format!("member {} sends bytes that cannot be decoded", node + 1);
            return self.watch.violations.add("codec", text);
        };
        match content {
            Incoming::Control(Message::Nak { .. }) if self.watch.is_blind_to_requests => {}
            Incoming::Control(message) => {
                let to = match Place::at(to) {
                    Some(Place::Member(member)) => Destination::Member(member),
                    _ => Destination::Client(to),
                };
                let action = Action::Send { to, message };
                self.show(node, Observed::Acting(&action));
            }
            Incoming::Data { stream: Stream::Egress(key), epoch, position, slice, .. } => {
                self.show(node, Observed::Egress { key, epoch, start: position, bytes: slice });
            }
            Incoming::Data { .. } => {}
        }
    }

    /// Shows whose readmission stands in these frames, as the member's host is told.
    fn watch_readmissions(&mut self, node: usize, frames: &[FrameMark]) {
        // Only who lost a directory has another one than the first.
        let is_first = |machine: &Machine| {
            machine.edges.with_disk(|disk| disk.incarnation() == Incarnation::FIRST)
        };
        if self.machines.iter().all(is_first) {
            return;
        }
        for mark in frames.iter().filter(|mark| mark.end.since(mark.start) <= READMISSION_BYTES) {
            let written = self.machines[node].edges.with_disk(|disk| written_frame(disk, mark));
            if let Some(WrittenFrame { start, body: Body::Readmission { life, .. }, .. }) = written
            {
                let notice = Notice::Readmission { life, position: start };
                self.show(node, Observed::Acting(&Action::Notify(notice)));
            }
        }
    }

    fn watch_applied(&mut self, node: usize, apply: &Apply, payload: &[u8], reply: &[u8]) {
        let end = self.machines[node].edges.with_disk(|disk| {
            let frames = disk.frames();
            let index = frames.binary_search_by_key(&apply.position, |frame| frame.start).ok()?;
            Some(frames[index].end)
        });
        // A member may apply, on the word of a quorum of disks, what its own disk does not have.
        let end = end.unwrap_or(apply.position);
        let apply = Apply { end, ..*apply };
        let payload = match apply.delivery {
            Delivery::Message { .. } => hash_of(payload),
            _ => 0,
        };
        self.show(node, Observed::Applied { apply: &apply, payload, reply });
    }

    fn watch_timer(&mut self, node: usize, timer: u64, deadline: Option<LogTime>) {
        let mut outputs = Outputs::new();
        match deadline {
            Some(deadline) => outputs.schedule_timer(timer, deadline),
            None => outputs.cancel_timer(timer),
        }
        let (local, through) = (self.clock(node), self.machines[node].seen.view.applied);
        let event = Event::Applied { through, outputs: &outputs };
        self.show(node, Observed::Stepping { local, event: &event });
    }

    /// Shows what a member's state is, when all that it was handed is applied.
    pub(super) fn watch_state(&mut self, node: usize) {
        let machine = &self.machines[node];
        let applied = |view: &View| (view.applied, view.applied_chain);
        let (before, seen) = (&machine.before, &machine.seen);
        if applied(&before.view) == applied(&seen.view) || seen.view.applying {
            return;
        }
        let (service, replicated) = (machine.edges.digest(), seen.replicated);
        self.show(node, Observed::State { service, replicated });
    }
}

const fn members_of(view: &MembersView) -> Members<'_> {
    let former = match &view.former {
        Some((position, membership)) => Some((*position, membership)),
        None => None,
    };
    Members { position: view.position, membership: &view.membership, former }
}

/// Calls `look` with the disks of all machines, each locked.
fn with_disks(machines: &[Machine], disks: &[&SimDisk], look: &mut dyn FnMut(&[&SimDisk])) {
    let Some((first, others)) = machines.split_first() else { return look(disks) };
    first.edges.with_disk(|disk| {
        let mut disks = disks.to_vec();
        disks.push(disk);
        with_disks(others, &disks, look);
    });
}
