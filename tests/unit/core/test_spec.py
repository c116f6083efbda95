from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from snpe_tools.core.dtypes import BY_CODE
from snpe_tools.core.errors import TensorError
from snpe_tools.core.tensor_spec import Encoding, TensorSpec

U16, F32, I32 = BY_CODE[0x416], BY_CODE[0x232], BY_CODE[0x032]


@given(
    hnp.arrays(np.uint16, 20),
    st.floats(1e-6, 10, allow_subnormal=False),
    st.integers(-65535, 0),
)
def test_quantize_undoes_dequantize(stored: np.ndarray, scale: float, offset: int) -> None:
    encoding = Encoding(16, (float(np.float32(scale)),), (offset,))
    real = ((stored.astype(np.float64) + offset) * encoding.scales[0]).astype(np.float64)
    assert np.array_equal(encoding.quantize(real, np.dtype(np.uint16)), stored)


@given(hnp.arrays(np.float32, 50, elements=st.floats(-100, 100, width=32)))
def test_quantization_is_off_by_half_a_step_at_most_inside_the_range(values: np.ndarray) -> None:
    encoding = Encoding(16, (0.01,), (-32768,))
    back = encoding.dequantize(encoding.quantize(values, np.dtype(np.uint16)))
    assert np.abs(back - values).max() <= 0.005 + 1e-4


def test_values_outside_the_range_saturate() -> None:
    encoding = Encoding(8, (1.0,), (-128,))
    assert encoding.quantize(np.array([-1e9, 1e9]), np.dtype(np.uint8)).tolist() == [0, 255]


def test_per_channel_encodings_scale_along_their_axis() -> None:
    encoding = Encoding(8, (1.0, 10.0), (0, 0), axis=1)
    assert encoding.dequantize(np.ones((2, 2), np.int8)).tolist() == [[1.0, 10.0], [1.0, 10.0]]


def test_bytes_count_float32_by_default_and_the_type_itself_when_native() -> None:
    spec = TensorSpec("x", (1, 384), U16, Encoding(16, (1.0,), (0,)))
    assert (spec.nbytes(), spec.nbytes(native=True)) == (1536, 768)


def test_token_ids_pass_through_float32() -> None:
    spec = TensorSpec("ids", (1, 3), I32)
    assert spec.to_native(np.array([0, 1, 30521], np.float32)).tolist() == [[0, 1, 30521]]


@pytest.mark.parametrize("values", [np.array([0.5, 1, 2], np.float32), np.array([np.nan, 1, 2], np.float32)])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_integers_refuse_fractions_and_nan(values: np.ndarray) -> None:
    with pytest.raises(TensorError, match="not Int_32"):
        TensorSpec("ids", (1, 3), I32).to_native(values)


def test_the_wrong_number_of_values_is_refused() -> None:
    with pytest.raises(TensorError, match="has 4 values"):
        TensorSpec("x", (1, 3), F32).to_native(np.zeros(4, np.float32))
