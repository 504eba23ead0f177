"""The command line: ``python -m llmzip`` and the programs ``llmzip``, ``unllmzip``, ``llmzcat``."""

import signal
import sys

from ._llmzip import note_standard_streams, run_program


def main():
    """Run the command line, and end the process with its exit code."""
    # Python has changed what the program must find as a shell left it. A signal that was ignored
    # when Python started stays so, but for SIGPIPE, of which Python does not tell.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        note_standard_streams()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    name = sys.argv[0]
    run_program(
        ["llmzip" if name.endswith("__main__.py") else name, *sys.argv[1:]],
        [sys.executable, "-m", "llmzip"],
    )


if __name__ == "__main__":
    main()
