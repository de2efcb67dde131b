//! L2: each outstanding request is answered, and so is a fresh one. What clients must not be told
//! at any time, a refusal or an end for no reason, is seen where they are told it (`clients.rs`).

use crate::clients::ClientHost;

/// Who waits for an answer, or owes a fresh request yet.
pub(super) fn waiting(clients: &[ClientHost]) -> impl Iterator<Item = &ClientHost> {
    clients.iter().filter(|host| host.owed > 0 || host.client.unanswered() > 0)
}
