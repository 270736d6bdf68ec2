"""Published weights in, weights of jaxssl out: torchvision, timm, Hugging Face and their kin.

jaxssl.interop.load(path)                  the encoder of a file of weights, ready to use
jaxssl.interop.import_run(path, out)       the same as a run directory, which all commands take
jaxssl.interop.export(run, to, out)        the encoder of a run for another program
"""

from jaxssl.interop.exported import Exported, To, export
from jaxssl.interop.imported import ImportConfig, import_run, load

__all__ = ["Exported", "ImportConfig", "To", "export", "import_run", "load"]
