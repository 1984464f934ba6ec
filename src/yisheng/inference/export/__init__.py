"""Export a trained model as one file for other programs, with everything that was fitted in training.

- ``full_model``: preprocessing, network, link and inverse target scaling as one module; for a cross-validation the mean
  of its fold models.
- ``resizing``: the resizing of images as operators of the graph.
- ``image_inputs``: how a file takes images, as facts and in words.
- ``metadata``: the description in the file: classes, columns, contract.
- ``onnx_file``, ``torchscript_file``, ``safetensors_file``: one format each, with ``write(path, model, example,
  metadata)`` and ``load(path)``, which returns a function from inputs to predictions.
- ``verify``: compares these predictions with the run's.
- ``example_inputs``: inputs to verify with if the data is not available.
"""
