//! The C API of cvc5, as much of it as reading and running SMT-LIB takes.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fmt, fs,
    path::{Path, PathBuf},
    ptr::{self, NonNull},
};

use libloading::Library as Handle;

type Object = *mut c_void;
type Make = unsafe extern "C" fn(Object) -> Object;
type Delete = unsafe extern "C" fn(Object);

/// SMT-LIB 2.6, the first of `Cvc5InputLanguage`.
const SMT_LIB: c_int = 0;

/// Why the libraries of a directory cannot be used.
#[derive(Debug)]
pub enum LoadError {
    /// No file of this name and any version is in the directory.
    Missing { library: &'static str, directory: PathBuf },
    /// The system cannot open it, or it lacks a function.
    Unusable(PathBuf, libloading::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { library, directory } => write!(f, "there is no `{library}` in `{}`", directory.display()),
            Self::Unusable(path, error) => write!(f, "`{}` cannot be used: {error}", path.display()),
        }
    }
}

impl std::error::Error for LoadError {}

/// The two libraries of a directory: the solver, and the parser that is built on it.
///
/// # Errors
/// The one that is not there.
pub fn find(directory: &Path) -> Result<(PathBuf, PathBuf), LoadError> {
    let one = |library: &'static str| {
        let named = |path: &PathBuf| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // A wheel adds a hash to the name, a version follows: `libcvc5-c9d02a02.so.1`, `libcvc5.1.dylib`.
            name.strip_prefix(library).is_some_and(|rest| rest.starts_with(['-', '.']))
        };
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        entries.filter(named).max().ok_or_else(|| LoadError::Missing { library, directory: directory.to_owned() })
    };
    Ok((one("libcvc5")?, one("libcvc5parser")?))
}

/// The functions, and the libraries that hold them.
pub(crate) struct Library {
    term_manager_new: unsafe extern "C" fn() -> Object,
    term_manager_delete: Delete,
    solver_new: Make,
    solver_delete: Delete,
    set_option: unsafe extern "C" fn(Object, *const c_char, *const c_char),
    symbols_new: Make,
    symbols_delete: Delete,
    parser_new: unsafe extern "C" fn(Object, Object) -> Object,
    parser_delete: Delete,
    parser_set_input: unsafe extern "C" fn(Object, c_int, *const c_char, *const c_char),
    parser_next: unsafe extern "C" fn(Object, *mut *const c_char) -> Object,
    invoke: unsafe extern "C" fn(Object, Object, Object) -> *const c_char,
    /// Kept open for as long as the functions above can be called.
    _handles: [Handle; 2],
}

/// Reads a function of the given name, as the type that the place it goes to has.
macro_rules! function {
    ($handle:expr, $path:expr, $name:literal) => {{
        // SAFETY: the type is the one that `cvc5/c/cvc5.h` and `cvc5/c/cvc5_parser.h` declare for this name; the pointer
        // is kept beside the handle, which outlives it.
        let symbol = unsafe { $handle.get(concat!($name, "\0").as_bytes()) };
        *symbol.map_err(|error| LoadError::Unusable($path.clone(), error))?
    }};
}

impl Library {
    pub(crate) fn open(directory: &Path) -> Result<Self, LoadError> {
        let (solver_path, parser_path) = find(directory)?;
        // The solver first: the parser needs it, and the loader finds it when it is there already.
        let (solver, parser) = (open(&solver_path)?, open(&parser_path)?);
        Ok(Self {
            term_manager_new: function!(solver, solver_path, "cvc5_term_manager_new"),
            term_manager_delete: function!(solver, solver_path, "cvc5_term_manager_delete"),
            solver_new: function!(solver, solver_path, "cvc5_new"),
            solver_delete: function!(solver, solver_path, "cvc5_delete"),
            set_option: function!(solver, solver_path, "cvc5_set_option"),
            symbols_new: function!(parser, parser_path, "cvc5_symbol_manager_new"),
            symbols_delete: function!(parser, parser_path, "cvc5_symbol_manager_delete"),
            parser_new: function!(parser, parser_path, "cvc5_parser_new"),
            parser_delete: function!(parser, parser_path, "cvc5_parser_delete"),
            parser_set_input: function!(parser, parser_path, "cvc5_parser_set_str_input"),
            parser_next: function!(parser, parser_path, "cvc5_parser_next_command"),
            invoke: function!(parser, parser_path, "cvc5_cmd_invoke"),
            _handles: [solver, parser],
        })
    }
}

fn open(path: &Path) -> Result<Handle, LoadError> {
    // SAFETY: opening runs the initializers of the library and of those that it needs. They are cvc5's own, from a place
    // that the user named or that the script with their hashes filled.
    unsafe { Handle::new(path) }.map_err(|error| LoadError::Unusable(path.to_owned(), error))
}

/// What came of running the next command of a script.
#[derive(Debug)]
pub(crate) enum Answer {
    /// There is no further command.
    End,
    /// What the command printed, line break included; most print nothing.
    Said(Vec<u8>),
    /// The script is wrong at this place.
    Unreadable(Vec<u8>),
}

/// A solver with its own terms and symbols.
pub(crate) struct Session<'a> {
    library: &'a Library,
    terms: Object,
    solver: Object,
    symbols: Object,
    parser: Object,
}

impl<'a> Session<'a> {
    pub(crate) fn new(library: &'a Library, options: &[(CString, CString)]) -> Self {
        // SAFETY: takes nothing, returns a new term manager.
        let terms = unsafe { (library.term_manager_new)() };
        // SAFETY: a solver is made on a term manager, which is deleted after it.
        let solver = unsafe { (library.solver_new)(terms) };
        for (name, value) in options {
            // SAFETY: both texts end with NUL and live through the call, which copies them. A wrong option ends the process.
            unsafe { (library.set_option)(solver, name.as_ptr(), value.as_ptr()) };
        }
        // SAFETY: as for the solver.
        let symbols = unsafe { (library.symbols_new)(terms) };
        // SAFETY: both belong to one term manager and are deleted after the parser.
        let parser = unsafe { (library.parser_new)(solver, symbols) };
        Self { library, terms, solver, symbols, parser }
    }

    /// Gives the parser a script to read commands from.
    pub(crate) fn read(&mut self, script: &CString) {
        let (text, name) = (script.as_ptr(), c"stdin".as_ptr());
        // SAFETY: both texts end with NUL; the parser copies them.
        unsafe { (self.library.parser_set_input)(self.parser, SMT_LIB, text, name) };
    }

    /// Reads the next command and runs it.
    pub(crate) fn next(&mut self) -> Answer {
        let mut error: *const c_char = ptr::null();
        // SAFETY: the parser has an input; `error` is a place for one pointer.
        let command = unsafe { (self.library.parser_next)(self.parser, &raw mut error) };
        if let Some(message) = copy(error) {
            return Answer::Unreadable(message);
        }
        if command.is_null() {
            return Answer::End;
        }
        // SAFETY: the command is the parser's, and runs on the solver and the symbols that the parser was made with.
        let said = unsafe { (self.library.invoke)(command, self.solver, self.symbols) };
        Answer::Said(copy(said).unwrap_or_default())
    }
}

/// Copies a text before the next call overwrites it; none for a null pointer.
fn copy(text: *const c_char) -> Option<Vec<u8>> {
    let text = NonNull::new(text.cast_mut())?;
    // SAFETY: cvc5 returns null or a text that ends with NUL and stays until the next call of the same function.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    Some(text.to_bytes().to_vec())
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `parser_new`, and not used after.
        unsafe { (self.library.parser_delete)(self.parser) };
        // SAFETY: made by `symbols_new`, and the parser that used it is gone.
        unsafe { (self.library.symbols_delete)(self.symbols) };
        // SAFETY: made by `solver_new`, and the parser that used it is gone.
        unsafe { (self.library.solver_delete)(self.solver) };
        // SAFETY: made by `term_manager_new`, and everything made on it is gone.
        unsafe { (self.library.term_manager_delete)(self.terms) };
    }
}
