"""Two steps of the shipped recipes give the numbers that were recorded."""

import json

import numpy as np
import pytest
import recorded_steps

RECORD = json.loads(recorded_steps.FILE.read_text())


@pytest.mark.exhaustive
@pytest.mark.parametrize("num_devices", recorded_steps.DEVICES)
def test_no_number_of_a_shipped_recipe_has_changed(num_devices):
    recorded = RECORD[f"{num_devices} devices"]
    steps = recorded_steps.steps_of_recipes(recorded, num_devices)
    here = recorded_steps.machine()
    for name, numbers in steps.items():
        if here == RECORD["machines"][recorded[name]["machine"]]:
            assert numbers == {k: v for k, v in recorded[name].items() if k != "machine"}, name
        assert numbers["num_values"] == recorded[name]["num_values"], name
        # Other machines add up in another order, and the second step follows from the first.
        for metric, tolerance in (("loss", 1e-3), ("grad_norm", 1e-2)):
            np.testing.assert_allclose(
                numbers[metric], recorded[name][metric], rtol=tolerance, err_msg=name
            )


def test_a_digest_knows_values_and_not_the_order():
    one, other = np.arange(3.0), np.ones((2, 2), np.float32)
    assert recorded_steps.digest([one, other]) == recorded_steps.digest([other, one])
    for changed in (np.nextafter(one, 9), one.astype(np.float32), one.reshape(3, 1)):
        assert recorded_steps.digest([changed, other]) != recorded_steps.digest([one, other])
