// These layers declare code for the GPU that the packaged sources do not have, and without
// a definition the library does not link. As for any layer without such code, what the CPU does
// is done. No network of ours has them. Only a GPU build compiles this file.
#include <vector>

#include "caffe/layers/hardsigmoid_layer.hpp"
#include "caffe/layers/hardswish_layer.hpp"
#include "caffe/layers/maxunpool_layer.hpp"
#include "caffe/layers/pixelshuffle_layer.hpp"
#include "caffe/layers/proposal_layer.hpp"
#include "caffe/layers/relu6_layer.hpp"
#include "caffe/layers/upsample_layer.hpp"

namespace caffe {

#define FORWARD_ON_CPU(Class)                                                  \
  template <typename Dtype>                                                    \
  void Class<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom,           \
                                 const vector<Blob<Dtype>*>& top) {            \
    this->Forward_cpu(bottom, top);                                            \
  }                                                                            \
  INSTANTIATE_LAYER_GPU_FORWARD(Class)

#define BACKWARD_ON_CPU(Class)                                                 \
  template <typename Dtype>                                                    \
  void Class<Dtype>::Backward_gpu(const vector<Blob<Dtype>*>& top,             \
                                  const vector<bool>& propagate_down,          \
                                  const vector<Blob<Dtype>*>& bottom) {        \
    this->Backward_cpu(top, propagate_down, bottom);                           \
  }                                                                            \
  INSTANTIATE_LAYER_GPU_BACKWARD(Class);

FORWARD_ON_CPU(HardSigmoidLayer)
BACKWARD_ON_CPU(HardSigmoidLayer)
FORWARD_ON_CPU(HardSwishLayer)
BACKWARD_ON_CPU(HardSwishLayer)
FORWARD_ON_CPU(MaxUnPoolLayer)
BACKWARD_ON_CPU(MaxUnPoolLayer)
FORWARD_ON_CPU(PixelShuffleLayer)
BACKWARD_ON_CPU(PixelShuffleLayer)
BACKWARD_ON_CPU(ProposalLayer)
FORWARD_ON_CPU(ReLU6Layer)
BACKWARD_ON_CPU(ReLU6Layer)
FORWARD_ON_CPU(UpsampleLayer)
BACKWARD_ON_CPU(UpsampleLayer)

}  // namespace caffe
