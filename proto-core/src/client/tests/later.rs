//! Members that came to the group later than the client's configuration was written.

use super::world::{Mode, World, config};
use crate::identity::MemberId;

#[test]
fn members_that_came_later_are_asked_when_all_that_were_configured_are_gone() {
    let mut only_first = config();
    only_first.members.retain(|&member, _| member == MemberId(1));
    let mut world = World::new(only_first);
    world.set_modes([Mode::Redirect(2), Mode::Serve, Mode::Silent]);
    world.submit(b"one");
    world.run_for(5);
    // The member that was configured is gone, and the leader hands over to one that was not.
    world.set_modes([Mode::Silent, Mode::Redirect(3), Mode::Serve]);
    world.submit(b"two");
    world.run_for(400);
    assert_eq!(world.connected, [MemberId(2), MemberId(3)]);
    // That one fails, and only those that were learned can tell.
    world.set_modes([Mode::Silent, Mode::Serve, Mode::Silent]);
    world.submit(b"three");
    world.run_for(1_000);
    assert_eq!(world.connected, [2, 3, 2].map(MemberId));
    world.assert_all_answered();
}
