//! Bad input.

mod bytes;
mod messages;
mod outside;
mod strangers;

use crate::case::Case;
use bytes::{bi_01, bi_04, bi_05, bi_09};
use messages::{bi_02, bi_03};
use outside::{bi_08, bi_10, bi_11};
use strangers::{bi_06, bi_07, bi_12};

pub(super) const CASES: &[Case] = &[
    Case::core(
        "BI-01",
        "bytes into the decoder",
        "Any bytes are refused by name or are a sound message that says the same when it is encoded \
         again, without a panic and with at most twice their size allocated.",
        bi_01,
    )
    .quick()
    .edges(&["E94"]),
    Case::core(
        "BI-02",
        "messages into a member",
        "Whatever arrives at three members, their disks and a client, in whatever order, no \
         invariant breaks, and a member stops only for a reason that was given.",
        bi_02,
    )
    .quick()
    .edges(&["E94"]),
    Case::core(
        "BI-03",
        "one field at its edge",
        "Every message of members with one field at its edge, the others plausible, is ignored, \
         answered or a named reason to stop in every role, and never touches what is committed.",
        bi_03,
    )
    .edges(&["E26", "E94", "E96", "E121"]),
    Case::core(
        "BI-04",
        "unknown template, schema, version; reserved bytes",
        "A datagram of an unknown template, schema, wire or log version is refused under a name of \
         its own, a newer schema version is read as far as it is known, and reserved bytes say \
         nothing.",
        bi_04,
    )
    .edges(&["E119"]),
    Case::cluster(
        "BI-05",
        "sizes",
        "Datagrams that are empty, shorter than a header, larger than any, or whole with something \
         behind them are ignored, whoever seems to send them.",
        bi_05,
    )
    .edges(&["E94"]),
    Case::core(
        "BI-06",
        "who a datagram is from",
        "What comes from this member itself, from a stranger, from another incarnation or a former \
         life of a member, or from a client in a member's words is counted and moves nothing, in \
         every role.",
        bi_06,
    )
    .edges(&["E93"]),
    Case::core(
        "BI-07",
        "a wrong but plausible peer",
        "A commit position far ahead, a history that disowns what is committed, acknowledgements of \
         what was never sent and votes that nobody asked for commit nothing, cut nothing committed \
         and elect nobody; a contradiction stops the member with its name.",
        bi_07,
    )
    .edges(&["E11", "E23", "E26"]),
    Case::core(
        "BI-08",
        "configuration",
        "Every option of a configuration is taken at its default, taken or refused by name at its \
         edges, refused by name with a value of another kind or with an unknown name, and all that \
         is wrong is told at once.",
        bi_08,
    ),
    Case::core(
        "BI-09",
        "files of random bytes",
        "Each file of a member replaced by random bytes of any length gives the log as it was \
         written, or a refusal that names the file.",
        bi_09,
    )
    .edges(&["E94"]),
    Case::cluster(
        "BI-10",
        "payloads of clients",
        "Messages of every length from none to the limit are answered, longer ones are refused with \
         their size and the limit, and the session lasts.",
        bi_10,
    ),
    Case::core(
        "BI-11",
        "operators' mistakes",
        "Forming a group with a wrong identity, twice or on a running member, and starting a \
         member without a directory or a second time are refused by name and change nothing (exit \
         codes are proved by the command's own tests).",
        bi_11,
    ),
    Case::core(
        "BI-12",
        "completions and timers that nobody waits for",
        "Completions of unknown operations, of another life, of another kind or for the second \
         time, timers that nobody set, and reports of frames that were never handed over move \
         nothing, and completions are counted.",
        bi_12,
    )
    .edges(&["E40"]),
];

#[cfg(test)]
mod tests {
    use crate::catalogue::proof::assert_all_pass;

    #[test]
    fn all_cases_pass() {
        assert_all_pass(super::CASES);
    }
}
