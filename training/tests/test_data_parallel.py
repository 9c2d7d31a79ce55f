"""Stage: a resumed run of training is the run that was not interrupted."""

from __future__ import annotations

from pathlib import Path

import torch

from training.demo_model.data_parallel import DataParallel, Stage


def _stage(folder: Path) -> Stage:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    threads = torch.get_num_threads()
    stage = Stage(DataParallel(0, 1, folder), "stage.pt", model, optimizer, 0.9)
    torch.set_num_threads(threads)
    return stage


def _train(stage: Stage, steps: int) -> None:
    for _ in range(steps):
        inputs = torch.full((4, 3), float(stage.step))
        stage.update(stage.model(inputs).square().sum(), list(stage.model.parameters()))


def _state(stage: Stage) -> list[list[float]]:
    return [v.flatten().tolist() for v in (*stage.model.parameters(), *stage.average.values())]


def test_a_resumed_stage_goes_on_where_it_stopped(tmp_path: Path) -> None:
    straight = _stage(tmp_path)
    _train(straight, 5)
    interrupted = _stage(tmp_path)
    _train(interrupted, 3)
    interrupted.save(120.0)
    resumed = _stage(tmp_path)
    assert resumed.step == 3
    assert resumed.seconds() >= 120
    _train(resumed, 2)
    assert _state(resumed) == _state(straight)
    assert _state(resumed) != _state(interrupted)


def test_averaged_parameters_are_there_for_a_while_only(tmp_path: Path) -> None:
    stage = _stage(tmp_path)
    _train(stage, 3)
    before = [v.tolist() for v in stage.model.parameters()]
    with stage.averaged():
        assert [v.tolist() for v in stage.model.parameters()] == [
            v.tolist() for v in stage.average.values()
        ]
    assert [v.tolist() for v in stage.model.parameters()] == before
