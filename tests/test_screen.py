"""
What a person sees while something takes long.
"""

import io

from rich.console import Console

from guard.screen import walking


def test_the_progress_of_walks_is_shown_on_a_terminal_only():
    """
    A terminal shows a line for each target with the jobs read so far; a file or a pipe gets nothing.
    """
    terminal, pipe = io.StringIO(), io.StringIO()
    for file, is_terminal in ((terminal, True), (pipe, False)):
        with walking(Console(file=file, force_terminal=is_terminal, width=80)) as told:
            told("lab", 50, None)
            told("lab", 1_250, 2_000)
            told("south", 1, None)
    assert "target lab" in terminal.getvalue()
    assert "1,250 jobs read" in terminal.getvalue()
    assert "target south" in terminal.getvalue()
    assert pipe.getvalue() == ""
