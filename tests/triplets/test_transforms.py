"""Films become pixels of the documented scale, crop and orientation."""

import numpy as np
import pytest
import torch

from pedclip.triplets.transforms import Preprocess, square, to_pixels

SMALL = Preprocess(size=24, resize=32)


def films(count: int, size: int = 32) -> torch.Tensor:
    rows = torch.arange(size)[:, None] * 4
    return (rows + torch.arange(size)[None] * 2).to(torch.uint8).expand(count, size, size).contiguous()


def test_square_puts_the_film_in_the_middle_of_black() -> None:
    wide = square(np.full((2, 6), 200, np.uint8), 6)
    assert wide[:, 0].tolist() == [0, 0, 200, 200, 0, 0]
    assert np.array_equal(square(np.full((6, 2), 200, np.uint8), 6), wide.T)


def test_square_averages_when_it_shrinks() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # (64, 64), one pixel wide
    inner = square(stripes, 8)[1:-1, 1:-1]
    # Sampling every eighth pixel would give 0 or 255.
    assert np.abs(inner.astype(int) - 128).max() <= 4


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.float32), np.zeros((4, 4), np.uint16)])
def test_square_refuses_other_scales(image: np.ndarray) -> None:
    with pytest.raises(TypeError, match="expected a film of uint8"):
        square(image, 4)


def test_square_refuses_color() -> None:
    with pytest.raises(ValueError, match=r"film \(H, W\)"):
        square(np.zeros((4, 4, 3), np.uint8), 4)


def test_evaluation_takes_the_middle_and_normalizes_each_channel() -> None:
    preprocess = Preprocess(size=24, resize=32, mean=(0.0, 0.5, 0.25), std=(1.0, 0.5, 2.0))
    pixels = to_pixels(films(2), preprocess)
    expected = films(2)[:, 4:28, 4:28] / 255
    assert pixels.dtype == torch.float32
    for channel, (mean, std) in enumerate(zip(preprocess.mean, preprocess.std, strict=True)):
        torch.testing.assert_close(pixels[:, channel], (expected - mean) / std)


def test_each_training_film_is_a_window_of_its_own_never_mirrored() -> None:
    pixels = to_pixels(films(64), Preprocess(24, 32, (0, 0, 0), (1, 1, 1)), generator=torch.Generator().manual_seed(0))
    grey = (pixels[:, 0] * 255).round()
    corners = grey[:, 0, 0]
    assert len(corners.unique()) > 20
    # The ramp rises by 2 to the right and by 4 downwards in every window: nothing is flipped.
    torch.testing.assert_close(grey - corners[:, None, None], films(64)[:, :24, :24].float() - films(64)[:, :1, :1])


def test_the_seed_decides_the_augmentation() -> None:
    preprocess = Preprocess(24, 32, augment="affine")
    first, again, other = (
        to_pixels(films(4), preprocess, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01


def test_affine_turns_by_ten_degrees_at_most_and_keeps_left_and_right() -> None:
    preprocess = Preprocess(64, 64, (0, 0, 0), (1, 1, 1), "affine")
    halves = torch.zeros(200, 64, 64, dtype=torch.uint8)
    halves[:, :, 32:] = 200
    pixels = to_pixels(halves, preprocess, generator=torch.Generator().manual_seed(0))[:, 0]
    # tan(10°) · 32 = 5.6 pixels: further than 8 from the middle line nothing changes sides.
    assert pixels[:, 8:-8, :24].max() < 0.01
    assert pixels[:, 8:-8, 40:56].min() > 0.4
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert len(pixels[:, 32, 50].unique()) > 100  # brightness differs by film


def test_without_a_generator_nothing_is_augmented() -> None:
    plain, affine = (to_pixels(films(2), Preprocess(24, 32, augment=name)) for name in ("none", "affine"))
    assert torch.equal(plain, affine)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cpu_generator_gives_the_same_crops_on_the_gpu() -> None:
    on_cpu, on_gpu = (
        to_pixels(films(8).to(device), SMALL, generator=torch.Generator().manual_seed(3)).cpu()
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(on_cpu, on_gpu, rtol=0, atol=1e-6)  # one rounding of the division


def test_wrong_scale_is_an_error() -> None:
    for images in (films(1).float() / 255, films(1).long()):
        with pytest.raises(TypeError, match=r"expected films of uint8 in 0\.\.255"):
            to_pixels(images, SMALL)


def test_wrong_size_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"expected films \(B, 32, 32\), got \(1, 16, 16\)"):
        to_pixels(films(1, 16), SMALL)


def test_preprocess_survives_json_and_refuses_unknown_keys() -> None:
    preprocess = Preprocess(128, 140, (0.1, 0.2, 0.3), (1, 2, 3), "affine")
    assert Preprocess.from_json(preprocess.to_json()) == preprocess
    with pytest.raises(ValueError, match="unknown preprocessing sise"):
        Preprocess.from_json({"sise": 3})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 300}, "size <= resize"),
        ({"size": 0}, "1 <= size"),
        ({"size": 224.0}, "whole number of pixels"),
        ({"mean": (127, 127, 127)}, "three values in"),
        ({"std": (0, 1, 1)}, "above 0"),
        ({"std": (1.0,)}, "three values"),
        ({"augment": "flip"}, "none, affine, got 'flip'"),
    ],
)
def test_values_out_of_range_are_named(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(**values)
