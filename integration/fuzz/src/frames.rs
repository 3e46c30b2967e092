//! The frames of peer links: any split of a stream gives the same frames and the same error; nothing accepted is lost
//! when it is sent on; what is buffered stays bounded.
//!
//! Input: a byte that says how, a byte that cuts, and a stream; or, with an odd first byte, records (kind, flags,
//! length, payload) that are made into frames with the right checksum.

use metaopt_core::wire::{BULK_LIMIT, Decoder, Frame, HEADER, WireError, changes, encode};

use crate::{head, pieces};

pub fn run(data: &[u8]) -> bool {
    let (how, data) = head(data);
    let (cut, data) = head(data);
    let stream = if how % 2 == 0 { data.to_vec() } else { forge(data) };
    let (frames, end) = read(pieces(&stream, cut));
    assert_eq!((&frames, &end), (&read([&stream[..]]).0, &read([&stream[..]]).1), "a split changed what was read");
    for frame in &frames {
        let again = match encode(frame) {
            Ok(bytes) => read([&bytes[..]]),
            // What came compressed may be too large without.
            Err(WireError::TooLarge { .. }) => continue,
            Err(error) => panic!("{error}: {frame:?}"),
        };
        assert_eq!(again, (vec![frame.clone()], Ok(())));
        if let Frame::Changes(list) = frame
            && let (batches, errors) = changes(list)
            && errors.is_empty()
        {
            let (parts, _) = read(batches.iter().map(|batch| &batch[..]));
            let sent = parts.into_iter().flat_map(|part| if let Frame::Changes(list) = part { list } else { vec![] });
            assert!(sent.eq(list.iter().cloned()), "batches lost a change");
        }
    }
    end.is_ok() && !frames.is_empty()
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Result<(), WireError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let taken = decoder.push(piece);
            assert!(taken > 0, "a decoder that is full has a frame or an error");
            piece = &piece[taken..];
            loop {
                match decoder.next_frame() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(decoder.next_frame(), Err(error.clone()), "an error stays");
                        return (frames, Err(error));
                    }
                }
            }
        }
    }
    let end = decoder.finish();
    (frames, end)
}

fn forge(mut data: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(([kind, flags, low, high], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        // Bit 1: compress here, so that what lies inside is reached.
        let packed =
            if flags & 2 != 0 { zstd::bulk::compress(payload, 1).unwrap_or_default() } else { payload.to_vec() };
        let start = stream.len();
        stream.extend_from_slice(&(packed.len().min(BULK_LIMIT) as u32).to_le_bytes());
        stream.extend_from_slice(&[1, *kind, u8::from(flags & 3 != 0), 0]);
        let sum = blake3::Hasher::new().update(&stream[start..start + HEADER - 8]).update(&packed).finalize();
        stream.extend_from_slice(&sum.as_bytes()[..8]);
        stream.extend_from_slice(&packed);
    }
    stream
}
