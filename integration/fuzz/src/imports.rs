//! Imports: the same trials or the same errors however the body is cut, and every trial on a line of its own.
//!
//! Input: a byte that cuts, then JSON lines.

use metaopt_core::commands::Told;
use metaopt_daemon::fuzzing::import;

use crate::{head, pieces};

pub fn run(data: &[u8]) -> bool {
    let (cut, data) = head(data);
    let whole = import([data]);
    let cut = import(pieces(data, cut));
    // Which of many errors are told may depend on where a chunk ends; that there are any may not.
    assert_eq!(whole.is_ok(), cut.is_ok());
    let (Ok((trials, lines, unfinished)), Ok(again)) = (whole, cut) else { return false };
    assert_eq!((&trials, &lines, unfinished), (&again.0, &again.1, again.2));
    assert_eq!(trials.len(), lines.len());
    assert!(lines.windows(2).all(|pair| pair[0] < pair[1]) && lines.first() != Some(&0));
    let count = data.split(|byte| *byte == b'\n').count();
    assert!(trials.len() as u64 + unfinished <= count as u64 && lines.last().is_none_or(|last| *last <= count));
    for trial in &trials {
        assert!(trial.reports.iter().all(|report| report.step > 0));
        assert!(trial.id.as_ref().is_none_or(|id| !id.is_empty()));
        if let Told::Complete(values) = &trial.told {
            assert!(values.iter().all(|(_, value)| value.is_finite()));
        }
    }
    !trials.is_empty()
}
