"""Transformers of text, images, pictures with text, and detection, from transformers' own classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers as hf

from latency_zoo.registry import Built, Calling, add, image, network, tokens

_EAGER = {"attn_implementation": "eager"}


def _text(call: Callable[..., object], make: Callable[[], torch.nn.Module], length: int = 384) -> Built:
    return Calling(make(), call), (tokens(length), tokens(length))


def _vocabulary(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> object:  # noqa: ANN401 - transformers has no types
    return model(input_ids=ids, attention_mask=mask).logits.argmax(-1)


def _first(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> object:  # noqa: ANN401
    return model(input_ids=ids, attention_mask=mask)[0]


def _masked(kind: str, **settings: Any) -> torch.nn.Module:  # noqa: ANN401
    config = getattr(hf, f"{kind}Config")(**settings, **_EAGER)
    return getattr(hf, f"{kind}ForMaskedLM")(config)


_ALBERT = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
_MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
_TEXT: dict[str, Callable[[], Built]] = {
    "bert_base_uncased_hf/Bert-Base-Uncased-Hf": partial(_text, _vocabulary, partial(_masked, "Bert")),
    "albert_base_v2_hf/Albert-Base-V2-Hf": partial(_text, _vocabulary, partial(_masked, "Albert", **_ALBERT)),
    "distil_bert_base_uncased_hf/Distil-Bert-Base-Uncased-Hf": partial(
        _text, _vocabulary, partial(_masked, "DistilBert")
    ),
    "electra_bert_base_discrim_google/Electra-Bert-Base-Discrim-Google": partial(
        _text,
        _first,
        lambda: hf.ElectraForPreTraining(
            hf.ElectraConfig(
                embedding_size=768, hidden_size=768, num_attention_heads=12, intermediate_size=3072, **_EAGER
            )
        ),
    ),
    "minilm_v2/MiniLM-v2": partial(_text, _first, lambda: hf.BertModel(hf.BertConfig(**_MINILM, **_EAGER)), 128),
    "mobile_bert_uncased_google/Mobile-Bert-Uncased-Google": partial(
        _text, _vocabulary, partial(_masked, "MobileBert")
    ),
}
for _name, _build in _TEXT.items():
    add(_name, "text transformer", _build)


@network("siglip2/text_encoder", "text transformer")
def _siglip_text() -> Built:
    config = hf.SiglipTextConfig(vocab_size=32000, max_position_embeddings=64, **_EAGER)
    model = hf.SiglipTextModel(config)
    return Calling(model, lambda inner, ids: inner(input_ids=ids).pooler_output), (tokens(64),)


@network("siglip2/image_encoder", "vision transformer")
def _siglip_image() -> Built:
    model = hf.SiglipVisionModel(hf.SiglipVisionConfig(patch_size=16, **_EAGER))
    return Calling(model, lambda inner, pixels: inner(pixel_values=pixels).pooler_output), (image(224),)


@network("openai_clip/OpenAI-Clip", "vision transformer")
def _clip() -> Built:
    config = hf.CLIPConfig(vision_config={"patch_size": 16, **_EAGER}, text_config=_EAGER, **_EAGER)
    model = hf.CLIPModel(config)

    def call(inner: Any, pixels: torch.Tensor, ids: torch.Tensor) -> object:  # noqa: ANN401
        return inner(input_ids=ids, pixel_values=pixels).logits_per_image

    return Calling(model, call), (image(224), tokens(77))


@network("trocr/encoder", "vision transformer")
def _trocr() -> Built:
    config = hf.DeiTConfig(
        hidden_size=384, num_attention_heads=6, intermediate_size=1536, image_size=384, qkv_bias=False, **_EAGER
    )
    return Calling(hf.DeiTModel(config), lambda inner, pixels: inner(pixel_values=pixels)[0]), (image(384),)


@network("owl_vit/OWL-ViT", "vision transformer")
def _owl() -> Built:
    model = hf.OwlViTForObjectDetection(hf.OwlViTConfig(text_config=_EAGER, vision_config=_EAGER, **_EAGER))

    def call(inner: Any, ids: torch.Tensor, mask: torch.Tensor, pixels: torch.Tensor) -> object:  # noqa: ANN401
        found = inner(input_ids=ids, attention_mask=mask, pixel_values=pixels)
        return found.logits, found.pred_boxes

    return Calling(model, call), (tokens(16), tokens(16), image(768))


@network("video_mae/Video-MAE", "video")
def _video_mae() -> Built:
    model = hf.VideoMAEForVideoClassification(hf.VideoMAEConfig(num_labels=400, **_EAGER))
    return Calling(model, lambda inner, frames: inner(pixel_values=frames).logits), (torch.rand(1, 16, 3, 224, 224),)


@network("segformer_base/Segformer-Base", "dense")
def _segformer() -> Built:
    model = hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_labels=150))
    return Calling(model, lambda inner, pixels: inner(pixel_values=pixels).logits), (image(512),)


def _depth_anything() -> Built:
    backbone = hf.Dinov2Config(
        hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14, reshape_hidden_states=False,
        apply_layernorm=True, out_indices=[3, 6, 9, 12], **_EAGER,
    )  # fmt: skip
    config = hf.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=384, neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64, **_EAGER,
    )  # fmt: skip
    model = hf.DepthAnythingForDepthEstimation(config)
    return Calling(model, lambda inner, pixels: inner(pixel_values=pixels).predicted_depth), (image(518),)


add("depth_anything/Depth-Anything", "dense", _depth_anything, "depth_anything_v2/Depth-Anything-V2")


def _detr(depth: int, kind: str = "Detr", *, dilated: bool = False) -> Built:
    config = getattr(hf, f"{kind}Config")(
        backbone=f"resnet{depth}", use_pretrained_backbone=False, use_timm_backbone=True, dilation=dilated, **_EAGER
    )
    model = getattr(hf, f"{kind}ForObjectDetection")(config)

    def call(inner: Any, pixels: torch.Tensor) -> object:  # noqa: ANN401
        found = inner(pixel_values=pixels, pixel_mask=torch.ones(1, 480, 480, dtype=torch.int64))
        scores, labels = found.logits.softmax(-1)[..., :-1].max(-1)
        return found.pred_boxes, scores, labels

    return Calling(model, call), (image(480),)


add("detr_resnet50/DETR-ResNet50", "detection transformer", partial(_detr, 50))
add("detr_resnet101/DETR-ResNet101", "detection transformer", partial(_detr, 101))
add("detr_resnet50_dc5/DETR-ResNet50-DC5", "detection transformer", partial(_detr, 50, dilated=True))
add("detr_resnet101_dc5/DETR-ResNet101-DC5", "detection transformer", partial(_detr, 101, dilated=True))
add(
    "conditional_detr_resnet50/Conditional-DETR-ResNet50",
    "detection transformer",
    partial(_detr, 50, "ConditionalDetr"),
)
