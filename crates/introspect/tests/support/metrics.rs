//! Metrics as clients see them: a strict parser of Prometheus' text format, and a service that
//! listens.

// Each test program uses a part of this module.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{introspect, Running};

/// Time after which something that is sure to come counts as lost.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// Series by name and labels.
pub(crate) type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Parses Prometheus' text format as strictly as its description allows: each metric with its help
/// and its type before its samples, all of them together, and no series twice.
pub(crate) fn parse(text: &str) -> Series {
    assert!(text.ends_with('\n'), "the last line ends");
    let (mut series, mut types) = (Series::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect(line);
            assert!(helped.insert(name), "one help: {line}");
            assert!(!help.is_empty() && !help.contains('\\'), "{line}");
            current = name;
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert_eq!(name, current, "help comes before: {line}");
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(types.insert(name, kind).is_none(), "one type: {line}");
            continue;
        }
        assert!(!line.starts_with('#') && !line.is_empty(), "{line:?}");
        let (name, labels, value) = sample(line);
        assert_eq!(name, current, "samples are together: {line}");
        assert!(types.contains_key(&name[..]), "{line}");
        let before = series.insert((name, labels), value);
        assert!(before.is_none(), "one series: {line}");
    }
    series
}

/// Parses a line with a value.
pub(crate) fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = line.trim_start_matches(is_name);
    let name = line[..line.len() - rest.len()].to_owned();
    assert!(name.starts_with("introspect_"), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let after = rest.trim_start_matches(is_name);
            let label = rest[..rest.len() - after.len()].to_owned();
            assert!(!label.is_empty(), "{line}");
            rest = after.strip_prefix("=\"").expect(line);
            let mut value = String::new();
            let mut characters = rest.char_indices();
            let end = loop {
                match characters.next().expect(line) {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match characters.next().expect(line).1 {
                        '\\' => '\\',
                        '"' => '"',
                        'n' => '\n',
                        _ => panic!("no escape: {line}"),
                    }),
                    (_, c) => {
                        assert!(!c.is_control(), "{line:?}");
                        value.push(c);
                    }
                }
            };
            assert!(labels.insert(label, value).is_none(), "one label: {line}");
            rest = &rest[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    let value = rest.strip_prefix(' ').expect(line);
    let value: f64 = value.parse().expect(line);
    assert!(value.is_finite(), "{line}");
    (name, labels, value)
}

/// Returns the series of a metric, by the value of a label.
pub(crate) fn by(series: &Series, name: &str, label: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::<String, f64>::new();
    for ((of, labels), value) in series {
        if of == name {
            let label = labels.get(label).cloned().unwrap_or_default();
            *sums.entry(label).or_default() += value;
        }
    }
    sums
}

/// Returns the only series of a metric.
pub(crate) fn only(series: &Series, name: &str) -> f64 {
    let found = by(series, name, "");
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[""]
}

/// Service that listens at a free port.
pub(crate) struct Service {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Service {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = introspect();
        command
            .args(["metrics", "--listen", "127.0.0.1:0"])
            .args(arguments);
        command.stderr(Stdio::piped()).stdin(Stdio::null());
        let mut running = Running(command.spawn().unwrap());
        let mut line = String::new();
        let stderr = running.0.stderr.take().unwrap();
        let mut stderr = BufReader::new(stderr);
        stderr.read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("introspect: metrics are at http://");
        let address = address.and_then(|rest| rest.strip_suffix("/metrics"));
        let address = address.expect(&line).parse().unwrap();
        // Nothing fills the pipe.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { running, address }
    }

    /// Sends a request and returns the whole answer.
    pub(crate) fn ask(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        // An answer can come before all of a long request is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::parse(&answer)
    }

    pub(crate) fn get(&self, accept: &str) -> Answer {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\n\r\n");
        self.ask(request.as_bytes())
    }

    /// Waits for the end of the first walk of processes.
    pub(crate) fn walked(&self) -> Series {
        let begun = Instant::now();
        loop {
            let answer = self.get("*/*");
            if answer.status == 200 {
                let series = parse(&answer.body);
                if by(&series, "introspect_walks_total", "part")["processes"] >= 1.0 {
                    return series;
                }
            } else {
                assert_eq!(answer.status, 503);
            }
            assert!(begun.elapsed() < LONGEST, "no walk");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&mut self, signal: i32) -> Option<i32> {
        // SAFETY: one system call; the process is this one's child and not reaped yet.
        assert_eq!(unsafe { libc::kill(self.running.0.id() as i32, signal) }, 0);
        self.running.0.wait().unwrap().signal()
    }

    pub(crate) fn descriptors(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.running.0.id());
        fs::read_dir(dir).unwrap().count()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect(&text);
        let status = head.strip_prefix("HTTP/1.1 ").expect(head);
        Self {
            status: status[..3].parse().unwrap(),
            head: format!("{head}\r\n"),
            body: body.to_owned(),
        }
    }

    pub(crate) fn length(&self) -> usize {
        let (_, rest) = self.head.split_once("\r\nContent-Length: ").unwrap();
        rest[..rest.find('\r').unwrap()].parse().unwrap()
    }
}

pub(crate) const FAST: [&str; 4] = ["--budget", "100%", "--interval", "1h"];
