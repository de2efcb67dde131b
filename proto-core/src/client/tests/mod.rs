//! The client against scripted members.

mod later;
mod strange;
mod world;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::identity::{BootEpoch, Endpoint, Incarnation, MemberId};
use crate::position::Position;
use crate::random::Random;
use crate::term::Term;
use world::{Datagram, Mode, SESSION, World, config, endpoint};

const MS: u64 = 1_000_000;

fn asked(world: &World) -> Vec<Endpoint> {
    world.connects.iter().map(|connect| connect.1).collect()
}

/// Member 1, as datagrams name it.
const fn leader() -> Sender {
    Sender::Member { member: MemberId(1), incarnation: Incarnation(1), boot_epoch: BootEpoch(1) }
}

#[test]
fn connects_and_is_answered() {
    let mut world = World::new(config());
    world.submit(b"before it is served");
    world.run_for(5);
    assert_eq!(world.connected, [MemberId(1)]);
    world.submit(b"and after");
    world.submit(b"");
    world.run_for(5);
    assert_eq!(world.accepted, 3);
    assert_eq!(world.client.session(), SESSION);
    world.assert_all_answered();
}

#[test]
fn cl_02_is_redirected_to_the_leader() {
    let mut world = World::new(config());
    world.set_modes([Mode::Redirect(3), Mode::Redirect(3), Mode::Serve]);
    world.submit(b"one");
    world.run_for(2);
    assert_eq!(world.connected, [MemberId(3)]);
    assert_eq!(asked(&world), [endpoint(1), endpoint(3)]);
    assert!(world.connects[0].2 < world.connects[1].2, "a new target is a new connection");
    assert_eq!(world.client.counters().redirects_followed, 1);
    world.assert_all_answered();
}

#[test]
fn a_leader_that_is_not_configured_is_found_where_it_is_said_to_be() {
    let mut only_first = config();
    only_first.members.retain(|&member, _| member == MemberId(1));
    let mut world = World::new(only_first);
    world.set_modes([Mode::Redirect(2), Mode::Serve, Mode::Silent]);
    world.run_for(2);
    assert_eq!(world.connected, [MemberId(2)]);
}

#[test]
fn cl_15_its_server_is_asked_first_again() {
    let mut world = World::new(config());
    world.set_modes([Mode::Redirect(3), Mode::Redirect(3), Mode::Serve]);
    world.submit(b"one");
    world.run_for(10);
    world.connects.clear();
    world.loses = Box::new(|_, _, _| true);
    world.run_for(180);
    assert_eq!(world.disconnected, 1);
    assert!(!world.client.is_served());
    world.loses = Box::new(|_, _, _| false);
    world.submit(b"two");
    world.run_for(100);
    assert_eq!(world.connected, [MemberId(3), MemberId(3)]);
    // It is most likely down, so that the next one is asked when one request has no answer.
    let asked = asked(&world);
    assert_eq!(asked, [3, 2, 3].map(endpoint), "{:?}", world.connects);
    world.assert_all_answered();
}

#[test]
fn who_was_silent_is_asked_once_and_who_answers_twice() {
    let mut world = World::new(config());
    world.run_for(10);
    world.set_modes([Mode::Silent, Mode::RetryAfter(20 * MS), Mode::Silent]);
    world.connects.clear();
    world.submit(b"one");
    world.run_for(600);
    let turns = [1, 2, 2, 3, 3, 1, 2, 2, 3, 1].map(endpoint);
    assert_eq!(asked(&world)[..10], turns, "{:?}", world.connects);
}

#[test]
fn e69_a_client_is_told_that_there_is_no_quorum() {
    let mut world = World::new(config());
    world.run_for(10);
    world.set_modes([Mode::Silent, Mode::NoQuorum, Mode::Silent]);
    world.submit(b"never answered");
    world.run_for(1_000);
    assert!(world.client.lacks_quorum() && world.ended.is_none(), "it is told while it waits");
    let asked = asked(&world);
    let twice = asked.windows(2).any(|pair| pair == [endpoint(2); 2]);
    assert!(!twice, "who has no quorum is left for the next one: {asked:?}");
    // One that is not ready may have one soon.
    world.set_modes([Mode::RetryAfter(20 * MS), Mode::NoQuorum, Mode::Silent]);
    world.run_for(400);
    assert!(!world.client.lacks_quorum());
    world.set_modes([Mode::Silent, Mode::NoQuorum, Mode::Silent]);
    world.run_for(2_000);
    let Some(Err(error @ ClientError::NoQuorum { tried })) = &world.ended else {
        panic!("{:?}", world.ended)
    };
    let outcomes: Vec<_> = tried.iter().map(|tried| tried.outcome).collect();
    assert_eq!(outcomes, [TriedOutcome::Silent, TriedOutcome::NoQuorum, TriedOutcome::Silent]);
    assert!(error.to_string().starts_with("no quorum: "), "{error}");
    assert!(!world.client.lacks_quorum(), "what has ended waits for nobody");
}

#[test]
fn cl_04_replies_come_exactly_once_across_a_failover() {
    let mut world = World::new(config());
    let (mut number, mut previous) = (0_u8, 0);
    for leader in [1, 2, 3, 2] {
        // The deposed one is gone, the others know who leads.
        let modes = [1, 2, 3].map(|at| match at {
            _ if at == leader => Mode::Serve,
            _ if at == previous => Mode::Silent,
            _ => Mode::Redirect(leader),
        });
        world.set_modes(modes);
        previous = leader;
        for pause in [1, 1, 1, 400, 1, 1, 1] {
            number += 1;
            world.submit(&vec![number; usize::from(number) * 9]);
            world.run_for(pause);
        }
        // Applied, but the reply is still under way when the leader goes.
        world.submit(b"in flight");
        world.run_until(world.now + Duration::from_micros(150));
    }
    world.run_for(1_000);
    assert_eq!(world.connected.last(), Some(&MemberId(2)));
    assert!(world.client.counters().reconnects >= 3);
    world.assert_all_answered();
}

#[test]
fn replies_from_memory_do_not_strand_the_messages_behind_them() {
    let mut world = World::new(config());
    world.run_for(5);
    // The messages arrive and are applied, their replies are lost.
    world.loses = Box::new(|_, up, datagram| !up && matches!(datagram, Datagram::Data { .. }));
    world.submit(b"answered from memory");
    world.submit(b"also");
    world.run_for(5);
    assert_eq!((world.applied.len(), world.replies.len()), (2, 0));
    world.set_modes([Mode::Silent, Mode::Serve, Mode::Redirect(2)]);
    // The next leader answers both at once, but all it is sent at first is lost.
    let mut losses = 6;
    world.loses = Box::new(move |_, up, datagram| {
        let data = up && matches!(datagram, Datagram::Data { .. }) && losses > 0;
        losses -= i32::from(data);
        data
    });
    world.run_for(500);
    assert_eq!(world.replies.len(), 2);
    world.submit(b"behind");
    world.run_for(100);
    world.assert_all_answered();
}

#[test]
fn losses_in_both_directions_heal() {
    for seed in 0..20 {
        let mut world = World::new(config());
        let mut random = Random::new(seed);
        world.loses = Box::new(move |_, _, _| random.below(100) < 20);
        for number in 0..100_u8 {
            world.submit(&vec![number; usize::from(number) * 10 % 1_000]);
            world.run_for(10);
        }
        world.run_for(1_000);
        world.assert_all_answered();
        let counters = world.client.counters();
        assert!(counters.naks_sent > 0 && counters.repairs_sent > 0, "{counters:?}");
        assert_eq!(counters.protocol_errors, 0);
    }
}

#[test]
fn disorder_and_failovers_change_nothing() {
    for seed in 0..20 {
        let mut world = World::new(config());
        world.disorder = Some(Random::new(seed));
        let mut random = Random::new(seed + 1_000);
        world.loses = Box::new(move |_, _, _| random.below(100) < 5);
        for number in 0..200_u8 {
            let leader = u16::from(number / 50) % 3 + 1;
            let modes = [1, 2, 3].map(|at| match at {
                _ if at == leader => Mode::Serve,
                _ if number % 50 < 25 => Mode::Silent,
                _ => Mode::Redirect(leader),
            });
            world.set_modes(modes);
            world.submit(&vec![number; usize::from(number) * 7 % 1_000]);
            world.run_for(20);
        }
        world.run_for(1_500);
        world.assert_all_answered();
        assert!(world.client.counters().reconnects >= 3);
        assert_eq!(world.client.counters().protocol_errors, 0);
    }
}

#[test]
fn e86_a_lost_tail_is_noticed() {
    let mut world = World::new(config());
    world.run_for(200);
    let mut first = true;
    world.loses = Box::new(move |_, up, datagram| {
        up && matches!(datagram, Datagram::Data { .. }) && core::mem::take(&mut first)
    });
    world.submit(b"the only one");
    world.run_for(5);
    world.assert_all_answered();
    assert_eq!(world.client.counters().repairs_sent, 1);
}

#[test]
fn cl_24_back_pressure_not_loss() {
    let mut world = World::new(config());
    world.set_modes([Mode::Silent; 3]);
    for number in 0..20 {
        assert_eq!(world.client.can_submit(8), number < 16);
        world.submit(&[number; 8]);
    }
    assert_eq!(world.rejected, [Reject::BackPressure; 4]);
    world.submit(&[0; 1_025]);
    let reject = Reject::TooLarge { bytes: 1_025, limit: 1_024 };
    assert_eq!(world.rejected.last(), Some(&reject));
    world.set_modes([Mode::Serve, Mode::Redirect(1), Mode::Redirect(1)]);
    world.run_for(200);
    world.assert_all_answered();
    // Bytes are bounded, too, and come back.
    for _ in 0..5 {
        while world.client.can_submit(1_000) {
            world.submit(&[9; 1_000]);
        }
        assert!(world.client.unanswered() < 16);
        world.submit(&[9; 1_000]);
        assert_eq!(world.rejected.last(), Some(&Reject::BackPressure));
        world.run_for(60);
        assert_eq!(world.client.unanswered(), 0);
    }
    world.assert_all_answered();
}

#[test]
fn a_position_is_waited_for_in_vain_for_a_limited_time() {
    let mut world = World::new(config());
    world.run_for(10);
    for number in 0..70 {
        world.step(ClientEvent::Sync { position: Position(8 * number) });
    }
    assert_eq!(world.rejected, [Reject::BackPressure; 6], "64 at a time");
    // The servers of this world have no answer to it.
    world.run_for(1_900);
    assert!(world.synced.is_empty());
    world.run_for(200);
    assert_eq!(world.synced.len(), 64);
    let vain = |(position, outcome): &(Position, Result<Position, SyncTimedOut>)| {
        *outcome == Err(SyncTimedOut { position: *position })
    };
    assert!(world.synced.iter().all(vain), "{:?}", world.synced);
    assert!(world.client.is_served());
    world.step(ClientEvent::Sync { position: Position(8) });
    assert_eq!(world.rejected.len(), 6, "there is room again");
}

#[test]
fn gives_up_and_says_what_it_tried() {
    let mut world = World::new(config());
    world.run_for(10);
    world.set_modes([Mode::Silent, Mode::RetryAfter(20 * MS), Mode::Exhausted]);
    world.submit(b"never answered");
    world.run_for(3_000);
    let Some(Err(ClientError::NotServed { tried })) = &world.ended else {
        panic!("{:?}", world.ended)
    };
    let outcomes: Vec<_> = tried.iter().map(|tried| (tried.member.0, tried.outcome)).collect();
    let expected = [
        (1, TriedOutcome::Lost),
        (2, TriedOutcome::NotReady),
        (3, TriedOutcome::SessionsExhausted),
    ];
    assert_eq!(outcomes, expected);
    assert!(tried.iter().all(|tried| tried.times >= 4), "{tried:?}");
    assert!(world.now >= Instant(2_000 * MS));
    assert_eq!(world.client.next_deadline(), None);
    assert_eq!(world.client.unanswered(), 1);
    world.submit(b"too late");
    assert_eq!(world.rejected, [Reject::Closed]);
    let text = world.ended.and_then(Result::err).map(|error| error.to_string());
    assert!(text.is_some_and(|text| text.contains("member 3") && text.contains("no room")));
}

#[test]
fn a_member_that_never_is_ready_does_not_hold_the_client() {
    let mut world = World::new(config());
    world.set_modes([Mode::RetryAfter(0), Mode::Silent, Mode::Serve]);
    world.run_for(400);
    assert_eq!(world.connected, [MemberId(3)]);
    assert!(world.connects.len() <= 6, "{:?}", world.connects);
}

#[test]
fn e35_a_lost_session_leaves_the_outcome_unknown() {
    let mut world = World::new(config());
    world.submit(b"one");
    world.run_for(10);
    world.set_modes([Mode::Lost; 3]);
    world.submit(b"two");
    world.run_for(400);
    let lost = ClientError::SessionLost { session: SESSION, unanswered: 2 };
    assert_eq!(world.ended, Some(Err(lost)));
}

#[test]
fn j25_a_redirect_loop_is_left_and_costs_no_storm() {
    let mut world = World::new(config());
    world.set_modes([Mode::Redirect(2), Mode::Redirect(1), Mode::Silent]);
    world.run_for(1_000);
    assert!(world.connects.len() <= 200, "{}", world.connects.len());
    world.set_modes([Mode::Redirect(2), Mode::Redirect(1), Mode::Serve]);
    world.run_for(400);
    assert_eq!(world.connected, [MemberId(3)]);
}

#[test]
fn a_leader_that_opens_and_refuses_in_turn_costs_no_storm() {
    let mut world = World::new(config());
    for _ in 0..1_000 {
        world.run_until(world.now + Duration::from_micros(300));
        let connection = world.connects.last().map_or(0, |connect| connect.2);
        let outcome =
            ConnectOutcome::Redirect { leader: MemberId(1), term: Term(2), endpoint: endpoint(1) };
        world.inject(1, Message::ConnectReply { connection, outcome });
    }
    assert!(world.connects.len() <= 20, "{}", world.connects.len());
}

#[test]
fn a_deposed_leader_is_left() {
    let mut world = World::new(config());
    world.submit(b"one");
    world.run_for(100);
    let connection = world.client.search.connection();
    world.set_modes([Mode::Redirect(2), Mode::Serve, Mode::Redirect(2)]);
    let (leader, term) = (MemberId(2), Term(3));
    let outcome = ConnectOutcome::Redirect { leader, term, endpoint: endpoint(2) };
    world.inject(1, Message::ConnectReply { connection, outcome });
    world.submit(b"two");
    world.run_for(5);
    assert_eq!(world.connected, [MemberId(1), MemberId(2)]);
    assert_eq!(world.disconnected, 1);
    world.assert_all_answered();
}

#[test]
fn e105_an_idle_client_wakes_seldom() {
    let mut world = World::new(config());
    world.flushes = false;
    world.submit(b"one");
    world.run_for(100);
    world.assert_all_answered();
    let wakes = world.wakes;
    world.run_for(1_000);
    assert!(world.wakes - wakes <= 45, "{} wakes", world.wakes - wakes);
    assert!(world.client.is_served());
    world.loses = Box::new(|_, _, _| true);
    let wakes = world.wakes;
    world.run_for(1_500);
    assert!(world.wakes - wakes <= 45, "{} wakes", world.wakes - wakes);
}

#[test]
fn a_host_that_never_flushes_is_served_too() {
    let mut world = World::new(config());
    world.flushes = false;
    for number in 0..100 {
        world.submit(&[number; 200]);
        world.run_for(1);
    }
    world.run_for(100);
    world.assert_all_answered();
}

#[test]
fn closes_once_all_is_answered() {
    let mut world = World::new(config());
    world.submit(b"one");
    world.step(ClientEvent::Close);
    world.submit(b"two");
    assert_eq!(world.rejected, [Reject::Closed]);
    assert_eq!(world.closes, 0);
    world.run_for(10);
    assert_eq!(world.ended, Some(Ok(())));
    assert_eq!(world.closes, 1);
    world.assert_all_answered();
}

#[test]
fn closing_ends_without_an_answer() {
    let mut world = World::new(config());
    world.submit(b"one");
    world.run_for(10);
    world.set_modes([Mode::Silent; 3]);
    world.step(ClientEvent::Close);
    world.run_for(300);
    assert_eq!(world.ended, Some(Ok(())));
    // As often as it can before the server's silence has ended the connection.
    assert_eq!(world.closes, 3);

    let mut never = World::new(config());
    never.step(ClientEvent::Close);
    assert_eq!(never.ended, Some(Ok(())));
}

#[test]
fn a_session_that_the_cluster_ended_is_lost() {
    let mut world = World::new(config());
    world.run_for(10);
    let connection = world.client.search.connection();
    world.inject(1, Message::Closed { connection: connection + 1, session: SESSION });
    world.run_for(1);
    assert_eq!(world.ended, None);
    world.inject(1, Message::Closed { connection, session: SESSION });
    world.run_for(1);
    let lost = ClientError::SessionLost { session: SESSION, unanswered: 1 };
    assert_eq!(world.ended, Some(Err(lost)));
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let mut seeded = config();
        seeded.seed = seed;
        let mut world = World::new(seeded);
        let mut random = Random::new(9);
        world.loses = Box::new(move |_, _, _| random.below(100) < 40);
        world.set_modes([Mode::RetryAfter(MS), Mode::Silent, Mode::Serve]);
        for number in 0..40_u8 {
            world.submit(&[number; 100]);
            world.run_for(10);
        }
        (world.client.state_hash(), world.trace)
    };
    let (first, second) = (run(1), run(1));
    assert!(first == second, "the same seed does something else");
    assert!(first != run(2), "another seed draws the same jitter");
}

#[test]
fn a_wrong_configuration_is_refused() {
    let mut wrong = config();
    wrong.limits.run_bytes_max = 8;
    wrong.timing.newest_first = Duration::ZERO;
    wrong.members.clear();
    assert_eq!(wrong.problems().len(), 3);
    assert!(Client::new(wrong, Instant(0)).is_err());
    assert!(config().problems().is_empty());
}
