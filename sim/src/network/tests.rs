use super::*;
use crate::swarm::Swarm;
use quorate_core::{ClientKey, Message, Sender, SessionId};

const A: Place = Place::Member(MemberId(1));
const B: Place = Place::Client(9);
const TAG: GroupTag = GroupTag(5);

fn datagram(content: Content) -> Datagram {
    Datagram { sender: Sender::Client { key: ClientKey(1) }, source: B.endpoint(), content }
}

fn closed() -> Content {
    Content::Control(Message::Closed { connection: 1, session: SessionId(2) })
}

fn network(options: NetworkOptions, classes: FaultClasses) -> Network {
    Network::new(3, TAG, options, classes)
}

fn quiet() -> NetworkOptions {
    NetworkOptions {
        loss: 0,
        burst: 0,
        duplicate: 0,
        replay: 0,
        corrupt: 0,
        strange: 0,
        ..Swarm::draw(1).network
    }
}

fn send(network: &mut Network, count: u64, content: &Content, tally: &mut Tally) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for now in 0..count {
        network.send(now * 1_000, (A, B), datagram(content.clone()), tally, &mut arrivals);
    }
    arrivals
}

#[test]
fn each_fault_happens_and_is_counted() {
    let options = NetworkOptions {
        loss: 100_000,
        burst: 5_000,
        duplicate: 100_000,
        replay: 50_000,
        corrupt: 100_000,
        ..quiet()
    };
    let mut tally = Tally::default();
    let mut network = network(options, FaultClasses::all());
    send(&mut network, 5_000, &Content::Encoded(vec![7; 100]), &mut tally);
    for mark in [
        Mark::Lost,
        Mark::LostInBurst,
        Mark::Duplicated,
        Mark::Replayed,
        Mark::ReplayedAncient,
        Mark::Reordered,
        Mark::Damaged,
        Mark::Truncated,
        Mark::Lengthened,
    ] {
        assert!(tally.count(mark) > 0, "{}", mark.name());
    }
}

#[test]
fn bursts_are_as_long_as_they_should_be() {
    let options = NetworkOptions { burst: 2_000, burst_length: 50, ..quiet() };
    let mut tally = Tally::default();
    send(&mut network(options, FaultClasses::NONE), 50_000, &closed(), &mut tally);
    // One of 500 begins a burst of 50: a tenth less what falls into another burst.
    let lost = tally.count(Mark::LostInBurst);
    assert!((3_000..7_000).contains(&lost), "{lost}");
}

#[test]
fn without_reordering_a_link_keeps_the_order() {
    let mut tally = Tally::default();
    let classes: FaultClasses = [FaultClass::Delay].into_iter().collect();
    let arrivals = send(&mut network(quiet(), classes), 1_000, &closed(), &mut tally);
    assert!(arrivals.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert_eq!((arrivals.len(), tally.count(Mark::Reordered)), (1_000, 0));
}

#[test]
fn a_cut_is_one_way_and_counts_its_depth() {
    let mut network = network(quiet(), FaultClasses::NONE);
    let mut tally = Tally::default();
    network.cut(A, B);
    network.cut(A, B);
    network.heal(A, B);
    assert_eq!(send(&mut network, 10, &closed(), &mut tally).len(), 0);
    assert!(!network.is_cut(B, A));
    network.heal(A, B);
    assert_eq!(send(&mut network, 10, &closed(), &mut tally).len(), 10);
}

#[test]
fn troubles_stop_what_they_name_until_they_end() {
    let data = |bytes| Content::Data {
        stream: quorate_core::Stream::Log,
        epoch: 1,
        position: Position(0),
        live: None,
        bytes: vec![0; bytes],
    };
    let until = 5_000_000_000;
    let kept = |trouble, content: &Content, mark| {
        let mut network = network(quiet(), FaultClasses::NONE);
        let mut tally = Tally::default();
        network.trouble(A, B, until, trouble);
        let kept = send(&mut network, 100, content, &mut tally).len();
        assert_eq!(kept + tally.count(mark) as usize, 100, "{}", mark.name());
        let mut late = Vec::new();
        network.send(until, (A, B), datagram(content.clone()), &mut tally, &mut late);
        assert_eq!(late.len(), 1);
        kept
    };
    assert_eq!(kept(Trouble::Mtu(600), &data(1_000), Mark::TooLarge), 0);
    assert_eq!(kept(Trouble::Mtu(600), &data(100), Mark::TooLarge), 100);
    assert_eq!(kept(Trouble::Filter(Filter::Data), &data(100), Mark::Filtered), 0);
    assert_eq!(kept(Trouble::Filter(Filter::Control), &data(100), Mark::Filtered), 100);
    assert_eq!(kept(Trouble::Filter(Filter::Nth(4)), &data(100), Mark::Filtered), 75);
    let squeezed = kept(Trouble::Bandwidth(100_000), &data(1_000), Mark::TailDrop);
    assert!((3..20).contains(&squeezed), "{squeezed}");
}

#[test]
fn a_clogged_link_lets_all_go_at_once() {
    let mut network = network(quiet(), FaultClasses::NONE);
    network.trouble(A, B, 9_000_000, Trouble::Clog);
    let arrivals = send(&mut network, 100, &closed(), &mut Tally::default());
    assert!(arrivals.iter().all(|arrival| arrival.at >= 9_000_000));
    assert_eq!(arrivals.len(), 100);
}

#[test]
fn calm_heals_the_core_and_nothing_else() {
    let mut network = network(NetworkOptions { loss: ALWAYS, ..quiet() }, FaultClasses::NONE);
    let other = Place::Member(MemberId(2));
    network.cut(A, B);
    network.cut(A, other);
    network.calm(vec![MemberId(1)]);
    assert!(!network.is_cut(A, B) && network.is_cut(A, other));
    assert_eq!(send(&mut network, 50, &closed(), &mut Tally::default()).len(), 50);
}

#[test]
fn a_spared_datagram_arrives_and_shifts_no_other() {
    let options = NetworkOptions { loss: 300_000, ..quiet() };
    let run = |spared: BTreeSet<DatagramNumber>| {
        let mut network = network(options.clone(), FaultClasses::NONE);
        network.spare(spared);
        network.note_touched();
        let arrived = send(&mut network, 200, &closed(), &mut Tally::default()).len();
        (arrived, network.touched().to_vec())
    };
    let (arrived, touched) = run(BTreeSet::new());
    assert_eq!(arrived + touched.len(), 200);
    let (again, left) = run([touched[0]].into());
    assert_eq!(again, arrived + 1);
    assert_eq!(left, touched[1..]);
}
