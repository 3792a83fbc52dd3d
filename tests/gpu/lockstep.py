"""A network on the CPU and on a GPU, layer by layer from the same input: what each layer alone does
differently. Rounding that grows from layer to layer, to another argmax in the end, is no part of
it."""

import caffe
import numpy as np


def differences(cpu, gpu, backward=True):
    """How far each layer's outputs on the GPU are from the CPU's, and with `backward` also the
    gradients of its inputs and weights: {(layer, what): difference in parts of the largest value},
    of weights in parts of the largest gradient of the layer's.

    cpu, gpu: two caffe.Net of one file and one set of weights; they are run.
    """
    apart = {}

    def compare(key, one, other, largest=None):
        scale = np.abs(one).max(initial=0) if largest is None else largest
        apart[key] = float(np.abs(one - other).max(initial=0) / (scale or 1))

    def run(step, i):
        caffe.set_mode_cpu()
        getattr(cpu, step)(i, i)
        caffe.set_mode_gpu()
        getattr(gpu, step)(i, i)

    def hand_over(names, what):
        for name in names:
            getattr(gpu.blobs[name], what)[...] = getattr(cpu.blobs[name], what)

    names = list(cpu._layer_names)
    inputs, outputs = cpu.bottom_names, cpu.top_names
    for i, name in enumerate(names):
        hand_over(inputs[name], "data")
        run("_forward", i)
        for top in outputs[name]:
            compare((name, top), cpu.blobs[top].data, gpu.blobs[top].data)
    for i, name in reversed(list(enumerate(names)) if backward else []):
        hand_over([*inputs[name], *outputs[name]], "data")
        hand_over(outputs[name], "diff")
        run("_backward", i)
        for bottom in inputs[name]:
            compare((name, f"gradient of {bottom}"), cpu.blobs[bottom].diff, gpu.blobs[bottom].diff)
        weights = list(zip(cpu.layers[i].blobs, gpu.layers[i].blobs, strict=True))
        # Of the layer: a bias that normalisation takes away again has a gradient of rounding alone.
        largest = max((np.abs(one.diff).max() for one, _ in weights), default=0)
        for k, (one, other) in enumerate(weights):
            compare((name, f"gradient of its weights {k}"), one.diff, other.diff, largest)
    return apart
