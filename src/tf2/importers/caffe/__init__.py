"""Read a Caffe network, prototxt and caffemodel, as an ONNX model."""

from tf2.importers.caffe.convert import read_caffe as read_caffe
