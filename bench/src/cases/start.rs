//! Cases of the command's start: the whole time of commands that do next to nothing.

use crate::command;
use crate::row::{Bound, Outcome, Unit};
use crate::session::{Case, Session};
use crate::spread::Spread;

pub(crate) fn run(session: &mut Session) {
    let most = Bound::AtMost(5e-3);
    for arguments in [&["--version"][..], &["virtual", "self"]] {
        let name = format!("introspect {}", arguments.join(" "));
        if !session.wants(&[&name]) {
            continue;
        }
        let case = Case::new(&name, "nothing: the whole command", most);
        // The first run, which reads the program from its file, is not counted.
        let runs = (0..=session.rounds).map(|_| command::run(&session.command, arguments));
        match runs.skip(1).collect::<Result<Vec<_>, _>>() {
            Ok(runs) => {
                let seconds = Spread::of(runs.iter().map(|run| run.seconds));
                session.add(case, Outcome::Amount(seconds, Unit::Seconds));
            }
            Err(why) => session.absent(case, why),
        }
    }
}
