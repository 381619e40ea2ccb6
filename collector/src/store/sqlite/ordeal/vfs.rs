//! The files of SQLite, watched: the system's own VFS, of which each call that changes a file below a watched directory is
//! recorded in its order, and fails when a test says so. Everything else passes through.
//!
//! SQLite's files keep their own structure. Only the table of their methods is a copy with five entries replaced, which
//! find what they belong to by the file's address.

#![expect(unsafe_code, reason = "SQLite's file system is a C interface")]

use rusqlite::ffi::{
    SQLITE_OK, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs,
    sqlite3_vfs_find, sqlite3_vfs_register,
};
use std::{
    collections::HashMap,
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, Once, OnceLock, PoisonError},
};

/// A file, whatever its name is; one that is made anew under an old name is another one.
pub(super) type FileId = usize;

/// What became of a file.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// It was made, under this name.
    Created(FileId, PathBuf),
    /// The name is gone; durably, if the directory was synced with it.
    Deleted { name: PathBuf, synced: bool },
    /// Bytes were written.
    Written { file: FileId, at: usize, bytes: Vec<u8> },
    /// It got this length.
    Truncated(FileId, usize),
    /// It is about to be synced; once the next event comes, it was.
    Synced(FileId),
}

/// Which calls fail, of those that change a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    /// How many succeed before.
    pub(super) after: u64,
    /// How many fail then.
    pub(super) times: u64,
    /// With what: one of SQLite's result codes.
    pub(super) code: c_int,
}

/// What happened below a directory.
#[derive(Debug)]
pub(super) struct Recording {
    directory: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    events: Vec<Event>,
    names: HashMap<PathBuf, FileId>,
    files: usize,
    silent: bool,
    failing: Option<Failing>,
    full: bool,
    failed: u64,
}

impl Kept {
    fn tell(&mut self, event: Event) {
        if !self.silent {
            self.events.push(event);
        }
    }

    /// Whether a write fails that makes a file longer.
    fn is_full(&mut self) -> bool {
        self.failed += u64::from(self.full);
        self.full
    }

    /// What a call that changes a file fails with, if it is to.
    fn fault(&mut self) -> Option<c_int> {
        let failing = self.failing.as_mut()?;
        if failing.after > 0 {
            failing.after -= 1;
            return None;
        }
        failing.times = failing.times.checked_sub(1)?;
        self.failed += 1;
        Some(failing.code)
    }
}

/// A watched directory and the file that is open in it.
#[derive(Debug, Clone)]
struct Open {
    recording: Arc<Recording>,
    file: FileId,
    methods: &'static sqlite3_io_methods,
}

type OpenCall =
    unsafe extern "C" fn(*mut sqlite3_vfs, sqlite3_filename, *mut sqlite3_file, c_int, *mut c_int) -> c_int;
type DeleteCall = unsafe extern "C" fn(*mut sqlite3_vfs, *const c_char, c_int) -> c_int;

static SYSTEM: OnceLock<(OpenCall, DeleteCall)> = OnceLock::new();
static RECORDINGS: Mutex<Vec<Arc<Recording>>> = Mutex::new(Vec::new());
static OPEN: LazyLock<Mutex<HashMap<usize, Open>>> = LazyLock::new(Mutex::default);
/// The changed copy of each table of methods, by the address of the original.
static TABLES: LazyLock<Mutex<HashMap<usize, &'static sqlite3_io_methods>>> = LazyLock::new(Mutex::default);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recording {
    /// Watches a directory, whose path holds no links, for as long as the process lives.
    pub(super) fn of(directory: &Path) -> Arc<Self> {
        install();
        let recording = Arc::new(Self { directory: directory.to_owned(), kept: Mutex::default() });
        locked(&RECORDINGS).push(Arc::clone(&recording));
        recording
    }

    /// How much has happened.
    pub(super) fn so_far(&self) -> usize {
        locked(&self.kept).events.len()
    }

    /// Takes what happened; nothing is recorded from here on.
    pub(super) fn finish(&self) -> Vec<Event> {
        let mut kept = locked(&self.kept);
        kept.silent = true;
        std::mem::take(&mut kept.events)
    }

    /// Makes calls fail; what happened and happens is not recorded any more.
    pub(super) fn fail(&self, failing: Failing) {
        self.finish();
        locked(&self.kept).failing = Some(failing);
    }

    /// Makes the disk full: no file grows any more, and what there is can be written over.
    pub(super) fn fill(&self) {
        self.finish();
        locked(&self.kept).full = true;
    }

    /// Makes no call fail any more. Returns how many did.
    pub(super) fn heal(&self) -> u64 {
        let mut kept = locked(&self.kept);
        (kept.failing, kept.full) = (None, false);
        std::mem::take(&mut kept.failed)
    }
}

/// Makes the watching VFS the one that connections are opened with.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: SQLite's default VFS lives as long as the process, and so does the copy, which is leaked; its name is a
        // constant.
        unsafe {
            let system = &*sqlite3_vfs_find(ptr::null());
            if let (Some(open), Some(delete)) = (system.xOpen, system.xDelete) {
                let _first = SYSTEM.set((open, delete));
            }
            let watching = Box::leak(Box::new(sqlite3_vfs {
                pNext: ptr::null_mut(),
                zName: c"watching".as_ptr(),
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*system
            }));
            sqlite3_vfs_register(watching, 1);
        }
    });
}

/// The recording of the directory that a file lies in, and its path.
fn watched(name: *const c_char) -> Option<(Arc<Recording>, PathBuf)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite hands over names as C strings, which live as long as the call.
    let name = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let recording =
        locked(&RECORDINGS).iter().find(|recording| name.starts_with(&recording.directory)).cloned()?;
    Some((recording, name.to_owned()))
}

/// What is open at this address.
fn opened(file: *mut sqlite3_file) -> Option<Open> {
    locked(&OPEN).get(&file.addr()).cloned()
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some((system, _)) = SYSTEM.get() else { return rusqlite::ffi::SQLITE_CANTOPEN };
    // SAFETY: these are SQLite's own arguments, and the copy of its VFS that they come with differs in two entries only.
    let result = |existed: &mut bool, path: Option<&Path>| unsafe {
        *existed = path.is_some_and(Path::exists);
        system(vfs, name, file, flags, out_flags)
    };
    let mut existed = false;
    let Some((recording, path)) = watched(name) else { return result(&mut existed, None) };
    let mut kept = locked(&recording.kept);
    let outcome = result(&mut existed, Some(&path));
    if outcome != SQLITE_OK {
        return outcome;
    }
    let known = kept.names.get(&path).copied().filter(|_| existed);
    let id = known.unwrap_or_else(|| {
        let id = kept.files;
        kept.files += 1;
        kept.names.insert(path.clone(), id);
        kept.tell(Event::Created(id, path));
        id
    });
    drop(kept);
    // SAFETY: an open file has a table of methods, which is a constant of SQLite's.
    unsafe {
        let methods: &'static sqlite3_io_methods = &*(*file).pMethods;
        (*file).pMethods = *locked(&TABLES)
            .entry((*file).pMethods.addr())
            .or_insert_with(|| Box::leak(Box::new(changed(methods))));
        locked(&OPEN).insert(file.addr(), Open { recording, file: id, methods });
    }
    SQLITE_OK
}

/// A table of methods with those replaced that change a file.
fn changed(methods: &sqlite3_io_methods) -> sqlite3_io_methods {
    sqlite3_io_methods {
        xClose: Some(close),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xShmMap: methods.xShmMap.map(|_there| shm_map as _),
        ..*methods
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let Some((_, system)) = SYSTEM.get() else { return rusqlite::ffi::SQLITE_IOERR_DELETE };
    // SAFETY: these are SQLite's own arguments.
    let act = || unsafe { system(vfs, name, sync) };
    let Some((recording, name)) = watched(name) else { return act() };
    let mut kept = locked(&recording.kept);
    let result = act();
    if result == SQLITE_OK {
        kept.names.remove(&name);
        kept.tell(Event::Deleted { name, synced: sync != 0 });
    }
    result
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let open = locked(&OPEN).remove(&file.addr());
    // SAFETY: the method is that of this file.
    open.and_then(|open| open.methods.xClose).map_or(SQLITE_OK, |system| unsafe { system(file) })
}

/// Does what changes a file and records it, unless it is to fail.
fn change(
    file: *mut sqlite3_file,
    act: impl FnOnce(&Open) -> Option<c_int>,
    event: impl Fn(FileId) -> Event,
) -> c_int {
    let Some(open) = opened(file) else { return rusqlite::ffi::SQLITE_IOERR };
    let mut kept = locked(&open.recording.kept);
    if let Some(code) = kept.fault() {
        return code;
    }
    let result = act(&open).unwrap_or(rusqlite::ffi::SQLITE_IOERR);
    if result == SQLITE_OK {
        kept.tell(event(open.file));
    }
    result
}

/// How long a file is.
fn size(file: *mut sqlite3_file, open: &Open) -> usize {
    let mut size = 0;
    // SAFETY: the method is that of this file, and writes a number.
    let _told = open.methods.xFileSize.map(|system| unsafe { system(file, &raw mut size) });
    length(size)
}

fn length(bytes: sqlite3_int64) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    amount: c_int,
    at: sqlite3_int64,
) -> c_int {
    if let Some(open) = opened(file)
        && length(at) + length(amount.into()) > size(file, &open)
        && locked(&open.recording.kept).is_full()
    {
        return rusqlite::ffi::SQLITE_FULL;
    }
    change(
        file,
        // SAFETY: the method is that of this file, and the arguments are SQLite's own.
        |open| open.methods.xWrite.map(|system| unsafe { system(file, bytes, amount, at) }),
        |id| {
            // SAFETY: SQLite writes `amount` bytes from there.
            let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length(amount.into())) };
            Event::Written { file: id, at: length(at), bytes: bytes.to_vec() }
        },
    )
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, to: sqlite3_int64) -> c_int {
    // SAFETY: the method is that of this file, and the argument is SQLite's own.
    let act = |open: &Open| open.methods.xTruncate.map(|system| unsafe { system(file, to) });
    change(file, act, |id| Event::Truncated(id, length(to)))
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the method is that of this file, and the argument is SQLite's own.
    let act = |open: &Open| open.methods.xSync.map(|system| unsafe { system(file, flags) });
    change(file, act, Event::Synced)
}

/// The index of the write-ahead log, which is shared in memory and rebuilt from the log: it is not recorded, but it may
/// fail to grow.
unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    memory: *mut *mut c_void,
) -> c_int {
    let Some(open) = opened(file) else { return rusqlite::ffi::SQLITE_IOERR };
    if extend != 0
        && let Some(code) = locked(&open.recording.kept).fault()
    {
        return code;
    }
    // SAFETY: the method is that of this file, and the arguments are SQLite's own.
    let system = |system: unsafe extern "C" fn(_, _, _, _, _) -> _| unsafe {
        system(file, region, size, extend, memory)
    };
    open.methods.xShmMap.map_or(rusqlite::ffi::SQLITE_IOERR, system)
}
