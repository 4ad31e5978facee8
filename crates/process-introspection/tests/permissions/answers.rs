//! Asks both libraries every question about one process, and makes sure that
//! what they give is right. Knows nothing of privileges.

use std::sync::OnceLock;

use process_introspection::{Error, Process, Target as Which, UniquePid};
use testkit::memory::page;

use c_library::loaded::Record;

use crate::c_calls::CLibrary;

/// What can be asked, as the document heads its columns.
pub(crate) const QUESTIONS: [&str; 6] = [
    "virtual",
    "resident",
    "physical",
    "page table",
    "object",
    "read",
];

/// A process that is asked about, and what is known of it beforehand.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) which: Which,
    /// A page of anonymous memory of its own.
    pub(crate) page: u64,
    /// That page's first word.
    pub(crate) word: u64,
    /// An address in the file of its program.
    pub(crate) code: u64,
}

/// An answer: what went over the pipe.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    code: u64,
    /// The physical address that was told, where one is asked for.
    pub(crate) address: u64,
}

const GIVEN: u64 = 0;
const WRONG: u64 = 1 << 32;
const NOT_ASKED: u64 = 1 << 33;

impl Answer {
    /// How many words an answer takes.
    pub(crate) const WORDS: usize = 2;

    fn given(is_right: bool) -> Self {
        Self::of(if is_right { GIVEN } else { WRONG })
    }

    fn at(address: Option<u64>) -> Self {
        Self {
            code: if address.is_some() { GIVEN } else { WRONG },
            address: address.unwrap_or(0),
        }
    }

    const fn of(code: u64) -> Self {
        Self { code, address: 0 }
    }

    fn of_result(result: Result<Self, Error>) -> Self {
        result.unwrap_or_else(|error| Self::of(error.errno() as u64))
    }

    /// Records, or the error's number; a panic for records that are not right.
    pub(crate) fn outcome(self, question: &str) -> Option<Result<(), i32>> {
        match self.code {
            GIVEN => Some(Ok(())),
            NOT_ASKED => None,
            WRONG => panic!("{question}: what was given is wrong"),
            errno => Some(Err(errno as i32)),
        }
    }

    pub(crate) fn from_words(words: &[u64]) -> Self {
        Self {
            code: words[0],
            address: words[1],
        }
    }

    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        [self.code, self.address]
    }
}

/// Of the Rust library; and whether the message of every error has these words.
pub(crate) fn of_rust(subject: &Subject, advice: &str) -> ([Answer; 6], bool) {
    let mut advises = true;
    let mut answer = |result: Result<Answer, Error>| {
        if let Err(error) = &result {
            advises &= error.to_string().contains(advice);
        }
        Answer::of_result(result)
    };
    let process = match Process::open(subject.which) {
        Ok(process) => process,
        Err(error) => {
            let refused = answer(Err(error));
            return ([refused; 6], advises);
        }
    };
    let (page_range, whole) = (subject.page..subject.page + page(), ..);
    let answers = [
        answer(virtual_region(&process, subject, whole)),
        answer(resident_region(&process, subject, whole)),
        answer(physical_region(&process, subject, whole)),
        answer(page_table_entry(&process, page_range)),
        answer(object(&process, subject)),
        answer(bytes(&process, subject)),
    ];
    (answers, advises)
}

fn virtual_region(
    process: &Process,
    subject: &Subject,
    range: std::ops::RangeFull,
) -> Result<Answer, Error> {
    let mut found = false;
    for region in process.virtual_regions(range)? {
        found |= region?.range.contains(subject.page.into());
    }
    Ok(Answer::given(found))
}

fn resident_region(
    process: &Process,
    subject: &Subject,
    range: std::ops::RangeFull,
) -> Result<Answer, Error> {
    let mut found = false;
    for region in process.resident_regions(range)? {
        let region = region?;
        if region.virt.contains(subject.page.into()) {
            found = region.backing == process_introspection::Backing::Resident;
        }
    }
    Ok(Answer::given(found))
}

fn physical_region(
    process: &Process,
    subject: &Subject,
    range: std::ops::RangeFull,
) -> Result<Answer, Error> {
    let mut address = None;
    for region in process.physical_regions(range)? {
        let region = region?;
        if region.virt.contains(subject.page.into()) {
            let within = subject.page - region.virt.start().as_u64();
            let start = region.backing.address();
            address = start.map(|start| start.as_u64() + within);
        }
    }
    Ok(Answer::at(address))
}

fn page_table_entry(process: &Process, page: std::ops::Range<u64>) -> Result<Answer, Error> {
    let mut entries = process.page_table(page)?;
    let first = entries.next().transpose()?;
    let address = first.and_then(|entry| entry.backing.address());
    let alone = entries.next().transpose()?.is_none();
    let address = address.filter(|_| alone);
    Ok(Answer::at(address.map(|address| address.as_u64())))
}

fn object(process: &Process, subject: &Subject) -> Result<Answer, Error> {
    let object = process.object_at(subject.code)?;
    let name = object.map(|object| object.mapping.name().as_bytes().to_vec());
    Ok(Answer::given(
        name.is_some_and(|name| is_this_program(&name)),
    ))
}

fn bytes(process: &Process, subject: &Subject) -> Result<Answer, Error> {
    let mut word = [0; 8];
    process.read_memory(subject.page, &mut word)?;
    Ok(Answer::given(u64::from_ne_bytes(word) == subject.word))
}

/// The file name of this program, which must have been asked for once while
/// there is a `/proc`.
pub(crate) fn program_name() -> &'static [u8] {
    static NAME: OnceLock<Vec<u8>> = OnceLock::new();
    NAME.get_or_init(|| {
        let this = std::env::current_exe().expect("a program");
        let name = this.file_name().expect("a file name");
        name.as_encoded_bytes().to_vec()
    })
}

/// The path can be another one in a chroot; the name is the same.
fn is_this_program(path: &[u8]) -> bool {
    path.ends_with(program_name())
}

/// Where the C library cannot be loaded.
pub(crate) const NONE_OF_C: [Answer; 6] = [Answer::of(NOT_ASKED); 6];

/// Of the C library. Residence without addresses is nothing that it tells.
pub(crate) fn of_c(c: CLibrary, subject: &Subject, records: &mut [Record]) -> [Answer; 6] {
    let pid = match subject.which {
        Which::Caller => 0,
        Which::Pid(pid) => i64::from(pid),
        Which::Unique { pid, mark } => i64::from(mark) << 32 | i64::from(pid),
    };
    let address = |result: Result<usize, i32>, records: &[Record]| match result {
        Ok(count) if count > records.len() => Answer::of(WRONG),
        Ok(count) => {
            let holds = |record: &&Record| record.range().contains(&subject.page);
            let found = records[..count].iter().find(holds);
            let within = |record: &Record| record.paddr + (subject.page - record.vaddr);
            Answer::at(found.filter(|record| record.is_backed()).map(within))
        }
        Err(errno) => Answer::of(errno as u64),
    };
    let (start, last) = (subject.page, subject.page + page() - 1);
    let of_virtual = match c.virtual_regions(pid, 0, u64::MAX, records) {
        Ok(count) if count <= records.len() => {
            let holds = |record: &Record| record.range().contains(&subject.page);
            Answer::given(records[..count].iter().any(holds))
        }
        Ok(_) => Answer::of(WRONG),
        Err(errno) => Answer::of(errno as u64),
    };
    let physical = c.physical_regions(pid, 0, u64::MAX, records);
    let physical = address(physical, records);
    let page_table = c.page_table(pid, start, last, records);
    let page_table = address(page_table, records);
    let object = match c.object_path(pid, subject.code) {
        Ok(path) => Answer::given(is_this_program(&path)),
        Err(errno) => Answer::of(errno as u64),
    };
    let read = match c.read(pid, subject.page) {
        Ok(word) => Answer::given(word == subject.word),
        Err(errno) => Answer::of(errno as u64),
    };
    let not_asked = Answer::of(NOT_ASKED);
    [of_virtual, not_asked, physical, page_table, object, read]
}

/// The unique PID of a process that may be asked about.
pub(crate) fn unique(pid: u32) -> Which {
    UniquePid::of(pid).expect("a unique PID").into()
}
