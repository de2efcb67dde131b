//! Experiments in thought: a copy of a member is fed what the world does not offer, and what it
//! does is judged. The member itself is not touched.

use core::fmt::Write;
use core::hash::Hasher;

use quorate_core::hash::{StateHasher, mix};
use quorate_core::{
    Action, Actions, BootEpoch, Event, Instant, Member, Notice, OperationId, Source,
};

use super::scene::DRAWN_ONE_IN;
use super::{Kinds, Scene};

/// A window up to which members are copied often, and their whole state hashed.
const WINDOW_MAX: u64 = 64 << 10;

/// Whether a copy of a member is cheap.
pub(super) const fn is_small(scene: &Scene<'_>) -> bool {
    scene.rules.limits.window_bytes <= WINDOW_MAX
}

/// Whether an experiment is due that is made once in `one_in` steps, and more seldom where copies
/// are dear: of steps that are drawn it draws again. With one it is due in every step, drawn or
/// not.
pub(super) fn is_due(scene: &Scene<'_>, salt: u64, one_in: u64) -> bool {
    if one_in == 1 {
        return true;
    }
    if !scene.is_drawn() {
        return false;
    }
    let one_in = if is_small(scene) { one_in } else { 16 * one_in };
    mix(scene.lot(), salt).is_multiple_of(one_in / DRAWN_ONE_IN)
}

/// What an experiment that is made once in `one_in` steps wants to be shown.
pub(super) const fn steps_for(one_in: u64) -> Kinds {
    if one_in == 1 { Kinds::STEPPING } else { Kinds::DRAWN }
}

/// An event that says nothing: a completion of no life.
pub(super) const fn nothing() -> Event<'static> {
    let boot_epoch = BootEpoch(u64::MAX);
    Event::Durable { operation: OperationId { boot_epoch, sequence: u64::MAX } }
}

/// Feeds `event` to `member`, and returns what it asks for.
pub(super) fn feed(member: &mut Member, local: Instant, event: &Event<'_>) -> Vec<Action> {
    let mut actions = Actions::new();
    member.step(local, event.clone(), &mut actions);
    actions.drain().collect()
}

/// Whether only notices and one reason go out, and at least that.
pub(super) fn is_a_stop(actions: &[Action]) -> bool {
    let reasons = actions.iter().filter(|action| matches!(action, Action::FailStop(_))).count();
    let notices = |action: &Action| matches!(action, Action::Notify(_) | Action::FailStop(_));
    reasons == 1 && actions.iter().all(notices)
}

/// Whether one of the notices is `wanted`.
pub(super) fn notes(actions: &[Action], wanted: Notice) -> bool {
    actions.iter().any(|action| matches!(action, Action::Notify(notice) if *notice == wanted))
}

/// Hashes what it is told to print.
struct Digest(StateHasher);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// A hash of `actions`, and of the bytes that they name in `member`.
pub(super) fn digest(member: &Member, actions: impl Iterator<Item = Action>) -> u64 {
    let mut digest = Digest(StateHasher::default());
    for action in actions {
        // Writing to a hasher cannot fail.
        let _ = write!(digest, "{action:?}");
        let bytes = match action {
            Action::SendData { stream, range, source: Source::Member, .. } => {
                member.bytes(stream, range)
            }
            Action::Append { range } => member.bytes(quorate_core::Stream::Log, range),
            _ => continue,
        };
        crate::ledger::hash_joined(&mut digest.0, bytes);
    }
    digest.0.finish()
}
