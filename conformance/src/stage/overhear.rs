//! What a script listens in on, and the load that it puts on a stage.

use core::cell::RefCell;
use std::rc::Rc;

use super::{ClientNumber, Effect, Passing, Stage};
use crate::case::{Failure, Verdict};

/// What [`Stage::overhear`] noted so far, in the order in which it was sent.
#[derive(Clone, Debug)]
pub struct Overheard<T>(Rc<RefCell<Vec<T>>>);

impl<T: Clone> Overheard<T> {
    /// All notes.
    #[must_use]
    pub fn notes(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    /// How many notes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Forgets all notes.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Stage<'_> {
    /// Keeps what `note` makes of each datagram from now on, until all links are healed. Not those
    /// on cut links, and not those that an earlier rule decided.
    pub fn overhear<T: 'static>(
        &mut self,
        note: impl Fn(&Passing<'_>) -> Option<T> + 'static,
    ) -> Overheard<T> {
        let notes = Rc::new(RefCell::new(Vec::new()));
        let heard = Overheard(Rc::clone(&notes));
        let listen = move |passing: &Passing<'_>| {
            notes.borrow_mut().extend(note(passing));
            false
        };
        self.wire.add(Effect::Pass, Box::new(listen));
        heard
    }

    /// Lets `duration` nanoseconds pass, in which a client submits a short message every `pause`
    /// nanoseconds. What the client refuses for want of room is not repeated.
    ///
    /// # Errors
    /// An observer saw a rule broken.
    pub fn load(&mut self, client: ClientNumber, pause: u64, duration: u64) -> Verdict {
        self.load_while(client, pause, duration, |stage, pause| stage.run(pause))
    }

    /// Like [`Stage::load`], and `pass` lets each pause pass: it may look at the stage.
    ///
    /// # Errors
    /// What `pass` fails with.
    pub fn load_while(
        &mut self,
        client: ClientNumber,
        pause: u64,
        duration: u64,
        mut pass: impl FnMut(&mut Self, u64) -> Result<(), Failure>,
    ) -> Verdict {
        let end = self.now() + duration;
        while self.now() < end {
            let number = self.submitted(client).len() as u64;
            // Full windows are part of a load: the next message is tried after the pause.
            let _ = self.submit(client, &number.to_le_bytes());
            pass(self, pause.max(1))?;
        }
        Ok(())
    }
}
