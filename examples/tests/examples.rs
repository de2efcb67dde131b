//! The examples run, end by themselves, and do what they say.

#[expect(dead_code, reason = "`main` is for whoever runs the example")]
#[path = "../large_state/main.rs"]
mod large_state;
#[expect(dead_code, reason = "`main` is for whoever runs the example")]
#[path = "../text_transport/main.rs"]
mod text_transport;
#[expect(dead_code, reason = "`main` is for whoever runs the example")]
#[path = "../udp_loop/main.rs"]
mod udp_loop;

#[test]
fn members_over_sockets_and_files_go_on_after_a_restart() {
    let applied = udp_loop::run().expect("the example runs");
    assert_eq!(applied, ["ink", "paper", "a lamp", "more ink", "a chair"]);
}

#[test]
fn a_service_with_much_state_goes_on_while_its_snapshot_is_written() {
    let found = large_state::run().expect("the example runs");
    assert!(found.before > 0 && found.meanwhile > 0, "{found:?}");
    assert!(found.again <= found.meanwhile, "what the snapshot holds is not applied: {found:?}");
}

#[test]
fn the_transcript_is_the_same_for_the_same_seed() {
    let transcript = text_transport::transcript(7);
    assert_eq!(transcript, text_transport::transcript(7));
    assert_ne!(transcript, text_transport::transcript(8));
    for part in ["canvass ", "request-vote ", "Leader", "LOST", "the reply to 3 is \"line 3\""] {
        assert!(transcript.contains(part), "nobody said `{part}`:\n{transcript}");
    }
}

#[test]
fn every_seed_ends_with_the_same_poem() {
    for seed in 0..50 {
        let transcript = text_transport::transcript(seed);
        assert!(transcript.ends_with("one event in, all its actions out, in order\n"), "{seed}");
    }
}
