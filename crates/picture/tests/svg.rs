//! Pictures are documents of XML of bounded size, in which all text is legible and no name is
//! markup.

mod samples;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use process_introspection_export::{
    FreeRecord, MachineRecord, NameBuf, NodeRecord, PayerRecord, State, ZoneRecord,
};
use process_introspection_picture::map::buckets::Square;
use process_introspection_picture::svg;
use roxmltree::{Document, Node};
use samples::process::Part;
use samples::Numbers;

/// Largest size of a picture.
const LARGEST: usize = 200 << 10;

/// Returns the pictures of all kinds in which names are these.
fn all(name: &[u8]) -> Vec<(&'static str, String)> {
    let mut parts = samples::process::database();
    parts.iter_mut().for_each(|part| part.name = name.to_vec());
    static MACHINE: LazyLock<MachineRecord> = LazyLock::new(samples::machine::record);
    let mut machine = MACHINE.clone();
    for payer in machine.payers.iter_mut().flatten() {
        payer.cgroup = NameBuf(name.to_vec());
    }
    for zone in &mut machine.zones {
        zone.zone = String::from_utf8_lossy(name).into_owned();
    }
    let mut summary = samples::summary::record(&String::from_utf8_lossy(name));
    for policy in summary
        .huge_pages
        .iter_mut()
        .flat_map(|huge| &mut huge.policies)
    {
        policy.setting = Some(format!("x={}", String::from_utf8_lossy(name)));
    }
    static SQUARE: LazyLock<Square> = LazyLock::new(samples::machine::square);
    let missing = ["something is not known without privileges".to_owned()];
    vec![
        ("machine", svg::machine::draw(&machine, Some(&SQUARE))),
        ("machine without frames", svg::machine::draw(&machine, None)),
        ("physical", samples::process::physical(&parts, name)),
        ("resident", samples::process::resident(&parts, name)),
        ("summary", svg::summary::draw(&summary, &missing)),
        (
            "summaries",
            svg::summary::draw_several(&[summary.clone(), summary]),
        ),
        ("classes", svg::classes::draw()),
    ]
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    let text = node.attribute(name).unwrap_or("0");
    text.parse().unwrap_or_else(|_| panic!("{name}: {node:?}"))
}

/// Checks everything that holds for each picture.
fn check(what: &str, picture: &str) {
    assert!(picture.len() <= LARGEST, "{what}: {} bytes", picture.len());
    let document = Document::parse(picture).unwrap_or_else(|error| panic!("{what}: {error}"));
    let root = document.root_element();
    check_elements(what, root);
    let style = root.descendants().find(|node| node.has_tag_name("style"));
    check_style(what, root, style.and_then(|node| node.text()).unwrap());
    check_layout(what, root);
}

fn check_elements(what: &str, root: Node<'_, '_>) {
    for node in root.descendants().filter(Node::is_element) {
        let allowed: &[&str] = match node.tag_name().name() {
            "svg" => &[
                "class",
                "viewBox",
                "width",
                "height",
                "role",
                "aria-labelledby",
            ],
            "title" | "desc" => &["id"],
            "style" => &[],
            "rect" => &["class", "x", "y", "width", "height"],
            "path" => &["class", "d"],
            "text" => &["class", "x", "y", "text-anchor"],
            other => panic!("{what}: element {other}"),
        };
        for attribute in node.attributes() {
            assert!(allowed.contains(&attribute.name()), "{what}: {attribute:?}");
        }
    }
    assert_eq!(root.attribute("role"), Some("img"));
    let labels: Vec<_> = root
        .attribute("aria-labelledby")
        .unwrap()
        .split(' ')
        .collect();
    let described: Vec<_> = root
        .children()
        .filter(|node| node.has_tag_name("title") || node.has_tag_name("desc"))
        .map(|node| {
            assert!(node.text().is_some_and(|text| text.len() > 10), "{what}");
            node.attribute("id").unwrap()
        })
        .collect();
    assert_eq!(labels, described, "{what}");
}

/// Each class has a rule in both themes, fonts have at least 11 pixels, and nothing refers to
/// another document.
fn check_style(what: &str, root: Node<'_, '_>, style: &str) {
    let (light, dark) = style
        .split_once("@media (prefers-color-scheme:dark){")
        .unwrap();
    let classes = root
        .descendants()
        .filter_map(|node| node.attribute("class"));
    let classes: BTreeSet<_> = classes.filter(|&class| class != "introspect").collect();
    for class in classes {
        let rule = format!(".introspect .{class}{{");
        assert!(
            light.contains(&rule) && dark.contains(&rule),
            "{what}: {class}"
        );
    }
    for size in style.split("font-size:").skip(1) {
        let pixels = size.split("px").next().unwrap();
        assert!(pixels.parse::<f64>().unwrap() >= 11.0, "{what}: {pixels}");
    }
    for reference in ["url(", "@import", "http"] {
        assert!(!style.contains(reference), "{what}: {reference}");
    }
}

/// Text is within the picture and overlaps no other text; rectangles are within it, too.
fn check_layout(what: &str, root: Node<'_, '_>) {
    let (width, height) = (number(root, "width"), number(root, "height"));
    assert_eq!(width, 800.0);
    let mut boxes = Vec::<(f64, f64, f64, f64, String)>::new();
    for node in root.descendants().filter(|node| node.has_tag_name("text")) {
        let text = node.text().unwrap();
        let class = node.attribute("class").unwrap();
        let long = svg::width_of(class, text).unwrap();
        let (x, y) = (number(node, "x"), number(node, "y"));
        let left = match node.attribute("text-anchor") {
            Some("end") => x - long,
            _ => x,
        };
        // Letters are from 0.78 above the line to 0.22 below it; sizes are from 11 to 18.
        let size = match class {
            "tt" => 18.0,
            _ => 12.0,
        };
        let (top, bottom) = (y - 0.78 * size, y + 0.22 * size);
        let inside = left >= 0.0 && left + long <= width && top >= 0.0 && bottom <= height;
        assert!(inside, "{what}: {text} is at {left}, {y} and {long} wide");
        for (other_left, other_right, other_top, other_bottom, other) in &boxes {
            let apart = left >= *other_right
                || left + long <= *other_left
                || top >= *other_bottom
                || bottom <= *other_top;
            assert!(apart, "{what}: {text:?} overlaps {other:?}");
        }
        boxes.push((left, left + long, top, bottom, text.to_owned()));
    }
    for node in root.descendants().filter(|node| node.has_tag_name("rect")) {
        let (right, bottom) = (
            number(node, "x") + number(node, "width"),
            number(node, "y") + number(node, "height"),
        );
        assert!(right <= width && bottom <= height, "{what}: {node:?}");
    }
}

#[test]
fn pictures_are_well_formed_and_legible() {
    for (what, picture) in all(b"/usr/lib/x86_64-linux-gnu/libprocess.so.1") {
        check(what, &picture);
    }
}

#[test]
fn no_name_is_markup_and_each_is_shown_with_visible_escapes() {
    let long = vec![b'W'; 100_000];
    let wide = "漢".repeat(500);
    let escapes = "\u{202e}".repeat(400);
    for (name, shown) in [
        (&b"</text></style><script>alert(1)</script>"[..], "<script>"),
        (b"<!--<![CDATA[", "<!--"),
        (b"a\" onload='x' b=\"&lt;&#60;]]>", "&lt;&#60;"),
        ("\u{202e}\u{2066}evil".as_bytes(), "\\u{202e}"),
        (b"\x1b[31m\0\n\r\t", "\\x1b[31m\\x00\\n"),
        (b"\xff\xfe\x80", "\\xff\\xfe"),
        ("\u{fffe}\u{fdfd}\u{301}".as_bytes(), "\\u{fffe}"),
        (&long, "WWWW"),
        (wide.as_bytes(), "漢漢"),
        (escapes.as_bytes(), "\\u{202e}"),
    ] {
        for (what, picture) in all(name) {
            check(what, &picture);
            if what == "physical" {
                let document = Document::parse(&picture).unwrap();
                let mut texts = document
                    .descendants()
                    .filter(|node| node.has_tag_name("text"));
                let has_name = |node: Node<'_, '_>| node.text().unwrap().contains(shown);
                assert!(texts.any(has_name), "{shown}");
            }
        }
    }
}

#[test]
fn equal_records_give_equal_bytes() {
    assert_eq!(all(b"name"), all(b"name"));
    assert_ne!(all(b"name")[2], all(b"other")[2]);
}

#[test]
fn the_size_is_bounded_whatever_the_process() {
    let mut numbers = Numbers::new();
    let kinds = ["anon", "file", "elf", "shm"];
    let (mut parts, mut vpn) = (Vec::new(), 16);
    for mapping in 0..2000u64 {
        let name = format!(
            "/mapping/{mapping}{}",
            "x".repeat(numbers.below(300) as usize)
        );
        for _ in 0..numbers.below(60) {
            let state = State::ALL[numbers.below(11) as usize];
            let longest = 1 << numbers.below(14);
            let pages = 1 + numbers.below(longest);
            let has_frames = matches!(state, State::Ram | State::Device);
            let pfn = numbers.below(1 << 33);
            parts.push(Part {
                vpn,
                pages,
                pfn: has_frames.then_some(pfn),
                state,
                prot: "rw-",
                shared: mapping % 2 == 0,
                kind: kinds[mapping as usize % 4],
                page_size: has_frames.then_some(4096),
                name: name.as_bytes().to_vec(),
            });
            vpn += pages;
        }
        vpn += numbers.below(1 << 20);
    }
    check("physical", &samples::process::physical(&parts, b"large"));
    check("resident", &samples::process::resident(&parts, b"large"));
}

#[test]
fn the_size_is_bounded_whatever_the_machine() {
    let machine = samples::machine::record();
    let payer = PayerRecord {
        payer: "cgroup",
        cgroup: NameBuf(vec![b'g'; 4000]),
        unit: None,
        container: None,
        bytes: 1 << 20,
    };
    let zones = (0..5000).map(|node| ZoneRecord {
        node,
        zone: "Normal".to_owned(),
        present: 1 << 40,
        managed: 1 << 30,
        free: 0,
        per_cpu: 0,
    });
    let free = (0..5000 * 20).map(|index| FreeRecord {
        node: index / 20,
        zone: "Normal".to_owned(),
        page_order: index % 20,
        size: 4096 << (index % 20),
        blocks: 3,
    });
    let machine = MachineRecord {
        payers: Some(vec![payer; 3000]),
        zones: zones.collect(),
        free: free.collect(),
        ..machine
    };
    let mut counts = Square::counts(16);
    let mut numbers = Numbers::new();
    for index in 0..1 << 16 {
        counts.add(index << 14..(index << 14) + 2048, numbers.below(16) as u8);
        counts.add(
            (index << 14) + 2048..(index + 1) << 14,
            numbers.below(16) as u8,
        );
    }
    let square = Square::new(&counts, 4096);
    check("machine", &svg::machine::draw(&machine, Some(&square)));
}

#[test]
fn the_size_is_bounded_whatever_the_number_of_processes_and_nodes() {
    let mut record = samples::summary::record(&"long ".repeat(30_000));
    let nodes = (0..1024).map(|node| NodeRecord {
        node: Some(node),
        bytes: 1 << 30,
    });
    record.nodes = Some(nodes.collect());
    check("summary", &svg::summary::draw(&record, &[]));
    check("summaries", &svg::summary::draw_several(&vec![record; 300]));
}

#[test]
fn a_picture_of_nothing_is_a_picture() {
    check("physical", &samples::process::physical(&[], b""));
    check("resident", &samples::process::resident(&[], b""));
    check("summaries", &svg::summary::draw_several(&[]));
}

/// What a caller may not see is not shown as nothing.
#[test]
fn unknown_numbers_are_called_unknown() {
    let mut record = samples::summary::record("sleep 5");
    record.total.pss = None;
    record.total.uss = None;
    (record.page_sizes, record.huge_pages) = (None, None);
    (record.contiguity, record.nodes) = (None, None);
    let picture = svg::summary::draw(&record, &["why".to_owned()]);
    check("summary", &picture);
    assert!(picture.contains("PSS unknown, USS unknown") && picture.contains("(why)"));
    let several = svg::summary::draw_several(&[record]);
    assert!(several.contains("PSS unknown in all"));
}
