"""The ten tasks with Yisheng."""

from given import Net, ShiftedDigits, images, test_set, y

import yisheng

# 1. Train a network of your own on arrays, and print the accuracy on rows that it was not trained on
run = yisheng.train(data=(images, y), model=Net, epochs=3)
print(run.scores["test"]["accuracy"])

# 2. Train on a Dataset of your own with random augmentation
run = yisheng.train(data=ShiftedDigits(), test=test_set, model=Net, epochs=3)
print(run.scores["test"]["accuracy"])

# 3. Cross-validate on 5 folds, and print mean and standard deviation of the accuracy
run = yisheng.train(data=(images, y), model=Net, epochs=3, folds=5)
print(run.scores["validation"]["accuracy"])

# 4. Choose the learning rate among three
result = yisheng.tune(data=(images, y), model=Net, epochs=3, lr=[1e-4, 1e-3, 1e-2])
print(result.best["setting"])

# 5. Continue a training that was killed
run = yisheng.train(data=(images, y), model=Net, epochs=3)
run = yisheng.resume(run.path, data=(images, y), model=Net, epochs=6)

# 6. Give every class the same total weight in the loss
run = yisheng.train(data=(images, y), model=Net, epochs=3, class_weight="balanced")

# 7. Stop when the validation score no longer improves, and keep the best weights
run = yisheng.train(data=(images, y), model=Net, epochs=50, patience=5)

# 8. Load the trained network in another process, and predict an image file
run = yisheng.load(run.path)
print(run.predict("digit.png")[0].prediction)

# 9. Export to ONNX
run.export(format="onnx", out="net.onnx")

# 10. Draw the confusion matrix, and report precision and recall of each class
run.plot("confusion-matrix", out="confusion.png")
print(run.report())
