//! A run that can be told again, and the file that keeps it.
//!
//! The file is text: a line for each thing that is not as the seed draws it, then `---`, then what
//! people want to read, which nobody parses.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeSet;

use crate::SECOND;
use crate::faults::Plan;
use crate::network::{DatagramNumber, LinkCode};
use crate::report::Outcome;
use crate::swarm::{FaultClass, NamedSchedule, Swarm};
use crate::sweep::run_world;
use crate::world::{Replicated, World};

/// The first line of a story's file.
const TITLE: &str = "quorate story 1";
/// What parts a story from the lines for people.
pub const RULE: &str = "---";
/// No story has more members.
const MEMBERS_MAX: usize = 7;
/// No story has more clients.
const CLIENTS_MAX: usize = 256;
/// No fault begins later or lasts longer, in nanoseconds.
const FAULT_TIME_MAX: u64 = 3_600 * SECOND;
/// A file of a story may have so many bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A run that can be told again: a seed, and what is different from what the seed draws.
#[derive(Clone, Debug)]
pub struct Story {
    /// The seed.
    pub seed: u64,
    /// The selection of faults, instead of drawing from all.
    pub schedule: Option<&'static NamedSchedule>,
    /// The service that the members replicate.
    pub service: Replicated,
    /// Steps behind the first leader, with faults.
    pub steps: u64,
    /// Classes of faults that are off.
    pub without: Vec<FaultClass>,
    /// How many members there are; `None` for as many as the seed draws.
    pub members: Option<usize>,
    /// How many clients there are; `None` for as many as the seed draws.
    pub clients: Option<usize>,
    /// What is plainer than the seed draws it.
    pub plain: Vec<Plain>,
    /// How many messages each client has at most; `None` for as many as the seed draws.
    pub messages: Option<u64>,
    /// The faults that happen; `None` for those that the seed draws.
    pub faults: Option<Vec<Plan>>,
    /// Datagrams that nothing befalls.
    pub spared: BTreeSet<DatagramNumber>,
}

macro_rules! plain {
    ($($variant:ident $name:literal $text:literal,)*) => {
        /// What makes a story long or hard to read, and can be left out.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Plain {
            $(#[doc = $text] $variant,)*
        }

        impl Plain {
            /// All of them, in the order in which they are tried.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

plain! {
    Encoding "encoding" "Datagrams do not go through the codec.",
    Flush "flush" "Everything is flushed at once.",
    Clocks "clocks" "All clocks run at the true rate.",
    NetworkLatency "network-latency" "Each datagram takes as long as the next.",
    DiskLatency "disk-latency" "Each operation of a disk takes as long as the next.",
    Limits "limits" "The limits are those that members have by default.",
    Time "time" "Faults end with their steps, whatever the time is.",
}

/// What telling a story gave.
#[derive(Clone, Debug)]
pub struct Told {
    /// What came of it.
    pub outcome: Outcome,
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
    pub const fn of(seed: u64, steps: u64, schedule: Option<&'static NamedSchedule>) -> Self {
        Self {
            seed,
            schedule,
            service: Replicated::Ledger,
            steps,
            without: Vec::new(),
            members: None,
            clients: None,
            plain: Vec::new(),
            messages: None,
            faults: None,
            spared: BTreeSet::new(),
        }
    }

    /// The story of a seed, or that in a file: whichever `what` names. A file says by itself what
    /// its steps and schedule are.
    ///
    /// # Errors
    /// There is no such file, or it is no story.
    pub fn named(
        what: &str,
        steps: u64,
        schedule: Option<&'static NamedSchedule>,
    ) -> Result<Self, String> {
        match what.parse() {
            Ok(seed) => Ok(Self::of(seed, steps, schedule)),
            Err(_) => Self::read(what.as_ref())
                .map_err(|error| format!("{what:?} is neither a seed nor a story: {error}")),
        }
    }

    /// The story in a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no story: which line, and why.
    pub fn read(path: &std::path::Path) -> Result<Self, String> {
        let place = path.display();
        let bytes = std::fs::metadata(path).map_err(|error| format!("{place}: {error}"))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(format!("{place}: no story has more than {FILE_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{place}: {error}"))?;
        text.parse().map_err(|error: StoryError| format!("{place}: {error}"))
    }

    /// The options with which it is told.
    #[must_use]
    pub fn swarm(&self) -> Swarm {
        let draw = |schedule: &NamedSchedule| schedule.draw(self.seed);
        let mut swarm = self.schedule.map_or_else(|| Swarm::draw(self.seed), draw);
        self.without.iter().for_each(|class| swarm.disable(*class));
        swarm.members = self.members.unwrap_or(swarm.members);
        swarm.clients = self.clients.unwrap_or(swarm.clients);
        self.plain.iter().for_each(|plain| plain.apply(&mut swarm));
        swarm.workload.messages_max = self.messages.unwrap_or(swarm.workload.messages_max);
        swarm
    }

    /// The world of it, which has not begun.
    #[must_use]
    pub fn world(&self) -> World {
        let swarm = self.swarm();
        let members = swarm.members;
        let mut world = World::replicating(self.service, self.seed, swarm);
        if let Some(faults) = &self.faults {
            // There may be fewer members than when the faults were drawn.
            world.follow(faults.iter().copied().filter(|plan| plan.victim < members).collect());
        }
        if !self.spared.is_empty() {
            world.network().spare(self.spared.clone());
        }
        world
    }

    /// Tells it.
    #[must_use]
    pub fn tell(&self, with_trace: bool) -> Told {
        let mut world = self.world();
        if with_trace {
            world.record_trace();
        }
        world.network().note_touched();
        let outcome = run_world(&mut world, self.steps);
        Told {
            outcome,
            faults: world.plans().to_vec(),
            touched: world.network().touched().to_vec(),
            trace: world.take_trace(),
        }
    }

    /// Takes in a line of a file.
    fn take(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "seed" => self.seed = number(value)?,
            "steps" => self.steps = number(value)?,
            "messages" => self.messages = Some(number(value)?),
            "members" => self.members = Some(count(value, 1, MEMBERS_MAX)?),
            "clients" => self.clients = Some(count(value, 0, CLIENTS_MAX)?),
            "schedule" => {
                let found = NamedSchedule::named(value);
                self.schedule = Some(found.ok_or_else(|| format!("no schedule is {value:?}"))?);
            }
            "service" => {
                let found = Replicated::named(value);
                self.service = found.ok_or_else(|| format!("no service is {value:?}"))?;
            }
            "without" => self.without.push(class(value)?),
            "plain" => {
                let found = Plain::ALL.iter().find(|plain| plain.name() == value);
                self.plain.push(*found.ok_or_else(|| format!("nothing plain is {value:?}"))?);
            }
            "faults" if value == "listed" => self.faults = Some(Vec::new()),
            "fault" => {
                let faults = self.faults.as_mut().ok_or("a fault before `faults listed`")?;
                faults.push(plan(value)?);
            }
            "spared" => _ = self.spared.insert(datagram(value)?),
            _ => return Err(format!("{line:?} is none of a story's lines")),
        }
        Ok(())
    }
}

impl Plain {
    fn apply(self, swarm: &mut Swarm) {
        match self {
            Self::Encoding => swarm.encoded = false,
            Self::Flush => swarm.flush = crate::dice::ALWAYS,
            Self::Clocks => swarm.clock_error = 0,
            Self::NetworkLatency => swarm.network.latency_max = swarm.network.latency_min,
            Self::DiskLatency => swarm.disk.latency_max = swarm.disk.latency_min,
            Self::Limits => swarm.set_limits(quorate_core::Limits::default()),
            Self::Time => swarm.faults.time_min = 0,
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no number that fits"))
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let found = number(text)?;
    let fits = (least..=most).contains(&found);
    fits.then_some(found).ok_or_else(|| format!("{found} is not from {least} to {most}"))
}

fn time(text: &str) -> Result<u64, String> {
    let found = number(text)?;
    let fits = found <= FAULT_TIME_MAX;
    fits.then_some(found).ok_or_else(|| format!("{found} ns is more than {FAULT_TIME_MAX}"))
}

fn class(name: &str) -> Result<FaultClass, String> {
    let found = FaultClass::ALL.iter().find(|class| class.name() == name);
    found.copied().ok_or_else(|| format!("no class of faults is {name:?}"))
}

fn words<const N: usize>(text: &str) -> Result<[&str; N], String> {
    let words: Vec<&str> = text.split(' ').collect();
    words.try_into().map_err(|_| format!("{text:?} has not {N} words"))
}

fn plan(text: &str) -> Result<Plan, String> {
    let [at, name, victim, duration, salt] = words(text)?;
    let (at, class, victim) = (time(at)?, class(name)?, number(victim)?);
    Ok(Plan { at, class, victim, duration: time(duration)?, salt: number(salt)? })
}

fn datagram(text: &str) -> Result<DatagramNumber, String> {
    let [from_sort, from, to_sort, to, index] = words(text)?;
    let link: LinkCode = ((number(from_sort)?, number(from)?), (number(to_sort)?, number(to)?));
    Ok((link, number(index)?))
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}")?;
        writeln!(f, "seed {}", self.seed)?;
        if let Some(schedule) = self.schedule {
            writeln!(f, "schedule {}", schedule.name)?;
        }
        writeln!(f, "service {}", self.service.name())?;
        writeln!(f, "steps {}", self.steps)?;
        for class in &self.without {
            writeln!(f, "without {}", class.name())?;
        }
        let members = self.members.map(|members| ("members", members as u64));
        let clients = self.clients.map(|clients| ("clients", clients as u64));
        let messages = self.messages.map(|messages| ("messages", messages));
        for (key, value) in members.into_iter().chain(clients).chain(messages) {
            writeln!(f, "{key} {value}")?;
        }
        for plain in &self.plain {
            writeln!(f, "plain {}", plain.name())?;
        }
        if let Some(faults) = &self.faults {
            writeln!(f, "faults listed")?;
            for Plan { at, class, victim, duration, salt } in faults {
                writeln!(f, "fault {at} {} {victim} {duration} {salt}", class.name())?;
            }
        }
        for ((from, to), index) in &self.spared {
            writeln!(f, "spared {} {} {} {} {index}", from.0, from.1, to.0, to.1)?;
        }
        Ok(())
    }
}

/// A file is no story.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoryError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub text: String,
}

impl fmt::Display for StoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl core::error::Error for StoryError {}

impl FromStr for Story {
    type Err = StoryError;

    fn from_str(text: &str) -> Result<Self, StoryError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        if lines.next().map(|(_, line)| line) != Some(TITLE) {
            return Err(StoryError { line: 1, text: format!("a story begins with {TITLE:?}") });
        }
        let mut story = Self::of(0, 0, None);
        for (line, text) in lines.take_while(|(_, line)| *line != RULE) {
            story.take(text).map_err(|text| StoryError { line, text })?;
        }
        Ok(story)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eventful() -> Story {
        let mut story = Story::of(3, 400, NamedSchedule::named("rolling-restart"));
        let told = story.tell(false);
        assert!(told.faults.len() > 2);
        story.service = Replicated::MistakenLedger;
        story.without = vec![FaultClass::Loss, FaultClass::OneWay];
        (story.members, story.clients, story.messages) = (Some(3), Some(2), Some(40));
        story.plain = Plain::ALL.to_vec();
        story.faults = Some(told.faults);
        story.spared = BTreeSet::from([(((0, 1), (1, 7)), 12), (((1, 7), (0, 1)), 0)]);
        story
    }

    #[test]
    fn a_story_comes_back_from_its_file_and_goes_the_same_way() {
        for story in [Story::of(u64::MAX, 2_000, None), eventful()] {
            let text = format!("{story}{RULE}\nanything\nseed none\n");
            let back: Story = text.parse().unwrap();
            assert_eq!(format!("{back:?}"), format!("{story:?}"));
        }
        let story = Story { service: Replicated::Ledger, steps: 200, ..eventful() };
        let back: Story = story.to_string().parse().unwrap();
        assert_eq!(back.tell(false).outcome.trace_hash, story.tell(false).outcome.trace_hash);
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

    #[test]
    fn what_is_no_story_is_refused_with_its_line() {
        let refused = |lines: &str| {
            let error = format!("{TITLE}\n{lines}").parse::<Story>().unwrap_err();
            error.to_string()
        };
        assert!("".parse::<Story>().unwrap_err().to_string().contains("begins with"));
        assert!("seed 7\n".parse::<Story>().is_err());
        assert!(refused("seed 7\nsede 8").contains("line 3: \"sede 8\""));
        assert!(refused("seed -1").contains("line 2: \"-1\" is no number"));
        assert!(refused("members 8").contains("8 is not from 1 to 7"));
        assert!(refused("members 0").contains("from 1 to 7"));
        assert!(refused("clients 100000").contains("256"));
        assert!(refused("schedule none").contains("no schedule"));
        assert!(refused("service none").contains("no service"));
        assert!(refused("without none").contains("no class"));
        assert!(refused("plain none").contains("plain"));
        assert!(refused("fault 1 kill 0 1 1").contains("before `faults listed`"));
        assert!(refused("faults listed\nfault 1 kill 0 1").contains("not 5 words"));
        let late = format!("faults listed\nfault {} kill 0 1 1", u64::MAX);
        assert!(refused(&late).contains("line 3"));
        assert!(refused("spared 0 1 0 2").contains("not 5 words"));
        assert!(refused("spared 0 1 0 2 x").contains("no number"));
    }

    #[test]
    fn a_fault_of_a_member_that_is_left_out_is_left_out_too() {
        let mut story = eventful();
        story.members = Some(1);
        let told = Story { service: Replicated::Ledger, steps: 50, ..story }.tell(false);
        assert!(told.faults.iter().all(|plan| plan.victim == 0));
        assert_ne!(told.outcome.finding.map(|finding| finding.id), Some("panic"));
    }
}
