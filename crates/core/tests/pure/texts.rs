//! Small text files below `/proc`.

use process_introspection_core::proc_text::{number, value_of, Stat};

#[test]
fn fields_are_found_behind_any_name() {
    let fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
    for name in ["cat", ") T 1 2", "a b\n)", ""] {
        let text = [b"12 (", name.as_bytes(), b") ", fields.as_bytes()].concat();
        let stat = Stat::parse(&text).unwrap();
        let found = (stat.state(), stat.flags(), stat.start_time());
        assert_eq!(found, (Some(b'S'), Some(6), Some(4711)), "{name:?}");
        for len in 0..text.len() {
            let time = Stat::parse(&text[..len]).and_then(|stat| stat.start_time());
            assert!(matches!(time, None | Some(4711)), "{name:?} {len}");
        }
    }
    for cut in [&b"12 (cat"[..], b"12 (cat)"] {
        assert_eq!(Stat::parse(cut), None);
    }
}

#[test]
fn values_are_found_by_the_beginning_of_a_whole_line() {
    let value = |text: &'static str| value_of(text.as_bytes(), b"Pid:");
    assert_eq!(
        value("pos:\t0\nPid:\t123\nNSpid:\t123\n"),
        Some(&b"123"[..])
    );
    assert_eq!(value("pos:\t0\nPid:\t-1\n").and_then(number), Some(-1));
    assert_eq!(value("pos:\t0\nflags:\t02\n"), None);
    // PID 123 is another process than 12345.
    assert_eq!(value("pos:\t0\nPid:\t123"), None);
}
