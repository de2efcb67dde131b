use quorate_conformance::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let profile = match args.get(2).map(String::as_str) {
        Some("standard") => Profile::Standard,
        Some("strict") => Profile::Strict,
        _ => Profile::Quick,
    };
    let seed = args.get(3).map_or(1, |s| s.parse().unwrap());
    #[cfg(quorate_mutants)]
    if let Ok(m) = std::env::var("MUTANT") {
        quorate_core::mutant::choose(m.parse().unwrap());
    }
    std::panic::set_hook(Box::new(|_| {}));
    for case in catalogue::all().filter(|c| catalogue::matches(c, &args[1])) {
        let r = run_case(&subjects::Reference, case, seed, profile);
        let reason = r.reason.unwrap_or_default();
        let own: Vec<_> =
            r.counters.iter().filter(|(k, _)| k.contains(' ') || k.contains("elections")).collect();
        println!(
            "{} {:?} {} ms, virtual {} s {:?} {}",
            r.id,
            r.outcome,
            r.real_ms,
            r.virtual_ns / 1_000_000_000,
            own,
            reason.chars().take(400).collect::<String>()
        );
        if std::env::var("STORY").is_ok() {
            if let Some(s) = r.story {
                for sc in s.scenes {
                    println!("{:>10} {:?}", sc.at / 1000, sc.told);
                }
            }
        }
    }
}
