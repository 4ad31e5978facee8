//! Keys as a table: what they make of a state.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::top::columns::RowId;
use crate::top::keys::{press, Effect};

/// Draws the list, so that rows can be selected.
fn arrange(state: &mut State) {
    state.table(3);
}

fn event(key: &str) -> KeyEvent {
    let code = match key {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Backspace" => KeyCode::Backspace,
        "Tab" => KeyCode::Tab,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "PageUp" => KeyCode::PageUp,
        "PageDown" => KeyCode::PageDown,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "F1" => KeyCode::F(1),
        "Space" => KeyCode::Char(' '),
        "M-/" => return KeyEvent::new(KeyCode::Char('/'), KeyModifiers::ALT),
        _ => match key.strip_prefix('^').and_then(|key| key.chars().next()) {
            Some(letter) => return KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL),
            None => KeyCode::Char(key.chars().next().unwrap()),
        },
    };
    KeyEvent::from(code)
}

/// Describes what a state shows.
fn described(state: &mut State) -> String {
    let order = match state.table(3) {
        Some(table) => {
            let by = table.columns.iter().find(|column| column.order.is_some());
            let by = by.expect("a list has an order");
            let arrow = if by.order == Some(true) { "v" } else { "^" };
            format!(" {}{arrow}", by.title)
        }
        None => String::new(),
    };
    let selected = match state.page().list.selected() {
        Some(RowId::Process(key)) => format!(" at {}", key.pid),
        Some(RowId::Group(name)) => format!(" at {}", String::from_utf8_lossy(name)),
        Some(RowId::Address(address)) => format!(" at {address:x}"),
        None => String::new(),
    };
    let mut text = format!("{}{order}{selected}", state.title());
    let filter = &state.page().list.filter;
    if state.is_filtering || !filter.is_empty() {
        let typed = if state.is_filtering { "_" } else { "" };
        text += &format!(" filter {filter}{typed}");
    }
    if let Some(mark) = &state.mark {
        text += &format!(" mark {}", mark.at.as_secs());
    }
    if state.shows_changes {
        text += " changes";
    }
    if let Some(line) = state.help {
        text += &format!(" help {line}");
    }
    text
}

/// Keys, separated by blanks, and what is shown after them.
const TABLE: &[(&str, &str)] = &[
    ("", "processes PSSv at 310"),
    ("Down", "processes PSSv at 5000"),
    ("Down Down Up", "processes PSSv at 5000"),
    ("Up", "processes PSSv at 310"),
    ("PageDown", "processes PSSv at 4021"),
    ("End", "processes PSSv at 4022"),
    ("End Down", "processes PSSv at 4022"),
    ("End PageUp", "processes PSSv at 311"),
    ("End Home", "processes PSSv at 310"),
    // The order; a row that was selected stays so, otherwise it is the first one.
    ("Down 1", "processes PID^ at 5000"),
    ("Down Home 1", "processes PID^ at 1"),
    (">", "processes USSv at 310"),
    ("Right", "processes USSv at 310"),
    ("<", "processes RESIDENTv at 310"),
    ("Left Left Left Left", "processes PID^ at 1"),
    ("r", "processes PSS^ at 4022"),
    ("1", "processes PID^ at 1"),
    ("1 1", "processes PIDv at 5000"),
    ("3", "processes RESIDENTv at 310"),
    ("> > > > > > > > > >", "processes COMMAND^ at 4021"),
    ("r Home", "processes PSS^ at 4022"),
    // Pages.
    (
        "Enter",
        "mappings of 310 postgres RESIDENTv at 7f0000000000",
    ),
    ("Enter Esc", "processes PSSv at 310"),
    ("Down Enter Backspace", "processes PSSv at 5000"),
    (
        "Enter Down Enter",
        "regions of 557010000000-557012000000 of 310 postgres VADDR^ at 557010000000",
    ),
    (
        "Enter Down Enter ^h",
        "mappings of 310 postgres RESIDENTv at 557010000000",
    ),
    (
        "Enter Down Enter Enter",
        "regions of 557010000000-557012000000 of 310 postgres VADDR^ at 557010000000",
    ),
    ("Enter Enter p", "processes PSSv at 310"),
    ("g", "groups by command PSSv at postgres"),
    ("g Enter", "processes of command postgres PSSv at 310"),
    ("g Enter Esc", "groups by command PSSv at postgres"),
    (
        "g g",
        "groups by cgroup PSSv at /system.slice/postgresql.service",
    ),
    ("g g g", "groups by unit PSSv at postgresql.service"),
    ("g g g g", "groups by container PSSv at "),
    ("g g g g g", "groups by user PSSv at 104"),
    ("g g g g g g", "groups by command PSSv at postgres"),
    ("m", "machine"),
    ("m m", "processes PSSv at 310"),
    ("m Esc", "processes PSSv at 310"),
    ("m Tab / > r 1", "machine"),
    ("Esc", "processes PSSv at 310"),
    // The filter: every character belongs to it.
    ("/", "processes PSSv at 310 filter _"),
    ("/ s s h", "processes PSSv at 4022 filter ssh_"),
    ("/ q Backspace d", "processes PSSv at 1 filter d_"),
    ("/ s s h Enter", "processes PSSv at 4022 filter ssh"),
    ("/ s s h Enter Esc", "processes PSSv at 310"),
    ("/ s s h Esc", "processes PSSv at 310"),
    ("/ p o s t Down Enter Esc", "processes PSSv at 311"),
    ("/ s s h Enter M-/", "processes PSSv at 310 filter _"),
    ("/ Backspace", "processes PSSv at 310"),
    ("/ p o s t Down", "processes PSSv at 311 filter post_"),
    ("/ z z z", "processes PSSv filter zzz_"),
    ("/ z z z Enter Enter", "processes PSSv filter zzz"),
    ("/ s s h Enter Backspace", "processes PSSv at 310"),
    // The mark and changes.
    ("Space", "processes PSSv at 310 mark 30"),
    ("k", "processes PSSv at 310 mark 30"),
    ("k d", "processes PSSv at 1 mark 30 changes"),
    ("k d d", "processes PSSv at 310 mark 30"),
    ("Down d", "processes PSSv at 5000 mark 30 changes"),
    // The help is on top of everything.
    ("?", "processes PSSv at 310 help 0"),
    ("F1", "processes PSSv at 310 help 0"),
    ("? Down Down Up", "processes PSSv at 310 help 1"),
    ("? Down Home", "processes PSSv at 310 help 0"),
    ("? m g d", "processes PSSv at 310 help 0"),
    ("? q", "processes PSSv at 310"),
    ("? Esc", "processes PSSv at 310"),
    ("? ?", "processes PSSv at 310"),
];

#[test]
fn keys_change_the_state_as_the_table_says() {
    for (keys, expected) in TABLE {
        let mut state = state();
        state.update(Update::Mappings(mappings()), seconds(29));
        state.update(Update::Regions(regions()), seconds(30));
        state.now = seconds(30);
        for key in keys.split_whitespace() {
            arrange(&mut state);
            assert_eq!(press(&mut state, event(key)), Effect::None, "{keys}");
        }
        assert_eq!(described(&mut state), *expected, "{keys}");
    }
}

#[test]
fn some_keys_have_an_effect_outside_of_the_state() {
    for (keys, effect) in [
        ("q", Effect::Quit),
        ("^c", Effect::Quit),
        ("? ^c", Effect::Quit),
        ("/ x ^c", Effect::Quit),
        ("m q", Effect::Quit),
        ("^z", Effect::Suspend),
        ("/ ^z", Effect::Suspend),
        ("^l", Effect::Redraw),
        ("/ q", Effect::None),
        ("? q", Effect::None),
        ("^x", Effect::None),
    ] {
        let mut state = state();
        let mut last = Effect::None;
        for key in keys.split_whitespace() {
            arrange(&mut state);
            last = press(&mut state, event(key));
        }
        assert_eq!(last, effect, "{keys}");
    }
}

#[test]
fn the_selection_stays_on_its_process_or_at_its_place() {
    let mut state = state();
    arrange(&mut state);
    press(&mut state, event("Down"));
    let selected = |state: &mut State| {
        arrange(state);
        match state.page().list.selected() {
            Some(RowId::Process(key)) => key.pid,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(selected(&mut state), 5000);
    // The order changes.
    let result = Ok(exact(80 * MIB, MIB));
    state.update(Update::Read(key(5000), result, seconds(31)), seconds(31));
    assert_eq!(selected(&mut state), 5000);
    assert_eq!(state.interest().visible.len(), 3);
    // The process ends, and is forgotten later.
    let left = processes().into_iter().filter(|one| one.key != key(5000));
    let left: Vec<_> = left.collect();
    state.update(
        Update::Counted(left.clone(), Totals::default()),
        seconds(32),
    );
    assert_eq!(selected(&mut state), 5000);
    state.update(Update::Counted(left, Totals::default()), seconds(43));
    assert_eq!(selected(&mut state), 4022, "the row at its place");
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let mut state = state();
    let mut later = processes();
    later[1].key.started += Duration::from_secs(1000);
    state.update(Update::Counted(later, Totals::default()), seconds(29));
    let rows: Vec<_> = [
        key(310),
        Key {
            started: key(310).started + Duration::from_secs(1000),
            ..key(310)
        },
    ]
    .map(|key| {
        state
            .process(key)
            .map(|row| (row.ended.is_some(), row.exact.is_some()))
    })
    .into();
    assert_eq!(rows, [Some((true, true)), Some((false, false))]);
}
