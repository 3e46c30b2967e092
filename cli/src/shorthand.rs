//! `metaopt [submit's options] train.py --lr~…`, as in 2017: tells it from a verb, and a slip from both.

use std::{ffi::OsString, path::Path};

use clap::CommandFactory;

use crate::{cli::Cli, failure::Failure, markers, nearest::nearest};

/// A command line made ready for the parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// With `submit` put in where it was left out.
    pub argv: Vec<OsString>,
    /// It was left out: run in the foreground.
    pub shorthand: bool,
}

/// Puts `submit` in where the first word is a script rather than a verb.
pub fn read(argv: Vec<OsString>) -> Result<Read, Failure> {
    let cli = Cli::command();
    let is_verb = |word: &str| {
        cli.get_subcommands().any(|verb| verb.get_name() == word || verb.get_all_aliases().any(|alias| alias == word))
    };
    let at = match first_word(&cli, &argv) {
        Start::Word(at) => at,
        Start::Nothing => return Ok(Read { argv, shorthand: false }),
        Start::UnknownOption => {
            // The parser will refuse it; among submit's options it finds the one that was meant.
            let mut argv = argv;
            if !argv.iter().any(|arg| is_verb(&arg.to_string_lossy())) {
                argv.insert(1, "submit".into());
            }
            return Ok(Read { argv, shorthand: false });
        }
    };
    let word = argv[at].to_string_lossy().into_owned();
    let is_verb =
        cli.get_subcommands().any(|verb| verb.get_name() == word || verb.get_all_aliases().any(|a| a == word));
    if is_verb {
        return Ok(Read { argv, shorthand: false });
    }
    let rest: Vec<String> = argv[at..].iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let runs =
        word == "--" || word.contains(std::path::MAIN_SEPARATOR) || Path::new(&word).is_file() || markers::any(&rest);
    if runs {
        let mut argv = argv;
        argv.insert(1, "submit".into());
        return Ok(Read { argv, shorthand: true });
    }
    let verbs: Vec<_> = cli.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let looks_like_file = Path::new(&word).extension().is_some();
    let failure = if looks_like_file {
        Failure::usage(format!("there is no file `{word}` here"))
            .hint("the script's path counts from the current directory")
    } else {
        Failure::usage(format!("`{word}` is neither a command nor a file"))
    };
    Err(match nearest(&word, verbs.iter().map(String::as_str)) {
        Some(verb) if !looks_like_file => failure.hint(format!("did you mean `metaopt {verb}`?")),
        _ => failure.hint("`metaopt --help` lists the commands"),
    })
}

enum Start {
    /// The first argument that is neither an option nor an option's value; `--` counts as one.
    Word(usize),
    /// An option before it that nobody knows.
    UnknownOption,
    Nothing,
}

fn first_word(cli: &clap::Command, argv: &[OsString]) -> Start {
    let submit = cli.find_subcommand("submit");
    let known = || cli.get_arguments().chain(submit.into_iter().flat_map(clap::Command::get_arguments));
    let mut at = 1;
    while at < argv.len() {
        let text = argv[at].to_string_lossy();
        let option = if text == "--" {
            return Start::Word(at);
        } else if let Some(long) = text.strip_prefix("--") {
            let name = long.split('=').next().unwrap_or(long);
            known().find(|arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)))
        } else if let Some(short) = text.strip_prefix('-').filter(|short| !short.is_empty()) {
            known().find(|arg| arg.get_short() == short.chars().next())
        } else {
            return Start::Word(at);
        };
        match option {
            // `-n NAME` and `--name NAME`, but not `-nNAME` and `--name=NAME`
            Some(option) => {
                let joined = if text.starts_with("--") { text.contains('=') } else { text.chars().count() > 2 };
                at += if option.get_action().takes_values() && !joined { 2 } else { 1 };
            }
            None if matches!(&*text, "-h" | "--help" | "-V" | "--version") => at += 1,
            None => return Start::UnknownOption,
        }
    }
    Start::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &[&str]) -> Vec<OsString> {
        std::iter::once("metaopt").chain(line.iter().copied()).map(OsString::from).collect()
    }

    fn is_shorthand(line: &[&str]) -> bool {
        read(argv(line)).unwrap().shorthand
    }

    #[test]
    fn verbs_are_verbs_whatever_stands_before_them() {
        assert!(!is_shorthand(&["status"]));
        assert!(!is_shorthand(&["--json", "--data-dir", "train.py", "status", "x"]));
        assert!(!is_shorthand(&["--help"]));
        assert!(!is_shorthand(&[]));
    }

    #[test]
    fn a_script_or_a_marker_means_submit() {
        assert!(is_shorthand(&["./train.py"]));
        assert!(is_shorthand(&["--max-trials", "5", "-n", "status", "train", "--lr~uniform(0, 1)"]));
        assert!(is_shorthand(&["--max-trials=5", "--", "python", "t.py"]));
        assert!(is_shorthand(&["-nx", "python", "t.py", "-x~bool()"]));
        assert!(is_shorthand(&["--label", "cuda=12", "./t.py"]));
        let read = read(argv(&["--seed", "1", "./t.py"])).unwrap();
        assert_eq!(read.argv, argv(&["submit", "--seed", "1", "./t.py"]));
    }

    #[test]
    fn an_unknown_option_is_left_to_the_parser() {
        assert_eq!(read(argv(&["--max-trails", "5", "t.py"])).unwrap().argv[1], "submit");
        assert_eq!(read(argv(&["--max-trails", "5", "status"])).unwrap().argv[1], "--max-trails");
    }

    #[test]
    fn slips_are_told_from_scripts() {
        let failure = read(argv(&["statsu"])).unwrap_err();
        assert!(failure.hints[0].contains("metaopt status"), "{failure:?}");
        let failure = read(argv(&["no-such-file.py"])).unwrap_err();
        assert!(failure.message.contains("no file"), "{failure:?}");
        assert_eq!(failure.code, crate::failure::USAGE);
    }
}
