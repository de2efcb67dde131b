//! Messages that other encoders wrote.
//!
//! Facts from outside, each taken down by hand and not copied: the car is the example that ships
//! with the first implementation of the standard, with the values of its sample program and the 207
//! bytes of its two sample files; the three messages about orders are those of the chapter of
//! examples in the standard itself, version 1.0. There, the bytes of the dumps count and not what
//! stands around them, which disagrees here and there (the schema's id, the time of the order).
//! Which bytes say what follows from the standard's rules, part by part below.

use serde_json::{Value as Json, json};

use crate::case::{Failure, Verdict, check};
use crate::sbe::{Schema, decode, encode};
use crate::trial::Trial;
use crate::vectors::bytes_of;

/// Parts of a message: their bytes, and what they say by the rules.
type Parts<'a> = &'a [(&'a str, &'a str)];

const CAR_SCHEMA: &str = include_str!("car.xml");
const ORDERS_SCHEMA: &str = include_str!("orders.xml");

/// The header and the block of a car, all before its five numbers.
const CAR_BEGINS: Parts<'_> = &[
    ("2d00 0100 0100 0000", "a block of 45 bytes, message 1 of schema 1, version 0"),
    ("d204 0000 0000 0000", "serial number 1234"),
    ("dd07", "of 2013"),
    ("01", "available"),
    ("41", "model A"),
];
const CAR_NUMBERS: [&str; 2] =
    ["01000000 02000000 03000000 04000000", "00000000 01000000 02000000 03000000"];
const CAR_BLOCK_ENDS: Parts<'_> = &[
    ("6162 6364 6566", "vehicle code abcdef"),
    ("06", "bits 1 and 2: sports pack and cruise control"),
    ("d007 04 313233", "2000 cubic centimetres, 4 cylinders, 123; speed and fuel are constants"),
    ("23 01", "35 per cent, and a booster"),
    ("4e c8", "which is N and has 200 horse powers"),
];
const CAR_REST: Parts<'_> = &[
    ("0600 0300", "three entries of six bytes"),
    ("1e00 9a99 0f42", "speed 30, 35.9 as 0x420f999a"),
    ("0b00 0000 55726261 6e204379 636c65", "eleven characters: Urban Cycle"),
    ("3700 0000 4442", "speed 55, 49 as 0x42440000"),
    ("0e00 0000 436f6d62 696e6564 20437963 6c65", "fourteen: Combined Cycle"),
    ("4b00 0000 2042", "speed 75, 40 as 0x42200000"),
    ("0d00 0000 48696768 77617920 4379636c 65", "thirteen: Highway Cycle"),
    ("0100 0200", "two entries of one byte"),
    ("5f 0600 0300", "octane 95, within it three entries of six bytes"),
    ("1e00 0000 8040 3c00 0000 f040 6400 3333 4341", "30 in 4.0, 60 in 7.5, 100 in 12.2"),
    ("63 0600 0300", "octane 99, and three entries again"),
    ("1e00 3333 7340 3c00 3333 e340 6400 cdcc 3c41", "30 in 3.8, 60 in 7.1, 100 in 11.8"),
    ("0500 0000 486f6e64 61", "Honda"),
    ("0900 0000 43697669 63205654 69", "Civic VTi"),
    ("0600 0000 61626364 6566", "activation code abcdef"),
];
/// What the extension adds to the block: an identity of twice 64 bits, and cup holders.
const CAR_EXTENDED: &str = "0100 0000 0000 0000 0200 0000 0000 0000 03";
const CAR_BYTES: usize = 207;

const ORDER: Parts<'_> = &[
    ("0000 0044 eb50", "framing, the high byte first: 68 bytes, of this encoding"),
    ("3600 6300 5b00 0000", "a block of 54 bytes, message 99 of schema 91, version 0"),
    ("4f52 4430 3030 3031", "ORD00001"),
    ("4143 4354 3031 0000", "ACCT01, padded"),
    ("4745 4d34 0000 0000", "GEM4, padded"),
    ("31", "side 1"),
    ("8016 b33b 1365 2915", "nanoseconds since 1970: 0x152965133bb31680"),
    ("0700 0000", "quantity 7; its exponent is a constant"),
    ("32", "type 2"),
    ("1a85 0100 0000 0000", "price 99610; its exponent is a constant"),
    ("0000 0000 0000 0080", "the null of 64 bits with a sign: no stop price"),
];
const REPORT: Parts<'_> = &[
    ("0000 0054 eb50", "84 bytes"),
    ("2a00 6200 5b00 0000", "a block of 42 bytes, message 98"),
    ("4f30 3030 3030 3031", "O0000001"),
    ("4558 4543 3030 3030", "EXEC0000"),
    ("46 31", "execution F, status 1"),
    ("4745 4d34 0000 0000", "GEM4"),
    ("de07 06 ff ff", "June of 2014; day and week are all ones"),
    ("31 0100 0000 0600 0000", "side 1, one left of it, six done"),
    ("753e", "day 15989"),
    ("0c00 0200", "two entries of twelve bytes"),
    ("1a85 0100 0000 0000 0200 0000", "two at 99610"),
    ("2485 0100 0000 0000 0400 0000", "four at 99620"),
];
const REJECT: Parts<'_> = &[
    ("0000 0040 eb50", "64 bytes"),
    ("0900 6100 5b00 0000", "a block of 9 bytes, message 97"),
    ("4f52 4430 3030 3031 06", "ORD00001, reason 6"),
    ("2700", "39 characters"),
    ("4e6f 7420 6175 7468 6f72 697a 6564 20", "Not authorized "),
    ("746f 2074 7261 6465 2074 6861 7420", "to trade that "),
    ("696e 7374 7275 6d65 6e74", "instrument"),
];

/// The bytes of these parts.
fn octets(parts: Parts<'_>) -> Vec<u8> {
    let digits = parts.iter().flat_map(|(digits, _)| digits.split(' '));
    digits.flat_map(|digits| bytes_of(digits).unwrap_or_default()).collect()
}

fn car(numbers: &str) -> Vec<u8> {
    let middle = octets(&[(numbers, "four numbers")]);
    [octets(CAR_BEGINS), middle, octets(CAR_BLOCK_ENDS), octets(CAR_REST)].concat()
}

/// The same as a writer of the extension sends it.
fn extended_car() -> Vec<u8> {
    let mut before = [octets(CAR_BEGINS), octets(&[(CAR_NUMBERS[0], "")]), octets(CAR_BLOCK_ENDS)];
    before[0][0] = 45 + 17;
    before[0][6] = 1;
    [before.concat(), octets(&[(CAR_EXTENDED, "")]), octets(CAR_REST)].concat()
}

fn read(schema: &Schema, what: &str, bytes: &[u8], expected: &(&str, Json)) -> Verdict {
    let read = decode(schema, bytes);
    let read = read.map_err(|error| Failure::broken(format!("{what} is refused: {error}")))?;
    check(read.rest == 0, || format!("{what} has {} bytes behind it", read.rest))?;
    let says = read.says.json();
    check((read.name.as_str(), &says) == (expected.0, &expected.1), || {
        format!("{what} reads {} {says}, not {}", read.name, expected.1)
    })?;
    if read.version > schema.version {
        return Ok(());
    }
    // A writer by the same rules writes the same bytes.
    let again = encode(schema, &read.name, &read.says, read.version);
    check(again.as_deref() == Ok(bytes), || format!("{what} is written as {again:02x?}"))
}

fn schema(text: &str) -> Result<Schema, Failure> {
    Schema::parse(text).map_err(Failure::Harness)
}

/// Version 0 of the car's schema: without the two fields that the extension adds.
fn baseline_car() -> String {
    let lines = CAR_SCHEMA.lines().filter(|line| !line.contains("sinceVersion=\"1\""));
    lines.collect::<Vec<_>>().join("\n").replace(" version=\"1\"", " version=\"0\"")
}

pub(super) fn cv_23(trial: &mut Trial<'_>) -> Verdict {
    let (baseline, extension) = (schema(&baseline_car())?, schema(CAR_SCHEMA)?);
    for (digits, first) in CAR_NUMBERS.iter().zip([1, 0]) {
        let bytes = car(digits);
        check(bytes.len() == CAR_BYTES, || format!("a car has {} bytes", bytes.len()))?;
        let mut says = car_says(first);
        read(&baseline, "the car", &bytes, &("Car", says.clone()))?;
        // For a reader of the extension its fields are absent.
        (says["uuid"], says["cupHolderCount"]) = (Json::Null, Json::Null);
        read(&extension, "the car of before", &bytes, &("Car", says))?;
    }
    let bytes = extended_car();
    read(&baseline, "a car of the extension", &bytes, &("Car", car_says(1)))?;
    let mut says = car_says(1);
    (says["uuid"], says["cupHolderCount"]) = (json!(["1", "2"]), json!("3"));
    read(&extension, "a car of the extension", &bytes, &("Car", says))?;
    let orders = schema(ORDERS_SCHEMA)?;
    let messages = [
        ("an order", ORDER, order_says()),
        ("a report", REPORT, report_says()),
        ("a refusal", REJECT, reject_says()),
    ];
    for (what, parts, says) in messages {
        let bytes = octets(parts);
        let framed = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        check(framed as usize == bytes.len(), || format!("{what} has {} bytes", bytes.len()))?;
        read(&orders, what, &bytes[6..], &says)?;
    }
    trial.count("foreign_messages", 6);
    Ok(())
}

fn car_says(first: u32) -> Json {
    let numbers: Vec<String> = (first..first + 4).map(|number| number.to_string()).collect();
    let figure = |speed: &str, mpg: &str, usage: &str| {
        let says = [("speed", speed), ("mpg", mpg), ("usageDescription", usage)];
        says.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect::<Json>()
    };
    let in_seconds = |times: [&str; 3]| -> Vec<Json> {
        let each = ["30", "60", "100"].into_iter().zip(times);
        each.map(|(mph, seconds)| json!({ "mph": mph, "seconds": seconds })).collect()
    };
    json!({
        "serialNumber": "1234", "modelYear": "2013", "available": "T", "code": "A",
        "someNumbers": numbers, "vehicleCode": "abcdef",
        "extras": ["sportsPack", "cruiseControl"], "discountedModel": "C",
        "engine": {
            "capacity": "2000", "numCylinders": "4", "maxRpm": "9000", "manufacturerCode": "123",
            "fuel": "Petrol", "efficiency": "35", "boosterEnabled": "T",
            "booster": { "BoostType": "NITROUS", "horsePower": "200" },
        },
        "fuelFigures": [
            figure("30", "0x420f999a", "Urban Cycle"),
            figure("55", "0x42440000", "Combined Cycle"),
            figure("75", "0x42200000", "Highway Cycle"),
        ],
        "performanceFigures": [
            {
                "octaneRating": "95",
                "acceleration": in_seconds(["0x40800000", "0x40f00000", "0x41433333"]),
            },
            {
                "octaneRating": "99",
                "acceleration": in_seconds(["0x40733333", "0x40e33333", "0x413ccccd"]),
            },
        ],
        "manufacturer": "Honda", "model": "Civic VTi", "activationCode": "abcdef",
    })
}

fn order_says() -> (&'static str, Json) {
    let says = json!({
        "ClOrdID": "ORD00001", "Account": "ACCT01", "Symbol": "GEM4", "Side": "Buy",
        "TransactTime": 0x1529_6513_3bb3_1680_u64.to_string(),
        "OrderQty": { "mantissa": "7", "exponent": "0" }, "OrdType": "Limit",
        "Price": { "mantissa": "99610", "exponent": "-3" },
        "StopPx": { "mantissa": null, "exponent": "-3" },
    });
    ("NewOrderSingle", says)
}

fn report_says() -> (&'static str, Json) {
    let fill = |price: &str, quantity: &str| {
        json!({
            "FillPx": { "mantissa": price, "exponent": "-3" },
            "FillQty": { "mantissa": quantity, "exponent": "0" },
        })
    };
    let says = json!({
        "OrderID": "O0000001", "ExecID": "EXEC0000", "ExecType": "Trade",
        "OrdStatus": "PartialFilled", "Symbol": "GEM4",
        "MaturityMonthYear": { "year": "2014", "month": "6", "day": "255", "week": "255" },
        "Side": "Buy", "LeavesQty": { "mantissa": "1", "exponent": "0" },
        "CumQty": { "mantissa": "6", "exponent": "0" }, "TradeDate": "15989",
        "FillsGrp": [fill("99610", "2"), fill("99620", "4")],
    });
    ("ExecutionReport", says)
}

fn reject_says() -> (&'static str, Json) {
    let says = json!({
        "BusinessRejectRefID": "ORD00001", "BusinessRejectReason": "NotAuthorized",
        "Text": "Not authorized to trade that instrument",
    });
    ("BusinessMessageReject", says)
}
