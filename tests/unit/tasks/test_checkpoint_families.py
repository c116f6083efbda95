"""What differs between families: positions, token types, exporters, damaged weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, processors
from transformers import BertConfig, BertForQuestionAnswering, RobertaConfig, RobertaForQuestionAnswering

from snpe_tools.core.errors import CheckpointError
from snpe_tools.tasks.families import (
    check_length,
    check_tokens,
    exporting,
    longest_window,
    require_finite,
)
from snpe_tools.tasks.question_answering.features import Windows, make_windows
from snpe_tools.tasks.question_answering.squad import SHIPPED_QUESTIONS, load_questions

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}


def _windows(tokenizer_file: Path, second: int) -> Windows:
    """Of a passage that needs several windows; its text has the token type `second`."""
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    pair = f"[CLS] $A [SEP] [SEP] $B:{second} [SEP]:{second}"
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", pair, ends)
    return make_windows(load_questions(SHIPPED_QUESTIONS)[:2], tokenizer, 64)


@pytest.mark.parametrize("second", [0, 1])
def test_further_windows_have_the_token_types_of_the_first(second: int, tokenizer_file: Path) -> None:
    windows = _windows(tokenizer_file, second)
    assert len(windows.token_type_ids) > 4, "several windows for each passage"
    for row in range(len(windows.token_type_ids)):
        passage = windows.offsets[row, :, 0] >= 0
        assert (windows.token_type_ids[row][passage] == second).all()
        assert windows.token_type_ids[row, 0] == 0
    assert windows.token_type_ids.max() == second


def test_positions_behind_the_padding_id_are_not_counted() -> None:
    config = RobertaConfig(vocab_size=20, max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, **SMALL)
    roberta = RobertaForQuestionAnswering(config)
    assert longest_window(roberta) == 128
    check_length(roberta, 128)
    for length in (129, 130, 384):
        with pytest.raises(CheckpointError, match=r"reads 128 tokens at most.*\n.*SEQ=128"):
            check_length(roberta, length)
    bert = BertForQuestionAnswering(BertConfig(vocab_size=20, max_position_embeddings=64, **SMALL))
    assert longest_window(bert) == 64


def test_token_types_that_the_model_does_not_know_are_refused(tokenizer_file: Path) -> None:
    model = BertForQuestionAnswering(BertConfig(vocab_size=2000, type_vocab_size=1, **SMALL))
    zeros, ones = (_windows(tokenizer_file, second) for second in (0, 1))
    check_tokens(model, {"input_ids": zeros.input_ids, "token_type_ids": zeros.token_type_ids})
    with pytest.raises(CheckpointError, match=r"token type 1; the model knows 1 \(type_vocab_size\)"):
        check_tokens(model, {"input_ids": ones.input_ids, "token_type_ids": ones.token_type_ids})


def test_nan_in_a_weight_and_a_family_without_an_exporter_are_named() -> None:
    model = BertForQuestionAnswering(BertConfig(vocab_size=20, **SMALL))
    require_finite(model)
    with torch.no_grad():
        model.qa_outputs.bias[0] = float(np.nan)
    with pytest.raises(CheckpointError, match=r"'qa_outputs.bias' holds 1 NaN"):
        require_finite(model)
    with (
        pytest.raises(
            CheckpointError, match=r"family bert cannot be exported.*no such head\n.*Families that can: albert"
        ),
        exporting(model, "question-answering"),
    ):
        raise ValueError("no such head")
