//! Walks in the background, within a budget, and answers from the last of them. Must not know
//! HTTP, nor what metrics mean.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::http::{self, Page};
use super::reading::{Effort, Paced, Reader};
use super::text::{self, Format};
use super::values::{self, Known};
use super::{Selection, Service};
use crate::control::interruption::Interruption;
use crate::failure::{warn, Failure};
use crate::pace::{thread_cpu_time, Budget};

/// Metrics of the last walk; `None` before the first values are known.
type Published = Arc<Mutex<Option<Page>>>;

/// Walks in the background and answers requests, until a signal ends the command.
pub(crate) fn listen(selection: &Selection, service: Service) -> Result<(), Failure> {
    let interruption =
        Interruption::watch().map_err(|error| Failure::io("receive signals", &error))?;
    let address = service.address;
    let listening = TcpListener::bind(address)
        .and_then(|listener| Ok((listener.local_addr()?, listener)))
        .map_err(|error| Failure::io(format_args!("listen at {address}"), &error));
    let (address, listener) = listening?;
    let (published, answering) = (Published::default(), Arc::new(AtomicU64::new(0)));
    let walks = {
        let (selection, published) = (selection.clone(), Arc::clone(&published));
        let paced = Paced {
            budget: Budget::new(service.budget, Instant::now()),
            elsewhere: Arc::clone(&answering),
        };
        let run = move || walk(&selection, service, paced, &published);
        let thread = thread::Builder::new().name("walks".to_owned());
        thread
            .spawn(run)
            .map_err(|error| Failure::io("start a thread", &error))?
    };
    warn(format_args!("metrics are at http://{address}/metrics"));
    let page = || {
        let page = published.lock().unwrap_or_else(PoisonError::into_inner);
        page.clone()
    };
    http::serve(listener, page, || {
        // Rests of walks leave out what answers cost.
        let used = thread_cpu_time().as_nanos() as u64;
        answering.store(used, Ordering::Relaxed);
        match walks.is_finished() {
            true => Err(Failure::Message(
                "the thread that walks has ended".to_owned(),
            )),
            false => interruption.check(),
        }
    })
}

/// Walks for ever.
fn walk(selection: &Selection, service: Service, paced: Paced, published: &Published) {
    let reader = Reader::new(selection, Effort::Paced(paced));
    let mut known = Known::new();
    known.budget = Some(service.budget);
    let (mut listed, mut complaints) = (BTreeSet::new(), Vec::new());
    let mut publish = |known: &mut Known| {
        if let Ok(counters) = reader.counters() {
            known.take_counters(counters);
        }
        let new = known.complaints();
        let unknown = new.iter().filter(|line| !complaints.contains(*line));
        unknown.for_each(warn);
        complaints = new;
        let samples = values::samples(known, selection, &mut listed);
        let page = Page::new(|format| text::write(&samples, format));
        *published.lock().unwrap_or_else(PoisonError::into_inner) = Some(page);
    };
    publish(&mut known);
    loop {
        let begun = Instant::now();
        match reader.processes() {
            Ok(walked) => known.take_processes(walked),
            Err(failure) => known.fail_processes(failure.message(None)),
        }
        publish(&mut known);
        let walked = reader.frames();
        known.take_frames(walked.unwrap_or_else(|failure| Err(failure.message(None))));
        publish(&mut known);
        thread::sleep(service.interval.saturating_sub(begun.elapsed()));
    }
}

impl Page {
    fn new(body: impl Fn(Format) -> Vec<u8>) -> Self {
        Self {
            prometheus: body(Format::Prometheus).into(),
            openmetrics: body(Format::Openmetrics).into(),
        }
    }
}
