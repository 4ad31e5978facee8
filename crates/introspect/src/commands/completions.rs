//! Completions for shells: clap's scripts, and the processes that run where PID
//! is meant, which those know nothing of.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::commands::Arguments;
use crate::failure::Failure;
use crate::output::destination::Destination;
use crate::output::place::Place;

/// Numbers, and names of one word: what is behind an option takes others too.
const BASH: &str = r#"
_introspect_processes() {
    (cd /proc 2>/dev/null && printf '%s\n' [0-9]* && cat [0-9]*/comm 2>/dev/null | grep -xE '[[:alnum:]._-]+' | sort -u)
}
"#;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    Destination::open(&Place::StandardOutput)
        .and_then(|mut out| out.write_all(script(shell).as_bytes()))
        .map_err(|error| Place::StandardOutput.write(&error))
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "introspect", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let names = subcommands_with_pid();
    match shell {
        Shell::Bash => {
            for name in &names {
                let begin = format!("introspect__subcmd__{name})\n            opts=\"");
                let with = format!("{begin}$(_introspect_processes) ");
                script = script.replacen(&begin, &with, 1);
            }
            script.push_str(BASH);
        }
        Shell::Fish => {
            for name in &names {
                script.push_str(&format!(
                    "complete -c introspect -n \"__fish_introspect_using_subcommand {name}\" -f \
                     -a \"(__fish_complete_pids; __fish_complete_proc)\"\n"
                ));
            }
        }
        // It completes numbers, and shows the commands beside them.
        Shell::Zsh => {
            let lines = script.lines().map(|line| match line.contains("pid") {
                true => line
                    .replace("or an exact name:_default'", "or an exact name:_pids'")
                    .replace("or an exact name:'", "or an exact name:_pids'"),
                false => line.to_owned(),
            });
            script = lines.map(|line| line + "\n").collect();
        }
        _ => {}
    }
    script
}

/// The subcommands that take a process.
fn subcommands_with_pid() -> Vec<String> {
    let takes_pid = |argument: &clap::Arg| {
        let names = argument.get_value_names().unwrap_or_default();
        argument.is_positional() && names.iter().any(|name| name == "PID")
    };
    Arguments::command()
        .get_subcommands()
        .filter(|subcommand| subcommand.get_arguments().any(takes_pid))
        .map(|subcommand| subcommand.get_name().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_subcommand_that_takes_a_process_has_them_completed() {
        let names = subcommands_with_pid();
        assert!(names.len() >= 7, "{names:?}");
        for (shell, word) in [
            (Shell::Bash, "opts=\"$(_introspect_processes) "),
            (Shell::Fish, "__fish_complete_pids"),
            (Shell::Zsh, ":_pids'"),
        ] {
            let count = script(shell).matches(word).count();
            assert_eq!(count, names.len(), "{shell}");
        }
    }

    #[test]
    fn bash_completes_numbers_and_names_of_processes_and_options() {
        let completed = |word: &str| {
            let ask = "source /dev/stdin; COMP_WORDS=(introspect physical \"$1\"); COMP_CWORD=2; \
                       _introspect introspect \"$1\" physical; printf '%s\\n' \"${COMPREPLY[@]}\"";
            let mut bash = Command::new("bash")
                .args(["-c", ask, "bash", word])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("bash is there");
            let mut input = bash.stdin.take().unwrap();
            input.write_all(script(Shell::Bash).as_bytes()).unwrap();
            drop(input);
            let output = bash.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let this = std::process::id().to_string();
        assert!(completed(&this).contains(&this));
        assert!(completed("bas").contains(&"bash".to_owned()));
        assert_eq!(completed("--detai"), ["--details"]);
    }
}
