"""torchvision: the state_dict of a ResNet without its classifier.

Source: torchvision, models/resnet.py.
"""

from jaxssl.interop.outgoing import Outgoing, Program
from jaxssl.models.resnet import DEPTHS

DEPTH_WITHOUT_NAME = 10


def _files(outgoing: Outgoing) -> dict[str, dict]:
    if outgoing.guess.channels != 3:
        raise ValueError(
            "export: channels must be 3 for torchvision, whose ResNets take no others; got "
            f"{outgoing.guess.channels}. Export to timm."
        )
    return {"preprocessing.json": outgoing.preprocessing}


def _usage(outgoing: Outgoing) -> str:
    depth = outgoing.config.depth
    model = f"torchvision.models.resnet{depth}()"
    if depth == DEPTH_WITHOUT_NAME:
        blocks = list(DEPTHS[depth][0])
        resnet = "torchvision.models.resnet"
        model = f"{resnet}.ResNet({resnet}.BasicBlock, {blocks})"
    return (
        f"model = {model}; model.fc = torch.nn.Identity(); "
        'model.load_state_dict(safetensors.torch.load_file("{out}/model.safetensors"))'
    )


PROGRAM = Program(name="torchvision", files=_files, adds=lambda outgoing: {}, usage=_usage)
