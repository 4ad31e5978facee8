//! `introspect completions`: clap's completions for shells, with the running processes
//! as values of PID.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::destination::print;

/// Print completions for a shell
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Arguments {
    /// Runs the subcommand for this command line.
    pub(crate) fn run(&self, command: clap::Command) -> Result<(), Failure> {
        print(script(self.shell, command).as_bytes())
    }
}

/// Numbers, and names of one word.
const BASH: &str = r#"
_introspect_processes() {
    (cd /proc 2>/dev/null && printf '%s\n' [0-9]* && cat [0-9]*/comm 2>/dev/null | grep -xE '[[:alnum:]._-]+' | sort -u)
}
"#;

fn script(shell: Shell, mut command: clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "introspect", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let names = subcommands_with_pid(&command);
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
        // zsh completes numbers, and shows the commands beside them.
        Shell::Zsh => {
            let lines = script.lines().map(|line| match line.contains("pid") {
                true => line
                    .replace("or exact name:_default'", "or exact name:_pids'")
                    .replace("or exact name:'", "or exact name:_pids'"),
                false => line.to_owned(),
            });
            script = lines.map(|line| line + "\n").collect();
        }
        _ => {}
    }
    script
}

/// Returns the subcommands that take a process.
fn subcommands_with_pid(command: &clap::Command) -> Vec<String> {
    let takes_pid = |argument: &clap::Arg| {
        let names = argument.get_value_names().unwrap_or_default();
        argument.is_positional() && names.iter().any(|name| name == "PID")
    };
    command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_arguments().any(takes_pid))
        .map(|subcommand| subcommand.get_name().to_owned())
        .collect()
}
