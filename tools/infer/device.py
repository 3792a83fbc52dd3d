"""Where a network runs, and how many inputs at once."""

import subprocess

import numpy as np

from tools.caffe_io import process as caffe_process

# Inputs in one run on the CPU, which gains nothing by more: our choice, which bounds the memory.
BATCH = 8
# Our choice: beyond it a GPU gains nothing, and people wait longer for the first of them.
LARGEST_BATCH = 128
# The part of a GPU's free memory that is counted on; the rest is for cuBLAS and rounding up.
USABLE = 0.8
FLOAT = 4  # bytes


def compute_on(gpu):
    """Have pycaffe compute on a GPU, by its number; None: on the CPU. Raises CaffeError."""
    if gpu is not None:
        caffe_process.check_gpu(gpu)
    import caffe

    if gpu is None:
        caffe.set_mode_cpu()
    else:
        caffe.set_device(gpu)
        caffe.set_mode_gpu()


def free_memory(gpu):
    """The free memory, bytes, of a GPU, by nvidia-smi; None where it does not say."""
    query = [
        "nvidia-smi",
        f"--id={gpu}",
        "--query-gpu=memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        return int(said.split()[0]) << 20
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def memory(net):
    """(bytes whatever the batch, bytes for each input) that a loaded network of batch 1 takes on a
    GPU, at most: weights and unrolled convolutions, and blobs. net: a caffe.Net."""
    blobs = {name: blob.data.shape for name, blob in net.blobs.items()}
    fixed = sum(blob.data.size for layer in net.layers for blob in layer.blobs)
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        tops = net.top_names[name]
        if layer.type == "Convolution" and layer.blobs[0].data.shape[2:] != (1, 1):
            fixed += np.prod(layer.blobs[0].data.shape[1:]) * np.prod(blobs[tops[0]][2:])
    return int(FLOAT * fixed), int(FLOAT * sum(np.prod(shape) for shape in blobs.values()))


def batch_of(net, gpu):
    """How many inputs of a loaded network run at once on a GPU, by its number; None: on the CPU."""
    free = None if gpu is None else free_memory(gpu)
    if free is None:
        return BATCH
    fixed, each = memory(net)
    return int(np.clip((USABLE * free - fixed) // each, 1, LARGEST_BATCH))
