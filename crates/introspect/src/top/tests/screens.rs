//! Screens as text, compared with the files in `screens`. `INTROSPECT_WRITE_SCREENS=1` writes
//! the files instead; the difference is then to be read.

use std::fs;
use std::path::PathBuf;

use process_introspection::FrameUse;
use process_introspection_picture::palette;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::style::Color as Paint;
use ratatui::Terminal;

use super::*;
use crate::grouping::Property;
use crate::top::draw::draw;
use crate::top::keys::press;
use crate::top::look::{Colors, Look};
use crate::top::model::GroupReading;

const PLAIN: Look = Look {
    ascii: false,
    colors: Colors::None,
    is_light: false,
};

/// Sizes at which every screen is compared.
const SIZES: [(u16, u16); 3] = [(80, 24), (40, 12), (200, 60)];

fn screen(state: &mut State, look: Look, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let drawn = terminal.draw(|frame| {
        let area = frame.area();
        draw(state, look, area, frame.buffer_mut());
    });
    drawn.unwrap();
    terminal.backend().buffer().clone()
}

fn text(screen: &Buffer) -> String {
    let mut text = String::new();
    for row in screen.content().chunks(usize::from(screen.area().width)) {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row {
            // A wide character covers the cell behind it.
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = ratatui::text::Span::raw(cell.symbol()).width().max(1);
            }
            skip -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn type_keys(state: &mut State, keys: &str) {
    for character in keys.chars() {
        let code = match character {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            other => KeyCode::Char(other),
        };
        press(state, KeyEvent::from(code));
    }
}

/// Compares the screens of all sizes with a file.
fn check(name: &str, make: impl Fn() -> State) {
    let mut found = String::new();
    for size in SIZES {
        let mut state = make();
        state.now = seconds(30);
        let (width, height) = size;
        found += &format!("--- {width} x {height}\n");
        found += &text(&screen(&mut state, PLAIN, size));
    }
    let file = format!(
        "{}/src/top/tests/screens/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let file = PathBuf::from(file);
    if std::env::var_os("INTROSPECT_WRITE_SCREENS").is_some() {
        fs::write(&file, &found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{name} is not as in {}:\n{found}",
        file.display()
    );
}

/// Draws once, so that there is a selection, and types keys.
fn after_keys(mut state: State, keys: &str) -> State {
    for key in keys.chars() {
        screen(&mut state, PLAIN, (80, 24));
        type_keys(&mut state, &key.to_string());
    }
    state
}

#[test]
fn processes_are_shown_with_what_is_known_of_each() {
    check("processes", state);
}

#[test]
fn a_process_that_has_ended_stays_for_a_while() {
    let ended = || {
        let mut state = state();
        let mut left = processes();
        left.retain(|one| one.key != key(310));
        state.update(Update::Counted(left, Totals::default()), seconds(25));
        state
    };
    check("ended", ended);
    let mut state = ended();
    state.now = seconds(36);
    let shown = text(&screen(&mut state, PLAIN, (80, 24)));
    assert!(
        !shown.contains("  310 ") && shown.contains("  311 "),
        "{shown}"
    );
}

#[test]
fn groups_are_exact_once_all_of_their_processes_were_read() {
    let groups = |keys: &'static str| {
        move || {
            let mut state = after_keys(state(), keys);
            let charges = [
                ("/init.scope", 14),
                ("/system.slice/postgresql.service", 1500),
            ];
            let charges = charges.map(|(path, size)| (path.as_bytes().to_vec(), size * MIB));
            state.update(Update::Charges(charges.into()), seconds(29));
            state.update(
                Update::Groups(GroupReading {
                    property: Property::Command,
                    memory: [
                        (b"postgres".to_vec(), Some(860 * MIB)),
                        (b"systemd".to_vec(), None),
                    ]
                    .into(),
                    at: seconds(18),
                }),
                seconds(29),
            );
            state
        }
    };
    check("groups_by_command", groups("g"));
    check("groups_by_unit", groups("ggg"));
    check("group_members", groups("g\n"));
}

#[test]
fn a_filter_leaves_the_rows_that_contain_it() {
    check("filter", || after_keys(state(), "/POST"));
    check("filter_of_nothing", || after_keys(state(), "/nobody\n"));
}

#[test]
fn changes_are_signed_and_estimates_are_marked() {
    check("changes", || {
        let mut state = after_keys(state(), " d");
        let mut left = processes();
        left[1].resident += 64 * MIB;
        left.remove(2);
        left[4].resident -= 100 * MIB;
        left.push(counted(6000, "new", 5 * MIB));
        state.update(Update::Counted(left, Totals::default()), seconds(29));
        let result = Ok(exact(965 * MIB, 600 * MIB));
        state.update(Update::Read(key(310), result, seconds(29)), seconds(29));
        state
    });
}

#[test]
fn mappings_and_regions_are_opened() {
    let with_lists = |keys: &'static str| {
        move || {
            let mut state = state();
            state.update(Update::Mappings(mappings()), seconds(29));
            state.update(Update::Regions(regions()), seconds(30));
            after_keys(state, keys)
        }
    };
    check("mappings", with_lists("\n"));
    // The mapping with the second most resident memory is the heap.
    check("regions", || {
        let mut state = with_lists("\n")();
        screen(&mut state, PLAIN, (80, 24));
        press(&mut state, KeyCode::Down.into());
        after_keys(state, "\n")
    });
    check("not_read_yet", || after_keys(state(), "\n"));
    check("nothing_known", || State::new(None, None));
    check("failure", || {
        let mut state = after_keys(state(), "\n");
        let shown = state.page().shown;
        let why = "the process has ended".to_owned();
        state.update(Update::Failed(shown, why), seconds(30));
        state
    });
}

#[test]
fn the_machine_has_uses_payers_free_blocks_and_a_map() {
    let shown = |keys: &'static str| {
        move || {
            let mut state = state();
            state.update(Update::Machine(machine()), seconds(25));
            after_keys(state, keys)
        }
    };
    check("machine", shown("m"));
    check("machine_map", shown("m\t"));
    check("machine_payers", shown("m\t\t"));
    check("machine_free", shown("m\t\t\t"));
    check("machine_changes", || {
        let mut state = shown("m d")();
        let mut later = machine();
        if let MachineContent::Frames(record, _) = &mut later.content {
            record.uses[0].bytes += 50 * MIB;
            record
                .uses
                .retain(|one| one.r#use != FrameUse::PageTable.name());
        }
        state.update(Update::Machine(later), seconds(30));
        state
    });
}

#[test]
fn without_privileges_what_is_missing_is_said() {
    let without = || {
        let mut state = State::new(None, None);
        state.update(Update::Counted(processes(), Totals::default()), seconds(1));
        state.missing = Some((
            "without root: only own processes, and no MEMORY, EXTENTS, addresses".to_owned(),
            "no root: own processes only, see ?".to_owned(),
        ));
        for one in processes() {
            let of_own = Exact {
                memory: None,
                extents: None,
                ..exact(one.resident, one.resident / 2)
            };
            let result = match one.key.pid {
                310 => Ok(of_own),
                _ => Err(Unread::Denied),
            };
            state.update(Update::Read(one.key, result, seconds(20)), seconds(20));
        }
        state
    };
    check("unprivileged", without);
    check("unprivileged_help", || after_keys(without(), "?"));
    check("unprivileged_machine", || {
        let mut state = without();
        let content = MachineContent::Counters {
            counters: vec![
                ("MemTotal", 1000 * MIB),
                ("MemFree", 300 * MIB),
                ("Slab", 40 * MIB),
            ],
            free: vec![(4096, 100 * MIB), (4 * MIB, 200 * MIB)],
            why: "uses of frames, payers and the map need root".to_owned(),
        };
        let at = seconds(25);
        state.update(Update::Machine(Machine { content, at }), at);
        after_keys(state, "m")
    });
}

#[test]
fn help_lists_every_key() {
    check("help", || after_keys(state(), "?"));
    let shown = text(&screen(&mut after_keys(state(), "?"), PLAIN, (80, 60)));
    for (key, meaning) in crate::top::keys::KEYS {
        assert!(
            shown.contains(key) && shown.contains(meaning),
            "{key}: {shown}"
        );
    }
}

#[test]
fn five_thousand_processes_take_the_lines_of_the_screen() {
    let many = || {
        let mut state = State::new(None, None);
        let all = (1..=5000u32).map(|pid| {
            // Sizes that do not ascend with the numbers.
            let resident = u64::from(pid.wrapping_mul(2_654_435_761) >> 12) * 4096;
            counted(pid, &format!("worker{pid}"), resident)
        });
        state.update(
            Update::Counted(all.collect(), Totals::default()),
            seconds(1),
        );
        state
    };
    check("five_thousand", many);
    let mut state = many();
    let table = state.table(21).unwrap();
    assert_eq!((table.rows.len(), table.count), (21, (5000, 5000)));
    assert_eq!(state.interest().visible.len(), 21);
    press(&mut state, KeyCode::End.into());
    let table = state.table(21).unwrap();
    assert_eq!(table.first, 5000 - 21);
    assert!(table.rows[20].is_selected);
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    for (width, height) in [
        (1, 1),
        (3, 2),
        (10, 3),
        (20, 5),
        (39, 11),
        (69, 14),
        (70, 14),
        (400, 100),
    ] {
        for keys in ["", "?", "g", "\n", "m", "m\t", "m\t\t", "m\t\t\t", "/x"] {
            let mut state = state();
            state.update(Update::Machine(machine()), seconds(25));
            state.update(Update::Mappings(mappings()), seconds(29));
            let mut state = after_keys(state, keys);
            state.missing = Some(("long ".repeat(30), "short".to_owned()));
            screen(&mut state, PLAIN, (width, height));
        }
    }
}

#[test]
fn colors_are_those_of_the_palette_and_none_without_them() {
    let shown = |look| {
        let mut state = state();
        state.update(Update::Machine(machine()), seconds(25));
        let mut state = after_keys(state, "m");
        screen(&mut state, look, (200, 60))
    };
    let plain = shown(PLAIN);
    let is_plain =
        |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Paint::Reset, Paint::Reset);
    assert!(plain.content().iter().all(is_plain));
    let colored = shown(Look {
        colors: Colors::All,
        ..PLAIN
    });
    assert_eq!(
        text(&plain),
        text(&colored),
        "colours add nothing that letters do not say"
    );
    let slab = palette::of_use(FrameUse::Slab);
    let [red, green, blue] = slab.dark.rgb();
    let color = Paint::Rgb(red, green, blue);
    let mut cells = colored.content().iter().filter(|cell| cell.bg == color);
    assert!(cells.clone().count() > 2);
    assert!(cells.all(|cell| cell.symbol() == slab.letter.to_string()));
}

#[test]
fn without_utf8_every_character_is_ascii() {
    let look = Look {
        ascii: true,
        ..PLAIN
    };
    for keys in ["", "?", "g", "\n", "m", "d", "/p"] {
        let mut state = state();
        state.update(Update::Machine(machine()), seconds(25));
        state.update(Update::Mappings(mappings()), seconds(29));
        let shown = text(&screen(&mut after_keys(state, keys), look, (60, 20)));
        assert!(shown.is_ascii(), "{keys:?}: {shown}");
    }
}

#[test]
fn names_do_not_become_control_sequences() {
    let shown = text(&screen(&mut state(), PLAIN, (200, 60)));
    assert!(shown.contains(r"\x1b[31m\u{202e}evil\n界"), "{shown}");
    let is_control = |one: char| one.is_control() && one != '\n';
    assert!(!shown.contains(is_control) && !shown.contains('\u{202e}'));
}
