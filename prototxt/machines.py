"""The convolutional pose machines: what is in the boxes of convolutions of figure 1."""

# ruff: noqa: C408 (dict(type="gaussian") reads like the prototxt that it becomes)

from typing import NamedTuple

from prior.skeleton import HUMAN36M, Skeleton
from python_layers.belief_maps import LABEL_INPUT, LABEL_SIGMA

RENDERED = "build/data/train.json"  # made by make data
PHOTOGRAPHS = "build/data/photographs.pack"  # written by tools.convert
# Channels of a convolution that gives belief maps: one for each landmark that the pose model has,
# the background last. How many that is, the Machine says.
MAPS = 0


class Conv(NamedTuple):
    """A convolution, then normalisation where the Machine has it, then a ReLU.

    It is padded so that the maps keep their size, unless it has a stride.
    """

    name: str  # {t} stands for the stage
    kernel: int
    channels: int  # or MAPS
    stride: int = 1
    dilation: int = 1  # 3 x 3 with dilation 2 sees 5 x 5 cells at a third of the cost
    drop: bool = False  # followed by dropout
    relu: bool = True
    clip: bool = False  # the ReLU ends at 6, as MobileNet's do
    group: int = 1
    # In units of the solver's rate, where released weights fill the convolution; their
    # normalisation is folded into them. 0: it stays as it is. None: it is learned from scratch.
    released_rate: float | None = None


class Block(NamedTuple):
    """MobileNet's inverted residual (Sandler et al. 2018), as EfficientNet-Lite has it.

    A 1 x 1 convolution to `hidden` channels, one of each channel by itself, a 1 x 1 convolution to
    `channels`, without a ReLU, and the block's input added where that has the same shape.
    """

    name: str
    kernel: int
    incoming: int  # channels
    hidden: int  # channels; as many as come in: the first convolution is left out
    channels: int
    stride: int = 1
    clip: bool = False
    released_rate: float = 0  # as a Conv's


class Pool(NamedTuple):
    """A pooling that halves the maps' size: the maximum of kernel x kernel cells."""

    name: str
    kernel: int


class Merge(NamedTuple):
    """The sum of features, doubled in size, and those of an earlier block (Lin et al. 2017)."""

    name: str
    earlier: str  # a blob
    channels: int


class Machine(NamedTuple):
    """A convolutional pose machine: the shape of its network, and how it is trained."""

    input: int  # px, side of the square input
    stride: int  # px of the input in one px of the belief maps
    stages: int
    batch: int
    trunk: tuple  # from the image to features of the belief maps' size
    trunks: int  # how many stages have a trunk of their own; the later ones share the last
    view: int  # channels of each stage's own 5 x 5 convolution of its trunk; 0: it has none
    # The convolutions of a stage; the last one gives its belief maps.
    head: tuple  # stage 1, from the features
    refine: tuple  # a later stage, from features, previous maps and centre map in one blob
    maps_first: bool  # in that blob, whether the maps come before the features; the centre is last
    # Learning rates, in units of the solver's rate.
    first_rate: float  # of stage 1
    later_rate: float  # of the stages after it
    fusion_rate: float  # of the fusion's weights w_t
    kept_rate: float | None  # fine-tuning: of the layers that CPM's weights fill; None: no such
    filler: dict  # the initial weights of hidden convolutions
    normalise: bool  # batch normalisation of each hidden convolution's output
    augment: bool | dict  # true: as CPM; else some of python_layers.data.crop.Ranges
    label_sigma: float  # px of the input: standard deviation of a label's Gaussian
    lift: str  # how a stage lifts: one of LIFTINGS
    data: str | dict = RENDERED  # a file of annotations, or {file: its share of the samples}
    prior: str = "build/prior.npz"  # file of the pose model, written by make prior
    skeleton: Skeleton = HUMAN36M  # of the pose model


GAUSSIAN = dict(type="gaussian", std=0.01)  # CPM

# Parameters of the lifting layer.
LIFTINGS = {
    # A landmark is the most confident cell (5.2), and R the rotation of least cost (equation 4).
    "published": dict(noise_mm=0, criterion="cost", subpixel=False),
    # Ours: landmarks at fractions of a cell; the pose of highest density under the model.
    "probable": dict(subpixel=True),
    # The same, with the covariance of each belief as its landmark's noise.
    "weighed": dict(subpixel=True, covariance=True),
}

# Wei et al., "Convolutional Pose Machines", CVPR 2016, which the paper extends (5.1), as their
# training/genProto.py writes it: github.com/shihenw/convolutional-pose-machines-release.
CPM = Machine(
    input=LABEL_INPUT,
    stride=8,
    stages=6,
    batch=16,
    trunk=(
        *(Conv("conv1_stage{t}", 9, 128), Pool("pool1_stage{t}", 3)),
        *(Conv("conv2_stage{t}", 9, 128), Pool("pool2_stage{t}", 3)),
        *(Conv("conv3_stage{t}", 9, 128), Pool("pool3_stage{t}", 3)),
    ),
    trunks=2,
    view=32,
    head=(
        Conv("conv5_stage{t}", 9, 512, drop=True),
        Conv("conv6_stage{t}", 1, 512, drop=True),
        Conv("conv7_stage{t}", 1, MAPS),
    ),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 11, 128) for i in (1, 2, 3)),
        Conv("Mconv4_stage{t}", 1, 128),
        Conv("Mconv5_stage{t}", 1, MAPS),
    ),
    maps_first=False,
    first_rate=5,
    later_rate=1,
    fusion_rate=1,  # our choice: that of the layers beside it
    kept_rate=None,
    filler=GAUSSIAN,
    normalise=False,
    augment=True,
    label_sigma=LABEL_SIGMA,
    lift="published",
)

# The variant that its authors released later, as model/_trained_MPI/pose_deploy_resize.prototxt
# of the same repository: the first ten convolutions of VGG-19 and five more, shared by all stages.
VGG = CPM._replace(
    trunk=(
        *(Conv("conv1_1", 3, 64), Conv("conv1_2", 3, 64), Pool("pool1_stage1", 2)),
        *(Conv("conv2_1", 3, 128), Conv("conv2_2", 3, 128), Pool("pool2_stage1", 2)),
        *(Conv(f"conv3_{i}", 3, 256) for i in (1, 2, 3, 4)),
        Pool("pool3_stage1", 2),
        *(Conv("conv4_1", 3, 512), Conv("conv4_2", 3, 512)),
        *(Conv(f"conv4_{i}_CPM", 3, 256) for i in (3, 4, 5, 6)),
        Conv("conv4_7_CPM", 3, 128),
    ),
    trunks=1,
    view=0,
    head=(Conv("conv5_1_CPM", 1, 512), Conv("conv5_2_CPM", 1, MAPS)),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 7, 128) for i in (1, 2, 3, 4, 5)),
        Conv("Mconv6_stage{t}", 1, 128),
        Conv("Mconv7_stage{t}", 1, MAPS),
    ),
    maps_first=True,
    first_rate=1,
    later_rate=4,
)

# Our choice: a small network on the variant's plan, which two CPU cores train in minutes.
LITE = VGG._replace(
    input=128,
    stages=3,
    batch=8,
    trunk=(
        Conv("conv1", 5, 24, stride=2),
        Conv("conv2", 3, 48, stride=2),
        Conv("conv3", 3, 48),
        Conv("conv4", 3, 96, stride=2),
        *(Conv("conv5", 3, 96), Conv("conv6", 3, 96)),
    ),
    head=(
        Conv("conv7_stage{t}", 3, 96, dilation=2),
        Conv("conv8_stage{t}", 1, 96),
        Conv("conv9_stage{t}", 1, MAPS),
    ),
    refine=(
        *(Conv(f"Mconv{i}_stage{{t}}", 3, 96, dilation=2) for i in (1, 2)),
        Conv("Mconv3_stage{t}", 1, 96),
        Conv("Mconv4_stage{t}", 1, MAPS),
    ),
    maps_first=False,
    # Adam chooses each weight's step by itself, so all stages have the same rate.
    first_rate=1,
    later_rate=1,
    fusion_rate=10,  # Adam steps by the rate at most: 800 such steps are too few to move w_t far
    # Keeps the signal's variance from layer to layer; with .01 it fades, and CPM then needs
    # hundreds of thousands of iterations.
    filler=dict(type="msra"),
    normalise=True,  # learns faster from scratch
    # At 128 px a face has few pixels, and none in a person as small as CPM shows: nothing would
    # tell the left arm from the right. CPM turns by up to 40 degrees; the cameras here are level,
    # as those of Human3.6M.
    augment=dict(scale=(0.9, 1.1), degrees=15, shift=0.03),
    label_sigma=10,  # 1.25 cells of the maps; a narrower Gaussian gives too few cells to learn from
    lift="probable",  # a cell is a sixteenth of the input: its middle is too coarse a landmark
)

# EfficientNet-Lite0 (Tan and Le 2019; tensorflow/tpu, models/official/efficientnet/lite) down to a
# sixteenth of the input, with its ImageNet weights. The first blocks stay as they are: edges and
# textures are those of ImageNet's photographs. Its ReLUs end at 6. Caffe has no such layer, and
# what makes one costs time, so only the first two have it, where 3 and 7 % of the values on four of
# the Leeds photographs would be above 6. In the others less than 0.5 % are: they learn to do
# without.
# Rates: our choice. With the solver's 2e-3 the tuned blocks learn at 3e-4; their normalisation is
# folded in, so that nothing holds back steps as long as those of the new layers.
FROZEN, TUNED = 0, 0.15
LITE0 = (
    Conv("conv_stem", 3, 32, stride=2, clip=True, released_rate=FROZEN),
    Block("conv0", 3, 32, 32, 16, clip=True, released_rate=FROZEN),
    Block("conv1", 3, 16, 96, 24, 2, released_rate=FROZEN),
    Block("conv2", 3, 24, 144, 24, released_rate=FROZEN),
    Block("conv3", 5, 24, 144, 40, 2, released_rate=TUNED),
    Block("conv4", 5, 40, 240, 40, released_rate=TUNED),
    Block("conv5", 3, 40, 240, 80, 2, released_rate=TUNED),
    *(Block(f"conv{i}", 3, 80, 480, 80, released_rate=TUNED) for i in (6, 7)),
    Block("conv8", 5, 80, 480, 112, released_rate=TUNED),
    *(Block(f"conv{i}", 5, 112, 672, 112, released_rate=TUNED) for i in (9, 10)),
)

# Our choice: a network for photographs that two CPU cores train in hours. It sees what ImageNet
# teaches, since the photographs at hand are too few to learn that from.
SMALL = LITE._replace(
    input=192,
    trunk=(*LITE0, Merge("merge", "conv4_sum", 96), Conv("conv11", 3, 96)),
    head=(
        Conv("conv12_stage{t}", 3, 64, dilation=2),
        Conv("conv13_stage{t}", 1, 128),
        Conv("conv14_stage{t}", 1, MAPS),
    ),
    refine=(
        Conv("Mconv1_stage{t}", 3, 64, dilation=2),
        Conv("Mconv2_stage{t}", 3, 64, dilation=2),
        Conv("Mconv3_stage{t}", 1, 128),
        Conv("Mconv4_stage{t}", 1, MAPS),
    ),
    # Our choice: sportspeople lean farther than CPM turns them and are cut off at the border, and
    # 8,000 photographs have few colours and things in front.
    augment=dict(scale=(0.7, 1.2), degrees=60, shift=0.06, colour=0.2, occlusion=0.3),
    data=PHOTOGRAPHS,
    prior="prior/models/cmu.npz",  # the one that the project carries, as it does this network
)

# By the folder, below prototxt/, of the networks: the pose machine in cpm/, with the paper's layers
# in lifting/.
MACHINES = {"": CPM, "vgg/": VGG, "lite/": LITE, "small/": SMALL}
