//! The same seed is the same run.

use quorate_sim::World;
use quorate_sim::sweep::run_seed;

#[test]
fn a_seed_runs_twice_the_same() {
    for seed in 1..6 {
        let (one, two) = (run_seed(seed, 500), run_seed(seed, 500));
        assert_eq!(one.trace_hash, two.trace_hash, "seed {seed}");
        assert_eq!((one.steps, one.elapsed), (two.steps, two.elapsed), "seed {seed}");
        assert_eq!(one.tally, two.tally, "seed {seed}");
    }
}

#[test]
fn a_trace_changes_nothing() {
    let plain = run_seed(3, 300);
    let mut world = World::new(3);
    world.record_trace();
    let traced = quorate_sim::sweep::run_world(&mut world, 300);
    assert_eq!(plain.trace_hash, traced.trace_hash);
    assert!(!world.take_trace().is_empty());
}
