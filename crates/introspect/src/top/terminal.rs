//! The terminal: entered when the view begins, and restored however it ends, also by a panic.
//! Must not know what is drawn.

use std::io::{self, stdout, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Once;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    disable_raw_mode, enable_raw_mode, EnterAlternateScreen, LeaveAlternateScreen,
};

use crate::failure::Failure;

/// Whether the terminal is in the state of the view.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);

/// The terminal in the state of the view, until this is dropped.
#[derive(Debug)]
pub(crate) struct Terminal(ratatui::Terminal<CrosstermBackend<Stdout>>);

impl Terminal {
    /// Enters the alternate screen and raw mode.
    pub(crate) fn enter() -> Result<Self, Failure> {
        restore_in_panics();
        let entered =
            enter().and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(stdout())));
        match entered {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                restore();
                Err(failed(&error))
            }
        }
    }

    /// Draws what has changed on the screen.
    pub(crate) fn draw(
        &mut self,
        draw: impl FnOnce(&mut ratatui::Frame<'_>),
    ) -> Result<(), Failure> {
        self.0
            .draw(draw)
            .map(|_| ())
            .map_err(|error| failed(&error))
    }

    /// Forgets what is on the screen, so that all of it is drawn again.
    pub(crate) fn forget(&mut self) -> Result<(), Failure> {
        self.0.clear().map_err(|error| failed(&error))
    }

    /// Restores the terminal, calls `stopped`, and enters it again.
    pub(crate) fn leave_for(&mut self, stopped: impl FnOnce()) -> Result<(), Failure> {
        restore();
        stopped();
        enter().map_err(|error| failed(&error))?;
        self.forget()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("use the terminal", error)
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, Hide)
}

/// Restores the terminal, if it is in the state of the view.
pub(crate) fn restore() {
    if IS_ENTERED.swap(false, Ordering::SeqCst) {
        // The terminal may be gone; nothing else can be done about that.
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Has a panic of any thread restore the terminal before its message is printed. The hook runs
/// also where a panic aborts.
fn restore_in_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}
