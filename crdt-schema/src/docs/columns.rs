//! How much a change claims to hold, told from its columns without unfolding them.
//!
//! Owns: a bound for what Automerge's decoder is given. Must not: judge what a change says.
//!
//! The operations of a change are stored by column, and a column by runs: "a million times 1" takes five bytes. Automerge
//! unfolds whatever it is told to, and sets memory aside for texts before it looks whether they are there; so a change of
//! a hundred bytes could keep it busy for days or take all memory. Column types: the binary format at
//! <https://automerge.org/automerge-binary-format-spec/>.

/// Bytes before the length of a chunk: magic, checksum and type.
const LEAD: usize = 9;

const GROUP: u64 = 0;
const BOOLEAN: u64 = 4;
const TEXT: u64 = 5;
const RAW: u64 = 7;

/// Whether no column of this uncompressed change unfolds to more than `most` entries. False also where it can't be told.
pub(super) fn bounded(change: &[u8], most: u64) -> bool {
    change.get(LEAD..).and_then(|bytes| columns(Reader(bytes), most)).is_some()
}

fn columns(mut chunk: Reader<'_>, most: u64) -> Option<()> {
    let mut body = chunk.sized()?;
    let deps = body.unsigned()?;
    body.take(deps.checked_mul(32)?)?;
    let _actor = body.sized()?;
    let (_seq, _start, _time) = (body.unsigned()?, body.unsigned()?, body.signed()?);
    let _message = body.sized()?;
    for _ in 0..body.unsigned()? {
        let _other_actor = body.sized()?;
    }
    let mut columns = Vec::new();
    for _ in 0..body.unsigned()? {
        columns.push((body.unsigned()?, body.unsigned()?));
    }
    for (spec, length) in columns {
        let mut column = Reader(body.take(length)?);
        match spec & 7 {
            RAW => {}
            BOOLEAN => column.switches(most)?,
            kind => column.runs(kind, most)?,
        }
    }
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// What stands behind its own length.
    fn sized(&mut self) -> Option<Self> {
        let length = self.unsigned()?;
        self.take(length).map(Self)
    }

    /// A LEB128 number's bits, and how many there are.
    fn bits(&mut self) -> Option<(u64, u32)> {
        let (mut bits, mut shift) = (0u64, 0);
        loop {
            let byte = *self.take(1)?.first()?;
            bits |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some((bits, shift));
            }
        }
    }

    fn unsigned(&mut self) -> Option<u64> {
        Some(self.bits()?.0)
    }

    fn signed(&mut self) -> Option<i64> {
        let (bits, count) = self.bits()?;
        let unused = 64u32.saturating_sub(count);
        Some((bits as i64) << unused >> unused)
    }

    /// Numbers of false and true entries in turn.
    fn switches(&mut self, most: u64) -> Option<()> {
        let mut entries = 0;
        while !self.0.is_empty() {
            entries = add(entries, self.unsigned()?, most)?;
        }
        Some(())
    }

    /// Runs: of one value, of single values (a negative count), or of nothing (0, then how much of it). A group's value
    /// is how many entries of the columns that follow belong to its operation.
    fn runs(&mut self, kind: u64, most: u64) -> Option<()> {
        let (mut entries, mut members) = (0, 0);
        while !self.0.is_empty() {
            let count = self.signed()?;
            let length = if count == 0 { self.unsigned()? } else { count.unsigned_abs() };
            entries = add(entries, length, most)?;
            let (values, times) = match count {
                0 => (0, 0),
                1.. => (1, length),
                _ => (length, 1),
            };
            for _ in 0..values {
                // Delta columns hold signed numbers, which end where unsigned ones do.
                let value = self.unsigned()?;
                match kind {
                    TEXT => _ = self.take(value)?,
                    GROUP => members = add(members, value.checked_mul(times)?, most)?,
                    _ => {}
                }
            }
        }
        Some(())
    }
}

fn add(sum: u64, more: u64, most: u64) -> Option<u64> {
    sum.checked_add(more).filter(|sum| *sum <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change whose only column is this one.
    fn change(spec: u8, column: &[u8]) -> Vec<u8> {
        let mut body = vec![0, 1, 7, 1, 1, 0, 0, 0, 1, spec, column.len() as u8];
        body.extend_from_slice(column);
        [&[0; LEAD][..], &[body.len() as u8], &body].concat()
    }

    #[test]
    fn columns_are_bounded_by_what_they_unfold_to_and_not_by_their_bytes() {
        const MILLION: [u8; 4] = [0xc0, 0x84, 0x3d, 1];
        let good: [(u8, &[u8]); 8] = [
            (0x42, &[3, 1]),
            (0x42, &[0x7d, 1, 2, 3]),
            (0x42, &[0, 3]),
            (0x34, &[1, 1, 1]),
            (0x70, &[3, 1]),
            (0x15, &[0x7e, 1, b'a', 2, b'b', b'c']),
            (0x73, &[0x7f, 0x40]),
            (0x57, &[0xff, 0xff, 0xff]),
        ];
        for (spec, column) in good {
            assert!(bounded(&change(spec, column), 3), "{spec:x} {column:?}");
        }
        let bad: [(u8, &[u8]); 10] = [
            (0x42, &[4, 1]),
            (0x42, &[3, 1, 1, 1]),
            (0x42, &MILLION),
            (0x42, &[0, 4]),
            (0x42, &[0x7d, 1, 2]),
            (0x34, &[1, 1, 2]),
            (0x70, &[2, 2]),
            (0x70, &[0x7f, 0xff, 0xff, 0xff, 0x7f]),
            (0x15, &[0x7f, 0xff, 0xff, 0xff, 0x7f, b'a']),
            (0x73, &[0x7f, 0xc0]),
        ];
        for (spec, column) in bad {
            assert!(!bounded(&change(spec, column), 3), "{spec:x} {column:?}");
        }
        assert!(!bounded(&[], 3) && !bounded(&change(0x42, &[3, 1])[..20], 3));
    }
}
