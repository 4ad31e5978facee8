//! The C library, loaded as a C program would find it. Knows its prototypes.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use c_library::Library;

/// `procfs_mapinfo`.
#[derive(Copy, Clone, Debug, Default)]
#[repr(C)]
pub(crate) struct Record {
    pub(crate) vaddr: u64,
    size: u64,
    flags: u32,
    dev: u32,
    offset: i64,
    ino: u64,
    pub(crate) paddr: u64,
}

impl Record {
    pub(crate) fn range(&self) -> Range<u64> {
        self.vaddr..self.vaddr + self.size
    }

    pub(crate) fn is_backed(&self) -> bool {
        self.paddr != u64::MAX
    }
}

type Regions = unsafe extern "C" fn(i64, usize, usize, *mut Record, usize) -> c_int;
type Bytes = unsafe extern "C" fn(i64, usize, *mut c_void, usize) -> c_int;

/// Its functions, which stay where they are.
#[derive(Copy, Clone, Debug)]
pub(crate) struct CLibrary {
    virtual_regions: Regions,
    physical_regions: Regions,
    page_table: Regions,
    object_path: Bytes,
    read: Bytes,
}

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
        Some(CLibrary::load(&library.shared))
    })
}

impl CLibrary {
    fn load(path: &Path) -> Self {
        let name = CString::new(path.as_os_str().as_bytes()).expect("a path");
        // SAFETY: a NUL-terminated string; loading runs no code of the library's.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{} cannot be loaded", path.display());
        let symbol = |name: &CStr| {
            // SAFETY: a live handle and a NUL-terminated string.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!symbol.is_null(), "{} has no {name:?}", path.display());
            symbol
        };
        let regions = |name| {
            // SAFETY: a function of this type (the library's header).
            unsafe { std::mem::transmute::<*mut c_void, Regions>(symbol(name)) }
        };
        let bytes = |name| {
            // SAFETY: a function of this type (the library's header).
            unsafe { std::mem::transmute::<*mut c_void, Bytes>(symbol(name)) }
        };
        Self {
            virtual_regions: regions(c"introspection_get_virtual_regions"),
            physical_regions: regions(c"introspection_get_physical_regions"),
            page_table: regions(c"introspection_get_pagetableinfo"),
            object_path: bytes(c"introspection_get_mapped_object_path"),
            read: bytes(c"introspection_read_process_memory"),
        }
    }

    /// How many records there are; as many as fit are stored.
    pub(crate) fn virtual_regions(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.virtual_regions, pid, start, last, records)
    }

    /// As [`CLibrary::virtual_regions`].
    pub(crate) fn physical_regions(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.physical_regions, pid, start, last, records)
    }

    /// As [`CLibrary::virtual_regions`].
    pub(crate) fn page_table(
        &self,
        pid: i64,
        start: u64,
        last: u64,
        records: &mut [Record],
    ) -> Result<usize, i32> {
        regions(self.page_table, pid, start, last, records)
    }

    /// The path of the object at an address.
    pub(crate) fn object_path(&self, pid: i64, address: u64) -> Result<Vec<u8>, i32> {
        // `struct _procfs_debug_info`: the linked address, then the path.
        let mut info = [0u64; 256];
        let size = size_of_val(&info);
        // SAFETY: the buffer is live, exclusive and of this size.
        let length =
            unsafe { (self.object_path)(pid, address as usize, info.as_mut_ptr().cast(), size) };
        if length < 0 {
            return Err(-length);
        }
        // SAFETY: a successful call leaves a NUL-terminated path in the buffer.
        let path = unsafe { CStr::from_ptr(info[1..].as_ptr().cast::<c_char>()) };
        Ok(path.to_bytes().to_vec())
    }

    /// The word at an address.
    pub(crate) fn read(&self, pid: i64, address: u64) -> Result<u64, i32> {
        let mut word = 0u64;
        // SAFETY: the buffer is live, exclusive and of this size.
        let read = unsafe {
            (self.read)(
                pid,
                address as usize,
                (&raw mut word).cast(),
                size_of::<u64>(),
            )
        };
        if read < 0 {
            return Err(-read);
        }
        assert_eq!(read as usize, size_of::<u64>());
        Ok(word)
    }
}

fn regions(
    call: Regions,
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
    if bytes < 0 {
        return Err(-bytes);
    }
    Ok(bytes as usize / size_of::<Record>())
}
