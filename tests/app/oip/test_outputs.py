from types import SimpleNamespace

import numpy as np
import pytest

from app.oip.outputs import fill
from model.errors import EngineError
from model.structures import RawOutput


def test_raw_masks_are_refused_where_one_that_no_answer_needed_is_no_number():
    masks = np.zeros((3, 4, 6), np.float32)
    done = SimpleNamespace(raw=RawOutput(np.zeros((3, 5), np.float32), masks))
    assert (fill(done, ["mask_logits"], None)["mask_logits"] == masks).all()
    masks[1, 2, 3] = np.inf
    with pytest.raises(EngineError, match="expected finite logits"):
        fill(done, ["mask_logits"], None)
