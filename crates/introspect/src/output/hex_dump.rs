//! Hex dump: an address, 16 bytes in hexadecimal, and the same bytes as text. Repeated
//! lines are left out, as `hexdump -C` does. Performs no I/O except the output.

use std::io::{self, Write};

const ROW: usize = 16;

/// Writes consecutive bytes as lines.
#[derive(Debug)]
pub(crate) struct HexDump<W> {
    out: W,
    /// Address of the next byte.
    address: u64,
    /// Bytes of the incomplete line.
    row: Vec<u8>,
    last: Option<[u8; ROW]>,
    repeats: bool,
}

impl<W: Write> HexDump<W> {
    /// Dump of bytes that begin at `address`.
    pub(crate) fn new(out: W, address: u64) -> Self {
        Self {
            out,
            address,
            row: Vec::with_capacity(ROW),
            last: None,
            repeats: false,
        }
    }

    /// Adds the next bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(ROW - self.row.len()));
            self.row.extend_from_slice(now);
            self.address = self.address.wrapping_add(now.len() as u64);
            bytes = rest;
            if let Ok(full) = <[u8; ROW]>::try_from(&self.row[..]) {
                self.full_row(full)?;
            }
        }
        Ok(())
    }

    fn full_row(&mut self, row: [u8; ROW]) -> io::Result<()> {
        if self.last == Some(row) {
            if !self.repeats {
                self.out.write_all(b"*\n")?;
            }
            self.repeats = true;
        } else {
            self.line()?;
            self.repeats = false;
        }
        self.last = Some(row);
        self.row.clear();
        Ok(())
    }

    fn line(&mut self) -> io::Result<()> {
        let mut text = String::with_capacity(96);
        text.push_str(&format!(
            "{:012x} ",
            self.address.wrapping_sub(self.row.len() as u64)
        ));
        for at in 0..ROW {
            if at % 8 == 0 {
                text.push(' ');
            }
            match self.row.get(at) {
                Some(byte) => text.push_str(&format!("{byte:02x} ")),
                None => text.push_str("   "),
            }
        }
        text.push_str(" |");
        let shown = |&byte: &u8| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '.',
        };
        text.extend(self.row.iter().map(shown));
        text.push_str("|\n");
        self.out.write_all(text.as_bytes())
    }

    /// Writes the incomplete line and the address after the last byte.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.row.is_empty() {
            self.line()?;
        }
        writeln!(self.out, "{:012x}", self.address)
    }
}
