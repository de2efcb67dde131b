use std::sync::LazyLock;

use quorate_core::Duration;

use self::world::World;
use super::*;
use crate::turn::{Host, Turn};

mod fetched;
mod hostile;
mod world;

/// A member's life with everything in it: as a follower with loss, through the failover of the
/// leader, as a leader that repairs a member that lags out of its archive, refused by a full disk,
/// and stopped. `None` where the one that lags came to lead.
fn life(seed: u64) -> Option<Vec<u8>> {
    let mut world = World::new(seed);
    world.loss_percent = 4;
    world.send(30);
    let leader = world.leader();
    let (lagging, other) = ((leader + 1) % 3, (leader + 2) % 3);
    world.cut_off(lagging, true);
    world.send(60);
    world.kill(leader);
    world.cut_off(lagging, false);
    world.send(30);
    if world.leader() != other {
        return None;
    }
    world.fill_disk(other);
    world.send(10);
    world.pass(Duration::from_millis(200));
    world.shut_down(other);
    world.pass(Duration::from_millis(20));
    world.kill(other);
    Some(world.recorded(other))
}

fn eventful() -> Vec<u8> {
    (1..=20).find_map(life).expect("one of these seeds")
}

static EVENTFUL: LazyLock<Vec<u8>> = LazyLock::new(eventful);

fn replayed(bytes: &[u8]) -> Result<Replayed, RecordingError> {
    replay(RecordingReader::new(bytes)?)
}

/// Where the records of a recording begin, and where the last one ends.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut at = 12;
    let mut boundaries = vec![at];
    while at < bytes.len() {
        let length = bytes[at..at + 4].try_into().map(u32::from_le_bytes).unwrap();
        at += 12 + length as usize;
        boundaries.push(at);
    }
    boundaries
}

#[test]
fn a_recorded_run_replays_to_the_same_actions_and_the_same_state() {
    let replayed = replayed(&EVENTFUL).unwrap();
    assert!(replayed.matches(), "{replayed:?}");
    assert_eq!(replayed.same_state(), Some(true));
    for event in
        ["received", "timer", "flush", "durable", "log_read", "applied", "storage_full", "shutdown"]
    {
        assert!(replayed.events.contains_key(event), "no {event} in {replayed:?}");
    }
}

#[test]
fn the_same_run_is_recorded_as_the_same_bytes() {
    assert_eq!(eventful(), *EVENTFUL);
}

#[test]
fn through_a_loop_with_virtual_ports_it_is_the_same() {
    let recording = RecordingReader::new(EVENTFUL.as_slice()).unwrap();
    let (wake, woken) = std::sync::mpsc::channel();
    let wake = move || wake.send(()).unwrap();
    let (mut host, handle) = ReplayHost::start(recording, wake).unwrap();
    let mut turns = 0;
    // A turn without its wake-up is as good as any.
    while host.turn() != Turn::Ended {
        turns += 1;
    }
    drop(host);
    let wakes = woken.iter().count();
    assert!(turns > 20 && wakes > 0, "{turns} turns, woken {wakes} times");
    assert_eq!(handle.blocking_finished().unwrap(), replayed(&EVENTFUL).unwrap());
}

#[test]
fn every_flipped_byte_is_an_error() {
    let stride = EVENTFUL.len() / 400;
    for at in (0..EVENTFUL.len()).step_by(stride).chain(0..64) {
        let mut bytes = EVENTFUL.clone();
        bytes[at] ^= 0x10;
        // The check of the file alone, without the members.
        let read = RecordingReader::new(bytes.as_slice()).and_then(|mut reader| {
            while let Record::Step(_) = reader.next_record()? {}
            Ok(())
        });
        assert!(read.is_err(), "byte {at}");
    }
}

#[test]
fn a_file_cut_anywhere_replays_to_its_last_whole_record() {
    let boundaries = boundaries(&EVENTFUL);
    let steps = boundaries.len() as u64 - 3;
    let whole = replayed(&EVENTFUL).unwrap();
    assert_eq!(whole.steps, steps);
    for back in [1, 40] {
        let boundary = boundaries[boundaries.len() - 1 - back];
        for beyond in [0, 1, 7, 8, 9] {
            let cut = replayed(&EVENTFUL[..boundary + beyond]).unwrap();
            assert_eq!((cut.steps, cut.recorded), (steps + 1 - back as u64, None));
            assert!(cut.matches());
        }
    }
    let beginning = RecordingReader::new(&EVENTFUL[..boundaries[1] - 1]);
    assert!(matches!(beginning, Err(RecordingError::Empty)));
    assert!(matches!(RecordingReader::new(&b"QRRECO"[..]), Err(RecordingError::Foreign)));
    assert!(matches!(
        RecordingReader::new(&b"QRRECORD\x09\0\0\0"[..]),
        Err(RecordingError::Version { found: 9 })
    ));
}

/// The recording with the body of the last record changed that `change` takes, checks and all; and
/// which step that is.
fn with_changed(mut change: impl FnMut(&mut [u8]) -> bool) -> (u64, Vec<u8>) {
    let bodies = boundaries(&EVENTFUL);
    let bodies = bodies.windows(2).map(|ends| EVENTFUL[ends[0] + 8..ends[1] - 4].to_vec());
    let mut bodies: Vec<_> = bodies.collect();
    let changed = bodies.iter_mut().rposition(|body| change(body)).unwrap();
    let mut bytes = EVENTFUL[..12].to_vec();
    for (number, body) in (0..).zip(&bodies) {
        frames::write_record(number, body, &mut bytes);
    }
    (changed as u64, bytes)
}

/// Where the first reply of a record of kind 6 ends: behind kind, through, counts and its own head.
const FIRST_REPLY: usize = 9 + 8 + 8 + 4 + 20 + 96;

#[test]
fn another_reply_of_the_service_gives_another_hash() {
    let whole = replayed(&EVENTFUL).unwrap();
    // Of one reply the last byte is changed: of the last that a client hears. What the member
    // replied as a follower shows in no action.
    let is_reply = |body: &[u8]| body[0] == 6 && body.len() == FIRST_REPLY;
    let changed_at = |wanted: u64| {
        let mut passed = 0;
        with_changed(|body| {
            passed += u64::from(is_reply(body));
            let chosen = is_reply(body) && passed == wanted;
            if chosen {
                body[FIRST_REPLY - 1] ^= 1;
            }
            chosen
        })
    };
    let heard = (1..).map(changed_at).find_map(|(step, bytes)| {
        // The actions of the very last step are not recorded: the member was killed.
        let changed = replayed(&bytes).unwrap();
        changed.first_difference.map(|named| (step, named, changed.hash))
    });
    // A search without end meets a record that is not there, and panics.
    let (step, named, hash) = heard.unwrap();
    assert_ne!(hash, whole.hash);
    assert!((step..step + 10).contains(&named), "step {step} was changed, {named} was named");
}

#[test]
fn another_reply_that_is_kept_gives_another_state() {
    // The last replies of the recording are kept to its end, whoever hears them.
    let (_, bytes) = with_changed(|body| {
        let replies = body[0] == 6 && body.len() >= FIRST_REPLY;
        if replies {
            body[FIRST_REPLY - 1] ^= 1;
        }
        replies
    });
    assert_eq!(replayed(&bytes).unwrap().same_state(), Some(false));
}

#[test]
fn another_time_gives_other_actions_and_the_step_is_named() {
    let (step, bytes) = with_changed(|body| {
        // The refusal: the member leads then.
        let is_refusal = body[0] == 7;
        if is_refusal {
            let now = body[9..17].try_into().map(u64::from_le_bytes).unwrap();
            body[9..17].copy_from_slice(&(now + 1_000_000_000).to_le_bytes());
        }
        is_refusal
    });
    let (changed, whole) = (replayed(&bytes).unwrap(), replayed(&EVENTFUL).unwrap());
    assert_ne!(changed.hash, whole.hash);
    let named = changed.first_difference.unwrap();
    assert!((step..step + 10).contains(&named), "step {step} was changed, {named} was named");
}

#[test]
fn a_recording_that_contradicts_itself_is_told_by_its_ending() {
    let (_, bytes) = with_changed(|body| {
        let is_ending = body[0] == 255;
        if is_ending {
            body[9] ^= 1;
        }
        is_ending
    });
    let changed = replayed(&bytes).unwrap();
    assert_eq!(changed.first_difference, Some(changed.steps));
}

#[test]
fn a_recording_that_cannot_be_written_does_not_touch_the_member() {
    struct Broken;
    impl io::Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let reader = RecordingReader::new(EVENTFUL.as_slice()).unwrap();
    let Beginning { config, recovered, now, .. } = reader.beginning();
    let member = reader.beginning().member().unwrap();
    let mut recording = Recording::begin(Broken, config, recovered, *now).unwrap();
    let event = quorate_core::Event::Timer;
    for second in 0..2_000 {
        recording.event(*now + Duration::from_millis(second * 1_000), &event);
    }
    recording.end(&member);
}

#[test]
fn a_recording_whose_disk_stands_still_ends_before_it_fills_the_memory() {
    struct Stalled(std::sync::mpsc::Receiver<()>);
    impl io::Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Until the test has ended.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let reader = RecordingReader::new(EVENTFUL.as_slice()).unwrap();
    let Beginning { config, recovered, now, .. } = reader.beginning();
    let (release, stalled) = std::sync::mpsc::channel();
    let mut recording = Recording::begin(Stalled(stalled), config, recovered, *now).unwrap();
    let (bytes, operation) = (vec![0; 4 << 20], Default::default());
    let event = quorate_core::Event::LogRead { operation, bytes: &bytes };
    let mut steps = 0;
    while format!("{recording:?}").contains("under_way: true") {
        recording.event(*now, &event);
        steps += 1;
        assert!(steps < 20, "{steps} reads of 4 MiB wait");
    }
    assert!(steps > 10, "{steps}");
    drop(release);
}

/// `QUORATE_GOLDEN=update` records it again.
#[test]
fn the_golden_recording_gives_its_hash_in_every_build() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let (file, hash) = (golden.join("life.recording"), golden.join("life.hash"));
    if std::env::var_os("QUORATE_GOLDEN").is_some_and(|mode| mode == "update") {
        assert!(EVENTFUL.len() < 200_000, "{} bytes are too many to check in", EVENTFUL.len());
        std::fs::write(&file, EVENTFUL.as_slice()).unwrap();
        std::fs::write(&hash, format!("{:#018x}\n", replayed(&EVENTFUL).unwrap().hash)).unwrap();
    }
    let replayed = replayed(&std::fs::read(file).unwrap()).unwrap();
    assert!(
        replayed.matches(),
        "the core acts in another way than it was recorded; if that is meant, record again with \
         QUORATE_GOLDEN=update: {replayed:?}"
    );
    let expected = std::fs::read_to_string(hash).unwrap();
    assert_eq!(format!("{:#018x}", replayed.hash), expected.trim());
}
