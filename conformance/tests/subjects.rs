//! Every case as a test function, on each subject of this project: `cargo test el_09` runs one.

mod core {
    quorate_conformance::cases!(quorate_conformance::subjects::Reference);
}

mod shim {
    quorate_conformance::cases!({
        let shim = quorate_conformance::shim::Shim::start(env!("CARGO_BIN_EXE_quorate-shim"));
        shim.expect("the shim starts")
    });
}

#[cfg(feature = "runtimes")]
mod tokio {
    quorate_conformance::cases!(
        quorate_conformance::subjects::Tokio::new().expect("the system has threads")
    );
}

#[cfg(feature = "runtimes")]
mod mio {
    quorate_conformance::cases!(quorate_conformance::subjects::Mio);
}

#[cfg(feature = "runtimes")]
mod async_std {
    quorate_conformance::cases!(quorate_conformance::subjects::AsyncStd);
}
