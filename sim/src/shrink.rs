//! Makes a failing seed a small story: fewer classes of faults, members and clients, fewer faults,
//! fewer messages, and at last fewer datagrams that something befalls. A smaller story counts only
//! if it ends with the same finding.

use core::time::Duration;
use std::collections::BTreeSet;
use std::time::Instant;

use crate::faults::Plan;
use crate::network::DatagramNumber;
use crate::report::Finding;
use crate::swarm::{FaultClass, NamedSchedule, Swarm};
use crate::sweep::run_world;
use crate::world::World;

/// A run that can be told again: a seed, and what is different from what the seed draws.
#[derive(Clone, Debug)]
pub struct Story {
    /// The seed.
    pub seed: u64,
    /// The options.
    pub swarm: Swarm,
    /// Steps behind the first leader, with faults.
    pub steps: u64,
    /// The faults that happen; `None` for those that the seed draws.
    pub faults: Option<Vec<Plan>>,
    /// Datagrams that nothing befalls.
    pub spared: BTreeSet<DatagramNumber>,
}

/// What telling a story gave.
#[derive(Clone, Debug)]
pub struct Told {
    /// The steps that members and clients took until the finding.
    pub events: u64,
    /// What was found, if anything.
    pub finding: Option<Finding>,
    /// The faults that happened.
    pub faults: Vec<Plan>,
    /// The datagrams that something befell.
    pub touched: Vec<DatagramNumber>,
    /// A line of each event and action, if they were asked for.
    pub trace: Vec<String>,
}

impl Story {
    /// The story of `seed`, as it is drawn.
    #[must_use]
    pub fn of(seed: u64, steps: u64, schedule: Option<&NamedSchedule>) -> Self {
        let swarm = schedule.map_or_else(|| Swarm::draw(seed), |schedule| schedule.draw(seed));
        Self { seed, swarm, steps, faults: None, spared: BTreeSet::new() }
    }

    /// Tells it.
    #[must_use]
    pub fn tell(&self, with_trace: bool) -> Told {
        let mut world = World::of(self.seed, self.swarm.clone());
        if with_trace {
            world.record_trace();
        }
        if let Some(faults) = &self.faults {
            world.follow(faults.clone());
        }
        world.network().spare(self.spared.clone());
        world.network().note_touched();
        let outcome = run_world(&mut world, self.steps);
        Told {
            events: outcome.steps,
            finding: outcome.finding,
            faults: world.plans().to_vec(),
            touched: world.network().touched().to_vec(),
            trace: world.take_trace(),
        }
    }
}

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
    /// The story in lines: each event and action, what there is of faults and hosts, how far it was
    /// shrunk, and the finding.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.story.tell(true).trace;
        let swarm = &self.story.swarm;
        let classes = &swarm.faults.classes;
        lines.push(format!("members {}, clients {}, {classes:?}", swarm.members, swarm.clients));
        for plan in &self.told.faults {
            let (class, millis) = (plan.class.name(), plan.at / crate::MILLI);
            lines.push(format!("fault {class} of member {} at {millis} ms", plan.victim + 1));
        }
        let (before, now, tries) = (self.events_before, self.told.events, self.tries);
        lines.push(format!("{before} events, then {now} ({tries} tries)"));
        lines.extend(self.told.finding.iter().map(ToString::to_string));
        lines
    }
}

/// Makes `story` smaller until nothing more can be left out, or `patience` is over. `None` when
/// there is no finding in it.
#[must_use]
pub fn shrink(story: Story, patience: Duration) -> Option<Shrunk> {
    let told = story.tell(false);
    let id = told.finding.as_ref()?.id;
    let events_before = told.events;
    let mut search = Search { id, story, told, tries: 1, ends: Instant::now() + patience };
    loop {
        let before = (search.told.events, search.tries);
        search.leave_out_classes();
        search.leave_out_hosts();
        search.calm_the_rest();
        search.leave_out_faults();
        search.leave_out_messages();
        search.spare_datagrams();
        if search.told.events >= before.0 || search.is_over() {
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
        let same = told.finding.as_ref().is_some_and(|finding| finding.id == self.id);
        if same && told.events <= self.told.events {
            (self.story, self.told) = (story, told);
            return true;
        }
        false
    }

    fn leave_out_classes(&mut self) {
        let on: Vec<FaultClass> = self.story.swarm.faults.classes.iter().collect();
        self.leave_out(on, |story, classes| {
            classes.iter().for_each(|class| story.swarm.disable(*class));
        });
    }

    fn leave_out_hosts(&mut self) {
        for clients in [1, 2, 3] {
            let fewer = clients < self.story.swarm.clients;
            if fewer && self.try_with(|story| story.swarm.clients = clients) {
                break;
            }
        }
        for members in [1, 2, 3, 4, 5] {
            let fewer = members < self.story.swarm.members;
            if fewer && self.try_with(|story| story.swarm.members = members) {
                break;
            }
        }
    }

    /// What makes a story long or hard to read, and may have nothing to do with it.
    fn calm_the_rest(&mut self) {
        self.try_with(|story| story.swarm.encoded = false);
        self.try_with(|story| story.swarm.flush = crate::dice::ALWAYS);
        self.try_with(|story| story.swarm.clock_error = 0);
        self.try_with(|story| story.swarm.network.latency_max = story.swarm.network.latency_min);
        self.try_with(|story| story.swarm.disk.latency_max = story.swarm.disk.latency_min);
        self.try_with(|story| story.swarm.set_limits(quorate_core::Limits::default()));
        self.try_with(|story| story.swarm.faults.time_min = 0);
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
        for messages in [0, 1, 2, 4, 8, 16, 64] {
            let fewer = messages < self.story.swarm.workload.messages_max;
            if fewer && self.try_with(|story| story.swarm.workload.messages_max = messages) {
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

    #[test]
    fn a_story_without_a_finding_is_not_shrunk() {
        let story = Story::of(1, 100, NamedSchedule::named("calm"));
        assert!(shrink(story, Duration::from_secs(5)).is_none());
    }

    #[test]
    fn listed_faults_are_told_again_and_fewer_make_another_story() {
        let story = Story::of(3, 400, NamedSchedule::named("rolling-restart"));
        let told = story.tell(false);
        assert!(told.faults.len() > 2);
        let none = Story { faults: Some(Vec::new()), ..story.clone() }.tell(false);
        assert_eq!(none.faults, []);
        let first = Story { faults: Some(told.faults[..1].to_vec()), ..story }.tell(false);
        assert_eq!(first.faults, told.faults[..1]);
    }
}
