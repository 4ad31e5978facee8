//! `introspect metrics --listen`: its answers over HTTP to clients good and bad, and its end.

#[path = "support/metrics.rs"]
mod metrics;
mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use metrics::{by, only, parse, Answer, Service, FAST, LONGEST};
use support::run;

#[test]
fn scrapes_are_answered_from_the_last_walk() {
    let service = Service::start(&FAST);
    let series = service.walked();
    assert_eq!(only(&series, "introspect_budget_ratio"), 1.0);
    // The walk of frames, if this user may, is published as well.
    let last = if by(&series, "introspect_walk_failures_total", "part")["frames"] > 0.0 {
        "introspect_walk_failures_total"
    } else {
        "introspect_walks_total"
    };
    let begun = Instant::now();
    let is_complete = |answer: &Answer| {
        let series = parse(&answer.body);
        let done = by(&series, "introspect_walks_total", "part")["frames"]
            + by(&series, "introspect_walk_failures_total", "part")["frames"];
        done >= 1.0
    };
    let mut first = service.get("*/*");
    while !is_complete(&first) {
        assert!(begun.elapsed() < LONGEST, "{last}");
        thread::sleep(Duration::from_millis(20));
        first = service.get("*/*");
    }
    // Nothing is walked or counted for a request.
    assert_eq!(first.body, service.get("text/plain").body);
    assert_eq!(first.length(), first.body.len());
    assert!(first
        .head
        .contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    let openmetrics = service.get("application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    let kind = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(openmetrics.head.contains(kind), "{}", openmetrics.head);
    assert!(openmetrics.body.ends_with("\n# EOF\n"));
    let head = service.ask(b"HEAD /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((head.status, &head.body[..]), (200, ""));
    assert_eq!(head.length(), first.body.len());
}

#[test]
fn bad_requests_are_refused_and_do_no_harm() {
    let service = Service::start(&FAST);
    service.walked();
    let long = format!("GET /metrics HTTP/1.1\r\nHost: {}", "h".repeat(1 << 20));
    let body = "POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n".to_owned()
        + &"x".repeat(100_000);
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (&body, 405),
        ("GET /metric HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics HTTP/3\r\nHost: h\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c", 400),
        ("\0\0\0\0\r\n\r\n", 400),
    ] {
        let answer = service.ask(request.as_bytes());
        assert_eq!(
            answer.status,
            status,
            "{:?}",
            &request[..request.len().min(60)]
        );
        assert_eq!(answer.length(), answer.body.len());
    }
    // The rest of a long request meets a closed connection, which may hide the answer.
    let mut stream = TcpStream::connect(service.address).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let _ = stream.read_to_end(&mut Vec::new());
    drop(stream);
    assert_eq!(service.get("*/*").status, 200);
}

#[test]
fn slow_and_many_clients_keep_nobody_waiting() {
    let service = Service::start(&FAST);
    service.walked();
    let descriptors = service.descriptors();
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(service.address).unwrap();
        let _ = stream.write_all(&b"GET /metrics HTTP/1.1\r\n"[..number % 20]);
        slow.push(stream);
        if number % 20 == 0 {
            assert_eq!(service.get("*/*").status, 200, "beside {number}");
        }
    }
    // The service has given up the oldest.
    assert!(service.descriptors() <= descriptors + 70);
    assert_eq!(service.get("*/*").status, 200);
    // Each of the others ends by itself: with an answer, or without one.
    for mut stream in slow {
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).is_ok() && !answer.is_empty() {
            assert_eq!(Answer::parse(&answer).status, 408);
        }
    }
    let parallel: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address).unwrap();
            stream.set_read_timeout(Some(LONGEST)).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            stream
        })
        .collect();
    for mut stream in parallel {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(Answer::parse(&answer).status, 200);
    }
}

#[test]
fn signals_end_the_service_and_free_its_port() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut service = Service::start(&["--budget", "0.1%"]);
        let address = service.address;
        let taken = run(&["metrics", "--listen", &address.to_string()]);
        assert_eq!(taken.status, 1, "{taken:?}");
        assert!(taken
            .stderr
            .contains(&format!("cannot listen at {address}: ")));
        // A client that waits delays nothing.
        let _waiting = TcpStream::connect(address).unwrap();
        assert_eq!(service.signal(signal), Some(signal));
        TcpListener::bind(address).unwrap();
    }
}
