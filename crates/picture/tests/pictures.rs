//! Pictures are equal to the committed ones. `cargo xtask generate` writes them (`GENERATE=1`).

mod samples;

use std::fs;
use std::path::Path;

use process_introspection_picture::svg;

fn check(name: &str, picture: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
    let path = path.join(name);
    if std::env::var_os("GENERATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(path, picture).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == picture,
        "{name} differs: run cargo xtask generate"
    );
}

#[test]
fn the_picture_of_a_machine_is_the_committed_one() {
    let square = samples::machine::square();
    let picture = svg::machine::draw(&samples::machine::record(), Some(&square));
    check("machine.svg", &picture);
}

#[test]
fn the_picture_of_a_process_is_the_committed_one() {
    let parts = samples::process::database();
    check(
        "physical.svg",
        &samples::process::physical(&parts, b"postgres"),
    );
}

#[test]
fn the_picture_of_the_classes_is_the_committed_one() {
    check("classes.svg", &svg::classes::draw());
}
