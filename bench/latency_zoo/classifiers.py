"""Image classifiers and video classifiers, from torchvision and timm."""

from __future__ import annotations

from functools import partial

import torch

from latency_zoo.registry import Built, add, image

_TORCHVISION = {
    "resnet18/ResNet18": ("resnet18", 224, "convolutional"),
    "resnet50/ResNet50": ("resnet50", 224, "convolutional"),
    "resnet101/ResNet101": ("resnet101", 224, "convolutional"),
    "resnext50/ResNeXt50": ("resnext50_32x4d", 224, "convolutional"),
    "resnext101/ResNeXt101": ("resnext101_32x8d", 224, "convolutional"),
    "wideresnet50/WideResNet50": ("wide_resnet50_2", 224, "convolutional"),
    "googlenet/GoogLeNet": ("googlenet", 224, "convolutional"),
    "inception_v3/Inception-v3": ("inception_v3", 224, "convolutional"),
    "densenet121/DenseNet-121": ("densenet121", 224, "convolutional"),
    "squeezenet1_1/SqueezeNet-1.1": ("squeezenet1_1", 224, "convolutional"),
    "regnet/RegNet": ("regnet_x_3_2gf", 224, "convolutional"),
    "regnet_y_800mf/RegNet-Y-800MF": ("regnet_y_800mf", 224, "convolutional"),
    "mobilenet_v2/MobileNet-v2": ("mobilenet_v2", 224, "mobile"),
    "mobilenet_v3_large/MobileNet-v3-Large": ("mobilenet_v3_large", 224, "mobile"),
    "mobilenet_v3_small/MobileNet-v3-Small": ("mobilenet_v3_small", 224, "mobile"),
    "mnasnet05/MNASNet05": ("mnasnet0_5", 224, "mobile"),
    "shufflenet_v2/Shufflenet-v2": ("shufflenet_v2_x0_5", 224, "mobile"),
    "efficientnet_b0/EfficientNet-B0": ("efficientnet_b0", 224, "mobile"),
    "efficientnet_b4/EfficientNet-B4": ("efficientnet_b4", 380, "mobile"),
    "efficientnet_v2_s/EfficientNet-V2-s": ("efficientnet_v2_s", 384, "mobile"),
    "convnext_tiny/ConvNext-Tiny": ("convnext_tiny", 224, "hybrid"),
    "convnext_base/ConvNext-Base": ("convnext_base", 224, "hybrid"),
    "vit/VIT": ("vit_b_16", 224, "vision transformer"),
    "swin_tiny/Swin-Tiny": ("swin_t", 224, "windowed transformer"),
    "swin_small/Swin-Small": ("swin_s", 224, "windowed transformer"),
    "swin_base/Swin-Base": ("swin_b", 224, "windowed transformer"),
    "swinv2_base/SwinV2-Base": ("swin_v2_b", 256, "windowed transformer"),
}
_TIMM = {
    "inception_v4/Inception-v4": ("inception_v4", 299, "convolutional"),
    "dla102x/DLA-102-X": ("dla102x", 224, "convolutional"),
    "nasnet/NASNet": ("nasnetalarge", 224, "mobile"),
    "mobilenet_v4/MobileNet-v4": ("mobilenetv4_conv_medium", 224, "mobile"),
    "efficientnet_lite4/EfficientNet-Lite4": ("efficientnet_lite4", 300, "mobile"),
    "repvit/RepViT": ("repvit_m2_3", 224, "mobile"),
    "beit/Beit": ("beit_base_patch16_224", 224, "vision transformer"),
    "levit/LeViT": ("levit_128s", 224, "hybrid"),
    "mobile_vit/Mobile-VIT": ("mobilevit_s", 256, "hybrid"),
    "efficientformer/EfficientFormer": ("efficientformer_l1", 224, "hybrid"),
    "efficientvit_b2_cls/EfficientViT-b2-cls": ("efficientvit_b2", 224, "hybrid"),
    "efficientvit_l2_cls/EfficientViT-l2-cls": ("efficientvit_l2", 224, "hybrid"),
    "convnext_v2_base/ConvNextV2-Base": ("convnextv2_base", 224, "hybrid"),
    "sequencer2d/Sequencer2D": ("sequencer2d_s", 224, "recurrent"),
}
_VIDEO = {
    "resnet_3d/ResNet-3D": "r3d_18",
    "resnet_mixed/ResNet-Mixed-Convolution": "mc3_18",
    "resnet_2plus1d/ResNet-2Plus1D": "r2plus1d_18",
}


def _torchvision(name: str, side: int) -> Built:
    import torchvision

    auxiliary = {"aux_logits": False} if name in {"googlenet", "inception_v3"} else {}
    return torchvision.models.get_model(name, weights=None, init_weights=False, **auxiliary) if auxiliary else (
        torchvision.models.get_model(name, weights=None)
    ), (image(side),)  # fmt: skip


def _timm(name: str, side: int) -> Built:
    import timm
    from timm.utils.model import reparameterize_model

    return reparameterize_model(timm.create_model(name, pretrained=False, exportable=True).eval()), (image(side),)


def _video(name: str) -> Built:
    import torchvision

    return torchvision.models.get_model(name, weights=None), (torch.rand(1, 3, 16, 112, 112),)


for _name, (_model, _side, _family) in _TORCHVISION.items():
    add(_name, _family, partial(_torchvision, _model, _side))
for _name, (_model, _side, _family) in _TIMM.items():
    add(_name, _family, partial(_timm, _model, _side))
for _name, _model in _VIDEO.items():
    add(_name, "video", partial(_video, _model))
