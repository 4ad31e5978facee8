//! One connection: a request, its answer, and the end. Never blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::{page_head, parse, Parsed, Refusal, LONGEST};
use super::Page;
use crate::metrics::text::Format;

/// Time for a whole request, and for a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time for a client to take note of the end.
const FAREWELL: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Stage {
    /// Receives a request.
    Reading(Vec<u8>),
    /// Sends the head and the body of an answer, of which so many bytes are sent.
    Writing(Vec<u8>, Arc<[u8]>, usize),
    /// Has sent everything. Closing with unread data would make the peer lose the answer
    /// (RFC 9112, 9.6), so that this many bytes are read.
    Leaving(usize),
}

/// Connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    stage: Stage,
    deadline: Instant,
}

/// State after a step.
enum Progress {
    /// Continues at once.
    Next,
    /// Waits for the client.
    Waits,
    Ended,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // The answer is sent as a whole.
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            stage: Stage::Reading(Vec::new()),
            deadline: now + PATIENCE,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.stage, Stage::Reading(_))
    }

    pub(super) fn is_answered(&self) -> bool {
        matches!(self.stage, Stage::Leaving(_))
    }

    pub(super) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing(..))
    }

    /// Does what can be done without waiting. Returns whether it goes on.
    pub(super) fn step(&mut self, now: Instant, page: &impl Fn() -> Option<Page>) -> bool {
        loop {
            match self.advance(now, page) {
                Ok(Progress::Next) => {}
                Ok(Progress::Waits) => break,
                Ok(Progress::Ended) => return false,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => {}
                    // The client is gone.
                    _ => return false,
                },
            }
        }
        match self.stage {
            _ if now < self.deadline => true,
            Stage::Reading(_) => {
                self.answer(Refusal::Timeout.answer(false), Arc::new([]), now);
                true
            }
            _ => false,
        }
    }

    fn answer(&mut self, head: Vec<u8>, body: Arc<[u8]>, now: Instant) {
        self.stage = Stage::Writing(head, body, 0);
        self.deadline = now + PATIENCE;
    }

    fn advance(&mut self, now: Instant, page: &impl Fn() -> Option<Page>) -> io::Result<Progress> {
        match &mut self.stage {
            Stage::Reading(received) => {
                let begun = received.len();
                received.resize(LONGEST, 0);
                let read = self.stream.read(&mut received[begun..]);
                received.truncate(begun + *read.as_ref().unwrap_or(&0));
                if read? == 0 {
                    return Ok(Progress::Ended);
                }
                let (head, body) = match parse(received) {
                    Parsed::Partial => return Ok(Progress::Next),
                    Parsed::Page { format, is_head } => match page() {
                        Some(page) => {
                            let body = match format {
                                Format::Prometheus => page.prometheus,
                                Format::Openmetrics => page.openmetrics,
                            };
                            let head = page_head(format, body.len());
                            let body = if is_head { Arc::new([]) } else { body };
                            (head, body)
                        }
                        None => (Refusal::NotYet.answer(is_head), Arc::new([]) as Arc<[u8]>),
                    },
                    Parsed::Refused { status, is_head } => {
                        (status.answer(is_head), Arc::new([]) as Arc<[u8]>)
                    }
                };
                self.answer(head, body, now);
                Ok(Progress::Next)
            }
            Stage::Writing(head, body, sent) => {
                let rest = match head.get(*sent..) {
                    Some(rest) if !rest.is_empty() => rest,
                    _ => &body[*sent - head.len()..],
                };
                if rest.is_empty() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.stage = Stage::Leaving(16 * LONGEST);
                    self.deadline = now + FAREWELL;
                    return Ok(Progress::Next);
                }
                match self.stream.write(rest)? {
                    0 => Ok(Progress::Ended),
                    written => {
                        *sent += written;
                        Ok(Progress::Next)
                    }
                }
            }
            Stage::Leaving(left) => {
                let mut unread = [0; 1024];
                match self.stream.read(&mut unread)? {
                    0 => Ok(Progress::Ended),
                    read if read > *left => Ok(Progress::Ended),
                    read => {
                        *left -= read;
                        Ok(Progress::Waits)
                    }
                }
            }
        }
    }
}
