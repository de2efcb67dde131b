//! The example of a service of one's own runs, and its source stays short.

#[expect(dead_code, reason = "the example is a program of its own; here it is a module")]
#[path = "../examples/own_service.rs"]
mod example;

#[test]
fn the_example_finds_nothing() {
    example::run(1..=5);
}

#[test]
fn the_example_is_short() {
    let source = include_str!("../examples/own_service.rs");
    assert!(source.lines().count() < 60);
}
