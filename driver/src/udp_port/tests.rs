use core::net::Ipv4Addr;

use rustix::event::{PollFd, PollFlags, poll};

use super::*;

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn port() -> UdpPort {
    UdpPort::open(LOOPBACK, None).unwrap()
}

fn endpoint(port: &UdpPort) -> Endpoint {
    endpoint_of(port.address().unwrap())
}

/// Waits for the next datagrams.
fn receive(port: &mut UdpPort, buffer: &mut [u8]) -> io::Result<Received> {
    loop {
        if let Some(received) = port.receive(buffer)? {
            return Ok(received);
        }
        let mut watched = [PollFd::new(&port.socket, PollFlags::IN)];
        assert_eq!(poll(&mut watched, None), Ok(1));
    }
}

/// The lengths of the next datagrams, `bytes` in all; each holds the number of its first byte.
fn lengths(port: &mut UdpPort, from: Endpoint, mut bytes: usize) -> Vec<usize> {
    let (mut buffer, mut lengths) = (vec![0; 65_536], Vec::new());
    let mut number = 0_u8;
    while bytes > 0 {
        let received = receive(port, &mut buffer).unwrap();
        assert_eq!(received.source, from);
        for datagram in received.datagrams(&buffer) {
            assert!(datagram.iter().all(|byte| *byte == number), "datagram {number}");
            lengths.push(datagram.len());
            bytes -= datagram.len();
            number += 1;
        }
    }
    lengths
}

fn run(datagrams: usize, datagram_bytes: usize, last: usize) -> Vec<u8> {
    let lengths = (0..datagrams).map(|number| {
        let length = if number + 1 == datagrams { last } else { datagram_bytes };
        vec![number as u8; length]
    });
    lengths.flatten().collect()
}

fn boundaries_are_kept(mut sender: UdpPort) {
    let mut receiver = port();
    let (from, to) = (endpoint(&sender), endpoint(&receiver));
    for (datagrams, size, last) in [(1, 700, 700), (2, 8, 1), (46, 1_400, 1_400), (70, 900, 17)] {
        let run = run(datagrams, size, last);
        assert_eq!(sender.send(to, &run, size).unwrap(), datagrams);
        let mut expected = vec![size; datagrams];
        expected[datagrams - 1] = last;
        assert_eq!(lengths(&mut receiver, from, run.len()), expected);
    }
}

#[test]
fn ad15_a_run_arrives_with_its_boundaries() {
    boundaries_are_kept(port());
}

#[test]
fn ad15_it_does_so_where_the_kernel_cannot_segment() {
    let mut plain = port();
    plain.segments_max = 1;
    boundaries_are_kept(plain);
}

#[test]
fn the_source_of_a_datagram_is_where_an_answer_arrives() {
    let (mut one, mut other) = (port(), port());
    let (from, to) = (endpoint(&one), endpoint(&other));
    assert_eq!(one.send(to, &[7; 100], 100).unwrap(), 1);
    let mut buffer = [0; 2_048];
    let received = receive(&mut other, &mut buffer).unwrap();
    assert_eq!(received, Received::single(from, 100));
    assert_eq!(other.send(received.source, &[0; 50], 50).unwrap(), 1);
    assert_eq!(receive(&mut one, &mut buffer).unwrap(), Received::single(to, 50));
}

#[test]
fn ad14_what_is_larger_than_the_buffer_is_never_delivered_short() {
    let (mut sender, mut receiver) = (port(), port());
    let to = endpoint(&receiver);
    let mut buffer = [0; 1_000];
    // One that is too large, and a run that is as a whole.
    for (bytes, datagram_bytes) in [(1_001, 1_001), (1_000, 1_000), (4_500, 900)] {
        sender.send(to, &vec![1; bytes], datagram_bytes).unwrap();
        let (mut delivered, mut refused) = (0, 0);
        sender.send(to, b"end", 3).unwrap();
        loop {
            match receive(&mut receiver, &mut buffer) {
                Ok(received) if received.bytes == 3 => break,
                Ok(received) => {
                    delivered += 1;
                    assert!(received.datagrams(&buffer).all(|one| one.len() == datagram_bytes));
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                }
            }
        }
        // A kernel that does not coalesce delivers the run one by one, whole.
        assert!(refused > 0 || delivered * datagram_bytes == bytes, "{delivered} of {bytes}");
    }
    // One byte more than the largest is room enough.
    sender.send(to, &[1; 999], 999).unwrap();
    assert_eq!(receive(&mut receiver, &mut buffer).unwrap().bytes, 999);
}

#[test]
fn who_receives_until_there_is_none_has_received_all() {
    let (sender, mut receiver) = (port(), port());
    let (to, mut buffer) = (receiver.address().unwrap(), [0; 64]);
    let mut lengths = Vec::new();
    for sent in 1..=7 {
        for length in 1..=sent {
            sender.socket.send_to(&[9; 64][..length], to).unwrap();
        }
        lengths.clear();
        while let Some(received) = receiver.receive(&mut buffer).unwrap() {
            lengths.extend(received.datagrams(&buffer).map(<[u8]>::len));
        }
        assert_eq!(lengths, (1..=sent).collect::<Vec<_>>());
    }
}

#[test]
fn an_empty_socket_has_none_and_an_empty_datagram_is_no_bytes() {
    let (sender, mut receiver) = (port(), port());
    let mut buffer = [0; 64];
    assert_eq!(receiver.receive(&mut buffer).unwrap(), None);
    sender.socket.send_to(&[], receiver.address().unwrap()).unwrap();
    assert_eq!(receive(&mut receiver, &mut buffer).unwrap().bytes, 0);
}

#[test]
fn ad16_only_want_of_room_is_no_error() {
    assert!(is_for_want_of_room(&ErrorKind::WouldBlock.into()));
    assert!(is_for_want_of_room(&Errno::NOBUFS.into()));
    assert!(!is_for_want_of_room(&Errno::ACCESS.into()));
}

#[test]
fn ad13_addresses_that_nobody_can_have_are_refused_without_asking_the_kernel() {
    let mut sender = port();
    let segments = sender.segments(100);
    for address in ["127.0.0.1:0", "0.0.0.0:7", "255.255.255.255:7", "[fe80::1]:7", "[::]:7"] {
        let to = endpoint_of(address.parse().unwrap());
        let error = sender.send(to, &[0; 300], 100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{address}");
    }
    assert_eq!(sender.segments(100), segments);
}

/// A path gets narrower than a run's datagrams where the kernel says so: one by one they still get
/// through. It needs an interface of its own, so the test runs itself in another network.
#[test]
fn ad13_a_path_too_narrow_for_segments_is_used_datagram_by_datagram() {
    const INSIDE: &str = "QUORATE_NARROW_LOOPBACK";
    if std::env::var_os(INSIDE).is_some() {
        return boundaries_are_kept_on_a_narrow_path();
    }
    let name = "udp_port::tests::ad13_a_path_too_narrow_for_segments_is_used_datagram_by_datagram";
    let script = "ip link set lo mtu 600 up || exit 1; exec \"$0\" --exact \"$1\"";
    let program = std::env::current_exe().unwrap();
    let isolated = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script])
        .arg(program)
        .arg(name)
        .env(INSIDE, "yes")
        .output();
    // Where there are no networks to be had, what an error is taken for is left to be seen.
    assert!(is_for_size(&Errno::MSGSIZE.into()) && !is_for_size(&Errno::INVAL.into()));
    if let Ok(output) = isolated {
        let text = String::from_utf8_lossy(&output.stdout);
        let passed = output.status.success() && text.contains("1 passed");
        assert!(passed || !text.contains("running"), "{text}");
    }
}

fn boundaries_are_kept_on_a_narrow_path() {
    let mut sender = port();
    let segments = sender.segments(100);
    let mut receiver = port();
    let (from, to) = (endpoint(&sender), endpoint(&receiver));
    for (datagrams, size, last) in [(3, 1_400, 1_400), (46, 1_000, 7), (5, 300, 300)] {
        let run = run(datagrams, size, last);
        assert_eq!(sender.send(to, &run, size).unwrap(), datagrams);
        assert_eq!(lengths(&mut receiver, from, run.len()).len(), datagrams);
    }
    assert_eq!(sender.segments(100), segments, "small ones still go as one");
}

#[test]
fn what_the_kernel_drops_is_counted() {
    const SENT: u64 = 20_000;
    let (mut sender, mut receiver) = (port(), port());
    assert_eq!(receiver.overflows(), Some(0));
    let to = endpoint(&receiver);
    // More than any receive buffer holds, and nobody takes it.
    for _ in 0..SENT {
        assert_eq!(sender.send(to, &[7; 1_400], 1_400).unwrap(), 1);
    }
    let dropped = receiver.overflows().unwrap();
    let (mut buffer, mut taken) = (vec![0; 65_536], 0);
    while taken + dropped < SENT {
        let received = receive(&mut receiver, &mut buffer).unwrap();
        taken += received.datagrams(&buffer).count() as u64;
    }
    assert!(dropped > 0 && taken > 0, "{dropped} dropped, {taken} taken");
    assert_eq!((taken + dropped, receiver.overflows()), (SENT, Some(dropped)));
}
