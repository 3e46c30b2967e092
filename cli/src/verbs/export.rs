//! `metaopt export STUDY [-o FILE] [--format …]`

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use crate::{
    cli::Format,
    context::{Context, study_path},
    failure::{Doing, Failure},
    render::value,
};

/// All trials of a study, as CSV, JSON lines or Parquet
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// Where to; standard output unless said
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// By the file's ending unless said, else JSON lines
    #[arg(long, short)]
    pub format: Option<Format>,
}

/// Streams it. A file appears only once it is whole.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let by_ending =
        args.output.as_ref().and_then(|path| path.extension()).and_then(|ending| match ending.to_str()? {
            "csv" => Some(Format::Csv),
            "parquet" => Some(Format::Parquet),
            _ => None,
        });
    let format = args.format.or(by_ending).unwrap_or(Format::Jsonl);
    let path = study_path(&args.study, &format!("/export?format={}", format.as_str()));
    let stream = context.client()?.stream(&path);
    let mut reader = stream.map_err(|failure| context.with_nearest(failure, &args.study))?;
    let broke = || "the export broke off".to_owned();
    let Some(file) = &args.output else {
        if context.out.terminal {
            // By lines, so that no character is cut in two: notes and attributes are anybody's words.
            let (mut reader, mut line) = (BufReader::new(reader), Vec::new());
            while reader.read_until(b'\n', &mut line).doing(broke)? > 0 {
                context.out.print(&String::from_utf8_lossy(&line))?;
                line.clear();
            }
            return Ok(());
        }
        let mut buffer = [0; 64 << 10];
        loop {
            match reader.read(&mut buffer).doing(broke)? {
                0 => return Ok(()),
                n => context.out.write(&buffer[..n])?,
            }
        }
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let mut draft =
        tempfile::NamedTempFile::new_in(folder).doing(|| format!("cannot write in {}", folder.display()))?;
    let size = std::io::copy(&mut reader, &mut draft).doing(broke)?;
    draft.persist(file).map_err(|error| error.error).doing(|| format!("cannot write {}", file.display()))?;
    context.out.say(format!("wrote {} ({})", file.display(), value::bytes(size)));
    Ok(())
}
