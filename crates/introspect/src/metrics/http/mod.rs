//! Server of one page over HTTP/1.1, on one thread. Must not know what is on the page.
//!
//! A connection is one request, has few seconds for it, and costs a bounded amount of memory.

mod connection;
mod request;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};

use crate::failure::Failure;
use crate::pace::{thread_cpu_time, Pace};
use connection::Connection;

/// Connections at a time. One more takes the place of the oldest.
const MOST: usize = 64;

/// Time between two checks.
const CHECKED: Duration = Duration::from_millis(200);

/// Part of one CPU that answers may use, in thousandths: whoever asks without end waits.
const BUDGET: u32 = 100;

/// Page in both formats.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) prometheus: Arc<[u8]>,
    pub(super) openmetrics: Arc<[u8]>,
}

/// Answers requests until `check` fails, which is called at short intervals. There is no `page`
/// before its content is known.
pub(super) fn serve(
    listener: TcpListener,
    page: impl Fn() -> Option<Page>,
    mut check: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::io("answer requests", &error);
    listener.set_nonblocking(true).map_err(failed)?;
    let (mut connections, mut pace) = (Vec::<Connection>::new(), Pace::new(BUDGET));
    let start = Instant::now();
    loop {
        check()?;
        wait(&listener, &connections).map_err(failed)?;
        let now = Instant::now();
        connections.retain_mut(|connection| connection.step(now, &page));
        accept(&listener, &mut connections, &page);
        pace.look(start.elapsed(), thread_cpu_time());
        let rest = pace.rest().min(CHECKED);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }
}

/// Waits until there is something to do, or for the next check.
fn wait(listener: &TcpListener, connections: &[Connection]) -> std::io::Result<()> {
    let mut waiting = vec![PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    for connection in connections {
        let flags = match connection.is_writing() {
            true => PollFlags::OUT,
            false => PollFlags::IN,
        };
        waiting.push(PollFd::from_borrowed_fd(connection.fd(), flags));
    }
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: CHECKED.as_nanos() as _,
    };
    match poll(&mut waiting, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Accepts connections that wait, and answers those whose request has come already.
fn accept(
    listener: &TcpListener,
    connections: &mut Vec<Connection>,
    page: &impl Fn() -> Option<Page>,
) {
    for _ in 0..MOST {
        match listener.accept() {
            Ok((stream, _)) => {
                let now = Instant::now();
                let connection = Connection::new(stream, now);
                // One that fails or ends at once takes no place.
                let Some(connection) = connection
                    .ok()
                    .and_then(|mut connection| connection.step(now, page).then_some(connection))
                else {
                    continue;
                };
                if connections.len() == MOST {
                    connections.remove(oldest(connections));
                }
                connections.push(connection);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // It has ended already.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                // No more descriptors: some of the connections end soon.
                thread::sleep(Duration::from_millis(10));
                return;
            }
        }
    }
}

/// Returns the index of the connection to give up: the oldest of those that have their answer, of
/// those without a whole request, or of all.
fn oldest(connections: &[Connection]) -> usize {
    let find = |is_it: fn(&Connection) -> bool| connections.iter().position(is_it);
    let index = find(Connection::is_answered).or_else(|| find(Connection::is_reading));
    index.unwrap_or_default()
}
