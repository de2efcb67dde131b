//! Commands, and the faults that they ask for, without a mount.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it is")]

use core::time::Duration;
use std::ffi::OsStr;

use quorate_faultfs::{
    Answer, Call, Command, Disk, Effect, FAULTS_MAX, Fault, Kind, Met, NodeId, ROOT, Refusal,
    Station,
};

fn station() -> (Station, NodeId) {
    let mut disk = Disk::new(1_000);
    let node = disk.create(ROOT, OsStr::new("log"), Kind::File, 0o644).unwrap();
    disk.sync(ROOT).unwrap();
    (Station::new(disk, None), node)
}

fn obey(station: &mut Station, line: &str) -> String {
    station.obey(line.parse().unwrap()).to_string()
}

fn meet(station: &mut Station, call: Call, node: NodeId) -> Option<Effect> {
    station.meet(call, node, "", "").effect
}

#[test]
fn what_is_shown_is_what_is_read() {
    let effects = [
        Effect::Error(5),
        Effect::Error(99),
        Effect::Delay(Duration::from_millis(20)),
        Effect::Lie,
        Effect::Forget,
        Effect::Shift(512),
        Effect::Short(3),
        Effect::PowerOff,
    ];
    let mut commands = vec![
        Command::Heal,
        Command::Hits(3),
        Command::Crash(7),
        Command::Rot("log".into(), 9, 1),
        Command::Unreadable("log".into(), 9, 512),
        Command::Calls,
    ];
    for (call, effect) in Call::ALL.into_iter().cycle().zip(effects) {
        let fault = Fault { call, path: "log".into(), skip: 2, times: Some(1), effect };
        commands.push(Command::Fault(fault.clone()));
        commands.push(Command::Fault(Fault { path: String::new(), times: None, ..fault }));
    }
    for command in commands {
        let line = command.to_string();
        assert_eq!(line.parse(), Ok(command), "{line}");
        // A word less is none of them.
        let shorter = line.rsplit_once(' ').map_or("", |(shorter, _)| shorter);
        assert!(shorter.parse::<Command>().is_err(), "{shorter}");
    }
    for answer in [Answer::done(&[("a", 1), ("b", 2)]), Answer(Err("why not".into()))] {
        assert_eq!(answer.to_string().parse(), Ok(answer));
    }
    for line in ["", "maybe", "ok a", "ok a=b"] {
        assert!(line.parse::<Answer>().is_err(), "{line}");
    }
}

#[test]
fn a_fault_meets_the_calls_that_it_names() {
    let (mut station, node) = station();
    assert_eq!(obey(&mut station, "fault write log 1 2 error ENOSPC"), "ok number=1");
    assert_eq!(meet(&mut station, Call::Write, node), None);
    assert_eq!(meet(&mut station, Call::Sync, node), None);
    assert_eq!(meet(&mut station, Call::Write, ROOT), None);
    for _ in 0..2 {
        assert_eq!(meet(&mut station, Call::Write, node), Some(Effect::Error(28)));
    }
    assert_eq!(meet(&mut station, Call::Write, node), None);
    assert_eq!(obey(&mut station, "hits 1"), "ok hits=2");
    assert_eq!(obey(&mut station, "heal"), "ok");
    assert!(obey(&mut station, "hits 1").starts_with("no "));
    assert!(obey(&mut station, "calls").contains(" write=5"));
}

#[test]
fn a_delay_does_not_hide_an_error() {
    let (mut station, node) = station();
    obey(&mut station, "fault sync * 0 * delay 5");
    obey(&mut station, "fault sync * 0 * forget");
    let wanted = Met { delay: Duration::from_millis(5), effect: Some(Effect::Forget) };
    assert_eq!(station.meet(Call::Sync, node, "", ""), wanted);
    assert_eq!(station.sync(wanted, node), Err(Refusal::Fault(5)));
}

#[test]
fn effects_do_what_they_say() {
    let table: [(&str, Option<&[u8]>); 4] = [
        ("lie", Some(b"oldold")),
        ("shift 3", Some(b"oldnew")),
        ("short 2", Some(b"nedold")),
        ("error EIO", None),
    ];
    for (effect, wanted) in table {
        let (mut station, node) = station();
        station.disk().write(node, 0, b"oldold").unwrap();
        station.disk().sync(node).unwrap();
        let effect: Effect = effect.parse().unwrap();
        let met = Met { effect: Some(effect), ..Met::default() };
        let crashes = station.crashes();
        let passed = station.pass(met, crashes);
        assert_eq!(passed.is_ok(), wanted.is_some(), "{effect}");
        if passed.is_ok() {
            let told = station.write(met, node, 0, b"new");
            assert_eq!(told, Ok(if effect == Effect::Short(2) { 2 } else { 3 }));
        }
        let read = station.disk().read(node, 0, 6).unwrap();
        assert_eq!(read, wanted.unwrap_or(b"oldold"), "{effect}");
        if let Effect::Short(_) = effect {
            assert_eq!(station.read(met, node, 0, 6).unwrap(), b"ne");
        }
    }
}

#[test]
fn without_power_nothing_is_done_until_it_is_back() {
    let (mut station, node) = station();
    obey(&mut station, "fault write log 0 1 power-off");
    let before = station.crashes();
    for call in [Call::Write, Call::Sync, Call::Read] {
        let met = station.meet(call, node, "", "");
        assert_eq!(station.pass(met, before), Err(Refusal::Fault(5)), "{call:?}");
    }
    assert!(obey(&mut station, "crash 1").starts_with("ok "));
    // What was begun before is not done behind it.
    assert_eq!(station.pass(Met::default(), before), Err(Refusal::Fault(5)));
    assert_eq!(station.pass(Met::default(), station.crashes()), Ok(()));
}

#[test]
fn nonsense_is_refused() {
    for line in ["", "x", "fault", "fault eat * 0 1 lie", "fault sync * 0 1 sing", "crash -1"] {
        assert!(line.parse::<Command>().is_err(), "{line}");
    }
    assert!("fault sync * 0 1 error EWHAT".parse::<Command>().is_err());
    assert!("fault sync * 0 1 delay long".parse::<Command>().is_err());
    let (mut station, _) = station();
    for _ in 0..FAULTS_MAX {
        assert!(obey(&mut station, "fault read * 0 1 lie").starts_with("ok"));
    }
    assert!(obey(&mut station, "fault read * 0 1 lie").starts_with("no"));
}
