"""Where a network runs, and how many inputs at once."""

import ctypes
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


def waiter(gpu):
    """A function that waits until a GPU, by its number, has done what Caffe gave it to do, and
    raises CaffeError where it failed; None: the CPU, which has nothing open."""
    if gpu is None:
        return lambda: None
    import caffe

    cuda = ctypes.CDLL(caffe._caffe.__file__)  # and with it CUDA's runtime, which it is linked to

    def wait():
        if error := cuda.cudaDeviceSynchronize():
            raise caffe_process.CaffeError(f"--gpu {gpu}: CUDA reports error {error}")

    return wait


def _ask(gpu, what):
    """What nvidia-smi says of a GPU; None where it does not say."""
    query = ["nvidia-smi", f"--id={gpu}", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def gpu_name(gpu):
    """The maker's name of a GPU, by its number."""
    return _ask(gpu, "name") or f"GPU {gpu}"


def free_memory(gpu):
    """The free memory, bytes, of a GPU, by nvidia-smi; None where it does not say."""
    said = _ask(gpu, "memory.free")
    return int(said) << 20 if said and said.isdecimal() else None


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
