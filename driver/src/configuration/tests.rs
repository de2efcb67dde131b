use super::*;

const GOOD: &str = r#"
group = "0x51d0a7e5c0ffee42"
member = 2
data = "member-2"
security = "checksum-only"
members = [
    { id = 1, address = "127.0.0.1:9001" },
    { id = 2, address = "127.0.0.1:9002" },
]

[timing]
heartbeat_interval = "30ms"

[limits]
in_flight_max = 17

[snapshots]
bytes_per_second = 1048576

[faults]
loss_percent = 2.5
"#;

fn problems(text: &str) -> Vec<String> {
    match Configuration::parse(text) {
        Err(ConfigurationError::Problems { path: None, problems }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn a_good_file_is_taken_and_the_rest_is_default() {
    let configuration = Configuration::parse(GOOD).unwrap();
    assert_eq!(configuration.snapshots.bytes_per_second, 1 << 20);
    assert_eq!(configuration.group, GroupId(0x51d0_a7e5_c0ff_ee42));
    assert_eq!(configuration.bind, "127.0.0.1:9002".parse().unwrap());
    assert_eq!(configuration.timing.heartbeat_interval, Duration::from_millis(30));
    assert_eq!(configuration.timing.nak_retry, Timing::default().nak_retry);
    assert_eq!(configuration.limits.in_flight_max, 17);
    assert_eq!(configuration.faults.unwrap().loss_percent, 2.5);
    assert_eq!(configuration.member_config(1).voters.len(), 2);
}

#[test]
fn a_rate_at_which_no_snapshot_ends_is_refused() {
    let with = |rate: &str| {
        GOOD.replace("bytes_per_second = 1048576", &format!("bytes_per_second = {rate}"))
    };
    for rate in ["0", "65536", "9223372036854775807"] {
        let read = Configuration::parse(&with(rate)).unwrap();
        assert_eq!(read.snapshots.bytes_per_second.to_string(), rate);
    }
    for rate in ["1", "65535"] {
        let told = problems(&with(rate));
        let expected = format!(
            "`snapshots.bytes_per_second = {rate}` is so little that a snapshot would hardly ever \
             end; write at least 65536, or 0 for no limit"
        );
        assert_eq!(told, [expected]);
    }
}

#[test]
fn what_is_written_reads_the_same() {
    let configuration = Configuration::parse(GOOD).unwrap();
    let again = Configuration::parse(&configuration.to_toml()).unwrap();
    assert_eq!(format!("{configuration:?}"), format!("{again:?}"));
}

#[test]
fn security_has_to_be_said() {
    let silent = GOOD.replace("security = \"checksum-only\"", "");
    let found = problems(&silent);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("not sealed yet"), "{found:?}");
    assert!(found[0].contains("write `security = \"checksum-only\"`"), "{found:?}");
    let sealed = GOOD.replace("checksum-only", "sealed");
    assert!(problems(&sealed)[0].starts_with("`security = \"sealed\"` is not there"));
}

#[test]
fn all_problems_are_told_at_once_with_key_value_reason_and_fix() {
    let text = r#"
        group = "no number"
        member = 0
        security = "checksum-only"
        members = [{ id = 1, address = "localhost" }, { id = 70000 }]
        [timing]
        heartbeat_intervall = "20ms"
        nak_retry = 10
        [limits]
        window_bytes = -1
        [faults]
        loss_percent = 101
    "#;
    let found = problems(text);
    let all = found.join("\n");
    for expected in [
        "`group = \"no number\"` is not a number of 64 bits; write up to 16 hexadecimal digits",
        "`member = 0` is out of range or no number; write a whole number in 1..=65535",
        "`data` is missing; write the directory",
        "`members.address = \"localhost\"` is not an IP address and a port; write it like",
        "`members.id = 70000` is out of range",
        "`members.address` is missing",
        "is not a key that is known here; did you mean `timing.heartbeat_interval`?",
        "`timing.nak_retry = 10` is not a span of time; write it like \"500us\"",
        "`limits.window_bytes = -1` is out of range",
        "`faults.loss_percent = 101` is not a percentage; write 0 to 100",
    ] {
        assert!(all.contains(expected), "missing {expected:?} in\n{all}");
    }
    assert_eq!(found.len(), 10, "{all}");
}

#[test]
fn what_the_core_refuses_is_told_in_the_words_of_the_file() {
    let text = GOOD
        .replace("member = 2", "member = 3")
        .replace("\"30ms\"", "\"100ms\"")
        .replace("in_flight_max = 17", "slice_bytes = 7");
    let all = problems(&text).join("\n");
    for expected in [
        "`member = 3` is not among the members; add it",
        "`timing.election_timeout_min = \"150ms\"` (the default) must be at least 3 heartbeat \
         intervals; set it, or change `timing.heartbeat_interval = \"100ms\"`",
        "`limits.slice_bytes = 7` must be a multiple of 8 in 64..=60000; change it, or remove it \
         for the default of 1216",
    ] {
        assert!(all.contains(expected), "missing {expected:?} in\n{all}");
    }
}

#[test]
fn what_the_core_refuses_is_told_even_of_a_file_without_members() {
    let text = "[timing]\nheartbeat_interval = \"100ms\"\n[limits]\nslice_bytes = 7\n";
    let found = problems(text);
    let all = found.join("\n");
    for expected in [
        "`group` is missing",
        "`member` is missing",
        "`data` is missing",
        "`security` is missing",
        "`members` is missing",
        "`timing.election_timeout_min = \"150ms\"` (the default)",
        "`limits.slice_bytes = 7` must be",
    ] {
        assert!(all.contains(expected), "missing {expected:?} in\n{all}");
    }
    assert_eq!(found.len(), 7, "{all}");
}

#[test]
fn a_fix_names_the_key_that_was_written() {
    let both =
        GOOD.replace("in_flight_max = 17", "window_bytes = 65536\nmessage_bytes_max = 65537");
    let all = problems(&both).join("\n");
    assert!(all.contains("change it, or `limits.window_bytes = 65536`"), "{all}");
    let many: String =
        (3..=8).map(|id| format!("{{ id = {id}, address = \"127.0.0.1:{id}\" }},\n")).collect();
    let crowd = problems(&GOOD.replace("]\n\n[timing]", &format!("{many}]\n\n[timing]")));
    assert_eq!(crowd, ["`members = 8` is more voters than 7; remove some"]);
}

#[test]
fn addresses_that_no_datagram_reaches_are_refused() {
    for (address, reason) in [
        ("0.0.0.0:9002", "is every address of a machine"),
        ("[::]:9002", "is every address of a machine"),
        ("224.0.0.1:9002", "is the address of many"),
        ("[ff02::1]:9002", "is the address of many"),
        ("[fe80::1]:9002", "is link-local"),
        ("127.0.0.1:0", "has no port"),
    ] {
        let found = problems(&GOOD.replace("127.0.0.1:9002", address));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(reason), "{found:?}");
    }
    let mixed = problems(&GOOD.replace("127.0.0.1:9001", "[::1]:9001"));
    let expected = "`members.address = \"[::1]:9001\"` of member 1 is of another family than \
                    `bind = \"127.0.0.1:9002\"`; use IPv4";
    assert!(mixed.len() == 1 && mixed[0].starts_with(expected), "{mixed:?}");
    let everywhere = GOOD.replace("member = 2", "member = 2\nbind = \"0.0.0.0:9002\"");
    assert!(Configuration::parse(&everywhere).is_ok());
}

#[test]
fn members_must_differ() {
    let same_id = GOOD.replace("id = 2", "id = 1").replace("member = 2", "member = 1");
    assert!(problems(&same_id)[0].contains("has the id or the address of another member"));
    let same_address = GOOD.replace("127.0.0.1:9002", "127.0.0.1:9001");
    assert!(problems(&same_address)[0].contains("has the id or the address of another member"));
}

#[test]
fn text_that_is_not_toml_names_the_line() {
    let error = Configuration::parse("group = \nmember = 1").unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_relative_directory_is_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.toml");
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(Configuration::load(&path).unwrap().data, folder.path().join("member-2"));
    for wrong in ["group = ", "group = 1"] {
        std::fs::write(&path, wrong).unwrap();
        let error = Configuration::load(&path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    let missing = Configuration::load(&folder.path().join("other.toml")).unwrap_err();
    assert!(missing.to_string().contains("other.toml cannot be read"), "{missing}");
}

#[test]
fn a_group_is_durable_unless_its_file_says_volatile() {
    let with = |line: &str| GOOD.replace("data = ", &format!("{line}\ndata = "));
    let level = |line: &str| Configuration::parse(&with(line)).unwrap().member_config(1).durability;
    let volatile = |millis| {
        let checkpoint_interval = Duration::from_millis(millis);
        Durability::Volatile { checkpoint_interval }
    };
    assert_eq!(level(""), Durability::Durable);
    assert_eq!(level("durability = \"durable\""), Durability::Durable);
    assert_eq!(level("durability = \"volatile\""), volatile(1_000));
    let faster = "durability = \"volatile\"\ncheckpoint_interval = \"50ms\"";
    assert_eq!(level(faster), volatile(50));
    let written = Configuration::parse(&with(faster)).unwrap();
    let again = Configuration::parse(&written.to_toml()).unwrap();
    assert_eq!((again.durability, again.stop_timeout), (volatile(50), STOP_TIMEOUT));
    let patient = "durability = \"volatile\"\nstop_timeout = \"9s\"";
    let written = Configuration::parse(&with(patient)).unwrap();
    let again = Configuration::parse(&written.to_toml()).unwrap();
    assert_eq!(again.stop_timeout, Duration::from_millis(9_000));
    for (line, begins) in [
        ("stop_timeout = \"9s\"", "`stop_timeout = \"9s\"` is of no use"),
        ("durability = \"none\"", "`durability = \"none\"` is no durability"),
        ("checkpoint_interval = \"1s\"", "`checkpoint_interval = \"1s\"` is of no use"),
        (
            "durability = \"volatile\"\ncheckpoint_interval = \"0s\"",
            "`checkpoint_interval = 0` must be above zero",
        ),
        (
            "durability = \"volatile\"\ncheckpoint_interval = \"3601s\"",
            "`checkpoint_interval = 3601000000000` must be at most an hour",
        ),
        (
            "durability = \"volatile\"\ncheckpoint_interval = 5",
            "`checkpoint_interval = 5` is not a span",
        ),
    ] {
        let told = problems(&with(line));
        assert!(told.len() == 1 && told[0].starts_with(begins), "{told:?}");
    }
}
