//! L1: there is one leader that all know, and it stays.

use quorate_core::{MemberId, Role, Term};

use crate::node::Node;

/// The one leader that all of `core` know, with its term.
pub(super) fn leader<'a>(core: impl Iterator<Item = &'a Node> + Clone) -> Option<(MemberId, Term)> {
    let leader = core.clone().find(|node| node.view.role == Role::Leader)?;
    let (id, term) = (leader.id, leader.view.term);
    let mut core = core;
    let all_know = core.all(|node| {
        node.member.is_some()
            && node.view.term == term
            && node.view.leader == Some(id)
            && (node.id == id) == (node.view.role == Role::Leader)
    });
    all_know.then_some((id, term))
}
