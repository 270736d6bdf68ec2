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
    data=fashion-mnist epochs=10
else
    data=digits epochs=100
    echo "demo: Fashion-MNIST is not to be had; taking scikit-learn's handwritten digits"
fi
run=${1:-runs/demo-$data}

# Which way is up? No label is needed to turn an image and to ask by how much.
jaxssl pretrain rotation_fashion_mnist --out "$run" --data.path "$data" --training.epochs "$epochs"
# Whole maps of the first stage, 7 x 7 cells; two penalties instead of five, to stay within minutes.
# Result files carry the protocol.
jaxssl evaluate "$run" --encoders trained random pixels --evaluators linear few-label \
    --grid auto --max-features 1568 --probe.l2-grid 1e-2 1e-3 --probe.no-extend \
    --few.per-class 10 --few.fractions
jaxssl report "$run"
echo "demo: look at $run/report/index.html"
