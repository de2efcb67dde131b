//! L3: all members are level: positions, histories, digests and replicated state.

use quorate_core::View;

use crate::node::Node;

/// Whether all of `core` are, and all that they hold is committed and applied.
pub(super) fn are_level<'a>(core: impl Iterator<Item = &'a Node> + Clone) -> bool {
    let first = core.clone().find_map(|node| Some((node, node.member.as_ref()?)));
    let Some((first, one)) = first else { return false };
    let positions =
        |view: &View| (view.verified, view.durable, view.commit, view.applied, view.applied_chain);
    let mut core = core;
    first.view.commit == first.view.verified
        && core.all(|node| {
            let Some(member) = &node.member else { return false };
            positions(&node.view) == positions(&first.view)
                && node.view.applied == node.view.commit
                && !node.view.applicant
                && node.late.is_empty()
                && member.history().last() == one.history().last()
                && node.service.digest() == first.service.digest()
                && member.replicated_hash() == one.replicated_hash()
        })
}
