//! Makes a failing seed a small story: fewer classes of faults, members and clients, fewer faults,
//! fewer messages, and at last fewer datagrams that something befalls. A smaller story counts only
//! if it ends with the same finding.

use core::time::Duration;
use std::time::Instant;

use crate::story::{Plain, Story, Told};
use crate::swarm::FaultClass;

/// What became of a story.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest one found.
    pub story: Story,
    /// What it gave.
    pub told: Told,
    /// Events of the story that was begun with.
    pub events_before: u64,
    /// How often a story was told.
    pub tries: u64,
}

impl Shrunk {
    /// The story in lines: each event and action, scenes that are repeated but once, what there is
    /// of faults and hosts, how far it was shrunk, and the finding.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = crate::scenes::collapsed(self.story.tell(true).trace);
        let swarm = self.story.swarm();
        let classes = &swarm.faults.classes;
        lines.push(format!("members {}, clients {}, {classes:?}", swarm.members, swarm.clients));
        for plan in &self.told.faults {
            let (class, millis) = (plan.class.name(), plan.at / crate::MILLI);
            lines.push(format!("fault {class} of member {} at {millis} ms", plan.victim + 1));
        }
        let (before, now, tries) = (self.events_before, self.told.outcome.steps, self.tries);
        lines.push(format!("{before} events, then {now} ({tries} tries)"));
        lines.extend(self.told.outcome.finding.iter().map(ToString::to_string));
        lines
    }
}

/// Makes `story` smaller until nothing more can be left out, or `patience` is over. `None` when
/// there is no finding in it.
#[must_use]
pub fn shrink(story: Story, patience: Duration) -> Option<Shrunk> {
    let told = story.tell(false);
    let id = told.outcome.finding.as_ref()?.id;
    let events_before = told.outcome.steps;
    let mut search = Search { id, story, told, tries: 1, ends: Instant::now() + patience };
    loop {
        let before = (search.told.outcome.steps, search.tries);
        search.leave_out_classes();
        search.leave_out_hosts();
        search.calm_the_rest();
        search.leave_out_faults();
        search.leave_out_messages();
        search.spare_datagrams();
        if search.told.outcome.steps >= before.0 || search.is_over() {
            break;
        }
    }
    let Search { story, told, tries, .. } = search;
    Some(Shrunk { story, told, events_before, tries })
}

struct Search {
    id: &'static str,
    story: Story,
    told: Told,
    tries: u64,
    ends: Instant,
}

impl Search {
    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    /// Keeps a changed story if it ends the same way, and is not much longer.
    fn try_with(&mut self, change: impl FnOnce(&mut Story)) -> bool {
        if self.is_over() {
            return false;
        }
        let mut story = self.story.clone();
        change(&mut story);
        self.tries += 1;
        let told = story.tell(false);
        let same = told.outcome.finding.as_ref().is_some_and(|finding| finding.id == self.id);
        if same && told.outcome.steps <= self.told.outcome.steps {
            (self.story, self.told) = (story, told);
            return true;
        }
        false
    }

    fn leave_out_classes(&mut self) {
        let on: Vec<FaultClass> = self.story.swarm().faults.classes.iter().collect();
        self.leave_out(on, |story, classes| {
            story.without.extend(classes);
        });
    }

    fn leave_out_hosts(&mut self) {
        let swarm = self.story.swarm();
        for clients in [1, 2, 3] {
            let fewer = clients < swarm.clients;
            if fewer && self.try_with(|story| story.clients = Some(clients)) {
                break;
            }
        }
        for members in [1, 2, 3, 4, 5] {
            let fewer = members < swarm.members;
            if fewer && self.try_with(|story| story.members = Some(members)) {
                break;
            }
        }
    }

    /// What makes a story long or hard to read, and may have nothing to do with it.
    fn calm_the_rest(&mut self) {
        for plain in Plain::ALL {
            if !self.story.plain.contains(plain) {
                self.try_with(|story| story.plain.push(*plain));
            }
        }
    }

    /// Only the faults that happened, and fewer and fewer of them.
    fn leave_out_faults(&mut self) {
        let faults = self.told.faults.clone();
        if !self.try_with(|story| story.faults = Some(faults.clone())) {
            return;
        }
        self.leave_out(faults, |story, out| {
            if let Some(faults) = &mut story.faults {
                faults.retain(|plan| !out.contains(plan));
            }
        });
    }

    fn leave_out_messages(&mut self) {
        let most = self.story.swarm().workload.messages_max;
        for messages in [0, 1, 2, 4, 8, 16, 64] {
            if messages < most && self.try_with(|story| story.messages = Some(messages)) {
                break;
            }
        }
        for steps in [1, 50, 200, 800] {
            if steps < self.story.steps && self.try_with(|story| story.steps = steps) {
                break;
            }
        }
    }

    /// Fewer and fewer datagrams that something befalls.
    fn spare_datagrams(&mut self) {
        let touched = self.told.touched.clone();
        self.leave_out(touched, |story, out| story.spared.extend(out.iter().copied()));
    }

    /// Delta debugging: leaves out halves, quarters and so on of `items`, as long as the story ends
    /// the same way without them.
    fn leave_out<T: Copy + PartialEq>(
        &mut self,
        mut items: Vec<T>,
        leave: impl Fn(&mut Story, &[T]),
    ) {
        let mut size = items.len();
        while size > 0 && !self.is_over() {
            let mut at = 0;
            while at < items.len() {
                let chunk: Vec<T> = items[at..(at + size).min(items.len())].to_vec();
                if self.try_with(|story| leave(story, &chunk)) {
                    items.drain(at..at + chunk.len());
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::NamedSchedule;
    use crate::world::Replicated;

    #[test]
    fn a_story_without_a_finding_is_not_shrunk() {
        let story = Story::of(1, 100, NamedSchedule::named("calm"));
        assert!(shrink(story, Duration::from_secs(5)).is_none());
    }

    #[test]
    fn what_is_left_of_a_story_ends_with_the_same_finding_as_a_file_too() {
        let story = Story { service: Replicated::MistakenLedger, ..Story::of(1, 300, None) };
        let small = shrink(story, Duration::from_secs(60)).unwrap();
        assert!(small.told.outcome.steps < small.events_before);
        let back: Story = small.story.to_string().parse().unwrap();
        assert_eq!(back.tell(false).outcome.finding, small.told.outcome.finding);
        assert!(small.told.outcome.finding.is_some_and(|finding| finding.id == "H1"));
    }
}
