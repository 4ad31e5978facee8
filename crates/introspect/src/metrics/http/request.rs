//! Requests and the heads of answers: texts of HTTP/1.1. Pure.

use httparse::{Error, Header, Status, EMPTY_HEADER};

use crate::metrics::text::Format;

/// Longest request in bytes.
pub(super) const LONGEST: usize = 8 << 10;

/// Headers of a request at most.
const MOST_HEADERS: usize = 64;

/// Result of reading a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The request is not complete.
    Partial,
    /// The page is requested, or its head alone.
    Page { format: Format, is_head: bool },
    /// There is no other answer than this.
    Refused { status: Refusal, is_head: bool },
}

/// Status of an answer without the page.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    Timeout,
    TooLong,
    NotYet,
}

impl Refusal {
    /// Returns the status line's end, more headers, and the text.
    fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => ("400 Bad Request", "", "this is no request of HTTP/1.1\n"),
            Self::NotFound => ("404 Not Found", "", "the metrics are at /metrics\n"),
            Self::MethodNotAllowed => (
                "405 Method Not Allowed",
                "Allow: GET, HEAD\r\n",
                "metrics are read by GET or HEAD\n",
            ),
            Self::Timeout => ("408 Request Timeout", "", "the request took too long\n"),
            Self::TooLong => (
                "431 Request Header Fields Too Large",
                "",
                "the request is too long\n",
            ),
            Self::NotYet => (
                "503 Service Unavailable",
                "Retry-After: 1\r\n",
                "there are no values yet\n",
            ),
        }
    }

    /// Returns the whole answer.
    pub(super) fn answer(self, is_head: bool) -> Vec<u8> {
        let (status, more, text) = self.texts();
        let kind = "text/plain; charset=utf-8";
        let mut answer = head(status, kind, text.len(), more);
        if !is_head {
            answer.extend(text.as_bytes());
        }
        answer
    }
}

/// Returns the head of an answer with a page of this length.
pub(super) fn page_head(format: Format, length: usize) -> Vec<u8> {
    head("200 OK", format.content_type(), length, "Vary: Accept\r\n")
}

fn head(status: &str, kind: &str, length: usize, more: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{more}\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Parses what was received so far.
pub(super) fn parse(received: &[u8]) -> Parsed {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let refused = |status| Parsed::Refused {
        status,
        is_head: false,
    };
    match request.parse(received) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if received.len() < LONGEST => return Parsed::Partial,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => return refused(Refusal::TooLong),
        Err(_) => return refused(Refusal::BadRequest),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return refused(Refusal::BadRequest);
    };
    let is_head = method == "HEAD";
    let refused = |status| Parsed::Refused { status, is_head };
    let hosts = values(request.headers, "host").count();
    // RFC 9112, 3.2: a request of HTTP/1.1 has one.
    if hosts > 1 || hosts == 0 && request.version == Some(1) {
        return refused(Refusal::BadRequest);
    }
    match path(target) {
        "/metrics" if is_head || method == "GET" => Parsed::Page {
            format: accepted(values(request.headers, "accept")),
            is_head,
        },
        "/metrics" => refused(Refusal::MethodNotAllowed),
        _ => refused(Refusal::NotFound),
    }
}

/// Returns the path of a request's target, which can be a whole address.
fn path(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.split('?').next().unwrap_or_default()
}

fn values<'a>(headers: &'a [Header<'_>], name: &'static str) -> impl Iterator<Item = &'a str> {
    let named = headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| std::str::from_utf8(header.value).unwrap_or_default())
}

/// Returns the format that a client accepts: OpenMetrics if it wants it at least as much as text.
fn accepted<'a>(headers: impl Iterator<Item = &'a str>) -> Format {
    let (mut openmetrics, mut text) = (0.0_f32, 0.0_f32);
    for range in headers.flat_map(|header| header.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut is_known) = (1.0, true);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match &name.trim().to_ascii_lowercase()[..] {
                "q" => quality = value.parse().unwrap_or(0.0),
                "version" => is_known = ["0.0.1", "1.0.0", "0.0.4"].contains(&value),
                _ => {}
            }
        }
        match &kind[..] {
            "application/openmetrics-text" if is_known => openmetrics = openmetrics.max(quality),
            "text/plain" if is_known => text = text.max(quality),
            _ => {}
        }
    }
    match openmetrics > 0.0 && openmetrics >= text {
        true => Format::Openmetrics,
        false => Format::Prometheus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Parsed = Parsed::Page {
        format: Format::Prometheus,
        is_head: false,
    };

    fn status_of(request: &str) -> Option<Refusal> {
        match parse(request.as_bytes()) {
            Parsed::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    #[test]
    fn only_get_and_head_of_the_page_are_answered_with_it() {
        for target in ["/metrics", "/metrics?name=x", "http://h:1/metrics"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(parse(request.as_bytes()), GET, "{target}");
        }
        assert_eq!(parse(b"GET /metrics HTTP/1.0\r\n\r\n"), GET);
        let head = parse(b"HEAD /metrics HTTP/1.1\r\nhost: h\r\n\r\n");
        assert!(matches!(head, Parsed::Page { is_head: true, .. }));
        for (request, status) in [
            (
                "POST /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
                Refusal::MethodNotAllowed,
            ),
            (
                "DELETE /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
                Refusal::MethodNotAllowed,
            ),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", Refusal::NotFound),
            (
                "GET /metrics/../etc HTTP/1.1\r\nHost: h\r\n\r\n",
                Refusal::NotFound,
            ),
            (
                "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
                Refusal::NotFound,
            ),
            ("GET /metrics HTTP/1.1\r\n\r\n", Refusal::BadRequest),
            (
                "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                Refusal::BadRequest,
            ),
            (
                "GET /metrics HTTP/2.0\r\nHost: h\r\n\r\n",
                Refusal::BadRequest,
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::BadRequest),
            ("\x16\x03\x01\x02\0", Refusal::BadRequest),
            ("GET /metrics\r\n\r\n", Refusal::BadRequest),
        ] {
            assert_eq!(status_of(request), Some(status), "{request:?}");
        }
    }

    #[test]
    fn a_long_request_is_refused_and_a_short_one_waits() {
        assert_eq!(parse(b""), Parsed::Partial);
        assert_eq!(
            parse(b"GET /metrics HTTP/1.1\r\nHost: h\r\n"),
            Parsed::Partial
        );
        let long = format!("GET /metrics HTTP/1.1\r\nHost: {}", "h".repeat(LONGEST));
        assert_eq!(status_of(&long), Some(Refusal::TooLong));
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(status_of(&many), Some(Refusal::TooLong));
    }

    #[test]
    fn openmetrics_is_for_those_who_accept_it() {
        // Prometheus 2.42.
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, Format::Openmetrics),
            (
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                Format::Openmetrics,
            ),
            (
                "Application/OpenMetrics-Text; q=\"0.5\"",
                Format::Openmetrics,
            ),
            (
                "application/openmetrics-text; version=2.0.0",
                Format::Prometheus,
            ),
            ("application/openmetrics-text; q=0", Format::Prometheus),
            (
                "application/openmetrics-text;q=0.3, text/plain",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=NaN", Format::Prometheus),
            ("text/html, */*", Format::Prometheus),
            ("", Format::Prometheus),
            (";;=,,;q", Format::Prometheus),
        ] {
            assert_eq!(accepted([accept].into_iter()), format, "{accept}");
        }
    }

    #[test]
    fn an_answer_states_its_length_and_ends_the_connection() {
        let whole = String::from_utf8(Refusal::MethodNotAllowed.answer(false)).unwrap();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert!(head.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(head.ends_with("\r\nConnection: close"));
        let without = String::from_utf8(Refusal::MethodNotAllowed.answer(true)).unwrap();
        assert_eq!(without, format!("{head}\r\n\r\n"));
    }
}
