"""A trained model as one file for other programs, with all that was fitted in training inside.

- ``whole``: preprocessing, network, link and inverse target scaling as one module; of a study the mean of its members.
- ``about``: what the file says of itself: classes, columns, contract.
- ``onnx_file``, ``torchscript_file``, ``safetensors_file``: one format each: ``write(path, whole, example, about)``
  and ``answer(path)``, which reads the file again and gives a function from inputs to answers.
- ``check``: whether those answers are the run's own.
- ``samples``: inputs to check with, where the data cannot be had.
"""
