from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.edit.regions import PALETTE, overlay, segment_crop
from exprgan.errors import UsageError
from exprgan.evaluation.segmentation import IouCounter, SegmentationScores, scores_record
from exprgan.face_parts import CLASS_NAMES, REGION_CLASSES
from exprgan.models.registry import build
from exprgan.models.segmenters import BiSeNet, UNet, region_masks
from exprgan.training.publish import Notes, publish
from exprgan.training.segmenter import PixelLoss, SegmenterConfig, SegmenterTask
from exprgan.weights import find, find_weights_dir, read_manifest

TINY = {"unet": {"width": 4}, "bisenet": {"width": 4, "context_channels": 8}}
ARCHITECTURES = sorted(TINY)


def tiny(architecture: str) -> UNet | BiSeNet:
    torch.manual_seed(3)
    network = build(architecture, **TINY[architecture])
    assert isinstance(network, UNet | BiSeNet)
    return network


def images(count: int = 2, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("size", [64, 96])
def test_logits_have_a_channel_a_class_and_the_images_size(architecture: str, size: int) -> None:
    logits = tiny(architecture).eval()(images(2, size))
    assert logits.shape == (2, len(CLASS_NAMES), size, size)
    assert torch.isfinite(logits).all()


def test_unet_of_single_pixels_is_built_too() -> None:
    network = UNet(width=4, patch=1).eval()
    assert network(images(1, 32)).shape == (1, 19, 32, 32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images_of_a_batch_do_not_influence_one_another(architecture: str) -> None:
    network, x = tiny(architecture).eval(), images(3)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gradient_reaches_every_parameter(architecture: str, data_dir: Path) -> None:
    network = tiny(architecture).train()
    if isinstance(network, BiSeNet):
        logits, auxiliary = network.forward_with_auxiliary(images())
        outputs = [logits, *auxiliary]
    else:
        outputs = [network(images())]
    sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_state_dict_round_trip_gives_the_same_logits(architecture: str) -> None:
    first, second = tiny(architecture).eval(), build(architecture, **TINY[architecture]).eval()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(images()), second(images()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_normalisation_is_inside_and_not_in_the_weights(architecture: str) -> None:
    network = tiny(architecture)
    assert not [name for name in network.state_dict() if name.startswith("normalise")]
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 2 - 1
    assert network.normalise(grey).abs().max() < 1e-6


def test_auxiliary_heads_have_the_grids_of_their_features() -> None:
    network = tiny("bisenet").train()
    assert isinstance(network, BiSeNet)
    logits, auxiliary = network.forward_with_auxiliary(images(2, 64))
    grids = [tuple(output.shape) for output in (logits, *auxiliary)]
    assert grids == [(2, 19, 16, 16), (2, 19, 16, 16), (2, 19, 8, 8)]


def test_shipped_sizes_are_small() -> None:
    for architecture in ARCHITECTURES:
        count = sum(p.numel() for p in build(architecture).parameters())
        assert count * 2 < 8e6, f"{architecture} would take {count * 2} bytes"


def test_region_masks_sum_the_probabilities_of_their_classes() -> None:
    logits = torch.zeros(1, 19, 8, 8)
    logits[:, CLASS_NAMES.index("nose"), :, :4] = 30.0
    logits[:, CLASS_NAMES.index("u_lip"), :, 4:] = 30.0
    masks = region_masks(logits)
    assert masks.shape == (1, 3, 8, 8)
    expected = torch.zeros(1, 3, 8, 8)
    expected[:, 1, :, :4] = 1
    expected[:, 2, :, 4:] = 1
    torch.testing.assert_close(masks, expected, atol=1e-5, rtol=0)
    uniform = region_masks(torch.zeros(1, 19, 8, 8))
    torch.testing.assert_close(uniform[0, :, 0, 0], torch.tensor([4, 1, 3]) / 19)


def test_regions_are_disjoint() -> None:
    members = [name for classes in REGION_CLASSES.values() for name in classes]
    assert len(members) == len(set(members)) == 8
    masks = region_masks(torch.randn(2, 19, 16, 16))
    assert (masks.sum(dim=1) <= 1 + 1e-6).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_loss_of_the_masks_reaches_the_first_layer(architecture: str) -> None:
    network = tiny(architecture).train()
    logits = network(images())
    region_masks(logits)[:, 2].mean().backward()
    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.norm() > 0
    assert not region_masks(logits.detach()).requires_grad


def test_pixel_loss_of_hard_labels_is_the_cross_entropy() -> None:
    logits = torch.randn(2, 19, 6, 6)
    labels = torch.randint(0, 19, (2, 6, 6))
    labels[0, 0] = 255
    loss = PixelLoss(threshold=1.0, min_share=0.1)(logits, labels)
    expected = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(loss, expected)


def test_pixel_loss_of_a_partial_label_accepts_each_of_its_classes() -> None:
    pixel_loss = PixelLoss(threshold=1.0, min_share=0.1)
    labels = torch.full((1, 4, 4), 21)  # skin or glasses
    for name, is_allowed in (("skin", True), ("eye_g", True), ("hair", False)):
        logits = torch.zeros(1, 19, 4, 4)
        logits[:, CLASS_NAMES.index(name)] = 20.0
        assert (pixel_loss(logits, labels) < 0.01) == is_allowed, name


def test_pixel_loss_keeps_the_hard_pixels_only() -> None:
    logits = torch.zeros(1, 19, 4, 4)
    logits[:, 0] = 8.0
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    labels[0, 0, 0] = 1
    hard = PixelLoss(threshold=0.7, min_share=1 / 16)(logits, labels)
    torch.testing.assert_close(hard, torch.tensor(8.0), atol=0.01, rtol=0)
    assert PixelLoss(threshold=1.0, min_share=1 / 16)(logits, labels) < 1.0


def test_a_few_steps_on_one_batch_lower_the_loss() -> None:
    network = tiny("unet").train()
    x = images(2, 32) * 0.2
    x[:, 0, :16] += 0.8
    labels = (x[:, 0] > 0.4).long()
    pixel_loss = PixelLoss(threshold=1.0, min_share=0.1)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = pixel_loss(network(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_iou_of_counted_pixels() -> None:
    skin, nose, hair = (CLASS_NAMES.index(name) for name in ("skin", "nose", "hair"))
    labels = np.array([[skin, skin, nose, nose], [21, 21, 255, 255]], np.uint8)
    predicted = np.array([[skin, nose, nose, nose], [skin, nose, nose, hair]], np.uint8)
    counter = IouCounter()
    counter.add(labels, predicted)
    assert counter.iou(["skin"]) == pytest.approx(1 / 2)
    assert counter.iou(["nose"]) == pytest.approx(2 / 4)  # one false positive on skin, one on a partial label
    scores = counter.scores()
    assert set(scores.class_iou) == {"skin", "nose"}
    assert scores.mean_iou == pytest.approx(0.5)


def test_overlay_leaves_the_background_alone() -> None:
    image = np.full((4, 4, 3), 100, np.uint8)
    labels = np.zeros((4, 4), np.uint8)
    labels[0] = CLASS_NAMES.index("hair")
    result = overlay(image, labels, opacity=1.0)
    assert (result[0] == PALETTE[CLASS_NAMES.index("hair")]).all()
    assert (result[1:] == 100).all()
    assert len(PALETTE) == len(CLASS_NAMES) == len({tuple(colour) for colour in PALETTE.tolist()})


def test_segment_crop_gives_classes_of_pixels() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    labels = segment_crop(tiny("unet").eval(), crop)
    assert labels.shape == (64, 64)
    assert labels.dtype == np.uint8
    assert labels.max() < 19


def test_a_saved_run_is_read_back_with_its_scores(tmp_path: Path) -> None:
    torch.manual_seed(1)
    segmenter = build("unet").eval()
    run = tmp_path / "run"
    run.mkdir()
    save_file(segmenter.state_dict(), run / "ema.safetensors")
    (run / "network.json").write_text('{"architecture": "unet", "arguments": {}}')
    (run / "options.json").write_text('{"seed": 0}')
    (run / "log.jsonl").write_text('{"kimg": 1.0}\n')
    scores = SegmentationScores({"nose": 0.5, "eye_g": 0.05}, {"eyes": 0.1, "nose": 0.5, "mouth": 0.2})
    publish(run, tmp_path / "weights", notes=Notes({"synthetic_test": scores_record(scores)}))
    x = images(1, 64)
    stored = find("unet", tmp_path / "weights").load()
    torch.testing.assert_close(stored(x), segmenter(x), atol=0.05, rtol=0.02)
    card = (tmp_path / "weights" / "unet.md").read_text()
    assert "| synthetic_test | 0.275 | 0.500 | 0.100 | 0.500 | 0.200 |" in card
    assert "(below 0.1 there): eye_g." in card
    assert read_manifest(tmp_path / "weights")["unet"].metrics["synthetic_test: edited_iou"] == 0.5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shipped_weights_find_the_regions_of_a_render(name: str, data_dir: Path) -> None:
    folder = find_weights_dir()
    if name not in read_manifest(folder):
        pytest.skip(f"{name} is not among the bundled weights")
    segmenter, data, counter = (
        find(name).load(),
        SyntheticFaces(data_dir / "synthetic-faces"),
        IouCounter(),
    )
    for row in data.indices("test")[::40]:
        counter.add(data.mask(row), segment_crop(segmenter, data.image(row)))
    for region, score in counter.scores().region_iou.items():
        assert score > 0.5, (region, score)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_task_gives_a_loss_that_reaches_every_parameter(architecture: str, data_dir: Path) -> None:
    config = SegmenterConfig(architecture=architecture, photo_share=0.0, crop_px=96, crop_kimg=0.6)
    task = SegmenterTask(config, data_dir)
    samples = [task.sample(0, number) for number in range(2)]
    assert samples[0]["image"].shape == (96, 96, 3)
    assert task.sample(0, 511)["labels"].shape == (96, 96)
    assert task.sample(0, 512)["labels"].shape == (256, 256)
    # the shipped widths: oneDNN's backward pass of narrow ones crashes on some processors
    network = build(architecture).train()
    batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
    loss, terms = task.loss(network, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert "loss_seg" in terms
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name


def test_an_unknown_segmenter_is_named() -> None:
    with pytest.raises(UsageError, match="deeplab"):
        SegmenterConfig(architecture="deeplab")
