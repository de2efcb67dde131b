//! Clients that are sent on by whoever does not serve them.

use super::members::{new, promote, remove, serving};
use crate::membership::MembershipChange;
use crate::notice::Notice;

#[test]
fn mb20_a_client_that_knows_only_a_removed_member_is_sent_on() {
    let (mut cluster, first) = serving(1);
    for member in [2, 3] {
        cluster.add_newcomer(member);
        cluster.change(&MembershipChange::AddObserver(new(member)));
        cluster.run_until_level();
        cluster.change(&promote(member));
    }
    // It leads, and does not learn who comes behind it: not from the others, and not in its log.
    cluster.change(&remove(first));
    let is_told = |notice: &Notice| matches!(notice, Notice::Removed { .. });
    cluster.run_until("it is told", |cluster| cluster.told(first, is_told) == 1);
    cluster.submit_and_wait(b"who serves me?");
    let next = cluster.run_until_led();
    assert_ne!(next, first);
    assert_eq!(cluster.member(first).view().leader, None);
    // Of those that it is sent to one may be gone.
    cluster.crash(next);
    cluster.start(next);
    cluster.submit_and_wait(b"and now?");
}
