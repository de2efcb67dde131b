//! A bank whose state is large, and cloned in microseconds.

use quorate_core::hash::mix;
use quorate_driver::{Context, Frozen, Pages, Service, ServiceError};

/// Accounts of eight bytes each.
pub(crate) const ACCOUNTS: u64 = 4 << 20;

const WORD: usize = 8;
const BYTES: usize = (ACCOUNTS as usize + 1) * WORD;

/// The balances, one behind the other, and behind them a digest of all bookings: everything that
/// has to be the same on all members is in these bytes.
pub(crate) struct Bank(Pages);

impl Default for Bank {
    fn default() -> Self {
        Self(Pages::zeroed(BYTES))
    }
}

impl Bank {
    fn word(&self, at: u64) -> u64 {
        let mut word = [0; WORD];
        self.0.read(at as usize * WORD, &mut word);
        u64::from_le_bytes(word)
    }

    /// The first change of a page of 1 KiB while a snapshot is written copies that page, once.
    fn set_word(&mut self, at: u64, word: u64) {
        self.0.write(at as usize * WORD, &word.to_le_bytes());
    }
}

impl Service for Bank {
    /// The message is the number of an account, and what is paid in; the reply is the balance.
    fn message(
        &mut self,
        _context: &mut Context<'_>,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), ServiceError> {
        let Some((account, amount)) = read(payload) else {
            // Whatever a client sends, a service goes on. An error would stop the member.
            reply.extend_from_slice(b"send an account and an amount");
            return Ok(());
        };
        let balance = self.word(account).saturating_add(amount);
        self.set_word(account, balance);
        self.set_word(ACCOUNTS, mix(self.digest(), mix(account, balance)));
        reply.extend_from_slice(&balance.to_le_bytes());
        Ok(())
    }

    /// The member waits for this alone: a clone of 64 lists of pages. Another thread writes what
    /// they hold, while messages are applied to this bank.
    fn snapshot(&self) -> Frozen {
        self.0.freeze()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ServiceError> {
        if bytes.len() != BYTES {
            return Err(ServiceError(format!("{} bytes are no snapshot of a bank", bytes.len())));
        }
        self.0 = Pages::from(bytes);
        Ok(())
    }

    /// Without this all of the state would be laid out for whoever compares members.
    fn digest(&self) -> u64 {
        self.word(ACCOUNTS)
    }
}

/// A payment, as its message.
pub(crate) fn payment(account: u64, amount: u64) -> Vec<u8> {
    [account.to_le_bytes(), amount.to_le_bytes()].concat()
}

fn read(payload: &[u8]) -> Option<(u64, u64)> {
    let (account, amount) = payload.split_first_chunk()?;
    let account = u64::from_le_bytes(*account);
    (account < ACCOUNTS).then_some((account, u64::from_le_bytes(amount.try_into().ok()?)))
}
