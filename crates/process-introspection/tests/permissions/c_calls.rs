//! Calls of the C library with buffers of Rust's, and their results.

use std::ffi::{c_char, CStr};
use std::path::Path;
use std::sync::OnceLock;

use c_library::loaded::{result, ArrayCall, Functions, Record};
use c_library::Library;

/// Its functions, as these tests call them.
#[derive(Copy, Clone, Debug)]
pub(crate) struct CLibrary(Functions);

/// Its functions; `None`, and said so, in a static program, which loads none.
pub(crate) fn c_library() -> Option<CLibrary> {
    static LOADED: OnceLock<Option<CLibrary>> = OnceLock::new();
    *LOADED.get_or_init(|| {
        if cfg!(target_feature = "crt-static") {
            eprintln!("SKIPPED the C library's answers: a static program loads no library");
            return None;
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
        let (root, target) = root.zip(target).expect("a workspace and its target");
        let library = Library::build(root, target).unwrap_or_else(|error| panic!("{error}"));
        Some(CLibrary(Functions::load(&library.shared).unwrap()))
    })
}

impl CLibrary {
    /// How many records there are; as many as fit are stored.
    pub(crate) fn virtual_regions(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.0.virtual_regions, pid, start, last, records)
    }

    /// As [`CLibrary::virtual_regions`].
    pub(crate) fn physical_regions(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.0.physical_regions, pid, start, last, records)
    }

    /// As [`CLibrary::virtual_regions`].
    pub(crate) fn page_table(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.0.page_table, pid, start, last, records)
    }

    /// The path of the object at an address.
    pub(crate) fn object_path(&self, pid: i64, address: u64) -> Result<Vec<u8>, i32> {
        // `struct _procfs_debug_info`: the linked address, then the path.
        let mut info = [0u64; 256];
        let size = size_of_val(&info);
        // SAFETY: the buffer is live, exclusive and of this size.
        let length =
            unsafe { (self.0.object_path)(pid, address as usize, info.as_mut_ptr().cast(), size) };
        result(length)?;
        // SAFETY: a successful call leaves a NUL-terminated path in the buffer.
        let path = unsafe { CStr::from_ptr(info[1..].as_ptr().cast::<c_char>()) };
        Ok(path.to_bytes().to_vec())
    }

    /// The word at an address.
    pub(crate) fn read(&self, pid: i64, address: u64) -> Result<u64, i32> {
        let mut word = 0u64;
        // SAFETY: the buffer is live, exclusive and of this size.
        let read = unsafe {
            (self.0.read_memory)(
                pid,
                address as usize,
                (&raw mut word).cast(),
                size_of::<u64>(),
            )
        };
        assert_eq!(result(read)?, size_of::<u64>());
        Ok(word)
    }
}

fn regions(
    call: ArrayCall,
    pid: i64,
    start: u64,
    last: u64,
    records: &mut [Record],
) -> Result<usize, i32> {
    let size = size_of_val(records);
    // SAFETY: the buffer is live, exclusive and of this size.
    let bytes = unsafe {
        call(
            pid,
            start as usize,
            last as usize,
            records.as_mut_ptr(),
            size,
        )
    };
    Ok(result(bytes)? / size_of::<Record>())
}
