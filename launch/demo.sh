#!/usr/bin/env bash
# Installs jaxssl, pretrains an encoder on real images, evaluates it against the same network with
# random weights and against raw pixels, and draws what was learned. Run it again and it goes on
# where it stopped.
#
#   bash launch/demo.sh [RUN_DIRECTORY]        under 6 minutes on 2 CPU cores after the install
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source launch/environment.sh plot

if python -m jaxssl.data.fetch; then
    data=fashion-mnist epochs=1.5
else
    data=digits epochs=60
    echo "demo: Fashion-MNIST is not to be had; taking scikit-learn's handwritten digits"
fi
run=${1:-runs/demo-$data}

jaxssl pretrain simclr_fashion_mnist --out "$run" --data.path "$data" --training.epochs "$epochs"
# Pooled features only and three strengths instead of five, to stay within minutes; result files
# carry the protocol.
jaxssl evaluate "$run" --encoders trained random pixels --no-stages --probe.l2-grid 1e-2 1e-3 1e-4 --probe.no-extend
jaxssl report "$run"
echo "demo: look at $run/report/index.html"
