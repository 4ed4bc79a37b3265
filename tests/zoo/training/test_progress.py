"""What is shown on a terminal, and on anything else."""

from featzoo.zoo.training.loop import Epoch
from featzoo.zoo.training.progress import TrainingProgress

EPOCH = Epoch(
    3, "main", {"l1": 0.5, "total": 0.5}, {"l1": 0.4, "total": 0.4}, 0.25, {"main": 1e-3}, 1.5, True, "MAE", 0.25
)


def show():
    with TrainingProgress(32) as progress:
        progress.bar.refresh()  # before the number of steps is known
        progress.step(1, 4)
        progress.step(2, 4)
        progress.bar.refresh()
        progress.epoch(EPOCH)


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    show()
    shown = capsys.readouterr()
    assert "2/4" in shown.err
    assert "clips/s" in shown.err
    assert "epoch   3  l1 0.5000  total 0.5000  dev MAE 0.2500  1.5 s *" in shown.err
    assert shown.out == ""


def test_a_file_gets_lines_only(capsys):
    show()
    assert capsys.readouterr().err == "epoch   3  l1 0.5000  total 0.5000  dev MAE 0.2500  1.5 s *\n"


def test_other_processes_say_nothing(capsys):
    with TrainingProgress(32, shown=False) as progress:
        progress.epoch(EPOCH)
    assert capsys.readouterr().err == ""
