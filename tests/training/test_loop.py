"""One loop: what it learns, what it keeps, and that a run that was killed comes to the same weights."""

import math
import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from coldstart.errors import InvalidInputError, SavedFolderError, TrainingError
from coldstart.training.loop import Epoch, History, Loop, run

STEPS, ROWS = 4, 16
X = torch.from_numpy(np.random.default_rng(0).standard_normal((STEPS * ROWS, 3)).astype(np.float32))
TRUE, OFFSET = torch.tensor([1.0, -2.0, 3.0]), 0.5
Y = X @ TRUE + OFFSET
QUICK = {"epochs": 3, "warmup": 2, "learning_rate": 0.01}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def steps_seen():
    """Learning rate and gradients at each step of an optimizer."""
    seen = []

    def note(optimizer, *_):
        (group,) = optimizer.param_groups
        seen.append((group["lr"], torch.cat([weight.grad.flatten().clone() for weight in group["params"]])))

    hook = register_optimizer_step_pre_hook(note)
    yield seen
    hook.remove()


def line(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(3, 1)


def forgetful(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))


class Scalar(nn.Module):
    """One weight; ``loss`` pulls it down with a gradient of the batch's size."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def loss(self, gradient):
        self.seen.append(self.weight.item())
        return (self.weight * gradient).sum()


def shuffled(rng):
    return list(rng.permutation(len(X)).reshape(STEPS, ROWS))


def squared(network):
    return lambda rows: (network(X[rows]).squeeze(1) - Y[rows]).square().mean()


def train(network, loop=None, batches=shuffled, loss=None, steps=STEPS, **more):
    return run(network, batches, loss or squared(network), loop or Loop(**QUICK), steps=steps, **more)


def weights(network):
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def trained(seed=0, make=forgetful, **settings):
    network = make()
    train(network, Loop(**{**QUICK, "seed": seed, **settings}))
    return network


def scripted(*values):
    """A measurement that says one value after the other."""
    left = iter(values)
    return lambda: next(left)


class Killed(BaseException):
    """Neither caught nor turned into anything else by accident."""


def kill_at(number):
    def callback(epoch):
        if epoch.number == number:
            raise Killed

    return callback


def test_a_linear_regression_finds_the_line():
    network = line()
    history = train(network, Loop(epochs=60, learning_rate=0.1, weight_decay=0.0, clip=0.0))
    torch.testing.assert_close(network.weight[0], TRUE, atol=0.01, rtol=0)
    assert network.bias.item() == pytest.approx(OFFSET, abs=0.01)
    assert len(history.losses) == history.best == 60
    assert history.losses[-1] < 1e-3 < history.losses[0]


def test_the_loss_of_an_epoch_is_the_mean_of_its_batches():
    network = Scalar()
    network.weight.data.fill_(1.0)
    history = train(network, Loop(epochs=1, learning_rate=0.0), lambda _: [1.0, 2.0, 6.0], network.loss, 3)
    assert history.losses == [3.0]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    assert weights(trained(3)) == weights(trained(3))
    assert weights(trained(3)) != weights(trained(4))


def test_the_seed_decides_on_dropout_too():
    def trained_in_order(seed):
        network = forgetful()
        train(network, Loop(**QUICK, seed=seed), lambda _: shuffled(np.random.default_rng(0)))
        return network

    assert weights(trained_in_order(3)) == weights(trained_in_order(3))
    assert weights(trained_in_order(3)) != weights(trained_in_order(4))


def test_dropout_drops_something_else_in_each_epoch():
    network, kept = forgetful(), []

    def loss(rows):
        kept.append(tuple(network[1](torch.ones(64)).tolist()))
        return squared(network)(rows)

    train(network, loss=loss)
    assert len(set(kept)) == len(kept) == 12


def orders_of(seed):
    orders = []

    def batches(rng):
        orders.append(shuffled(rng))
        return orders[-1]

    train(line(), Loop(**QUICK, seed=seed), batches)
    return [np.concatenate(order).tobytes() for order in orders]


def test_each_epoch_has_random_numbers_of_its_own():
    assert len(set(orders_of(3))) == 3
    assert orders_of(3) == orders_of(3)
    assert not set(orders_of(3)) & set(orders_of(4))


def test_global_seeds_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    trained()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_global_seed_changes_nothing():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = weights(trained())
        torch.manual_seed(2)
        assert weights(trained()) == one


def test_the_learning_rate_rises_and_then_falls_to_0():
    network = Scalar()
    loop = Loop(epochs=4, learning_rate=0.01, warmup=4, weight_decay=0.0)
    train(network, loop, lambda _: [1.0] * 5, network.loss, 5)
    moved = -np.diff([*network.seen, network.weight.item()]) / 0.01  # AdamW of an even gradient moves by the rate
    np.testing.assert_allclose(moved, [0.2, 0.4, 0.6, 0.8, *np.linspace(1, 0, 17)[:-1]], rtol=1e-3)


def test_without_warm_up_training_starts_at_the_full_rate(steps_seen):
    train(line(), Loop(epochs=2, warmup=0, learning_rate=0.5))
    np.testing.assert_allclose([rate for rate, _ in steps_seen], np.linspace(0.5, 0, 9)[:-1])


@pytest.mark.parametrize("accumulate", [2, 3])
def test_the_rate_falls_over_steps_and_not_over_batches(steps_seen, accumulate):
    train(line(), Loop(epochs=2, warmup=0, learning_rate=0.5, accumulate=accumulate))
    np.testing.assert_allclose([rate for rate, _ in steps_seen], [0.5, 0.375, 0.25, 0.125])


def test_a_gradient_is_never_longer_than_clip(steps_seen):
    train(line(), Loop(**QUICK, clip=0.0))
    free = [gradient for _, gradient in steps_seen]
    steps_seen.clear()
    train(line(), Loop(**QUICK, clip=0.1))
    assert min(gradient.norm() for gradient in free) > 1
    assert [gradient.norm().item() for _, gradient in steps_seen] == pytest.approx([0.1] * 12, rel=1e-3)
    torch.testing.assert_close(steps_seen[0][1], 0.1 * free[0] / free[0].norm())


def test_a_short_gradient_is_left_as_it_is_by_clip(steps_seen):
    network = Scalar()
    train(network, Loop(epochs=1, clip=1.0), lambda _: [0.25, 0.5], network.loss, 2)
    assert [gradient.item() for _, gradient in steps_seen] == [0.25, 0.5]


def test_two_accumulated_halves_make_the_step_of_the_whole_batch(steps_seen):
    def halves(rng):
        return [half for rows in shuffled(rng) for half in rows.reshape(2, -1)]

    settings = {**QUICK, "epochs": 5, "weight_decay": 0.0, "clip": 0.0}
    whole, halved = line(), line()
    one = train(whole, Loop(**settings))
    other = train(halved, Loop(**settings, accumulate=2), halves, steps=2 * STEPS)
    torch.testing.assert_close(halved.state_dict(), whole.state_dict(), atol=1e-5, rtol=1e-5)
    assert other.losses == pytest.approx(one.losses, rel=1e-5)
    gradients = [gradient for _, gradient in steps_seen]
    assert len(gradients) == 2 * 5 * STEPS
    torch.testing.assert_close(gradients[5 * STEPS :], gradients[: 5 * STEPS], atol=1e-4, rtol=1e-4)


def test_the_last_batches_make_a_step_even_when_fewer_than_accumulate(steps_seen):
    train(line(), Loop(**QUICK, accumulate=3))
    assert len(steps_seen) == 3 * 2


def test_training_stops_after_epochs_without_a_better_measurement_and_the_best_weights_are_kept():
    network, after = line(), {}

    def note(epoch):
        after[epoch.number] = weights(network)

    history = train(
        network, Loop(**{**QUICK, "epochs": 9}, patience=2), measure=scripted(1, 2, 5, 4, 5), callbacks=[note]
    )
    assert [epoch.number for epoch in history.epochs] == [0, 1, 2, 3, 4]
    assert [epoch.measured for epoch in history.epochs] == [1, 2, 5, 4, 5]
    assert history.best == 2
    assert weights(network) == after[2] != after[4]


def test_without_patience_training_goes_to_the_end_and_the_best_weights_are_kept():
    network, after = line(), {}

    def note(epoch):
        after[epoch.number] = weights(network)

    history = train(network, measure=scripted(1, 9, 4, 5), callbacks=[note])
    assert history.best == 1
    assert sorted(after) == [1, 2, 3]
    assert weights(network) == after[1]


def test_measurements_below_0_are_compared_like_others():
    assert train(line(), measure=scripted(-5, -3, -1, -2)).best == 2
    assert train(line(), measure=scripted(-1, -3, -5, -2)).best == 0


def test_training_that_worsens_the_measurement_keeps_the_initial_weights():
    network = line()
    network.weight.data.copy_(TRUE[None])
    network.bias.data.fill_(OFFSET)
    before = weights(network)
    history = train(
        network,
        Loop(epochs=2, learning_rate=1.0, warmup=0, weight_decay=0.5),
        measure=lambda: -(network(X).squeeze(1) - Y).square().mean().item(),
    )
    assert history.best == 0
    assert weights(network) == before
    assert math.isnan(history.epochs[0].loss)
    assert history.epochs[0].measured > history.epochs[2].measured


def test_without_a_measurement_the_last_weights_are_kept():
    network, last = line(), {}
    history = train(network, Loop(**QUICK, patience=1), callbacks=[lambda _: last.update(weights(network))])
    assert history.best == len(history.epochs) == 3
    assert weights(network) == last


def test_measuring_is_done_without_dropout_and_without_gradients():
    network, seen = forgetful(), []

    def measure():
        seen.append((network.training, torch.is_grad_enabled(), torch.equal(network(X), network(X))))
        return 0.0

    during = []

    def loss(rows):
        during.append(network.training)
        return squared(network)(rows)

    train(network, measure=measure, loss=loss)
    assert seen == [(False, False, True)] * 4
    assert during == [True] * 12


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_resumed_run_ends_with_the_same_bytes(tmp_path, measured, after):
    loop = Loop(**{**QUICK, "epochs": 5}, accumulate=3, adversarial=0.1)
    straight, killed, resumed = forgetful(), forgetful(), forgetful(seed=9)

    def go(network, first=0, **more):
        measure = scripted(*[0.1, 0.3, 0.2, 0.5, 0.4, 0.3][first:]) if measured else None
        return train(network, loop, measure=measure, perturbed=[network[0].weight], **more)

    expected = go(straight)
    with pytest.raises(Killed):
        go(killed, checkpoint=tmp_path / "kept", callbacks=[kill_at(after)])
    epochs = []
    history = go(resumed, after + 1, checkpoint=tmp_path / "kept", callbacks=[epochs.append])
    assert weights(resumed) == weights(straight)
    assert repr(history) == repr(expected)
    assert [epoch.number for epoch in epochs] == list(range(after + 1, 6))


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_killed_in_mid_epoch_resumes_at_the_start_of_the_epoch(tmp_path, epoch):
    straight, killed, resumed = forgetful(), forgetful(), forgetful()
    expected = train(straight, measure=scripted(1, 2, 3, 4))
    calls = []

    def loss(rows):
        calls.append(rows)
        if len(calls) == (epoch - 1) * STEPS + 3:
            raise KeyboardInterrupt
        return squared(killed)(rows)

    with pytest.raises(KeyboardInterrupt):
        train(killed, loss=loss, checkpoint=tmp_path / "kept", measure=scripted(1, 2, 3, 4))
    history = train(resumed, checkpoint=tmp_path / "kept", measure=scripted(*[1, 2, 3, 4][epoch:]))
    assert repr(history) == repr(expected)
    assert weights(resumed) == weights(straight)


def test_a_run_may_be_killed_again_and_again(tmp_path):
    straight = forgetful()
    expected = train(straight)
    for number in (1, 2, 3):
        with pytest.raises(Killed):
            train(forgetful(), checkpoint=tmp_path / "kept", callbacks=[kill_at(number)])
    last = forgetful()
    assert train(last, checkpoint=tmp_path / "kept") == expected
    assert weights(last) == weights(straight)


@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("checkpointed", [True, False])
def test_a_killed_run_leaves_the_network_as_before(tmp_path, error, checkpointed):
    network = forgetful()
    before = weights(network)

    def callback(epoch):
        assert weights(network) != before
        if epoch.number == 2:
            raise error

    with pytest.raises(error):
        train(network, callbacks=[callback], checkpoint=tmp_path / "kept" if checkpointed else None)
    assert weights(network) == before


def test_a_finished_run_is_not_run_again(tmp_path):
    one, other = forgetful(), forgetful(seed=9)
    history = train(one, checkpoint=tmp_path / "kept")
    assert train(other, checkpoint=tmp_path / "kept", loss=lambda rows: 1 / 0) == history
    assert weights(other) == weights(one)


def test_a_run_that_stopped_early_is_not_run_again(tmp_path):
    loop = Loop(**QUICK, patience=1)
    one, other = forgetful(), forgetful(seed=9)
    history = train(one, loop, checkpoint=tmp_path / "kept", measure=scripted(1, 3, 2))
    again = train(other, loop, checkpoint=tmp_path / "kept", measure=scripted())
    assert repr(again) == repr(history)
    assert weights(other) == weights(one)


def test_the_bar_may_be_turned_off_when_a_run_is_resumed(tmp_path):
    with pytest.raises(Killed):
        train(line(), Loop(**QUICK, progress=True), checkpoint=tmp_path / "kept", callbacks=[kill_at(1)])
    history = train(line(), Loop(**QUICK, progress=False), checkpoint=tmp_path / "kept")
    assert len(history.epochs) == 3


def test_a_checkpoint_is_one_file_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "kept"
    train(line(), checkpoint=str(path))
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_beside_a_checkpoint_is_gone_after_the_next(tmp_path):
    for name in (".kept.new", ".kept.lock"):
        (tmp_path / name).write_bytes(b"half of it")
    train(line(), checkpoint=tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600


def test_a_checkpoint_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    train(line(), checkpoint=tmp_path / "kept")
    before = (tmp_path / "kept").read_bytes()

    def fail(kept, path):
        raise RuntimeError("unexpected pos 64 vs 0")  # what torch says of a full disk

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(
        SavedFolderError, match="`checkpoint` .*other' cannot be written: unexpected pos.*Is the disk full"
    ):
        train(line(), Loop(**{**QUICK, "epochs": QUICK["epochs"] + 1}), checkpoint=tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == before


def test_a_kill_while_writing_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    straight, resumed = forgetful(), forgetful()
    expected = train(straight)
    save = torch.save
    written = []

    def cut_short(kept, path):
        written.append(path)
        if len(written) == 2:
            with open(path, "wb") as file:
                file.write(b"half of it")
            raise Killed
        save(kept, path)

    monkeypatch.setattr(torch, "save", cut_short)
    with pytest.raises(Killed):
        train(forgetful(), checkpoint=tmp_path / "kept")
    assert train(resumed, checkpoint=tmp_path / "kept") == expected
    assert weights(resumed) == weights(straight)


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"epochs": 9}, {"learning_rate": 0.02}, {"shares": {"loss": 0.5}}, {"accumulate": 2}],
    ids=str,
)
def test_a_checkpoint_of_other_settings_is_refused_and_left(tmp_path, changed):
    path = tmp_path / "kept"
    train(line(), checkpoint=path)
    content, network = path.read_bytes(), line(5)
    with pytest.raises(SavedFolderError, match=r"`checkpoint` .*kept' must be of this training.*Delete it"):
        train(network, Loop(**{**QUICK, **changed}), checkpoint=path)
    assert path.read_bytes() == content
    assert weights(network) == weights(line(5))


def test_a_checkpoint_of_another_network_is_refused_and_left(tmp_path):
    path = tmp_path / "kept"
    train(line(), checkpoint=path)
    content, network = path.read_bytes(), forgetful()
    with pytest.raises(SavedFolderError, match="must be of this training"):
        train(network, checkpoint=path)
    assert path.read_bytes() == content
    assert weights(network) == weights(forgetful())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_named_and_left(tmp_path, share):
    path = tmp_path / "kept"
    train(line(), checkpoint=path)
    content = path.read_bytes()[: int(share * path.stat().st_size)]
    path.write_bytes(content)
    network = line(5)
    with pytest.raises(SavedFolderError, match=r"`checkpoint` .*kept' must be a file that a training wrote"):
        train(network, checkpoint=path)
    assert path.read_bytes() == content
    assert weights(network) == weights(line(5))


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"training": Evil(str(tmp_path / "made"))}, tmp_path / "kept")
    with pytest.raises(SavedFolderError, match="cannot be read"):
        train(line(), checkpoint=tmp_path / "kept")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_the_learning_rate_and_leaves_the_weights(bad):
    network = line()
    calls = []

    def loss(rows):
        calls.append(rows)
        return squared(network)(rows) * (bad if len(calls) > STEPS else 1.0)

    with pytest.raises(TrainingError, match=f"must be a number; got {bad}. Take a smaller `learning_rate` than 0.01"):
        train(network, loss=loss)
    assert len(calls) == STEPS + 1
    assert weights(network) == weights(line())


def probed(adversarial, learning_rate=0.01, accumulate=1):
    """Return a trained line and its weight at each call of the loss."""
    network, seen = line(), []

    def loss(rows):
        seen.append(network.weight.detach().clone())
        return squared(network)(rows)

    loop = Loop(**{**QUICK, "learning_rate": learning_rate}, adversarial=adversarial, accumulate=accumulate)
    train(network, loop, loss=loss, perturbed=[network.weight])
    return network, seen


@pytest.mark.parametrize("length", [0.01, 0.5])
def test_the_adversarial_step_has_the_given_norm(length):
    _, seen = probed(length)
    assert len(seen) == 2 * 12
    moved = [(there - here).norm().item() for here, there in zip(seen[::2], seen[1::2], strict=True)]
    assert moved == pytest.approx([length] * 12, rel=1e-4)


def test_the_adversarial_step_makes_the_loss_larger():
    network, losses = line(), []

    def loss(rows):
        actual = squared(network)(rows)
        losses.append(actual.item())
        return actual

    train(network, Loop(**QUICK, adversarial=0.1), loss=loss, perturbed=[network.weight])
    assert all(there > here for here, there in zip(losses[::2], losses[1::2], strict=True))


def test_weights_are_restored_after_the_adversarial_step():
    network, seen = probed(0.5, learning_rate=0.0)
    assert weights(network) == weights(line())
    assert all(torch.equal(here, line().weight) for here in seen[::2])
    assert not any(torch.equal(there, line().weight) for there in seen[1::2])


def test_the_gradient_of_the_adversarial_step_is_added(steps_seen):
    probed(0.0)
    alone = weights(probed(0.0)[0])
    assert weights(probed(0.5)[0]) != alone
    steps_seen.clear()
    network = Scalar()
    loop = Loop(epochs=1, adversarial=0.5, clip=0.0)
    train(network, loop, lambda _: [1.0], network.loss, 1, perturbed=[network.weight])
    assert steps_seen[0][1].item() == 2.0
    assert network.seen == [0.0, 0.5]


def test_only_the_given_weights_are_perturbed():
    network, seen = line(), []

    def loss(rows):
        seen.append(network.bias.item())
        return squared(network)(rows)

    train(network, Loop(**QUICK, adversarial=0.5), loss=loss, perturbed=[network.weight])
    assert seen[::2] == seen[1::2]
    calls = []
    train(network, Loop(**QUICK, adversarial=0.5), loss=lambda rows: calls.append(1) or squared(network)(rows))
    assert len(calls) == 12


def test_losses_by_name_are_summed_by_their_weights():
    def two(network):
        return lambda rows: {"fit": squared(network)(rows), "size": network.weight.square().sum()}

    network, same, epochs = line(), line(), []
    loop = Loop(**QUICK, shares={"size": 0.25, "not there": 9.0})
    train(network, loop, loss=two(network), callbacks=[epochs.append])
    train(same, loss=lambda rows: squared(same)(rows) + 0.25 * same.weight.square().sum())
    torch.testing.assert_close(network.state_dict(), same.state_dict())
    for epoch in epochs:
        assert sorted(epoch.parts) == ["fit", "loss", "size"]
        assert epoch.loss == epoch.parts["loss"]
        assert epoch.loss == pytest.approx(epoch.parts["fit"] + 0.25 * epoch.parts["size"], rel=1e-5)


def test_a_loss_with_weight_0_changes_nothing():
    network, same = line(), line()
    loop = Loop(**QUICK, shares={"size": 0.0})
    train(network, loop, loss=lambda rows: {"a": squared(network)(rows), "size": network.weight.square().sum()})
    train(same)
    torch.testing.assert_close(network.state_dict(), same.state_dict(), rtol=0, atol=0)


def test_frozen_weights_never_move(tmp_path):
    network = forgetful()
    network[0].requires_grad_(False)
    before = weights(network)
    train(
        network,
        Loop(**QUICK, weight_decay=0.5, adversarial=0.5),
        perturbed=[network[0].weight, network[2].weight],
        measure=scripted(1, 2, 3, 4),
        checkpoint=tmp_path / "kept",
    )
    after = weights(network)
    assert after["0.weight"] == before["0.weight"]
    assert after["0.bias"] == before["0.bias"]
    assert after["2.weight"] != before["2.weight"]


def test_weight_decay_pulls_towards_0():
    loose, pulled = (trained(make=line, weight_decay=decay) for decay in (0.0, 10.0))
    assert pulled.weight.norm() < loose.weight.norm()


def test_no_epochs_leave_the_network_as_it_was():
    network = forgetful()
    assert train(network, Loop(epochs=0), loss=lambda rows: 1 / 0) == History()
    history = train(network, Loop(epochs=0), loss=lambda rows: 1 / 0, measure=scripted(0.5))
    assert [(epoch.number, epoch.measured) for epoch in history.epochs] == [(0, 0.5)]
    assert history.losses == []
    assert weights(network) == weights(forgetful())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -1),
        ("epochs", 1.5),
        ("epochs", True),
        ("warmup", -1),
        ("accumulate", 0),
        ("seed", -1),
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("weight_decay", math.inf),
        ("clip", -1.0),
        ("adversarial", "much"),
        ("patience", 0),
        ("precision", "float16"),
    ],
)
def test_a_setting_out_of_range_is_named_and_nothing_is_trained(name, value):
    network = line()
    with pytest.raises(InvalidInputError, match=f"`{name}` must be .*; got {value!r}"):
        train(network, Loop(**{name: value}))
    assert weights(network) == weights(line())


def test_a_tracker_gets_the_numbers_of_each_epoch():
    got = []
    history = train(
        line(), measure=scripted(0.1, 0.2, 0.3, 0.4), tracker=lambda numbers, epoch: got.append((epoch, dict(numbers)))
    )
    assert [epoch for epoch, _ in got] == [1, 2, 3]
    assert [numbers for _, numbers in got] == [
        {"loss": loss, "measured": measured} for loss, measured in zip(history.losses, (0.2, 0.3, 0.4), strict=True)
    ]


def test_an_unknown_tracker_is_refused_and_leaves_the_network():
    network = line()
    with pytest.raises(InvalidInputError, match="`tracker` must be .*; got \"?'excel'"):
        train(network, tracker="excel")
    assert weights(network) == weights(line())


def test_all_callbacks_get_each_epoch():
    one, other = [], []
    history = train(line(), measure=scripted(1, 2, 3, 4), callbacks=[one.append, other.append])
    assert all(isinstance(epoch, Epoch) for epoch in one)
    assert one == other == list(history.epochs[1:])
    assert [epoch.measured for epoch in one] == [2, 3, 4]


@pytest.mark.parametrize("progress", [True, False])
def test_short_training_shows_no_bar(progress, capfd):
    train(line(), Loop(**QUICK, progress=progress))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("precision", "of_products"),
    [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_products_have_the_given_precision_and_weights_stay_float32(precision, of_products):
    network, seen = line(), set()

    def loss(rows):
        out = network(X[rows])
        seen.add(out.dtype)
        return (out.squeeze(1).float() - Y[rows]).square().mean()

    loop = Loop(epochs=60, learning_rate=0.1, weight_decay=0.0, clip=0.0, precision=precision)
    train(network, loop, loss=loss)
    assert seen == {of_products}
    assert network.weight.dtype == torch.float32
    torch.testing.assert_close(network.weight[0], TRUE, atol=0.1, rtol=0)
