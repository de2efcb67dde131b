//! Misfortunes of a stage, drawn at random.

use quorate_sim::{Dice, Place};

use super::{Effect, MILLI, Stage, lane};
use crate::case::Verdict;

/// In millionths: how often a lossy time loses a datagram.
const LOSS: u32 = 200_000;

impl Stage<'_> {
    /// Lets one thing go wrong, and perhaps one thing go right again: a crash, a restart, a pause,
    /// a cut, losses, disorder. There need not be a quorum afterwards.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn misfortune(&mut self, dice: &mut Dice) -> Verdict {
        let members: Vec<u16> = self.numbers().collect();
        let (one, other) = (dice.pick(&members), dice.pick(&members));
        match dice.below(9) {
            0 => self.kill(one),
            1 => self.power_off(one),
            2 => self.pause(one),
            3 => self.resume(one),
            4 => self.isolate(one),
            5 if one != other => self.cut(one, other),
            6 => {
                self.rule("some are lost", Effect::LoseSometimes(LOSS), |_| true);
            }
            7 => {
                let late = dice.between(1, 20) * MILLI;
                self.rule("some are late", Effect::DelayUpTo(late), |_| true);
            }
            _ => self.heal_all(),
        }
        let down = members.iter().copied().find(|member| !self.is_up(*member));
        match down {
            Some(member) if dice.below(2) == 0 => self.start_again(member),
            _ => Ok(()),
        }
    }

    /// Everything goes right again: links, processes, members that are down.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn mend(&mut self) -> Verdict {
        self.heal_all();
        for member in self.numbers() {
            self.resume(member);
            if !self.is_up(member) {
                self.start_again(member)?;
            }
        }
        Ok(())
    }

    /// Heals one direction between any two places.
    pub fn heal_place(&mut self, from: Place, to: Place) {
        self.say(format!("heals {} to {}", lane(from), lane(to)));
        self.wire.heal(from, to);
    }

    /// Starts a member that was killed, or that went inert.
    fn start_again(&mut self, member: u16) -> Verdict {
        self.kill(member);
        self.start(member)
    }
}
