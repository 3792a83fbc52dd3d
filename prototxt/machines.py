"""The shapes of the convolutional pose machines: what figure 1's boxes of convolutions hold."""

# ruff: noqa: C408 (dict(type="gaussian") reads like the prototxt that it becomes)

from typing import NamedTuple

LANDMARKS = 17  # Human3.6M's, as in prior/skeleton.py
MAPS = LANDMARKS + 1  # a belief map for each landmark; the background is the last


class Conv(NamedTuple):
    """A convolution that keeps the size (unless it has a stride), then normalisation where the
    Machine has it, then a ReLU."""

    name: str  # {t} stands for the stage
    kernel: int
    channels: int
    stride: int = 1
    dilation: int = 1  # 3 x 3 of dilation 2 sees 5 x 5 at a third of its cost
    drop: bool = False  # dropout after it


class Pool(NamedTuple):
    """Halves the size: the maximum of 3 x 3 (CPM's files; the paper's figure counts 2 x 2)."""

    name: str


class Machine(NamedTuple):
    """A convolutional pose machine's shape. The last rows of head and refine give the maps."""

    input: int  # px, side of the square input
    stride: int  # px of the input in one px of the belief maps
    stages: int
    batch: int
    trunk: tuple  # from the image to features of the maps' size
    trunks: int  # how many stages have a trunk of their own; the later ones share the last
    view: int  # channels of each stage's own 5 x 5 view of its trunk; 0: the trunk as it is
    head: tuple  # stage 1, after the features
    refine: tuple  # stages >= 2, after features, previous maps and centre are concatenated
    first_rate: float  # learning rate of stage 1, in units of the later stages'
    fusion_rate: float  # learning rate of the fusion's w_t, in units of the base rate
    kept_rate: float | None  # fine-tuning: that of the layers kept from CPM, of the new ones'
    filler: dict
    normalise: bool  # batch normalisation of each hidden convolution's output
    augment: bool | dict  # CPM's ranges, or others: python_layers/crop.Ranges
    label_sigma: float  # px of the input: the Gaussian of the target maps
    subpixel: bool  # False: a landmark is the most confident pixel (section 5.2)


GAUSSIAN = dict(type="gaussian", std=0.01)  # CPM

# Wei et al., "Convolutional Pose Machines", CVPR 2016: what the paper says it extends (5.1).
CPM = Machine(
    input=368,
    stride=8,
    stages=6,
    batch=16,
    trunk=(
        *(Conv("conv1_stage{t}", 9, 128), Pool("pool1_stage{t}")),
        *(Conv("conv2_stage{t}", 9, 128), Pool("pool2_stage{t}")),
        *(Conv("conv3_stage{t}", 9, 128), Pool("pool3_stage{t}")),
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
    first_rate=5,
    fusion_rate=1,
    kept_rate=None,
    filler=GAUSSIAN,
    normalise=False,
    augment=True,
    label_sigma=7,
    subpixel=False,
)

# The variant that its authors released later: VGG-19's first ten convolutions, shared.
VGG = CPM._replace(
    trunk=(
        *(Conv("conv1_1", 3, 64), Conv("conv1_2", 3, 64), Pool("pool1_stage1")),
        *(Conv("conv2_1", 3, 128), Conv("conv2_2", 3, 128), Pool("pool2_stage1")),
        *(Conv(f"conv3_{i}", 3, 256) for i in (1, 2, 3, 4)),
        Pool("pool3_stage1"),
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
)

# Our choice: the variant's plan, at a size that two CPU cores train in minutes.
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
    first_rate=1,  # Adam scales each weight's step by itself
    fusion_rate=10,  # Adam's steps are no longer than the rate: in 800, w_t would not arrive
    filler=dict(type="msra"),  # keeps the signal's size, where .01 needs CPM's 100,000s of steps
    normalise=True,  # learns faster from scratch: prototxt/README.md
    # A face has few pixels here, and CPM's smallest person would have none: whose arm is which
    # would be a guess. And CPM turns by 40 degrees; the cameras here, as Human3.6M's, are level.
    augment=dict(scale=(0.9, 1.1), degrees=15, shift=0.03),
    label_sigma=10,  # 1.25 cells of the maps: less leaves too little of them to learn from
    subpixel=True,
)
