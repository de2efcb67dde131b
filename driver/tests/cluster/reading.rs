//! Reads through handles to members and to clients.

use quorate_core::{Position, ReadLevel, ReadRefusal};
use quorate_driver::{ClientReadError, MemberReadError};

use super::{Group, in_time, send, serving, until_level};

/// Every member, and a client, answer reads at all levels, and nothing is appended for them.
pub(crate) fn members_and_clients_read_at_all_levels(group: &Group<'_>) {
    let members: Vec<_> = (0..group.runtimes.len()).map(|index| group.start(index)).collect();
    let client = group.client();
    send(&client, 0..100);
    let levels =
        [ReadLevel::Linearizable, ReadLevel::Lease, ReadLevel::Session { least: Position::ZERO }];
    let count = |payload: &[u8]| u64::from_le_bytes(payload.try_into().unwrap());
    // At once: what the client was answered is to be seen, whoever is asked.
    for level in levels {
        let answer = in_time("read", client.read(level, "count")).unwrap();
        assert_eq!(count(&answer.payload), 100, "{level:?}");
    }
    let linearizable = |member: &super::Member| {
        let answer = in_time("read", member.read(ReadLevel::Linearizable, "count"));
        count(&answer.unwrap().payload)
    };
    assert!(members.iter().all(|member| linearizable(member) == 100));
    until_level(&members, 100);
    let end = in_time("status", members[0].status()).unwrap().view.verified;
    let stale = ReadLevel::Stale { bound: quorate_core::Duration::from_millis(60_000) };
    for member in &members {
        for level in levels.into_iter().chain([stale]) {
            let answer = member.blocking_read(level, "count").unwrap();
            assert_eq!((count(&answer.payload), answer.applied), (100, end), "{level:?}");
        }
    }
    assert_eq!(count(&client.blocking_read(stale, "count").unwrap().payload), 100);
    // What the service does not answer, or not well, is told; all go on.
    let unsupported = in_time("read", client.read(ReadLevel::Linearizable, "what?"));
    let refusal = ReadRefusal::Unsupported;
    assert_eq!(unsupported, Err(ClientReadError::Failed(refusal.into())));
    let failed = members[serving(&members)].blocking_read(ReadLevel::Linearizable, "panic");
    assert_eq!(failed, Err(MemberReadError::Refused(ReadRefusal::Failed)));
    let long = client.blocking_read(ReadLevel::Linearizable, vec![0; 5_000]);
    assert!(matches!(long, Err(ClientReadError::Rejected(_))), "{long:?}");
    assert_eq!(in_time("status", members[0].status()).unwrap().view.verified, end);
    send(&client, 100..110);
    client.blocking_close().unwrap();
    for member in members {
        member.blocking_shutdown().unwrap();
    }
}
