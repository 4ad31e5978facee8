//! Looks at processes on another thread, which is left behind with one that does
//! not answer. Knows nothing of what becomes of the summaries.

use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use process_introspection::{
    AddrRange, AdviceReading, Error, Heartbeat, HeartbeatWatch, HugePageSettings, Mounts, PageSize,
    PhysicalMap, SummaryOptions, UniquePid,
};

use super::{look, Found};
use crate::failure::Failure;

/// How often the other thread is looked after.
const LOOK: Duration = Duration::from_millis(50);

/// `None` of a process without memory.
type Looked = Result<Option<Found>, Failure>;

/// What is the same for all processes.
#[derive(Clone, Debug)]
struct Asked {
    mounts: Mounts,
    map: Arc<PhysicalMap>,
    settings: Arc<HugePageSettings>,
    /// Whether kinds of mappings are to be told by the contents of files.
    tells_kinds: bool,
}

/// Looks at processes, one after the other.
#[derive(Debug)]
pub(super) struct Aside {
    asked: Asked,
    deadline: Duration,
    helper: Option<Helper>,
}

/// The other thread, which ends when this is dropped, as soon as it can.
#[derive(Debug)]
struct Helper {
    requests: Sender<(UniquePid, Heartbeat)>,
    answers: Receiver<Looked>,
}

impl Aside {
    pub(super) fn new(
        mounts: &Mounts,
        map: PhysicalMap,
        tells_kinds: bool,
        deadline: Duration,
    ) -> Self {
        let huge_page = PageSize::base().pmd().bytes();
        Self {
            asked: Asked {
                mounts: mounts.clone(),
                map: Arc::new(map),
                settings: Arc::new(HugePageSettings::read_in(mounts, huge_page)),
                tells_kinds,
            },
            deadline,
            helper: None,
        }
    }

    /// Looks at a process; gives it up when the walk of it has not come further for
    /// the deadline. `check` is asked now and then whether to go on.
    pub(super) fn look(
        &mut self,
        process: UniquePid,
        check: impl Fn() -> Result<(), Failure>,
    ) -> Looked {
        let helper = match self.helper.take() {
            Some(helper) => helper,
            None => match self.start() {
                Some(helper) => helper,
                // Where no thread can be had, this one waits.
                None => return self.asked.look(process, &Heartbeat::new()),
            },
        };
        let heartbeat = Heartbeat::new();
        let mut watch = HeartbeatWatch::new(&heartbeat);
        let is_asked = helper.requests.send((process, heartbeat)).is_ok();
        assert!(is_asked, "a thread that looks at processes has panicked");
        loop {
            match helper.answers.recv_timeout(LOOK) {
                Ok(looked) => {
                    self.helper = Some(helper);
                    return looked;
                }
                Err(RecvTimeoutError::Timeout) => check()?,
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("a thread that looks at processes has panicked")
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
        let asked = self.asked.clone();
        let run = move || {
            while let Ok((process, heartbeat)) = to_do.recv() {
                // Nobody waits for what comes too late.
                if done.send(asked.look(process, &heartbeat)).is_err() {
                    return;
                }
            }
        };
        let builder = thread::Builder::new().name("summary".to_owned());
        builder.spawn(run).ok()?;
        Some(Helper { requests, answers })
    }
}

impl Asked {
    /// Looks at all of a process.
    fn look(&self, process: UniquePid, heartbeat: &Heartbeat) -> Looked {
        let mut process = self.mounts.process(process)?.with_heartbeat(heartbeat);
        // Kernel threads, and those that have ended.
        if process.virtual_regions(..)?.next().is_none() {
            return Ok(None);
        }
        if !self.tells_kinds {
            process = process.without_file_contents();
        }
        // Advice is not read: nobody's mmap lock is held for it.
        let options = SummaryOptions::new(&self.map)
            .settings(&self.settings)
            .advice(AdviceReading::Never);
        look(&process, &options, &[AddrRange::ALL], false, |_| Ok(())).map(Some)
    }
}
