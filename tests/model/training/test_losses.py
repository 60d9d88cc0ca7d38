import pytest
import torch
import torch.nn.functional as F

from model.training.losses import class_losses, dice_losses, focal_losses


def test_class_loss_is_the_weighted_mean_of_the_cross_entropy() -> None:
    logits, labels = torch.randn(3, 2, 5, 4), torch.randint(4, (3, 2, 5))
    weight = torch.tensor([1.0, 1.0, 1.0, 0.1])
    expected = [
        F.cross_entropy(x.flatten(0, 1), y.flatten(), weight)
        for x, y in zip(logits, labels, strict=True)
    ]
    torch.testing.assert_close(class_losses(logits, labels, 0.1), torch.stack(expected))


def test_focal_loss_without_focus_would_be_cross_entropy() -> None:
    logits = torch.tensor([[0.0, 0.0]])  # p = 1/2, so the focus factor is 1/4
    truth = torch.tensor([[1.0, 0.0]])
    expected = torch.tensor(0.25 * (0.25 + 0.75) / 2).mul(torch.log(torch.tensor(2.0)))
    torch.testing.assert_close(focal_losses(logits, truth), expected[None])


@pytest.mark.parametrize("loss", [focal_losses, dice_losses])
def test_perfect_masks_cost_nothing_and_wrong_ones_much(loss: object) -> None:
    truth = (torch.rand(4, 50) > 0.5).float()
    perfect, wrong = loss((truth - 0.5) * 200, truth), loss((0.5 - truth) * 200, truth)  # type: ignore[operator]
    assert perfect.abs().max() < 1e-5
    assert wrong.min() > 0.5


@pytest.mark.parametrize("loss", [focal_losses, dice_losses])
def test_pixels_that_do_not_count_have_no_value_and_no_gradient(loss: object) -> None:
    logits = torch.randn(2, 30, requires_grad=True)
    truth, counted = (torch.rand(2, 30) > 0.5).float(), torch.ones(2, 30)
    counted[:, 20:] = 0
    value = loss(logits, truth, counted)  # type: ignore[operator]
    torch.testing.assert_close(value, loss(logits[:, :20], truth[:, :20]))  # type: ignore[operator]
    value.sum().backward()
    assert logits.grad is not None and (logits.grad[:, 20:] == 0).all()


def test_two_empty_masks_agree() -> None:
    nothing = torch.full((1, 9), -100.0)
    torch.testing.assert_close(dice_losses(nothing, torch.zeros(1, 9)), torch.zeros(1))
    torch.testing.assert_close(
        focal_losses(nothing, torch.zeros(1, 9), torch.zeros(1, 9)), torch.zeros(1)
    )
