//! `docs/stack.md` says what the code does.

#![expect(clippy::disallowed_methods, reason = "the test reads the documentation")]

use std::{env, fs, path::Path};

#[test]
fn the_documentation_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/stack.md");
    let made = disco_stack::matrix();
    if env::var_os("DISCO_TEST_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == made, "`docs/stack.md` is old: DISCO_TEST_BLESS=1 cargo test -p disco-stack --test published");
}
