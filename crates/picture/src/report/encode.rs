//! Bytes in the document: deflated, as base64. Must not know what they mean.

use std::io::Write;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use flate2::write::DeflateEncoder;
use flate2::Compression;

/// Returns bytes deflated (RFC 1951), as base64.
pub(super) fn deflated(bytes: &[u8]) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    // A vector takes everything.
    STANDARD.encode(written.unwrap_or_default())
}

/// Returns bytes as base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends a number in LEB128: seven bits a byte, the lowest first, with the highest bit set in
/// all bytes but the last.
pub(super) fn push_varint(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
