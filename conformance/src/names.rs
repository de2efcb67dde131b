//! The names of all cases, as test functions. Written by a test, which fails when it is stale:
//! `QUORATE_GOLDEN=update cargo test -p quorate-conformance --test names`.

/// Turns a subject into test functions, one for each case: `cases!(MySubject::new());` in a module
/// of its own. The expression is evaluated for each of them.
#[macro_export]
macro_rules! cases {
    ($subject:expr) => {
        $crate::case_test!($subject, el_01, "EL-01");
        $crate::case_test!($subject, el_09, "EL-09");
        $crate::case_test!($subject, ad_01, "AD-01");
        $crate::case_test!($subject, ad_02, "AD-02");
        $crate::case_test!($subject, ad_03, "AD-03");
        $crate::case_test!($subject, ad_04, "AD-04");
        $crate::case_test!($subject, ad_05, "AD-05");
        $crate::case_test!($subject, ad_06, "AD-06");
        $crate::case_test!($subject, ad_07, "AD-07");
        $crate::case_test!($subject, ad_08, "AD-08");
        $crate::case_test!($subject, ad_09, "AD-09");
        $crate::case_test!($subject, ad_10, "AD-10");
        $crate::case_test!($subject, ad_11, "AD-11");
        $crate::case_test!($subject, ad_12, "AD-12");
        $crate::case_test!($subject, ad_13, "AD-13");
        $crate::case_test!($subject, ad_14, "AD-14");
        $crate::case_test!($subject, ad_15, "AD-15");
        $crate::case_test!($subject, ad_16, "AD-16");
        $crate::case_test!($subject, ad_17, "AD-17");
        $crate::case_test!($subject, ad_18, "AD-18");
        $crate::case_test!($subject, ad_19, "AD-19");
        $crate::case_test!($subject, ad_20, "AD-20");
        $crate::case_test!($subject, ad_21, "AD-21");
        $crate::case_test!($subject, ad_22, "AD-22");
        $crate::case_test!($subject, ad_23, "AD-23");
        $crate::case_test!($subject, ad_24, "AD-24");
        $crate::case_test!($subject, ad_25, "AD-25");
        $crate::case_test!($subject, ad_26, "AD-26");
        $crate::case_test!($subject, ad_27, "AD-27");
        $crate::case_test!($subject, ad_28, "AD-28");
        $crate::case_test!($subject, ad_29, "AD-29");
        $crate::case_test!($subject, ad_30, "AD-30");
        $crate::case_test!($subject, ad_31, "AD-31");
        $crate::case_test!($subject, ad_32, "AD-32");
        $crate::case_test!($subject, ad_33, "AD-33");
        $crate::case_test!($subject, ad_34, "AD-34");
    };
}
