import numpy as np
import pytest
import torch

from exprgan.faces.proposer import STRIDE_PX
from exprgan.models.face_proposer import FaceProposer
from exprgan.models.landmark_net import LandmarkNet
from exprgan.training.landmarks import LandmarkTask, LandmarkTrainingConfig, NetConfig, linear_completion

TINY = {"crop_px": 32, "stem_channels": 8, "widths": (8, 8, 16), "num_hidden": 8, "num_anchors": 12}


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return LandmarkNet(**TINY)


def test_shapes(tiny):
    answer = tiny(torch.rand(3, 3, 32, 32))

    assert answer.points.shape == (3, 478, 2)
    assert answer.turn.shape == (3, 2)
    assert answer.score_logit.shape == (3,)
    assert answer.anchors.shape == (3, 12, 2)
    assert answer.anchors.abs().max() <= 1


def test_crops_of_a_batch_do_not_influence_each_other(tiny):
    tiny.eval()
    crops = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    together, alone = tiny(crops), tiny(crops[1:2])

    for a, b in zip(together[:4], alone[:4], strict=True):
        torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter(tiny):
    answer = tiny(torch.rand(4, 3, 32, 32))
    sum(part.square().sum() for part in answer[:4]).backward()

    missing = [name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.abs().sum().item()]
    assert not missing


def test_depth_and_expression_are_answered_and_learn():
    torch.manual_seed(0)
    net = LandmarkNet(**TINY, depth=True, num_blendshapes=51)

    answer = net(torch.rand(4, 3, 32, 32))
    sum(part.square().sum() for part in answer).backward()

    assert answer.depth.shape == (4, 478)
    assert answer.blendshapes.shape == (4, 51)
    assert ((answer.blendshapes > 0) & (answer.blendshapes < 1)).all()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_state_survives_a_round_trip(tiny):
    other = LandmarkNet(**TINY)
    other.load_state_dict(tiny.state_dict())
    crops = torch.rand(2, 3, 32, 32)
    tiny.eval(), other.eval()

    torch.testing.assert_close(tiny(crops).points, other(crops).points)


def test_linear_completion_recovers_a_linear_mesh():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(500, 6))
    shapes = (hidden @ rng.normal(size=(6, 40))).reshape(500, 20, 2).astype(np.float32)
    anchors = [0, 3, 7, 11, 19]

    weight, bias = linear_completion(shapes, anchors)
    predicted = shapes[:, anchors].reshape(500, -1) @ weight.T + bias

    np.testing.assert_allclose(predicted, shapes.reshape(500, -1), atol=0.05)


def test_loss_is_about_zero_for_a_perfect_answer(face_pictures):
    task = LandmarkTask(face_pictures, LandmarkTrainingConfig(NetConfig(num_anchors=8)))
    samples = [task.sample(0, n) for n in range(6)]
    batch = {name: torch.as_tensor(np.stack([s[name] for s in samples])) for name in samples[0]}

    def perfect(crops):
        logit = (batch["is_face"] * 2 - 1) * 50
        anchors = batch["points"][:, task.anchors]
        depth, blendshapes = batch["depth"].nan_to_num(), batch["blendshapes"].nan_to_num()
        return batch["points"], batch["turn"], logit, anchors, depth, blendshapes

    loss, terms = task.loss(perfect, batch)

    assert loss < 0.011  # the loss is smooth below 1 %
    assert terms["error_percent"] == 0
    assert terms["depth"] == terms["blendshapes"] == 0


def test_unknown_depth_and_expression_teach_nothing(face_pictures):
    task = LandmarkTask(face_pictures, LandmarkTrainingConfig(NetConfig(num_anchors=8)))
    net = LandmarkNet(crop_px=128, num_anchors=8, depth=True, num_blendshapes=51)
    samples = [task.sample(0, n) for n in range(4)]
    batch = {name: torch.as_tensor(np.stack([s[name] for s in samples])) for name in samples[0]}
    for name in ("depth", "blendshapes"):
        batch[name] = torch.full_like(batch[name], torch.nan)

    loss, terms = task.loss(net, batch)
    loss.backward()

    assert terms["depth"] == terms["blendshapes"] == 0
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    assert not net.depth.weight.grad.any()


def test_proposer_answers_for_any_size_and_trains_every_parameter():
    torch.manual_seed(0)
    net = FaceProposer(stem_channels=(8, 8), widths=(8, 8, 8))

    answer = net(torch.rand(2, 3, 64, 96))
    sum(part.square().sum() for part in answer).backward()

    assert answer.logit.shape == (2, 64 // STRIDE_PX, 96 // STRIDE_PX)
    assert answer.offset.shape == (2, 2, 8, 12)
    assert answer.log_side.shape == (2, 8, 12)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
