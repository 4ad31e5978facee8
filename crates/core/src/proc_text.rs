//! Parsers for the small text files below `/proc`: the fields of
//! `/proc/PID/stat`, and files of lines that begin with a name, such as
//! `status` and `fdinfo`. Pure: the caller reads the files.

/// The fields of `/proc/PID/stat` and `/proc/PID/task/TID/stat`
/// (proc_pid_stat(5)).
///
/// A field is returned only if another one follows: the text may end early, and
/// the first digits of a number are another number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Text from field 3 on.
    fields: &'a [u8],
}

impl<'a> Stat<'a> {
    /// Finds the fields behind the name, the second field. The name is in
    /// parentheses and can contain any byte, so it ends at the last closing
    /// parenthesis.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let name_end = text.iter().rposition(|&byte| byte == b')')?;
        let fields = text.get(name_end + 2..)?;
        Some(Self { fields })
    }

    /// Returns field 3: the state, a letter.
    pub fn state(&self) -> Option<u8> {
        self.field(3)?.first().copied()
    }

    /// Returns field 4: the PID of the parent.
    pub fn parent(&self) -> Option<u32> {
        number(self.field(4)?)
    }

    /// Returns field 9: the kernel's flags of the task (`PF_*`, include/linux/sched.h).
    pub fn flags(&self) -> Option<u64> {
        number(self.field(9)?)
    }

    /// Returns field 22: the start time, in clock ticks since boot.
    pub fn start_time(&self) -> Option<u64> {
        number(self.field(22)?)
    }

    fn field(&self, number: usize) -> Option<&'a [u8]> {
        let mut fields = self.fields.split(|&byte| byte == b' ');
        let field = fields.nth(number - 3)?;
        fields.next().map(|_| field)
    }
}

/// Returns the value of the first line that begins with `name`, without the white
/// space around it. A line without an end is ignored: it may have been cut.
pub fn value_of<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_suffix(b"\n"));
    value.map(<[u8]>::trim_ascii)
}

/// Parses a decimal number, signed if `T` is.
pub fn number<T: core::str::FromStr>(digits: &[u8]) -> Option<T> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}
