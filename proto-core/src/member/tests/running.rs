//! How a [`Cluster`] goes on until something is so.

use alloc::vec::Vec;

use super::cluster::Cluster;
use crate::notice::Role;

impl Cluster {
    pub(super) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..20_000 {
            if done(self) {
                return;
            }
            assert_eq!(self.ended, None, "the client ended before: {what}");
            self.tick();
        }
        let views: Vec<_> = self.running().iter().map(|&m| self.member(m).view()).collect();
        panic!("not reached: {what}\n{views:#?}");
    }

    pub(super) fn leader(&self) -> Option<u16> {
        let running = self.running();
        let mut leaders = running.iter().filter(|&&member| {
            let view = self.member(member).view();
            view.role == Role::Leader && view.serving
        });
        leaders.next_back().copied()
    }

    pub(super) fn run_until_led(&mut self) -> u16 {
        self.run_until("a leader", |cluster| cluster.leader().is_some());
        self.leader().unwrap()
    }

    pub(super) fn run_until_level(&mut self) {
        self.run_until("all level", |cluster| {
            let running = cluster.running();
            let views: Vec<_> = running.iter().map(|&m| cluster.member(m).view()).collect();
            views.iter().all(|view| {
                view.applied == views[0].applied
                    && view.commit == view.verified
                    && view.verified == views[0].verified
                    && view.term == views[0].term
            })
        });
    }
}
