#!/usr/bin/env bash
# Installs jaxssl, pretrains an encoder on real images, evaluates it beside the same network with
# random weights and beside raw pixels, with all labels and with ten a class, and draws what was
# learned. Run it again and it goes on where it stopped.
#
#   bash launch/demo.sh [RUN_DIRECTORY]        under 6 minutes on 2 CPU cores after the install
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh plot

if python -m jaxssl.data.fetch; then
    data=fashion-mnist epochs=4
else
    data=digits epochs=60
    echo "demo: Fashion-MNIST is not to be had; taking scikit-learn's handwritten digits"
fi
run=${1:-runs/demo-$data}

jaxssl pretrain simclr_fashion_mnist --out "$run" --data.path "$data" --training.epochs "$epochs"
# Maps as grids of no more numbers than an image has pixels; three strengths instead of five, to
# stay within minutes. Result files carry the protocol.
jaxssl evaluate "$run" --encoders trained random pixels --evaluators linear few-label \
    --grid auto --max-features 784 --probe.l2-grid 1e-1 1e-2 1e-3 --probe.no-extend \
    --few.per-class 10 --few.fractions
jaxssl report "$run"
echo "demo: look at $run/report/index.html"
