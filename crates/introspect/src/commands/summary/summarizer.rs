//! Summaries from another thread, which is abandoned with a process that makes no
//! progress. Must not know how summaries are written.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use process_introspection::{
    AddrRange, AdviceReading, Error, Heartbeat, HeartbeatWatch, HugePageSettings, Mounts, PageSize,
    PhysicalMap, SummaryOptions, UniquePid,
};

use super::{summarize, Found};
use crate::failure::Failure;

/// Time between two checks of the other thread.
const INTERVAL: Duration = Duration::from_millis(50);

/// Summary of a process; `None` if it has no memory.
type Answer = Result<Option<Found>, Failure>;

/// Options that are the same for all processes.
#[derive(Clone, Debug)]
struct Common {
    mounts: Mounts,
    map: Arc<PhysicalMap>,
    settings: Arc<HugePageSettings>,
    /// Whether files are read to find the kinds of mappings.
    with_kinds: bool,
}

/// Summarizes processes, one after the other, on another thread.
#[derive(Debug)]
pub(super) struct Summarizer {
    common: Common,
    deadline: Duration,
    helper: Option<Helper>,
}

/// The other thread, which ends after this is dropped.
#[derive(Debug)]
struct Helper {
    requests: Sender<(UniquePid, Heartbeat)>,
    answers: Receiver<Answer>,
}

impl Summarizer {
    pub(super) fn new(
        mounts: &Mounts,
        map: PhysicalMap,
        with_kinds: bool,
        deadline: Duration,
    ) -> Self {
        let huge_page = PageSize::base().pmd().bytes();
        Self {
            common: Common {
                mounts: mounts.clone(),
                map: Arc::new(map),
                settings: Arc::new(HugePageSettings::read_in(mounts, huge_page)),
                with_kinds,
            },
            deadline,
            helper: None,
        }
    }

    /// Summarizes a process. Gives it up if its walk makes no progress for the deadline.
    /// `check` is called at intervals and can end the walk.
    pub(super) fn summarize(
        &mut self,
        process: UniquePid,
        check: impl Fn() -> Result<(), Failure>,
    ) -> Answer {
        let helper = match self.helper.take() {
            Some(helper) => helper,
            None => match self.start() {
                Some(helper) => helper,
                // Without another thread, this one waits.
                None => return self.common.summarize(process, &Heartbeat::new()),
            },
        };
        let heartbeat = Heartbeat::new();
        let mut watch = HeartbeatWatch::new(&heartbeat);
        let is_sent = helper.requests.send((process, heartbeat)).is_ok();
        assert!(is_sent, "the thread that reads processes has panicked");
        loop {
            match helper.answers.recv_timeout(INTERVAL) {
                Ok(answer) => {
                    self.helper = Some(helper);
                    return answer;
                }
                Err(RecvTimeoutError::Timeout) => check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the thread that reads processes has panicked")
                }
            }
            if watch.is_silent(self.deadline) {
                return Err(Error::silent(process.pid(), self.deadline).into());
            }
        }
    }

    fn start(&self) -> Option<Helper> {
        let (requests, to_do) = channel::<(UniquePid, Heartbeat)>();
        let (done, answers) = channel();
        let common = self.common.clone();
        let run = move || {
            while let Ok((process, heartbeat)) = to_do.recv() {
                // The receiver is gone after the deadline.
                if done.send(common.summarize(process, &heartbeat)).is_err() {
                    return;
                }
            }
        };
        let builder = thread::Builder::new().name("summary".to_owned());
        builder.spawn(run).ok()?;
        Some(Helper { requests, answers })
    }
}

impl Common {
    /// Summarizes all memory of a process.
    fn summarize(&self, process: UniquePid, heartbeat: &Heartbeat) -> Answer {
        let mut process = self.mounts.process(process)?.with_heartbeat(heartbeat);
        // A kernel thread, or a process that has ended.
        if process.virtual_regions(..)?.next().is_none() {
            return Ok(None);
        }
        if !self.with_kinds {
            process = process.without_file_contents();
        }
        // Reading advice would hold the process's mmap lock.
        let options = SummaryOptions::new(&self.map)
            .settings(&self.settings)
            .advice(AdviceReading::Never);
        summarize(&process, &options, &[AddrRange::ALL], false, |_| Ok(())).map(Some)
    }
}
