//! The names of all cases, as test functions. Written by a test, which fails when it is stale:
//! `QUORATE_GOLDEN=update cargo test -p quorate-conformance --test names`.

/// Turns a subject into test functions, one for each case: `cases!(MySubject::new());` in a module
/// of its own. The expression is evaluated for each of them.
#[macro_export]
macro_rules! cases {
    ($subject:expr) => {
        $crate::case_test!($subject, el_01, "EL-01");
        $crate::case_test!($subject, el_09, "EL-09");
    };
}
