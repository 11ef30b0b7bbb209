"""The converters, one file a family of layers; importing this package registers them all."""

from tf2.importers.caffe.layers import activation as activation
from tf2.importers.caffe.layers import combine as combine
from tf2.importers.caffe.layers import convolution as convolution
from tf2.importers.caffe.layers import detection as detection
from tf2.importers.caffe.layers import normalization as normalization
from tf2.importers.caffe.layers import pooling as pooling
from tf2.importers.caffe.layers import shape as shape
from tf2.importers.caffe.layers.registry import CONVERTERS as CONVERTERS
from tf2.importers.caffe.layers.registry import Converter as Converter
