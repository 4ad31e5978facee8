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

    /// Returns the number in a field from 4 on, counted from 1 as in the manual;
    /// signed if `T` is.
    pub fn number<T: core::str::FromStr>(&self, field: usize) -> Option<T> {
        number(self.field(field)?)
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

/// Parses a number of digits of a base, such as the hexadecimal signal masks and the
/// octal file mode mask of `status`.
pub fn number_of_base(digits: &[u8], base: u32) -> Option<u64> {
    u64::from_str_radix(core::str::from_utf8(digits).ok()?, base).ok()
}

/// Beginnings of the lines of a text that arrives in pieces of any size. A line that
/// continues beyond `N` bytes is reported by its first `N`; one without an end is not
/// reported, since it may have been cut.
#[derive(Copy, Clone, Debug)]
pub struct LineStarts<const N: usize> {
    start: [u8; N],
    len: usize,
}

impl<const N: usize> LineStarts<N> {
    /// Makes the state before the first piece.
    pub const fn new() -> Self {
        Self {
            start: [0; N],
            len: 0,
        }
    }

    /// Takes the next piece and calls `each` with every line that ends in it.
    pub fn push(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) {
        for &byte in piece {
            if byte == b'\n' {
                each(&self.start[..self.len]);
                self.len = 0;
            } else if let Some(next) = self.start.get_mut(self.len) {
                *next = byte;
                self.len += 1;
            }
        }
    }
}

impl<const N: usize> Default for LineStarts<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Place of a thread that does not run, as `/proc/PID/task/TID/syscall` reports it
/// (fs/proc/base.c, `proc_pid_syscall`): in a system call, or outside of any.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspension {
    /// System call; `None` outside of one, as in a page fault.
    pub system_call: Option<SystemCall>,
    /// Stack pointer in user mode.
    pub stack_pointer: u64,
    /// Address of the next instruction in user mode.
    pub instruction_pointer: u64,
}

/// System call that a thread waits in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemCall {
    /// Number, of the architecture that the thread's program was compiled for.
    pub number: u32,
    /// Arguments.
    pub arguments: [u64; 6],
}

impl Suspension {
    /// Parses the text of the file; `None` of a running thread and of a kernel thread.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(text.strip_suffix(b"\n")?).ok()?;
        let mut fields = text.split(' ');
        let number = fields.next()?;
        let mut hex = || number_of_base(fields.next()?.strip_prefix("0x")?.as_bytes(), 16);
        let system_call = if number == "-1" {
            None
        } else {
            let number = number.parse().ok()?;
            let mut arguments = [0; 6];
            for argument in &mut arguments {
                *argument = hex()?;
            }
            Some(SystemCall { number, arguments })
        };
        let (stack_pointer, instruction_pointer) = (hex()?, hex()?);
        // Both are 0 of a kernel thread.
        let is_user = stack_pointer != 0 || instruction_pointer != 0;
        is_user.then_some(Self {
            system_call,
            stack_pointer,
            instruction_pointer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn lines_are_the_same_in_pieces_of_any_size() {
        let text = b"Name:\tx\nGroups:\t1 2 3 4 5 6 7 8 9\n\nThreads:\t3\nCut:\t1";
        for size in 1..=text.len() {
            let mut lines = LineStarts::<12>::new();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.push(piece, |line| found.push(line.to_vec()));
            }
            let expected: [&[u8]; 4] = [b"Name:\tx", b"Groups:\t1 2 ", b"", b"Threads:\t3"];
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn a_suspension_is_a_call_with_its_arguments_or_none() {
        let blocked = b"230 0x1 0x2 0x7f3418998ab0 0x0 0x0 0x7f34 0x7f3418998a70 0x7f34190ed545\n";
        let at = Suspension::parse(blocked).unwrap();
        let call = at.system_call.unwrap();
        assert_eq!((call.number, call.arguments[1]), (230, 2));
        assert_eq!(at.stack_pointer, 0x7f34_1899_8a70);
        assert_eq!(at.instruction_pointer, 0x7f34_190e_d545);
        let at = Suspension::parse(b"-1 0x7ffd063d8430 0x7f34191162ec\n").unwrap();
        assert_eq!(at.system_call, None);
        assert_eq!(at.stack_pointer, 0x7ffd_063d_8430);
        let none: [&[u8]; 6] = [
            b"running\n",
            b"",
            b"0 0x0 0x0\n",
            b"-1 zz 0x1\n",
            b"-1 0x1 0x2",
            b"0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n",
        ];
        for text in none {
            assert_eq!(Suspension::parse(text), None, "{text:?}");
        }
    }
}
